"""What the text encoders have read in a pipeline's call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from daamkit.attention.calls import Call
from daamkit.errors import DaamkitError
from daamkit.maps import words
from daamkit.maps.words import Prompt

UNGUIDED = ("uncond", "negative", "image")  # branches whose text is the negative prompt


def tokenizers(pipe: Any) -> dict[str, Any]:
    """A pipeline's tokenizers by the component names of their text encoders.

    Raises
    ------
    DaamkitError
        If it has none.
    """
    found = {
        f"text_encoder{suffix}": tokenizer
        for suffix in ("", "_2")
        if (tokenizer := getattr(pipe, f"tokenizer{suffix}", None)) is not None
    }
    if not found:
        raise DaamkitError(
            wanted="a pipeline with a tokenizer, which tells words from tokens",
            got=f"{type(pipe).__name__} without one",
            mend="load the pipeline with its tokenizer; its text encoder is not needed",
        )
    return found


def read(
    call: Call,
    branch: str,
    prompt: str | Sequence[str] | None = None,
    negative_prompt: str | Sequence[str] | None = None,
) -> list[Prompt]:
    """The prompt behind a branch, for each image.

    Parameters
    ----------
    call, branch
        Which call, and which of its batch rows.
    prompt, negative_prompt
        What embeddings stand for, where the call has these instead of text.

    Raises
    ------
    DaamkitError
        If the text of embeddings is not known, or there are not as many as images.
    """
    by_encoder = tokenizers(call.pipe)
    argument = "negative_prompt" if branch in UNGUIDED else "prompt"
    given = negative_prompt if branch in UNGUIDED else prompt
    first = call.negative_prompts if branch in UNGUIDED else call.texts()
    if None in first and given is not None:
        arguments = {**call.arguments, argument: given}
        first = (
            Call(call.pipe, arguments).texts(argument)
            if isinstance(given, str)
            else [text for text in given for _ in range(call.images_per_prompt)]
        )
    if None in first:
        raise DaamkitError(
            wanted=f"the text that `{argument}_embeds` stand for",
            got="none",
            mend=f"give it to the trace or the guidance method: `{argument}='...'`",
        )
    if len(first) != call.samples:
        raise DaamkitError(
            wanted=f"{call.samples // call.images_per_prompt} texts in `{argument}=` of the trace",
            got=f"{len(first) // call.images_per_prompt}",
            mend="give one for each prompt",
        )
    texts = {encoder: list(first) for encoder in by_encoder}
    zeroed = (  # such a pipeline then feeds zeros for both encoders
        branch in UNGUIDED
        and call.arguments.get("negative_prompt") is None
        and getattr(call.pipe.config, "force_zeros_for_empty_prompt", False)
    )
    if len(by_encoder) > 1 and not zeroed:
        second = call.texts(f"{argument}_2")
        texts["text_encoder_2"] = [b or a for a, b in zip(first, second, strict=True)]
    return [
        words.read({encoder: texts[encoder][i] or "" for encoder in by_encoder}, by_encoder)
        for i in range(call.samples)
    ]
