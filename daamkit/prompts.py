"""What the text encoders have read in a pipeline's call: observed where it ran, never assumed.

The ids that entered a text encoder decide which token a place is. They are matched with the prompt
by tokenizing it again; where the pipeline has rewritten it (weights stripped, a prefix), with what
its tokenizer was given in the call. What cannot be matched is refused.
"""

from __future__ import annotations

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
    """The prompt behind a branch, for each image; see `texts`."""
    return [each.prompt for each in texts(call, branch, prompt, negative_prompt)]


def texts(
    call: Call, branch: str, prompt: Texts = None, negative_prompt: Texts = None
) -> list[Read]:
    """What was read behind a branch, for each image.

    Parameters
    ----------
    call, branch
        Which call, and which of its batch rows. The encoders have run when the first pass begins.
    prompt, negative_prompt
        What embeddings stand for, where the call has these instead of text.

    Raises
    ------
    DaamkitError
        If the text of embeddings is not known, there are not as many as images, or the encoders
        have read something else.
    """
    found = encoders(call.pipe)
    told = {"prompt": prompt, "negative_prompt": negative_prompt}
    said = _said(call, found, branch, told)
    others = _said(call, found, "cond" if branch in UNGUIDED else "uncond", told, strict=False)
    made: dict[tuple[str, ...], Read] = {}
    result = []
    for sample in range(call.samples):
        own = {encoder.name: said[encoder.name][sample] for encoder in found}
        key = tuple(own.values())
        if key not in made:
            rows = {
                encoder.name: _row(call, encoder, branch, own[encoder.name], said, others)
                for encoder in found
            }
            shown = {name: row.text for name, row in rows.items()}
            made[key] = _lay(found, shown, rows)
        result.append(made[key])
    return result


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
            [given] * call.samples
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
    call: Call,
    encoder: Encoder,
    branch: str,
    text: str,
    said: Mapping[str, Sequence[str]],
    others: Mapping[str, Sequence[str]],
) -> _Row:
    """What one encoder has read for one text."""
    argument = "negative_prompt" if branch in UNGUIDED else "prompt"
    heard = [ids for each in call.encoded.get(encoder.name, ()) for ids in each.ids]
    embedded = call.arguments.get(f"{argument}_embeds") is not None
    if call.family is None or embedded or _zeroed(call, branch) or encoder.model is None:
        return _coded(encoder, text)  # nothing has run that could be heard
    if not heard:
        raise DaamkitError(
            wanted=f"the tokens that {encoder.name} reads of {text!r}",
            got="a call in which it did not run",
            mend=f"give the call `{argument}_embeds` and the trace `{argument}='...'`, or let the "
            "pipeline encode its prompt in each call",
        )
    for row in heard:
        if (found := _match(encoder, row, text)) is not None:
            return found
    known = {*said[encoder.name], *others[encoder.name]}
    unknown = [row for row in _distinct(heard) if not any(_match(encoder, row, t) for t in known)]
    read = [(row, given) for row in unknown if (given := _given(call, encoder, row)) is not None]
    missing = [
        each
        for each in dict.fromkeys(said[encoder.name])
        if not any(_match(encoder, row, each) for row in heard)
    ]
    chosen = [(row, given) for row, given in read if text and text in given]
    if len(chosen) != 1 and len(missing) == len(read):
        chosen = [read[missing.index(text)]]  # they were encoded in the prompts' order
    if len(chosen) != 1:
        told = [encoder.tokenizer.decode(row, skip_special_tokens=True) for row in unknown]
        raise DaamkitError(
            wanted=f"{encoder.name} to read {text!r}, the {argument.replace('_', ' ')}",
            got=", ".join(map(repr, told)) or "other tokens",
            mend="the pipeline rewrites its prompt: write it as the model shall read it, or give "
            f"the call `{argument}_embeds` and the trace `{argument}='...'`",
        )
    row, given = chosen[0]
    return _rewritten(encoder, row, given, text)


def _rewritten(encoder: Encoder, row: list[int], given: str, text: str) -> _Row:
    """A row whose text the tokenizer was given: the prompt within a template, or another text."""
    ids, spans, end = words.cut(*words.code(encoder.tokenizer, given), len(row))
    places = words.places_of(encoder.tokenizer, ids, spans)
    shown, start = given, 0
    if encoder.template != ("", "") and text in given:
        shown, start = text, given.rindex(text)
        places = [
            Place(max(each.start - start, 0), min(each.end - start, len(text)))
            if not each.special and each.start < start + len(text) and each.end > start
            else each
            if each.special
            else _TEMPLATE
            for each in places
        ]
    aligned = _aligned(row, ids, places)
    assert aligned is not None, "found by these very ids"
    return _Row(shown, aligned, None if end is None else end - start, len(row))


def _given(call: Call, encoder: Encoder, row: list[int]) -> str | None:
    """What the tokenizer was given where these ids came out of it."""
    for each in call.tokenized.get(encoder.name, ()):
        for ids, text in zip(each.ids, each.texts or (), strict=True):
            own, *_ = words.cut(*words.code(encoder.tokenizer, text), len(row))
            if ids == row and _aligned(row, own, []) is not None:
                return text
    return None


def _match(encoder: Encoder, row: list[int], text: str) -> _Row | None:
    """A row read as a text in its encoder's template, if it is that."""
    before, after = encoder.template
    whole = before + text + after
    ids, spans, end = words.cut(*words.code(encoder.tokenizer, whole), len(row))
    if _aligned(row, ids, []) is None:
        return None
    if before or after:
        return _rewritten(encoder, row, whole, text)
    places = _aligned(row, ids, words.places_of(encoder.tokenizer, ids, spans))
    assert places is not None, "just aligned"
    return _Row(text, places, end, len(row))


def _aligned(row: Sequence[int], ids: Sequence[int], places: list[Place]) -> list[Place] | None:
    """The places of a padded row, if its text has these ids."""
    more = len(row) - len(ids)
    if more < 0:
        return None
    for before in {0, more}:
        rest = [*row[:before], *row[before + len(ids) :]]
        if list(row[before : before + len(ids)]) == list(ids) and len(set(rest)) <= 1:
            return [_PADDING] * before + places + [_PADDING] * (more - before)
    return None


def _distinct(rows: Sequence[list[int]]) -> list[list[int]]:
    return [list(each) for each in dict.fromkeys(map(tuple, rows))]


def _limit(encoder: Encoder) -> int:
    return int(encoder.limit or encoder.tokenizer.model_max_length)


def _coded(encoder: Encoder, text: str) -> _Row:
    """What an encoder would read of a text, were it called."""
    (before, after), limit = encoder.template, _limit(encoder)
    ids, *_ = words.cut(*words.code(encoder.tokenizer, before + text + after), limit)
    found = _match(encoder, ids, text)
    assert found is not None, "its own ids"
    more = limit - len(ids) if limit < UNLIMITED else 0
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
