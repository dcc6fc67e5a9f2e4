"""A text encoder as a family tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn


@dataclass(frozen=True)
class Encoder:
    """A text encoder whose places stand on the key axis.

    Attributes
    ----------
    name
        Component name in the pipeline.
    tokenizer
        Its tokenizer, of the fast kind, which knows characters.
    model
        The encoder itself; None where the pipeline was loaded without.
    argument
        Which argument of the call says its text; "prompt" where that is not given. The negative's
        is the same with "negative_" before it.
    embeds
        Which argument may hold embeddings instead of its text; the negative's name as above.
    mask
        Which argument may hold the mask of these; the negative's name as above.
    limit
        Places it has where the call does not say (by ``max_sequence_length``); None: always the
        tokenizer's ``model_max_length``.
    multiple
        The model fills its places up to a multiple of this with padding that it has learned.
    registers
        Places of the model's own that stand before the text's, as if they were its first.
    template
        Text around the prompt, before and after, as the tokenizer is given it, where no call says
        otherwise (`Family.template`).
    shares
        Name of the encoder whose places are this one's too, channels side by side (both CLIPs');
        "" where it has places of its own, after those of the encoder before it.
    rewrites
        What the tokenizer is given of a prompt: each character, and where it stands in the prompt
        or None; empty, and the encoder does not run, where it is given nothing. None: the prompt.
    trims
        Padding is taken out after encoding: of embeddings all places are the text's, unless their
        mask hides some.
    dropped
        How many of the first places the pipeline drops after encoding.
    spared
        How many places of padding the mask of embeddings leaves beside the text's.
    pads
        On which side the pipeline pads a text; "" where it leaves that to the tokenizer.
    cleans
        What the pipeline makes of a prompt before all else (lower case); None: nothing.
    """

    name: str
    tokenizer: Any
    model: nn.Module | None = None
    argument: str = "prompt"
    limit: int | None = None
    multiple: int = 1
    registers: int = 0
    embeds: str = "prompt_embeds"
    mask: str = "prompt_attention_mask"
    template: tuple[str, str] = ("", "")
    shares: str = ""
    rewrites: Callable[[str], list[tuple[str, int | None]]] | None = None
    trims: bool = False
    dropped: int = 0
    spared: int = 0
    pads: Literal["", "left", "right"] = ""
    cleans: Callable[[str], str] | None = None
