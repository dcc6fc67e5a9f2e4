"""Where in an image are the things that words name? Segmenters of one protocol, and drawn truth.

`ClipSeg` and `Sam` take any words, `Universal`, `Detector` and `MaskRcnn` the classes of their
checkpoint; nothing is drawn at random. `MaskFolder` reads masks drawn by hand.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch.nn import functional as F

from daamkit import registry
from daamkit.errors import DaamkitError

Mask = Bool[np.ndarray, "height width"]


class ClassError(DaamkitError):
    """A class that a segmenter does not know."""


@runtime_checkable
class Segmenter(Protocol):
    """Finds named things in an image."""

    def segment(self, image: Image.Image, names: Sequence[str]) -> list[Mask]:
        """A mask for each name, at the image's size; empty where the image shows none.

        Raises
        ------
        ClassError
            If the segmenter does not know a class asked for.
        """
        ...


@dataclass(frozen=True)
class ClipSeg:
    """CLIPSeg (arXiv 2112.10003), asked for any words by a template.

    A CLIPSegForImageSegmentation and its CLIPSegProcessor. The threshold is on the sigmoid of the
    logits, enlarged to the image.
    """

    model: Any
    processor: Any
    template: str = "a photo of a {name}"
    threshold: float = 0.5

    @torch.inference_mode()
    def segment(self, image: Image.Image, names: Sequence[str]) -> list[Mask]:
        """A mask for each name; see `Segmenter`."""
        if not names:
            return []
        inputs = self.processor(
            text=[self.template.format(name=name) for name in names],
            images=[image.convert("RGB")],
            padding=True,
            truncation=True,
            return_tensors="pt",
        ).to(self.model.device)
        logits = self.model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            pixel_values=inputs["pixel_values"].to(self.model.dtype).expand(len(names), -1, -1, -1),
        ).logits
        return [*(_enlarge(logits, image).sigmoid() > self.threshold).cpu().numpy()]


@dataclass(frozen=True)
class Universal:
    """Mask2Former (arXiv 2112.01527) and its kin, read by pixel: each has its likeliest class.

    A Mask2FormerForUniversalSegmentation, MaskFormerForInstanceSegmentation or
    OneFormerForUniversalSegmentation, and its image processor (OneFormer: its processor). Every
    pixel gets some class, so the checkpoint must know grounds too (ADE20K, COCO panoptic); one of
    things alone is for `Detector`. A name is a whole label or one of its synonyms ("auto" of "car,
    auto, automobile"), in either case; where several labels have it, all of them.
    """

    model: Any
    processor: Any

    @torch.inference_mode()
    def segment(self, image: Image.Image, names: Sequence[str]) -> list[Mask]:
        """A mask for each name; see `Segmenter`."""
        wanted = [_classes(self.model.config.id2label, name) for name in names]
        out = _read(self.model, self.processor, image, "semantic")
        classes = self.processor.post_process_semantic_segmentation(
            out, target_sizes=[(image.height, image.width)]
        )[0].numpy()
        return [np.isin(classes, each) for each in wanted]


@dataclass(frozen=True)
class Detector:
    """DETR (arXiv 2005.12872), Mask2Former and its kin, read by instance: the union of a class's.

    A DetrForSegmentation or any model of `Universal`, and its image processor. A query is an
    instance if its score, the probability of the class times the mean probability of the mask's
    pixels as in Mask2Former, is above the threshold. (transformers' own reading of DETR gives
    every pixel to some instance, be it the only one.) Names are as in `Universal`.
    """

    model: Any
    processor: Any
    threshold: float = 0.5

    @torch.inference_mode()
    def segment(self, image: Image.Image, names: Sequence[str]) -> list[Mask]:
        """A mask for each name; see `Segmenter`."""
        wanted = [_classes(self.model.config.id2label, name) for name in names]
        out = vars(_read(self.model, self.processor, image, "instance"))
        masks = out["masks_queries_logits" if "masks_queries_logits" in out else "pred_masks"][0]
        classes = out["class_queries_logits" if "class_queries_logits" in out else "logits"][0]
        inside = masks > 0
        certain = (masks.sigmoid() * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)
        scores = classes.softmax(-1)[:, :-1] * certain[:, None]  # the last class is none
        kept = (scores[:, each].amax(1) > self.threshold for each in wanted)
        return [(_enlarge(masks[keep], image) > 0).any(0).numpy() for keep in kept]


@dataclass(frozen=True)
class MaskRcnn:
    """torchvision's Mask R-CNN (arXiv 1703.06870): the union of a class's instances.

    The threshold is on an instance's score; a pixel is in its mask from a probability of 0.5.
    Names are matched with the labels as in `Universal`.
    """

    model: Any
    labels: Mapping[int, str]
    threshold: float = 0.5

    @torch.inference_mode()
    def segment(self, image: Image.Image, names: Sequence[str]) -> list[Mask]:
        """A mask for each name; see `Segmenter`."""
        wanted = [_classes(self.labels, name) for name in names]
        pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) / 255
        found = self.model([pixels.to(next(self.model.parameters()).device)])[0]
        masks, labels = (found["masks"][:, 0] >= 0.5).cpu(), found["labels"].cpu()
        sure = found["scores"].cpu() > self.threshold
        kept = (sure & torch.isin(labels, torch.tensor(each, device="cpu")) for each in wanted)
        return [masks[keep].any(0).numpy() for keep in kept]


@dataclass(frozen=True)
class Sam:
    """SAM 3 (arXiv 2511.16719), prompted by any words: the union of what it finds.

    A Sam3Model and its Sam3Processor, which needs torchvision. The threshold is on an instance's
    score: its own times that of the image showing any. A pixel is in a mask above 0.5.
    """

    model: Any
    processor: Any
    threshold: float = 0.5

    @torch.inference_mode()
    def segment(self, image: Image.Image, names: Sequence[str]) -> list[Mask]:
        """A mask for each name; see `Segmenter`."""
        device, dtype = self.model.device, self.model.dtype
        pixels = self.processor(images=[image.convert("RGB")], return_tensors="pt")["pixel_values"]
        seen = self.model.get_vision_features(pixel_values=pixels.to(device, dtype))
        masks = []
        for name in names:
            text = self.processor(text=[name], return_tensors="pt").to(device)
            out = self.model(vision_embeds=seen, **text)
            score = out.pred_logits[0].sigmoid()
            if out.presence_logits is not None:
                score = score * out.presence_logits[0].sigmoid()
            found = out.pred_masks[0][score > self.threshold].sigmoid()
            masks.append((_enlarge(found, image) > 0.5).any(0).cpu().numpy())
        return masks


KINDS: dict[str, tuple[type, str]] = {  # a checkpoint's architecture: segmenter and processor
    "CLIPSegForImageSegmentation": (ClipSeg, "CLIPSegProcessor"),
    "Mask2FormerForUniversalSegmentation": (Universal, "AutoImageProcessor"),
    "MaskFormerForInstanceSegmentation": (Universal, "AutoImageProcessor"),
    "OneFormerForUniversalSegmentation": (Universal, "OneFormerProcessor"),
    "DetrForSegmentation": (Detector, "AutoImageProcessor"),
    "Sam3Model": (Sam, "Sam3Processor"),
    "Sam3VideoModel": (Sam, "Sam3Processor"),  # facebook/sam3: a Sam3Model and a tracker
}


def segmenter(name: str, device: str = "cpu", instances: bool = False) -> Segmenter:
    """Open a segmenter: one of `registry.segmenters`, or a model, in float32.

    Parameters
    ----------
    name
        A registered name (or "my_package:MySegmenter"), a folder or an id of the Hub
        ("CIDAS/clipseg-rd64-refined", "facebook/sam3"), or one of torchvision's
        ("maskrcnn_resnet50_fpn_v2").
    device
        The device that it runs on.
    instances
        Read Mask2Former, MaskFormer and OneFormer with `Detector`, as a checkpoint that knows
        things only must be. The others are read in their one way.

    Raises
    ------
    DaamkitError
        If the model is not on this machine and cannot be fetched, is of another kind, or needs a
        library that is not installed.
    """
    if name in registry.segmenters or registry.is_path(name):
        return registry.segmenters.find(name)(device)
    import transformers

    try:
        if name.startswith("maskrcnn_"):
            return _torchvision(name, device)
        config = transformers.AutoConfig.from_pretrained(name)
        made = (config.architectures or [config.model_type])[0]
        if made not in KINDS:
            raise _unknown(name, made)
        kind, processor = KINDS[made]
        architecture = getattr(transformers, made.replace("Video", ""))
        with _without_bars():
            reader = getattr(transformers, processor).from_pretrained(name)
            model = architecture.from_pretrained(name, dtype=torch.float32)
    except (ImportError, ValueError) as error:
        if isinstance(error, ValueError) and "missing dependencies" not in str(error):
            raise _unknown(name, _first(error)) from error
        raise DaamkitError(
            wanted=f"what the segmenter {name!r} needs",
            got=_first(error),
            mend="install it, such as by `pip install torchvision` or `pip install timm`",
        ) from error
    except OSError as error:
        raise DaamkitError(
            wanted=f"the segmenter {name!r}",
            got=_first(error),
            mend=f"with a network, run `hf download {name}` once (a gated model wants "
            "`hf auth login` first), or name a folder",
        ) from error
    if instances and kind is Universal:
        kind = Detector
    return kind(model.eval().to(device), reader)


def _torchvision(name: str, device: str) -> MaskRcnn:
    models = importlib.import_module("torchvision").models
    weights = models.get_model_weights(name).DEFAULT
    model = models.get_model(name, weights=weights, progress=False)
    return MaskRcnn(model.eval().to(device), dict(enumerate(weights.meta["categories"])))


@contextmanager
def _without_bars() -> Iterator[None]:
    """transformers draws a bar for each checkpoint that it opens."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    try:
        logging.disable_progress_bar()
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")


def _unknown(name: str, got: str) -> DaamkitError:
    return DaamkitError(
        wanted=f"a segmenter of a known kind, {name!r}",
        got=got,
        mend=f"take a checkpoint of {', '.join(KINDS)}, or torchvision's maskrcnn_resnet50_fpn_v2",
    )


def _classes(labels: Mapping[int, str], name: str) -> list[int]:
    """The classes that a name means, by whole labels or their synonyms between commas."""
    known: dict[str, list[int]] = {}
    for index, label in labels.items():
        for each in {label, *label.replace(";", ",").split(",")}:
            known.setdefault(each.strip().casefold(), []).append(index)
    wanted = name.strip().casefold()
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, n=3)
        raise ClassError(
            wanted=f"a class that the segmenter knows, {name!r}",
            got=f"{len(labels)} classes without it"
            + (f", but {' and '.join(map(repr, near))}" if near else ""),
            mend="ask for one of its classes, take a checkpoint that knows this one, or an "
            "open-vocabulary segmenter (CLIPSeg, SAM 3)",
        )
    return known[wanted]


def _read(model: Any, processor: Any, image: Image.Image, task: str) -> SimpleNamespace:
    """The tensors that a model says of an image; alone, it is stretched and never padded."""
    asked = {"task_inputs": [task]} if model.config.model_type == "oneformer" else {}
    inputs = processor(images=[image.convert("RGB")], return_tensors="pt", **asked)
    out = model(**inputs.to(model.device, model.dtype))
    return SimpleNamespace(
        **{key: value.float().cpu() for key, value in out.items() if torch.is_tensor(value)}
    )


def _enlarge(
    maps: Float[torch.Tensor, "n y x"], image: Image.Image
) -> Float[torch.Tensor, "n height width"]:
    size = (image.height, image.width)
    return F.interpolate(maps[:, None].float(), size, mode="bilinear")[:, 0]
