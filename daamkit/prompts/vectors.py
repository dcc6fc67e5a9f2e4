"""What a pipeline's text encoders make of a concept that stands alone."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from daamkit import prompts
from daamkit.attention.calls import Call, Pass
from daamkit.attention.families.concepts import ConceptText
from daamkit.attention.modules import hook
from daamkit.attention.sites import Span
from daamkit.errors import DaamkitError
from daamkit.prompts import Read, observed, rows


def encoded(now: Pass, concept: str, *, first: bool) -> dict[str, Float[Tensor, "tokens channels"]]:
    """What the pipeline's text encoders make of a concept alone: its tokens, by the denoiser's
    argument that has the text. Of several texts all; or the first token of the first."""
    call, text = now.call, prompts.alone(now.call, concept)
    found, known = dict[str, Tensor](), _texts(now)
    for each in known[:1] if first else known:
        embeds = embedded(now, concept, each.asks)
        words = text.prompt.words(each.encoder or None)
        columns = {c for word in words for c in (word.parts or (word.columns,))[-1]}
        own = standing(now, text, embeds, columns, each.encoder)
        found[each.argument] = embeds[0, own[:1] if first else own]
    if not found:
        raise _unknown(call, concept)
    return found


def standing(
    now: Pass,
    text: Read,
    embeds: Float[Tensor, "1 places channels"],
    columns: Collection[int],
    encoder: str = "",
) -> list[int]:
    """Where some columns of a text alone stand in what an encoder has made of it, or all have.

    Raises
    ------
    DaamkitError
        If they do not stand there.
    """
    spans = keys(now, embeds.shape[1])[now.holding("cond").branches["cond"].start]
    spans = [span for span in spans if encoder in ("", span.encoder)]
    before = _padded(now.call, text, embeds, encoder)
    shift = min((span.start for span in spans), default=0) + registers(now.call) - before
    own = [key - shift for key in text.keys(spans, columns)]
    if not own or min(own) < 0 or max(own) >= embeds.shape[1]:
        raise _unknown(now.call, text.prompt.text)
    return own


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


_TEXT = re.compile(r"(negative_)?(pooled_)?prompt(_\d)?(_(embeds|attention_mask).*)?")


def _made(now: Pass, text: str, asks: Mapping[str, Any]) -> Any:
    """What `encode_prompt` gives for a text: in a tuple, mostly, its vectors first."""
    pipe, said = now.call.pipe, now.call.arguments
    if not hasattr(pipe, "encode_prompt"):
        raise DaamkitError(
            wanted=f"a pipeline that makes vectors of {text!r}",
            got=f"{type(pipe).__name__}, which has no `encode_prompt`",
            mend="leave other texts, `concepts` and exchanges, out for this pipeline",
        )
    known = inspect.signature(pipe.encode_prompt).parameters
    given = {name: said[name] for name in known if name in said and not _TEXT.fullmatch(name)}
    given |= {name: text for name in known if re.fullmatch(r"prompt(_\d)?", name)}
    alone = {
        "device": now.noisy.device,
        "num_images_per_prompt": 1,
        "num_videos_per_prompt": 1,
        "do_classifier_free_guidance": False,
        "lora_scale": _lora_scale(said),
    }
    given |= {name: value for name, value in alone.items() if name in known} | dict(asks)
    heard = dict[str, list[list[int]]]()
    with torch.no_grad(), ExitStack() as stack:
        for encoder in prompts.encoders(pipe):
            if isinstance(encoder.model, nn.Module):
                hook(stack, encoder.model, _hears(heard.setdefault(encoder.name, [])))
        made = pipe.encode_prompt(**given)
    _require_read(now.call, text, heard)
    return made


def _lora_scale(said: Mapping[str, Any]) -> Any:
    """Of a text encoder's LoRA, as pipelines take it from a call's arguments."""
    told = [said.get(f"{own}attention_kwargs") or {} for own in ("", "joint_", "cross_")]
    return next((each["scale"] for each in told if "scale" in each), None)


def _hears(heard: list[list[int]]) -> Callable[..., None]:
    def reads(model: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        ids = kwargs.get("input_ids", args[0] if args else None)
        if isinstance(ids, Tensor):
            heard.extend(ids.tolist())

    return reads


def _require_read(call: Call, text: str, heard: Mapping[str, Sequence[list[int]]]) -> None:
    """Refuse ids that are not the text's, in the template of the prompt."""
    for each in prompts.encoders(call.pipe, call):
        own, ids = observed.within(call, each, "cond"), heard.get(each.name)
        said = text if own.cleans is None else own.cleans(text)
        if ids and own.rewrites is None and not any(rows.match(own, row, said) for row in ids):
            raise DaamkitError(
                wanted=f"{each.name} to read {text!r} as it read the prompt",
                got=f"{type(call.pipe).__name__}, which has it read other tokens",
                mend="give the call its prompt as text, and pictures of the size that the pipeline "
                "makes of them; or name a text that it does not rewrite",
            )


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
    encoder = [each for each in prompts.encoders(call.pipe, call) if name in ("", each.name)][-1]
    if encoder.trims or (encoder.pads or encoder.tokenizer.padding_side) != "left":
        return 0
    padding = {token.column for token in text.prompt.tokens if token.special == "padding"}
    own = [column for column in text.columns[encoder.name] if column not in padding]
    return embeds.shape[1] - (len(own) - encoder.registers)


def registers(call: Call) -> int:
    """Places of the model's own before the text's."""
    return sum(encoder.registers for encoder in prompts.encoders(call.pipe, call))
