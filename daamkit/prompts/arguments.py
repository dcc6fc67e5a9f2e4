"""The texts that a call's arguments say, or the caller where there are embeddings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from daamkit.attention.calls import Call
from daamkit.attention.families.encoder import Encoder
from daamkit.errors import DaamkitError

UNGUIDED = ("uncond", "negative", "image")  # branches whose text is the negative prompt
Texts = str | Sequence[str] | None
_WEIGHTED = re.compile(r"\([^()]*:\s*[\d.]+\s*\)|[\w)](\+{1,}|-{2,})(?!\w)")


def said(
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
        if name != argument and not zeroed(call, branch):
            own = call.texts(name)
            said[encoder.name] = [b or a or "" for a, b in zip(first, own, strict=False)]
    return said


def zeroed(call: Call, branch: str) -> bool:
    """Whether the pipeline feeds zeros instead of a text, for all encoders."""
    return (
        branch in UNGUIDED
        and call.arguments.get("negative_prompt") is None
        and bool(getattr(call.pipe.config, "force_zeros_for_empty_prompt", False))
    )


def _refuse_weights(text: str, argument: str) -> None:
    if match := _WEIGHTED.search(text):
        raise DaamkitError(
            wanted=f"in `{argument}=` the words that the embeddings stand for",
            got=f"{match[0]!r}, how a prompt is weighted, which no text encoder reads",
            mend="leave the brackets and weights out",
        )
