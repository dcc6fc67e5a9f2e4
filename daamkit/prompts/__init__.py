"""What the text encoders have read in a pipeline's call: observed where it ran, never assumed.

The ids that entered a text encoder decide which token a place is. They are matched with the prompt
by tokenizing it again; where the pipeline has rewritten it (weights stripped, a prefix), with what
its tokenizer was given in the call. What cannot be matched is refused.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from daamkit.attention import families, sites
from daamkit.attention.calls import Call
from daamkit.attention.families.encoder import Encoder
from daamkit.attention.sites import Span
from daamkit.errors import DaamkitError
from daamkit.maps import columns
from daamkit.maps.prompt import Prompt
from daamkit.prompts import arguments, observed, rows
from daamkit.prompts.arguments import UNGUIDED
from daamkit.prompts.arguments import Texts as Texts
from daamkit.prompts.read import Read as Read
from daamkit.prompts.rows import Row


def encoders(pipe: Any, call: Call | None = None) -> list[Encoder]:
    """The text encoders whose places stand on the key axis; of a call, those that hold its text.

    Raises
    ------
    DaamkitError
        If there is none with a tokenizer.
    """
    family = families.family_of(pipe)
    found = family.encoders(pipe) if call is None else family.reading(call)
    if not found:
        raise DaamkitError(
            wanted="a pipeline with a tokenizer, which tells words from tokens",
            got=f"{type(pipe).__name__} without one",
            mend="load the pipeline with its tokenizer; its text encoder is not needed",
        )
    return found


def tokenized(pipe: Any, text: str) -> Prompt:
    """A prompt as a pipeline would read it, without a call."""
    if not isinstance(text, str):
        raise DaamkitError(wanted="one prompt", got=repr(text), mend="give a text")
    found = encoders(pipe)
    each = {encoder.name: rows.coded(encoder, text) for encoder in found}
    return _on_one_axis(found, dict.fromkeys(each, text), each).prompt


def alone(call: Call, text: str) -> Read:
    """A text of its own as a call's pipeline would read it, in the template of its prompt; all
    padding comes after it."""
    return _within(call, text, pads="right")


def instead(call: Call, read: Read, text: str) -> Read:
    """The same in as many places as its prompt, padded as that is."""
    return _within(call, text, read)


def _within(call: Call, text: str, like: Read | None = None, pads: str = "") -> Read:
    found = [observed.within(call, encoder, "cond") for encoder in encoders(call.pipe, call)]
    each = {}
    for own in found:
        places = None if like is None else len(like.columns[own.name]) - own.registers
        each[own.name] = rows.coded(own, text, places, pads)
    return _on_one_axis(found, dict.fromkeys(each, text), each)


def by_place(
    call: Call, branch: str, prompt: Texts = None, negative_prompt: Texts = None
) -> list[Prompt]:
    """The prompt behind a branch, for each image; see `texts`.

    Its tokens are numbered by their places, as `Attention.text` has them, not by the columns of
    maps, in which padding and templates are one. Those that the model drops after encoding are not
    among them.

    Raises
    ------
    DaamkitError
        As `texts` does; or if the model drops some and no pass has told which.
    """
    found, said = encoders(call.pipe, call), texts(call, branch, prompt, negative_prompt)
    if call.family is None or call.family.whole:
        return [_placed(found, each) for each in said]
    now = call.first.get(branch)
    if now is None:
        raise DaamkitError(
            wanted="to know which places of a prompt the model sees, to guide by its words",
            got=f"{type(call.pipe).__name__}, which drops some, before a pass of {branch!r}",
            mend="ask for words when the first pass begins: in `Method.read` or `Tap.begin`",
        )
    site = next(site for site in now.sites if site.reads_text)
    layout = call.family.layout(site, now, 0, 0, 0)
    assert layout is not None, "the first call of the kernel"
    spans = layout.text[now.branches[branch]]
    return [_keyed(each, own) for each, own in zip(said, spans, strict=True)]


def _keyed(read: Read, spans: Sequence[Span]) -> Prompt:
    """Tokens numbered by their keys, from the first of the text's."""
    order = {key: at for at, key in enumerate(sites.places(spans))}
    numbers = {
        (span.encoder, span.first + i): order[span.start + i]
        for span in spans
        for i in range(span.length)
    }
    tokens = []
    for each in read.prompt.tokens:
        own = (i for i, column in enumerate(read.columns[each.encoder]) if column == each.column)
        seen = [numbers[each.encoder, i] for i in own if (each.encoder, i) in numbers]
        if seen:
            tokens.append(replace(each, column=seen[0]))
    return replace(read.prompt, tokens=tuple(tokens))


def _placed(found: Sequence[Encoder], read: Read) -> Prompt:
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
        If the text of embeddings is not known or not as long as their mask says, there are not as
        many as images, or the encoders have read something else.
    """
    if call.family is not None and not call.times:  # nothing has been read yet
        early = texts(replace(call, family=None), branch, prompt, negative_prompt)
        check = functools.partial(_confirm, call, branch, prompt, negative_prompt, early)
        call.checks.append(check)
        return early
    found = encoders(call.pipe, call)
    told = {"prompt": prompt, "negative_prompt": negative_prompt}
    other = "cond" if branch in UNGUIDED else "uncond"
    said = arguments.said(call, found, branch, told)
    others = arguments.said(call, found, other, told, strict=False)
    looks = families.family_of(call.pipe).guidance(call.pipe).looks
    if other in UNGUIDED and not looks:  # and so nothing reads ""
        others = {name: list(filter(None, own)) for name, own in others.items()}
    made: dict[tuple[str, ...], Read] = {}
    result = []
    for sample in range(call.samples):
        own = {encoder.name: said[encoder.name][sample] for encoder in found}
        key = tuple(own.values())
        if key not in made:
            each = {}
            for encoder in found:
                known = {branch: said[encoder.name], other: others[encoder.name]}
                each[encoder.name] = observed.row(call, encoder, branch, own[encoder.name], known)
            shown = {name: row.text for name, row in each.items()}
            made[key] = _on_one_axis(found, shown, each)
        if call.family is not None:
            _require_length(call, branch, sample, found, made[key])
        result.append(made[key])
    return result


def _require_length(
    call: Call, branch: str, sample: int, found: Sequence[Encoder], read: Read
) -> None:
    """Refuse a text that is shorter or longer than the embeddings that it stands for, as far as
    their mask says, or padding was taken out of them."""
    argument = "negative_prompt" if branch in UNGUIDED else "prompt"
    most = call.arguments.get("max_sequence_length") or rows.UNLIMITED
    for encoder in found:
        name, masked = (
            each.replace("prompt", argument, 1) for each in (encoder.embeds, encoder.mask)
        )
        embeds, at = call.arguments.get(name), sample // call.images_per_prompt
        if embeds is None or len(embeds) * call.images_per_prompt != call.samples:
            continue
        mask, told = call.arguments.get(masked), len(embeds[at])
        if isinstance(mask, Tensor) and not bool((mask != 0).all()):
            mask = mask.reshape(*embeds.shape[:2], -1)[at, :, 0]  # AuraFlow has it for each channel
            name, told = masked, int((mask != 0).sum())
        elif not encoder.trims:
            continue
        hidden = {
            token.column
            for token in read.prompt.tokens
            if token.encoder == encoder.name and token.special in ("padding", "register")
        }
        own = sum(column not in hidden for column in read.columns[encoder.name])
        own += encoder.spared - encoder.dropped
        cut = own > told == len(embeds[at]) >= most
        if own != told and not cut:
            raise DaamkitError(
                wanted=f"a text of {told} tokens for {encoder.name}, as `{name}` has places",
                got=f"{own} of {read.prompt.texts[encoder.name]!r}",
                mend=f"give the trace `{argument}=` as it was encoded, all that the pipeline "
                "wrote around it too; or let it encode texts and pictures in the call",
            )


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


def _on_one_axis(
    found: Sequence[Encoder], shown: Mapping[str, str], each: Mapping[str, Row]
) -> Read:
    cuts = {name: row.end for name, row in each.items() if row.end is not None}
    shares = {encoder.name: encoder.shares for encoder in found if encoder.shares}
    limit = max(row.limit for row in each.values())
    places = {name: row.places for name, row in each.items()}
    return Read(*columns.assign(shown, places, cuts, limit, shares))
