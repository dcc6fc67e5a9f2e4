"""A prompt's words and the tokens they fall into, matched by characters, never by string."""

from __future__ import annotations

import difflib
import itertools
import operator
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, SupportsIndex

from daamkit import characters
from daamkit.characters import Mark
from daamkit.errors import DaamkitError

_NUMBERED = re.compile(r"(.+?)\s*\((\d+)\)", re.DOTALL)  # "cat (2)", as views name the second
Special = Literal["SOS", "EOS", "padding", "template", "register"]
_RUNS = ({"padding"}, {"template"}, {"register"})  # of consecutive places together
Occurrence = SupportsIndex | Literal["all"]


class WordError(DaamkitError, KeyError):
    """A word that the prompt has not, has twice, or that the model has never read."""

    __str__ = Exception.__str__  # KeyError would show it in quotes


@dataclass(frozen=True)
class Token:
    """One token of a prompt as a text encoder reads it.

    Attributes
    ----------
    column
        Its place on the key axis of the maps.
    encoder
        Component name of the text encoder.
    text
        Its characters in the prompt; "" for special ones.
    start, end
        Where they are.
    special
        "SOS", "EOS", "padding", "template" (what a pipeline writes around the prompt) or "register"
        (places of the model's own before the text), the last three of consecutive places together;
        None for text.
    """

    column: int
    encoder: str
    text: str
    start: int
    end: int
    special: Special | None = None


@dataclass(frozen=True)
class Word:
    """A word or phrase at one place in a prompt.

    Attributes
    ----------
    text
        As it stands there.
    start, end
        Its characters.
    columns
        Its tokens on the key axis of the maps, those of all text encoders that have read it.
    occurrence
        How often the same text stands before it.
    parts
        The columns encoder by encoder, where several have read it at places of their own (Stable
        Diffusion 3: CLIP's and T5's): its map is the mean over encoders of the mean over tokens.
        Empty where one has.
    """

    text: str
    start: int
    end: int
    columns: tuple[int, ...]
    occurrence: int = 0
    parts: tuple[tuple[int, ...], ...] = ()


Asked = str | tuple[str, Occurrence] | Word  # "cat", "cat (2)", ("cat", 1), or one found before


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
            if self.reads(start, end, encoder):
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
                raise self._missing(text)
            return self.word(numbered[1], int(numbered[2]) - 1, encoder)
        names = self._alike(encoder, name)
        if occurrence == "all":
            first, *_ = [self._word(names, *match.span(), 0) for match in matches]
            parts = self._parts(names, [match.span() for match in matches])
            return replace(first, columns=sum(parts, ()), parts=parts if len(parts) > 1 else ())
        if occurrence is None and len(matches) > 1:
            places = ", ".join(f"{i} at character {m.start()}" for i, m in enumerate(matches))
            raise WordError(
                wanted=f"one {text!r}",
                got=f"{len(matches)} in {self.texts[name]!r} ({places})",
                mend=f"choose with `occurrence=`, a number or 'all', or write '{text} (2)'",
            )
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
        """A word found before, if it was found in this prompt.

        Raises
        ------
        WordError
            If another text stands there.
        """
        here = any(text[word.start : word.end] == word.text for text in self.texts.values())
        known = all(0 <= column < self.columns for column in word.columns)
        if not known or not (here or word.start == word.end):
            raise WordError(
                wanted=f"a word of {self.text!r}",
                got=f"{word.text!r} at character {word.start}, of another prompt",
                mend="find it by its text: `prompt.word(...)`",
            )
        return word

    def span(self, start: int, end: int, encoder: str | None = None) -> Word:
        """The word or phrase at given characters; its occurrence is counted as `word` counts.

        Raises
        ------
        WordError
            If no token is there, or the model has not read all of it.
        """
        names = self._alike(encoder)
        text = self.texts[names[0]]
        patterns = characters.finds(text[start:end]) if text[start:end].strip() else []
        found = next(filter(None, (characters.found(each, text) for each in patterns)), [])
        return self._word(names, start, end, sum(match.start() < start for match in found))

    def reads(self, start: int, end: int, encoder: str | None = None) -> bool:
        """Whether the model has read these characters to the end, and not cut them off.

        By default it is enough that one of its text encoders has.
        """
        return any(end <= self.cuts.get(name, end) for name in self._alike(encoder))

    def special(self, name: Special, encoder: str | None = None) -> Word:
        """The start of text (SOS), its end (EOS), or all padding or all of the template together,
        as if it were a word.

        Parameters
        ----------
        name
            Which.
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
        text = self.texts[names[0]]
        cut = max(self.cuts.get(name, end) for name in names)
        if end > cut:
            raise WordError(
                wanted=f"{text[start:end]!r} at character {start}",
                got=f"a prompt cut at the model's limit of {self.limit} tokens: the model has not "
                f"read {text[cut:].strip()!r}",
                mend="shorten the prompt, or move the word to its front",
            )
        parts = self._parts(names, [(start, end)])
        if not parts:
            raise WordError(
                wanted=f"a token at characters {start} to {end}",
                got=f"none there in {text!r}",
                mend="give characters that hold a word",
            )
        own = parts if len(parts) > 1 else ()
        return Word(text[start:end], start, end, sum(parts, ()), occurrence, own)

    def _missing(self, text: str) -> WordError:
        if not any(self.texts.values()):
            return WordError(
                wanted=f"the word {text!r}",
                got="an empty prompt",
                mend="ask for `special('SOS')`, 'EOS' or 'padding', which an empty prompt has too",
            )
        every = [t[start:end] for t in self.texts.values() for start, end in characters.words(t)]
        known = list(dict.fromkeys(every))
        said = [mark for t in self.texts.values() for mark in characters.marks(t)]
        if any(text.strip() in mark.text for mark in said):
            return WordError(
                wanted=f"the word {text!r}",
                got="weighting syntax, which other programs read as a command",
                mend="a pipeline of diffusers reads it as plain text: `prompt.marks()` tells where "
                "it is, `prompt.span(start, end)` its tokens",
            )
        near = difflib.get_close_matches(text, known, n=3, cutoff=0.5)
        return WordError(
            wanted=f"the word {text!r}",
            got=f"the prompt {self.text!r}, which has not got it",
            mend=f"the nearest words are {', '.join(map(repr, near))}"
            if near
            else f"its words are {', '.join(map(repr, known))}",
        )

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


@dataclass(frozen=True)
class Place:
    """What one place of a text encoder's input stands for: characters, or something special."""

    start: int = 0
    end: int = 0
    special: Special | None = None


def lay(
    texts: Mapping[str, str],
    places: Mapping[str, Sequence[Place]],
    cuts: Mapping[str, int],
    limit: int,
    shares: Mapping[str, str] | None = None,
) -> tuple[Prompt, dict[str, list[int]]]:
    """Number the places of all encoders as columns of one key axis.

    Parameters
    ----------
    texts, cuts, limit
        As in `Prompt`.
    places
        Of each encoder's input, to its end.
    shares
        For an encoder whose places are another's (both CLIPs'), which; others follow each other.

    Returns
    -------
    prompt
        Its tokens; consecutive padding is one token, and so is consecutive template.
    columns
        For each encoder: the column of each place.
    """
    shares = shares or {}
    groups: dict[str, list[str]] = {}
    for encoder in texts:
        groups.setdefault(shares.get(encoder, encoder), []).append(encoder)
    rows: dict[str, list[Token]] = {encoder: [] for encoder in texts}
    columns: dict[str, list[int]] = {encoder: [] for encoder in texts}
    column, before = -1, ""
    for group in groups.values():
        before = ""
        for at in range(max(len(places[encoder]) for encoder in group)):
            each = {
                encoder: places[encoder][at]
                if at < len(places[encoder])
                else Place(0, 0, "padding")
                for encoder in group
            }
            kinds = {place.special for place in each.values()}
            run = str(*kinds) if kinds in _RUNS else ""
            new = not run or run != before
            column, before = column + new, run
            for encoder, place in each.items():
                columns[encoder].append(column)
                if new:
                    text = texts[encoder][place.start : place.end]
                    token = Token(column, encoder, text, place.start, place.end, place.special)
                    rows[encoder].append(token)
    tokens = tuple(token for row in rows.values() for token in row)
    return Prompt(dict(texts), tokens, dict(cuts), limit), columns


def code(tokenizer: Any, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Token ids and their characters; a textual inversion of several vectors is several tokens.

    diffusers replaces such a token t by "t t_1 t_2 ..." (`maybe_convert_prompt`) before it
    tokenizes; all of them stand for the characters of t.

    Raises
    ------
    DaamkitError
        If the tokenizer does not tell characters.
    """
    if not tokenizer.is_fast:
        raise DaamkitError(
            wanted="a tokenizer that tells which characters a token stands for",
            got=f"{type(tokenizer).__name__}, a slow one",
            mend="install transformers 5 or load the fast tokenizer",
        )
    coded = tokenizer(text, return_offsets_mapping=True, verbose=False)
    added = tokenizer.get_added_vocab()
    names = {index: name for name, index in added.items()}
    ids, spans = [], []
    for index, span in zip(coded["input_ids"], coded["offset_mapping"], strict=True):
        ids.append(index)
        spans.append((int(span[0]), int(span[1])))
        for number in itertools.count(1):
            following = added.get(f"{names.get(index)}_{number}")
            if following is None:
                break
            ids.append(following)
            spans.append((int(span[0]), int(span[1])))
    return ids, spans


def cut(
    ids: list[int], spans: list[tuple[int, int]], limit: int
) -> tuple[list[int], list[tuple[int, int]], int | None]:
    """A text cut at a limit; and the first character not read, if any.

    What a tokenizer writes at the end of each text, and so stands for no characters, is kept; not
    all do.
    """
    if len(ids) <= limit:
        return ids, spans, None
    if spans[-1][0] != spans[-1][1]:
        return ids[:limit], spans[:limit], spans[limit - 1][1]
    ids, spans = [*ids[: limit - 1], ids[-1]], [*spans[: limit - 1], spans[-1]]
    return ids, spans, spans[-2][1]


def places_of(tokenizer: Any, ids: Sequence[int], spans: Sequence[tuple[int, int]]) -> list[Place]:
    """What the tokens of a text stand for, padding not among them."""
    found = []
    for at, (token, (start, end)) in enumerate(zip(ids, spans, strict=True)):
        special: Special | None = None
        if at == 0 and token in (tokenizer.bos_token_id, tokenizer.cls_token_id):
            special = "SOS"
        elif at == len(ids) - 1 and token in (tokenizer.eos_token_id, tokenizer.sep_token_id):
            special = "EOS"
        elif start == end and token in tokenizer.all_special_ids:
            special = "template"
        found.append(Place(0, 0, special) if special else Place(start, end))
    return found


def read(texts: Mapping[str, str], tokenizers: Mapping[str, Any]) -> Prompt:
    """Tokenize a prompt as CLIP's encoders read it, which share their places.

    Parameters
    ----------
    texts
        What each text encoder reads, by component name ("text_encoder", "text_encoder_2").
    tokenizers
        Their tokenizers, of the fast kind, which knows characters.

    Raises
    ------
    DaamkitError
        If a tokenizer does not tell characters.
    """
    places: dict[str, list[Place]] = {}
    cuts: dict[str, int] = {}
    limit = 0
    for encoder, text in texts.items():
        tokenizer = tokenizers[encoder]
        ids, spans = code(tokenizer, text)
        limit = tokenizer.model_max_length
        ids, spans, end = cut(ids, spans, limit)
        if end is not None:
            cuts[encoder] = end
        own = places_of(tokenizer, ids, spans)
        places[encoder] = own + [Place(0, 0, "padding")] * (limit - len(own))
    first = next(iter(texts))
    return lay(texts, places, cuts, limit, dict.fromkeys(texts, first))[0]
