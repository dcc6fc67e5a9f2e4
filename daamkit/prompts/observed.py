"""Which of the ids that entered an encoder are a text's."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from daamkit.attention.calls import Call
from daamkit.attention.families.encoder import Encoder
from daamkit.errors import DaamkitError
from daamkit.prompts import arguments, rows
from daamkit.prompts.arguments import UNGUIDED
from daamkit.prompts.rows import Row


def row(
    call: Call, encoder: Encoder, branch: str, text: str, said: Mapping[str, Sequence[str]]
) -> Row:
    """What one encoder has read for one text; `said` are all texts, by branch, this one first."""
    argument = "negative_prompt" if branch in UNGUIDED else "prompt"
    own, *_ = every = [within(call, encoder, name) for name in said]
    heard = _distinct([ids for each in call.encoded.get(encoder.name, ()) for ids in each.ids])
    places = _places(call, encoder, branch)
    heard.sort(key=lambda ids: len(ids) != places)  # another branch may have read the same text
    embeds = call.arguments.get(encoder.embeds.replace("prompt", argument, 1))
    zeroed = arguments.zeroed(call, branch)
    if call.family is None or embeds is not None or zeroed or encoder.model is None:
        length, least = _length(call, encoder, embeds)
        return rows.coded(own, text, length, least=least)  # nothing has run to be observed
    if own.rewrites is not None and (found := rows.quoted(own, heard, text)) is not None:
        return found
    if not heard:
        raise DaamkitError(
            wanted=f"the tokens that {encoder.name} reads of {text!r}",
            got="a call in which it did not run",
            mend=f"give the call `{argument}_embeds` and the trace `{argument}='...'`, or let the "
            "pipeline encode its prompt in each call",
        )
    for match in (rows.match, functools.partial(rows.likened, call)):
        for row in heard:
            if (found := match(own, row, text)) is not None:
                return found

    def means(row: list[int], each: Encoder, text: str) -> bool:
        return bool(rows.match(each, row, text) or rows.likened(call, each, row, text))

    unknown = [
        row
        for row in heard
        if not any(
            means(row, each, other)
            for each, texts in zip(every, said.values(), strict=True)
            for other in texts
        )
    ]
    read = [(row, given) for row in unknown if (given := rows.given_texts(call, encoder, row))]
    missing = {
        name: [
            other
            for other in dict.fromkeys(texts)
            if not any(means(row, each, other) for row in heard)
        ]
        for each, (name, texts) in zip(every, said.items(), strict=True)
    }
    chosen = [(row, given[0]) for row, given in read if text and text in given[0]]
    every_one = sorted(said, key=lambda name: name in UNGUIDED)  # as they were encoded
    for names in (every_one, [branch]):
        lost = [(name, other) for name in names for other in missing[name]]
        if len(chosen) != 1 and len(lost) == len(read):
            row, given = read[lost.index((branch, text))]
            if names is every_one or _is_left(given[0], text):
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
    start, stop = rows.inside(own, written) or (0, len(written))
    if own.template != ("", "") and text in written[start:stop]:
        start = written.rindex(text, start, stop)
        stop = start + len(text)
    result = rows.aligned(own, row, written, start, written[start:stop])
    assert result is not None, "found by these very ids"
    return result


def within(call: Call, encoder: Encoder, branch: str) -> Encoder:
    """An encoder with the template that a branch's prompt has in a call."""
    if call.family is None:
        return encoder
    return replace(encoder, template=call.family.template(encoder, call, branch))


def _is_left(given: str, text: str) -> bool:
    """Whether all letters of `given` stand in `text`, one after the other."""
    letters = (char for char in text.casefold() if char.isalnum())
    return all(char in letters for char in given.casefold() if char.isalnum())


def _length(call: Call, encoder: Encoder, embeds: Any) -> tuple[int | None, int]:
    """How many places embeddings were made of, of an encoder that may have any number; or at
    least, where those of a shorter text are filled up to a longer one's."""
    if embeds is not None and not isinstance(embeds, Tensor):  # each text's without padding
        return call.arguments.get("max_sequence_length"), 0
    places = 0 if embeds is None else int(embeds.shape[-2]) + encoder.dropped
    return (None if encoder.limit is None else places or None), places * encoder.trims


def _places(call: Call, encoder: Encoder, branch: str) -> int | None:
    """How many places of an encoder's input a branch's text has; None: not yet known."""
    if (now := call.first.get(branch)) is None:
        return None
    for site in now.sites:
        if site.reads_text and (layout := now.family.layout(site, now, 0, 0, 0)) is not None:
            spans = layout.text[now.branches[branch].start]
            own = [span.first + span.length for span in spans if span.encoder == encoder.name]
            return max(own, default=0) - encoder.registers
    return None


def _distinct(rows: Sequence[list[int]]) -> list[list[int]]:
    return [list(each) for each in dict.fromkeys(map(tuple, rows))]
