"""What a pipeline's text encoders make of a concept that stands alone."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit import prompts
from daamkit.attention.calls import Call, Pass
from daamkit.attention.sites import Span
from daamkit.errors import DaamkitError
from daamkit.prompts import Read


def encoded(now: Pass, concept: str, *, first: bool) -> Float[Tensor, "tokens channels"]:
    """What the pipeline's text encoders make of a concept alone: its tokens, or the first."""
    call, text = now.call, prompts.alone(now.call, concept)
    embeds = embedded(now, concept)
    spans = keys(now, embeds.shape[1])[now.holding("cond").branches["cond"].start]
    columns = {c for word in text.prompt.words() for c in (word.parts or (word.columns,))[-1]}
    shift = min(span.start for span in spans) + registers(call) - _padded(call, text, embeds)
    own = [key - shift for key in text.keys(spans, columns)]
    if not own or len(now.text) > 1 or max(own) >= embeds.shape[1]:
        raise DaamkitError(
            wanted=f"the places of {concept!r} in what the text encoders make of it",
            got=f"{type(call.pipe).__name__}, of which these are not known",
            mend="leave `concepts` out for this model, or name a word",
        )
    return embeds[0, own[:1] if first else own]


def embedded(now: Pass, text: str) -> Float[Tensor, "1 places channels"]:
    """A text through the pipeline's encoders, with the settings of its call."""
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
    given |= {name: value for name, value in alone.items() if name in known}
    with torch.no_grad():
        made = pipe.encode_prompt(**given)
    embeds: Tensor | list[Tensor] = made[0] if isinstance(made, tuple) else made
    return embeds[0][None] if isinstance(embeds, list) else embeds


def keys(now: Pass, places: int) -> Sequence[Sequence[Span]]:
    """Of each batch row, where its text of so many places is among the keys that cells look at."""
    site = next(site for site in now.sites if site.reads_text)
    for nth in range(2):  # a picture to begin with may have keys of its own before the text's
        layout = now.family.layout(site, now, 0, places, nth)
        if layout is not None:
            return layout.text
    raise AssertionError(f"no text at {site.name}")


def _padded(call: Call, text: Read, embeds: Tensor) -> int:
    """How many places of padding stand before the text, where that is their side."""
    encoder = prompts.encoders(call.pipe)[-1]
    if encoder.tokenizer.padding_side != "left":
        return 0
    padding = {token.column for token in text.prompt.tokens if token.special == "padding"}
    own = [column for column in text.columns[encoder.name] if column not in padding]
    return embeds.shape[1] - (len(own) - encoder.registers)


def registers(call: Call) -> int:
    """Places of the model's own before the text's."""
    return sum(encoder.registers for encoder in prompts.encoders(call.pipe))
