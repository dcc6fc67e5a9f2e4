"""What a picture shows, in words: BLIP (arXiv 2201.12086)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from PIL import Image

from daamkit import registry
from daamkit.errors import DaamkitError


@runtime_checkable
class Captioner(Protocol):
    """Says what pictures show."""

    def captions(self, images: Sequence[Image.Image]) -> list[str]:
        """A sentence for each picture."""
        ...


@dataclass(frozen=True)
class Blip:
    """BLIP by beam search, with the settings of its authors, which Attend-and-Excite took over.

    Attributes
    ----------
    model, processor
        A BlipForConditionalGeneration and its BlipProcessor.
    opening
        What the model is made to begin with; it is no part of the caption.
    beams
        How many sentences are followed at a time.
    shortest, longest
        Of a sentence with its opening, in tokens.
    """

    model: Any
    processor: Any
    opening: str = "a picture of"
    beams: int = 3
    shortest: int = 10
    longest: int = 30

    @torch.inference_mode()
    def captions(self, images: Sequence[Image.Image]) -> list[str]:
        """A sentence for each picture; nothing is drawn at random."""
        if not images:
            return []
        inputs = self.processor(
            images=[image.convert("RGB") for image in images],
            text=[self.opening] * len(images),
            return_tensors="pt",
        )
        found = self.model.generate(
            pixel_values=inputs["pixel_values"].to(self.model.device, self.model.dtype),
            input_ids=inputs["input_ids"].to(self.model.device),
            attention_mask=inputs["attention_mask"].to(self.model.device),
            num_beams=self.beams,
            do_sample=False,
            min_length=self.shortest,
            max_length=self.longest,
        )
        begun = inputs["input_ids"].shape[1] - 1  # the opening's tokens, its end left out
        texts = self.processor.batch_decode(found[:, begun:], skip_special_tokens=True)
        return [text.strip() for text in texts]


def captioner(model: str, device: str = "cpu") -> Captioner:
    """Open a captioner: one of `registry.captioners`, or a BLIP, in float32.

    Parameters
    ----------
    model
        A registered name ("toybox", or "my_package:MyCaptioner"), a folder, or an id of the Hub
        ("Salesforce/blip-image-captioning-base").
    device
        The device that it runs on.

    Raises
    ------
    DaamkitError
        If the model is not on this machine and cannot be fetched, or is of another kind.
    """
    if model in registry.captioners or registry.is_path(model):
        return registry.captioners.find(model)(device)
    from transformers import AutoConfig, BlipForConditionalGeneration, BlipProcessor

    try:
        kind = AutoConfig.from_pretrained(model).model_type
        if kind != "blip":
            raise DaamkitError(
                wanted=f"a BLIP, {model!r}",
                got=f"a model of the kind {kind!r}",
                mend="name one such as 'Salesforce/blip-image-captioning-base'",
            )
        processor = BlipProcessor.from_pretrained(model)
        opened = BlipForConditionalGeneration.from_pretrained(model, dtype=torch.float32)
    except (OSError, ValueError, ImportError) as error:
        raise DaamkitError(
            wanted=f"the BLIP {model!r}",
            got=(str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:"),
            mend=f"with a network, run `hf download {model}` once, or name a folder",
        ) from error
    return Blip(opened.eval().to(device), processor)
