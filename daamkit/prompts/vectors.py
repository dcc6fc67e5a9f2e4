"""What a pipeline's text encoders make of a concept that stands alone."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit import prompts
from daamkit.attention.calls import Call, Pass
from daamkit.attention.families.concepts import ConceptText
from daamkit.attention.sites import Span
from daamkit.errors import DaamkitError
from daamkit.prompts import Read


def encoded(now: Pass, concept: str, *, first: bool) -> dict[str, Float[Tensor, "tokens channels"]]:
    """What the pipeline's text encoders make of a concept alone: its tokens, by the denoiser's
    argument that has the text. Of several texts all; or the first token of the first."""
    call, text = now.call, prompts.alone(now.call, concept)
    found, known = dict[str, Tensor](), _texts(now)
    for each in known[:1] if first else known:
        embeds = embedded(now, concept, each.asks)
        spans = keys(now, embeds.shape[1])[now.holding("cond").branches["cond"].start]
        spans = [span for span in spans if each.encoder in ("", span.encoder)]
        words = text.prompt.words(each.encoder or None)
        columns = {c for word in words for c in (word.parts or (word.columns,))[-1]}
        before = _padded(call, text, embeds, each.encoder)
        shift = min(span.start for span in spans) + registers(call) - before
        own = [key - shift for key in text.keys(spans, columns)]
        if not own or max(own) >= embeds.shape[1]:
            raise _unknown(call, concept)
        found[each.argument] = embeds[0, own[:1] if first else own]
    if not found:
        raise _unknown(call, concept)
    return found


def _texts(now: Pass) -> Sequence[ConceptText]:
    """The texts that concepts have: those that the family names, or the model's only one."""
    named = [name for name, each in now.inputs.items() if each is now.text[0]]
    only = [ConceptText("", name) for name in named if len(now.text) == 1]
    return now.family.concepts.texts or only


def _unknown(call: Call, concept: str) -> DaamkitError:
    return DaamkitError(
        wanted=f"the places of {concept!r} in what the text encoders make of it",
        got=f"{type(call.pipe).__name__}, of which these are not known",
        mend="leave `concepts` out for this model, or name a word",
    )


def embedded(
    now: Pass, text: str, asks: Mapping[str, Any] | None = None
) -> Float[Tensor, "1 places channels"]:
    """A text through the pipeline's encoders, with the settings of its call, and others."""
    made = _made(now, text, asks or {})
    embeds: Tensor | list[Tensor] = made[0] if isinstance(made, tuple) else made
    return embeds[0][None] if isinstance(embeds, list) else embeds


def pooled(now: Pass, text: str, width: int) -> Float[Tensor, " width"]:
    """What the pipeline's encoders pool of a text into so many channels."""
    beside = [each for each in _made(now, text, {})[1:] if isinstance(each, Tensor)]
    return next(each[0] for each in beside if each.shape == (1, width))


def _made(now: Pass, text: str, asks: Mapping[str, Any]) -> Any:
    """What `encode_prompt` gives for a text: in a tuple, mostly, its vectors first."""
    pipe, said = now.call.pipe, now.call.arguments
    known = inspect.signature(pipe.encode_prompt).parameters
    given = {name: said[name] for name in known if name in said and "prompt" not in name}
    given |= {name: text for name in known if re.fullmatch(r"prompt(_\d)?", name)}
    alone = {
        "device": now.noisy.device,
        "num_images_per_prompt": 1,
        "num_videos_per_prompt": 1,
        "do_classifier_free_guidance": False,
    }
    given |= {name: value for name, value in alone.items() if name in known} | dict(asks)
    with torch.no_grad():
        return pipe.encode_prompt(**given)


def keys(now: Pass, places: int) -> Sequence[Sequence[Span]]:
    """Of each batch row, where its text of so many places is among the keys that cells look at."""
    site = next(site for site in now.sites if site.reads_text)
    for nth in range(2):  # a picture to begin with may have keys of its own before the text's
        layout = now.family.layout(site, now, 0, places, nth)
        if layout is not None:
            return layout.text
    raise AssertionError(f"no text at {site.name}")


def _padded(call: Call, text: Read, embeds: Tensor, name: str) -> int:
    """How many places of padding stand before a text, where that is their side: an encoder's, or
    the last one's."""
    encoder = [each for each in prompts.encoders(call.pipe) if name in ("", each.name)][-1]
    if encoder.tokenizer.padding_side != "left":
        return 0
    padding = {token.column for token in text.prompt.tokens if token.special == "padding"}
    own = [column for column in text.columns[encoder.name] if column not in padding]
    return embeds.shape[1] - (len(own) - encoder.registers)


def registers(call: Call) -> int:
    """Places of the model's own before the text's."""
    return sum(encoder.registers for encoder in prompts.encoders(call.pipe))
