"""What the text encoders have read in a pipeline's call: observed where it ran, never assumed.

The ids that entered a text encoder decide which token a place is. They are matched with the prompt
by tokenizing it again; where the pipeline has rewritten it (weights stripped, a prefix), with what
its tokenizer was given in the call. What cannot be matched is refused.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from daamkit.attention import families
from daamkit.attention.calls import Call
from daamkit.attention.families.family import Encoder
from daamkit.attention.sites import Span
from daamkit.errors import DaamkitError
from daamkit.maps import words
from daamkit.maps.words import Place, Prompt

UNGUIDED = ("uncond", "negative", "image")  # branches whose text is the negative prompt
Texts = str | Sequence[str] | None
UNLIMITED = 10**6  # tokenizers without a limit say so with a large number
_PADDING = Place(0, 0, "padding")
_TEMPLATE = Place(0, 0, "template")
_REGISTER = Place(0, 0, "register")
_WEIGHTED = re.compile(r"\([^()]*:\s*[\d.]+\s*\)|[\w)](\+{1,}|-{2,})(?!\w)")


@dataclass(frozen=True)
class Read:
    """The text behind one image's rows of a branch.

    Attributes
    ----------
    prompt
        Its words and tokens.
    columns
        For each text encoder: the column of each place of its input.
    """

    prompt: Prompt
    columns: Mapping[str, Sequence[int]]

    def keys(self, spans: Sequence[Span], columns: Collection[int]) -> list[int]:
        """The keys of a site that stand for some columns.

        Parameters
        ----------
        spans
            Where which encoder's text is, of this image's row.
        columns
            Of the prompt.
        """
        chosen = {
            span.start + i
            for span in spans
            for i, column in enumerate(self.columns[span.encoder][span.first :][: span.length])
            if column in columns
        }
        return sorted(chosen)


def encoders(pipe: Any) -> list[Encoder]:
    """The text encoders whose places stand on the key axis.

    Raises
    ------
    DaamkitError
        If there is none with a tokenizer.
    """
    found = families.of(pipe).encoders(pipe)
    if not found:
        raise DaamkitError(
            wanted="a pipeline with a tokenizer, which tells words from tokens",
            got=f"{type(pipe).__name__} without one",
            mend="load the pipeline with its tokenizer; its text encoder is not needed",
        )
    return found


def tokenized(pipe: Any, text: str) -> Prompt:
    """A prompt as a pipeline would read it, without a call."""
    found = encoders(pipe)
    each = {encoder.name: _coded(encoder, text) for encoder in found}
    return _lay(found, dict.fromkeys(each, text), each).prompt


def read(
    call: Call, branch: str, prompt: Texts = None, negative_prompt: Texts = None
) -> list[Prompt]:
    """The prompt behind a branch, for each image; see `texts`.

    Its tokens are numbered by their places, as `Attention.text` has them, not by the columns of
    maps, in which padding and templates are one.

    Raises
    ------
    DaamkitError
        As `texts` does; or if the model drops some of the places after encoding.
    """
    if call.family is not None and not call.family.whole:
        raise DaamkitError(
            wanted="a prompt whose every place the model sees, to guide by its words",
            got=f"{type(call.pipe).__name__}, which drops some after encoding",
            mend="trace it, or take a method that needs no text",
        )
    found = encoders(call.pipe)
    return [_by_place(found, each) for each in texts(call, branch, prompt, negative_prompt)]


def _by_place(found: Sequence[Encoder], read: Read) -> Prompt:
    starts, free = dict[str, int](), 0
    for encoder in found:
        if encoder.shares:
            starts[encoder.name] = starts[encoder.shares]
            continue
        starts[encoder.name], free = free, free + len(read.columns[encoder.name])
    tokens = [
        replace(each, column=starts[each.encoder] + read.columns[each.encoder].index(each.column))
        for each in read.prompt.tokens
    ]
    return replace(read.prompt, tokens=tuple(tokens))


def texts(
    call: Call, branch: str, prompt: Texts = None, negative_prompt: Texts = None
) -> list[Read]:
    """What was read behind a branch, for each image.

    Parameters
    ----------
    call, branch
        Which call, and which of its batch rows. Before its first pass begins the encoders have not
        run: then the answer is what the pipeline is expected to read, and is checked later.
    prompt, negative_prompt
        What embeddings stand for, where the call has these instead of text.

    Raises
    ------
    DaamkitError
        If the text of embeddings is not known, there are not as many as images, or the encoders
        have read something else.
    """
    if call.family is not None and not call.times:  # nothing has been read yet
        early = texts(replace(call, family=None), branch, prompt, negative_prompt)
        check = functools.partial(_confirm, call, branch, prompt, negative_prompt, early)
        call.checks.append(check)
        return early
    found = encoders(call.pipe)
    told = {"prompt": prompt, "negative_prompt": negative_prompt}
    other = "cond" if branch in UNGUIDED else "uncond"
    said = _said(call, found, branch, told)
    others = _said(call, found, other, told, strict=False)
    made: dict[tuple[str, ...], Read] = {}
    result = []
    for sample in range(call.samples):
        own = {encoder.name: said[encoder.name][sample] for encoder in found}
        key = tuple(own.values())
        if key not in made:
            rows = {}
            for encoder in found:
                known = {branch: said[encoder.name], other: others[encoder.name]}
                rows[encoder.name] = _row(call, encoder, branch, own[encoder.name], known)
            shown = {name: row.text for name, row in rows.items()}
            made[key] = _lay(found, shown, rows)
        result.append(made[key])
    return result


def reached(read: Read, places: Mapping[str, int]) -> Read:
    """What was read where the pipeline has hidden the ends of some encoders' inputs.

    Parameters
    ----------
    read
        As the encoders had it.
    places
        How many places of each encoder's input the model reads; see `Family.reach`.
    """
    cuts, limit = dict(read.prompt.cuts), read.prompt.limit
    for encoder, count in places.items():
        hidden = set(read.columns[encoder][count:])
        starts = [
            token.start
            for token in read.prompt.tokens
            if token.encoder == encoder and token.column in hidden and not token.special
        ]
        if starts and min(starts) < cuts.get(encoder, len(read.prompt.texts[encoder])):
            cuts[encoder], limit = min(starts), count
    return Read(replace(read.prompt, cuts=cuts, limit=limit), read.columns)


def _confirm(
    call: Call, branch: str, prompt: Texts, negative_prompt: Texts, early: Sequence[Read]
) -> None:
    """Refuse a call whose encoders have read something else than was said before they ran."""
    for expected, found in zip(early, texts(call, branch, prompt, negative_prompt), strict=True):
        if expected != found:
            raise DaamkitError(
                wanted=f"{expected.prompt.text!r} to be read, as was expected when the call began",
                got=repr(found.prompt.text),
                mend="ask for words when the first pass begins: in `Method.read` or `Tap.begin`",
            )


def unchanged(call: Call) -> None:
    """Refuse a call that has given a branch another text in between.

    Raises
    ------
    DaamkitError
        If it has; known when the call is over.
    """
    if call.changed_text:
        raise DaamkitError(
            wanted="one text for all passes of a call",
            got="embeddings that were exchanged in between (by a callback?)",
            mend="generate with one text; maps of the words would mix what different texts say",
        )


@dataclass(frozen=True)
class _Row:
    """One encoder's input: its text, its places, and where the text is cut off."""

    text: str
    places: list[Place]
    end: int | None
    limit: int


def _said(
    call: Call,
    found: Sequence[Encoder],
    branch: str,
    told: Mapping[str, Texts],
    *,
    strict: bool = True,
) -> dict[str, list[str]]:
    """The text of each encoder and image, as the call's arguments or the caller say."""
    argument = "negative_prompt" if branch in UNGUIDED else "prompt"
    first = call.negative_prompts if branch in UNGUIDED else call.texts()
    given = told[argument]
    if None in first and given is not None:
        first = (
            replace(call, arguments={**call.arguments, argument: given}).texts(argument)
            if isinstance(given, str)
            else [text for text in given for _ in range(call.images_per_prompt)]
        )
        for text in first:
            _refuse_weights(text or "", argument)
    if None in first:
        if not strict:
            return {encoder.name: [] for encoder in found}
        raise DaamkitError(
            wanted=f"the text that `{argument}_embeds` stand for",
            got="none",
            mend=f"give it to the trace or the guidance method: `{argument}='...'`",
        )
    if strict and len(first) != call.samples:
        raise DaamkitError(
            wanted=f"{call.samples // call.images_per_prompt} texts in `{argument}=` of the trace",
            got=f"{len(first) // call.images_per_prompt}",
            mend="give one for each prompt",
        )
    said = {}
    for encoder in found:
        said[encoder.name] = [text or "" for text in first]
        name = encoder.argument.replace("prompt", argument, 1)
        if name != argument and not _zeroed(call, branch):
            own = call.texts(name)
            said[encoder.name] = [b or a or "" for a, b in zip(first, own, strict=False)]
    return said


def _zeroed(call: Call, branch: str) -> bool:
    """Whether the pipeline feeds zeros instead of a text, for all encoders."""
    return (
        branch in UNGUIDED
        and call.arguments.get("negative_prompt") is None
        and bool(getattr(call.pipe.config, "force_zeros_for_empty_prompt", False))
    )


def _row(
    call: Call, encoder: Encoder, branch: str, text: str, said: Mapping[str, Sequence[str]]
) -> _Row:
    """What one encoder has read for one text; `said` are all texts, by branch, this one first."""
    argument = "negative_prompt" if branch in UNGUIDED else "prompt"
    own, *_ = every = [_within(call, encoder, name) for name in said]
    heard = _distinct([ids for each in call.encoded.get(encoder.name, ()) for ids in each.ids])
    embeds = call.arguments.get(encoder.embeds.replace("prompt", argument, 1))
    if call.family is None or embeds is not None or _zeroed(call, branch) or encoder.model is None:
        return _coded(own, text, _length(encoder, embeds))  # nothing has run that could be heard
    if not heard:
        raise DaamkitError(
            wanted=f"the tokens that {encoder.name} reads of {text!r}",
            got="a call in which it did not run",
            mend=f"give the call `{argument}_embeds` and the trace `{argument}='...'`, or let the "
            "pipeline encode its prompt in each call",
        )
    for match in (_match, functools.partial(_likened, call)):
        for row in heard:
            if (found := match(own, row, text)) is not None:
                return found

    def means(row: list[int], each: Encoder, text: str) -> bool:
        return bool(_match(each, row, text) or _likened(call, each, row, text))

    unknown = [
        row
        for row in heard
        if not any(
            means(row, each, other)
            for each, texts in zip(every, said.values(), strict=True)
            for other in texts
        )
    ]
    read = [(row, given) for row in unknown if (given := _given(call, encoder, row))]
    missing = [
        each
        for each in dict.fromkeys(said[branch])
        if not any(means(row, own, each) for row in heard)
    ]
    chosen = [(row, given[0]) for row, given in read if text and text in given[0]]
    if len(chosen) != 1 and len(missing) == len(read):
        row, given = read[missing.index(text)]  # they were encoded in the prompts' order
        chosen = [(row, given[0])]
    if len(chosen) != 1:
        told = [encoder.tokenizer.decode(row, skip_special_tokens=True) for row in unknown]
        raise DaamkitError(
            wanted=f"{encoder.name} to read {text!r}, the {argument.replace('_', ' ')}",
            got=", ".join(map(repr, told)) or "other tokens",
            mend="the pipeline rewrites its prompt: write it as the model shall read it, or give "
            f"the call `{argument}_embeds` and the trace `{argument}='...'`",
        )
    (row, written) = chosen[0]
    start, stop = _inside(own, written) or (0, len(written))
    if own.template != ("", "") and text in written[start:stop]:
        start = written.rindex(text, start, stop)
        stop = start + len(text)
    result = _tokens(own, row, written, start, written[start:stop])
    assert result is not None, "found by these very ids"
    return result


def _within(call: Call, encoder: Encoder, branch: str) -> Encoder:
    """An encoder with the template that a branch's prompt has in a call."""
    if call.family is None:
        return encoder
    return replace(encoder, template=call.family.template(encoder, call, branch))


def _length(encoder: Encoder, embeds: Any) -> int | None:
    """How many places embeddings have, of an encoder that may have any number."""
    told = encoder.limit is not None and getattr(embeds, "ndim", 0) == 3
    return int(embeds.shape[1]) if told else None


def _given(call: Call, encoder: Encoder, row: list[int]) -> list[str]:
    """What the tokenizer was given where these ids came out of it."""
    found = []
    for each in call.tokenized.get(encoder.name, ()):
        for ids, text in zip(each.ids, each.texts or (), strict=True):
            if ids != row:
                continue
            own, *_ = words.cut(*words.code(encoder.tokenizer, text), len(row))
            if _aligned(encoder, row, own, []) is not None:
                found.append(text)
    return list(dict.fromkeys(found))


def _inside(encoder: Encoder, given: str) -> tuple[int, int] | None:
    """Where the prompt stands in what the tokenizer was given, if its template is around it."""
    before, after = encoder.template
    start, stop = len(before), len(given) - len(after)
    fits = given.startswith(before) and given.endswith(after) and start <= stop
    return (start, stop) if fits else None


def _match(encoder: Encoder, row: list[int], text: str) -> _Row | None:
    """A row read as a text in its encoder's template, if it is that."""
    before, after = encoder.template
    return _tokens(encoder, row, before + text + after, len(before), text)


def _likened(call: Call, encoder: Encoder, row: list[int], text: str) -> _Row | None:
    """A row whose text the tokenizer was given in another case, or with other blanks."""
    for given in _given(call, encoder, row):
        if (inside := _inside(encoder, given)) is not None:
            at = _alike(given[slice(*inside)], text)
            if at is not None:
                return _tokens(encoder, row, given, inside[0], text, at)
    return None


def _alike(given: str, text: str) -> list[int] | None:
    """Where each character of `given` stands in `text`, if they differ in case and blanks only."""
    at, next_ = [], 0
    blank = True  # before `given`, and wherever blanks are, `text` may have more of them
    for char in given:
        while blank and not char.isspace() and text[next_ : next_ + 1].isspace():
            next_ += 1
        other = text[next_ : next_ + 1]
        if blank and char.isspace() and not other.isspace():
            at.append(max(next_ - 1, 0))  # it is `given` that has more
            continue
        if char.isspace() != other.isspace() or other.lower() != (
            other if char.isspace() else char.lower()
        ):
            return None
        at.append(next_)
        next_, blank = next_ + 1, char.isspace()
    return at if not text[next_:].strip() else None


def _tokens(
    encoder: Encoder,
    row: list[int],
    given: str,
    start: int,
    text: str,
    at: Sequence[int] | None = None,
) -> _Row | None:
    """A row read as a text in what the tokenizer was given, if its ids are these.

    Parameters
    ----------
    encoder, row
        Which; the ids with their padding.
    given
        With what stands around the text.
    start, text
        Where the text begins in it, and the text as it shall be shown.
    at
        Where each of its characters, as given, stands in the text shown; None: at the same place.
    """
    at = range(len(text)) if at is None else at
    stop = start + len(at)
    ids, spans, end = words.cut(*words.code(encoder.tokenizer, given), len(row))
    if _aligned(encoder, row, ids, []) is None:
        return None

    def shown(place: int) -> int:
        return at[place - start] if start <= place < stop else len(text) if place >= stop else 0

    def own(place: Place) -> Place:
        before = bool(start) and place.end <= start
        after = stop < len(given) and place.start >= stop
        if place.special or before or after:
            return place if place.special else _TEMPLATE
        first = shown(place.start)
        return Place(first, shown(place.end - 1) + 1 if place.end > place.start else first)

    places = [own(place) for place in words.places_of(encoder.tokenizer, ids, spans)]
    aligned = _aligned(encoder, row, ids, places)
    assert aligned is not None, "just aligned"
    aligned += [_PADDING] * (-len(aligned) % encoder.multiple)
    aligned[:0] = [_REGISTER] * encoder.registers
    cut = None if end is None or end >= stop else shown(end)
    return _Row(text, aligned, cut, len(row))


def _aligned(
    encoder: Encoder, row: Sequence[int], ids: Sequence[int], places: list[Place]
) -> list[Place] | None:
    """The places of a padded row, if its text has these ids."""
    more = len(row) - len(ids)
    if more < 0:
        return None
    padding = encoder.tokenizer.pad_token_id
    for before in {0, more}:
        rest = {*row[:before], *row[before + len(ids) :]}
        padded = rest <= {padding} if padding is not None else len(rest) <= 1
        if padded and list(row[before : before + len(ids)]) == list(ids):
            return [_PADDING] * before + places + [_PADDING] * (more - before)
    return None


def _distinct(rows: Sequence[list[int]]) -> list[list[int]]:
    return [list(each) for each in dict.fromkeys(map(tuple, rows))]


def _limit(encoder: Encoder) -> int:
    return int(encoder.limit or encoder.tokenizer.model_max_length)


def _coded(encoder: Encoder, text: str, length: int | None = None) -> _Row:
    """What an encoder would read of a text, were it called; with so many places, or its own."""
    (before, after), limit = encoder.template, length or _limit(encoder)
    ids, *_ = words.cut(*words.code(encoder.tokenizer, before + text + after), limit)
    found = _match(encoder, ids, text)
    assert found is not None, "its own ids"
    more = max(limit + encoder.registers - len(found.places), 0) if limit < UNLIMITED else 0
    return replace(found, places=found.places + [_PADDING] * more, limit=limit)


def _lay(found: Sequence[Encoder], shown: Mapping[str, str], rows: Mapping[str, _Row]) -> Read:
    cuts = {name: row.end for name, row in rows.items() if row.end is not None}
    shares = {encoder.name: encoder.shares for encoder in found if encoder.shares}
    limit = max(row.limit for row in rows.values())
    places = {name: row.places for name, row in rows.items()}
    prompt, columns = words.lay(shown, places, cuts, limit, shares)
    return Read(prompt, columns)


def _refuse_weights(text: str, argument: str) -> None:
    if match := _WEIGHTED.search(text):
        raise DaamkitError(
            wanted=f"in `{argument}=` the words that the embeddings stand for",
            got=f"{match[0]!r}, how a prompt is weighted, which no text encoder reads",
            mend="leave the brackets and weights out",
        )
