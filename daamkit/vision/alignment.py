"""How well a picture fits a text: CLIP (arXiv 2103.00020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch.nn import functional as F

from daamkit import resources
from daamkit.errors import DaamkitError


@dataclass(frozen=True)
class Clip:
    """A CLIP with its tokenizer and image processor."""

    model: Any
    tokenizer: Any
    processor: Any

    @torch.inference_mode()
    def images(self, images: Sequence[Image.Image | np.ndarray]) -> Float[torch.Tensor, "n width"]:
        """Unit vectors of pictures."""
        pixels = self.processor(images=list(images), return_tensors="pt")["pixel_values"]
        return F.normalize(_vector(self.model.get_image_features(self._at(pixels))).float(), dim=-1)

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Float[torch.Tensor, "n width"]:
        """Unit vectors of texts, each cut at the model's length."""
        tokens = self.tokenizer(
            list(texts), padding="max_length", truncation=True, return_tensors="pt"
        )
        features = self.model.get_text_features(
            input_ids=tokens.input_ids.to(self.model.device),
            attention_mask=tokens.attention_mask.to(self.model.device),
        )
        return F.normalize(_vector(features).float(), dim=-1)

    def similarity(
        self, images: Sequence[Image.Image | np.ndarray], texts: Sequence[str]
    ) -> Float[np.ndarray, "images texts"]:
        """Cosine of each picture with each text."""
        return (self.images(images) @ self.texts(texts).T).cpu().numpy()

    def _at(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.to(self.model.device, self.model.dtype)


@cache
def clip(model: str = "toybox") -> Clip:
    """Open a CLIP.

    Parameters
    ----------
    model
        "toybox", a folder, or an id of the Hub ("openai/clip-vit-base-patch16").

    Raises
    ------
    DaamkitError
        If the model is not on this machine and cannot be fetched.
    """
    from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

    place = resources.path("clip") if model == "toybox" else model
    try:
        return Clip(
            CLIPModel.from_pretrained(place, dtype=torch.float32).eval(),
            AutoTokenizer.from_pretrained(place),
            CLIPImageProcessor.from_pretrained(place),
        )
    except (OSError, ValueError) as error:
        raise DaamkitError(
            wanted=f"the CLIP {model!r}",
            got=str(error).strip().splitlines()[0],
            mend=f"with a network, run `hf download {model}` once, or name a folder",
        ) from error


def _vector(features: Any) -> torch.Tensor:
    """transformers returns the vectors as they are or, newer, inside an output."""
    return features if isinstance(features, torch.Tensor) else features.pooler_output
