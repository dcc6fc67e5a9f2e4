"""How a model is given texts that are not its prompt: concepts, each of which stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ConceptText:
    """A text of a model that has several.

    Attributes
    ----------
    encoder
        Component name of its text encoder.
    argument
        The denoiser's, that holds the text.
    mask
        The denoiser's, of the places that are read; "" where all are.
    asks
        What the pipeline's `encode_prompt` is asked for, to give this text first.
    """

    encoder: str
    argument: str
    mask: str = ""
    asks: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ConceptPlaces:
    """Where concepts stand.

    Attributes
    ----------
    apart
        Whether each has a batch row of its own, at the first place of its text: where a place has a
        position (rotary), or a text is pooled within the model, concepts that stood one after the
        other would differ by their order. Else they share one.
    texts
        Of a model of several texts, those that concepts have. Joint attention looks at one place of
        each, of the first. Empty: the only text.
    """

    apart: bool = False
    texts: tuple[ConceptText, ...] = ()
