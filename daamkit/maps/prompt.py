"""A prompt: its tokens, and its words, found by characters and never by string."""

from __future__ import annotations

import itertools
import operator
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, SupportsIndex, get_args

from daamkit import characters
from daamkit.characters import Mark
from daamkit.maps.tokens import Special, Token
from daamkit.maps.words import Asked, Occurrence, Word, WordError, missing, several

_NUMBERED = re.compile(r"(.+?)\s*\((\d+)\)", re.DOTALL)  # "cat (2)", as views name the second


@dataclass(frozen=True)
class Prompt:
    """A prompt and its tokens.

    Attributes
    ----------
    texts
        What each text encoder reads, by component name; mostly the same.
    tokens
        All tokens, encoder after encoder, padding as one.
    cuts
        Where a text is cut off at the model's limit (first character not read), by encoder.
    limit
        The model's limit, in tokens.
    """

    texts: Mapping[str, str]
    tokens: tuple[Token, ...]
    cuts: Mapping[str, int]
    limit: int

    @property
    def text(self) -> str:
        """What the first text encoder reads."""
        return next(iter(self.texts.values()))

    @property
    def columns(self) -> int:
        """Length of the key axis: the longest text's tokens, SOS, EOS, and padding as one."""
        return 1 + max(token.column for token in self.tokens)

    def words(self, encoder: str | None = None) -> list[Word]:
        """The words the model has read, in order; punctuation and weighting syntax are left out.

        See `daamkit.characters.words` for what is a word.
        """
        names = self._alike(encoder)
        text = self.texts[names[0]]
        seen: Counter[str] = Counter()
        found = []
        for start, end in characters.words(text):
            if self._parts(names, [(start, end)]):
                name = text[start:end].casefold()
                found.append(self._word(names, start, end, seen[name]))
                seen[name] += 1
        return found

    def marks(self, encoder: str | None = None) -> list[Mark]:
        """Weighting syntax in the prompt ("BREAK", "<lora:ink:1>", ":1.2"), which is no word.

        A pipeline of diffusers reads it as plain text, so that it has columns: `span` finds them.
        """
        return characters.marks(self.texts[encoder or next(iter(self.texts))])

    def word(
        self,
        text: Asked,
        occurrence: Occurrence | None = None,
        encoder: str | None = None,
    ) -> Word:
        """Find a word or a phrase.

        Parameters
        ----------
        text
            Whole words; case, the width of spaces and the form of accents do not matter. Where
            there is none, a part of a compound ("cat" of "cat-like" or "cat's"), or of a text
            without spaces, or a Korean noun before its particle; then "cat (2)", the second
            "cat". Also ("cat", 1), text and occurrence; a `Word` found before is returned.
        occurrence
            Which one, from 0, where it stands several times; "all" takes them together.
        encoder
            Whose text and whose columns. Default: the text of the first that has it, and the
            columns of all that have read the same text.

        Raises
        ------
        WordError
            If it is not there, stands several times, or lies beyond the model's limit.
        """
        if isinstance(text, Word):
            return self.check(text)
        if isinstance(text, tuple) and len(text) == 2 and occurrence is None:
            text, occurrence = text
        whole = isinstance(occurrence, SupportsIndex) and not isinstance(occurrence, bool)
        if not (isinstance(text, str) and (occurrence in (None, "all") or whole)):
            raise WordError(
                wanted="one word or phrase, and perhaps which one of several",
                got=f"{text!r}, occurrence={occurrence!r}",
                mend='write "red car", or "cat" with `occurrence=1`, or [... for word in words]',
            )
        words = text.split()
        if not words:
            raise WordError(wanted="a word", got=repr(text), mend="name a word of the prompt")
        if encoder is not None and encoder not in self.texts:
            raise WordError(
                wanted=f"the text encoder {encoder!r}",
                got=f"{', '.join(self.texts)}",
                mend="name one of these",
            )
        texts = [encoder] if encoder else self.texts
        for name, pattern in itertools.product(texts, characters.finds(text)):
            matches = characters.found(pattern, self.texts[name])
            if matches:
                break
        else:
            numbered = _NUMBERED.fullmatch(text.strip())
            if numbered is None or occurrence is not None:
                raise missing(text, list(self.texts.values()))
            return self.word(numbered[1], int(numbered[2]) - 1, encoder)
        names = self._alike(encoder, name)
        if occurrence == "all":
            first, *_ = [self._word(names, *match.span(), 0) for match in matches]
            parts = self._parts(names, [match.span() for match in matches])
            return replace(first, columns=sum(parts, ()), parts=parts if len(parts) > 1 else ())
        if occurrence is None and len(matches) > 1:
            raise several(text, self.texts[name], [match.start() for match in matches])
        index = operator.index(occurrence or 0)
        if not 0 <= index < len(matches):
            raise WordError(
                wanted=f"occurrence {index} of {text!r}",
                got=f"{len(matches)} in {self.texts[name]!r}",
                mend=f"choose from 0 to {len(matches) - 1}",
            )
        return self._word(names, *matches[index].span(), index)

    def each(
        self, asked: Asked | Iterable[Asked], occurrence: Occurrence | None = None
    ) -> list[Word]:
        """One word or several, each as `word` finds it; the occurrence is that of bare texts."""
        one = isinstance(asked, str | Word) or (
            isinstance(asked, tuple) and len(asked) == 2 and not isinstance(asked[1], str | Word)
        )
        several: Any = [asked] if one else asked
        return [self.word(w, occurrence if isinstance(w, str) else None) for w in several]

    def check(self, word: Word) -> Word:
        """A word found before, if it was found in this prompt, as the same encoders have read it.

        Raises
        ------
        WordError
            If another text stands there, or its columns are not that text's.
        """
        here = any(text[word.start : word.end] == word.text for text in self.texts.values())
        known = self._columns_of(word)
        if not known.issuperset(word.columns) or not (here or word.start == word.end):
            raise WordError(
                wanted=f"a word of {self.text!r}",
                got=f"{word.text!r} at character {word.start}, of another prompt or model",
                mend="find it by its text: `prompt.word(...)`",
            )
        return word

    def _columns_of(self, word: Word) -> set[int]:
        """Those that a word may have: its text's, wherever it stands, or a special token's."""
        if word.start == word.end:
            own = {token.column for token in self.tokens if token.special == word.text}
            return own if word.text in get_args(Special) else set(range(self.columns))
        found, place = set[int](), (word.start, word.end)
        patterns = characters.finds(word.text) if word.text.strip() else []
        for name, text in self.texts.items():
            spans = [m.span() for each in patterns for m in characters.found(each, text)]
            spans += [place] * (text[slice(*place)] == word.text)
            found.update(*self._parts([name], spans))
        return found

    def span(self, start: int, end: int, encoder: str | None = None) -> Word:
        """The word or phrase at given characters; its occurrence is counted as `word` counts.

        Raises
        ------
        WordError
            If no token is there, or the model has not read all of it.
        """
        names = self._alike(encoder)
        text = self.texts[names[0]]
        return self._word(names, start, end, characters.occurrence(text, start, end))

    def reads(self, start: int, end: int, encoder: str | None = None) -> bool:
        """Whether the model has read these characters to the end, and not cut them off; by default
        it is enough that one of its text encoders has."""
        return any(end <= self.cuts.get(name, end) for name in self._alike(encoder))

    def special(self, name: Special, encoder: str | None = None) -> Word:
        """The start of text (SOS), its end (EOS), or all padding or all of the template together,
        as if it were a word.

        Parameters
        ----------
        name
            "SOS", "EOS", "padding", "template" or "register".
        encoder
            In whose text; default the first.
        """
        encoder = encoder or next(iter(self.texts))
        own = [token for token in self.tokens if token.encoder == encoder and token.special]
        columns = tuple(token.column for token in own if token.special == name)
        if not columns:
            raise WordError(
                wanted=f"a special token called {name!r}",
                got=f"{', '.join(dict.fromkeys(str(token.special) for token in own))}",
                mend="name one of these",
            )
        return Word(name, 0, 0, columns)

    def _alike(self, encoder: str | None, like: str | None = None) -> list[str]:
        """An encoder alone; if none is named, all that are given the same text as `like`, itself
        first (default the first of all)."""
        if encoder is not None:
            return [encoder]
        like = like or next(iter(self.texts))
        same = [name for name, text in self.texts.items() if text == self.texts[like]]
        return sorted(same, key=lambda name: name != like)

    def _parts(
        self, names: Sequence[str], spans: Sequence[tuple[int, int]]
    ) -> tuple[tuple[int, ...], ...]:
        """The columns of some characters, for each encoder that has places of its own."""
        parts: list[tuple[int, ...]] = []
        taken: set[int] = set()
        for name in names:
            columns = tuple(
                token.column
                for start, end in spans
                for token in self.tokens
                if token.encoder == name
                and not token.special
                and token.start < end
                and token.end > start
                and end <= self.cuts.get(name, end)
            )
            if columns and taken.isdisjoint(columns):  # encoders that share their places are one
                parts.append(columns)
                taken.update(columns)
        return tuple(parts)

    def _word(self, names: Sequence[str], start: int, end: int, occurrence: int) -> Word:
        text, parts = self.texts[names[0]], self._parts(names, [(start, end)])
        cut = max((at for name in names if (at := self.cuts.get(name, end)) < end), default=end)
        if not parts and end > cut:
            raise WordError(
                wanted=f"{text[start:end]!r} at character {start}",
                got=f"a prompt cut at the model's limit of {self.limit} tokens: the model has not "
                f"read {text[cut:].strip()!r}",
                mend="shorten the prompt, or move the word to its front",
            )
        if not parts and self._parts(list(self.texts), [(start, end)]):
            heard = [token for token in self.tokens if token.encoder == names[0]]
            read = [text[a:b] for a, b in sorted({(token.start, token.end) for token in heard})]
            raise WordError(
                wanted=f"{text[start:end]!r} as {names[0]} reads it",
                got=f"an encoder that is given {''.join(read)!r} alone of {text!r}",
                mend="name another encoder, or none",
            )
        if not parts:
            raise WordError(
                wanted=f"a token at characters {start} to {end}",
                got=f"none there in {text!r}",
                mend="give characters that hold a word",
            )
        own = parts if len(parts) > 1 else ()
        return Word(text[start:end], start, end, sum(parts, ()), occurrence, own)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "texts": dict(self.texts),
            "tokens": [asdict(token) for token in self.tokens],
            "cuts": dict(self.cuts),
            "limit": self.limit,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Prompt:
        """The inverse of `to_json`."""
        names = [field.name for field in fields(Token)]
        tokens = tuple(Token(**{name: row[name] for name in names}) for row in data["tokens"])
        return cls(dict(data["texts"]), tokens, dict(data["cuts"]), data["limit"])
