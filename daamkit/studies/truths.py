"""Where the things of an image are, as far as somebody can say: the oracle, a segmenter, a hand."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool
from PIL import Image

from daamkit import registry
from daamkit.errors import DaamkitError
from daamkit.toybox import oracle
from daamkit.vision import annotation, segmentation

Mask = Bool[np.ndarray, "height width"]
SMALLEST = 0.005  # of the image's pixels: less is not present


@runtime_checkable
class Truth(Protocol):
    """Says where named things are."""

    def masks(self, image: Image.Image, stem: str, names: Sequence[str]) -> list[Mask | None]:
        """A mask for each name, empty if it is not there; None if this truth cannot say.

        Parameters
        ----------
        image
            The picture in which things are found.
        stem
            What it is called (`stem`).
        names
            Nouns in the singular.
        """
        ...


class OracleTruth:
    """The oracle of a toy world: its things and its places.

    Parameters
    ----------
    device
        As every truth is told; the oracle always reads on the CPU.
    world
        1 or 2.

    Raises
    ------
    DaamkitError
        If that world's oracle has no weights.
    """

    def __init__(self, device: str = "cpu", world: int = 1) -> None:
        self.reader = oracle.trained(world)

    def masks(self, image: Image.Image, stem: str, names: Sequence[str]) -> list[Mask | None]:
        """All instances of a name together."""
        require_toy(image)
        (frame,) = oracle.read_all([image], self.reader)
        nothing = np.zeros((image.height, image.width), bool)
        found = frame.groupby("name")["mask"].agg(lambda masks: np.any(list(masks), axis=0))
        known = {name: found.get(name, nothing) for name in self.reader.heads["name"][1:]}
        return [known.get(name) for name in names]


@dataclass(frozen=True)
class Segmented:
    """A segmenter of `vision.segmentation`; classes that it lacks it cannot say."""

    segmenter: segmentation.Segmenter

    def masks(self, image: Image.Image, stem: str, names: Sequence[str]) -> list[Mask | None]:
        """One name after the other."""
        return [self._mask(image, name) for name in names]

    def _mask(self, image: Image.Image, name: str) -> Mask | None:
        try:
            return self.segmenter.segment(image, [name])[0]
        except segmentation.ClassError:
            return None


@dataclass(frozen=True)
class Drawn:
    """Masks drawn by hand, in the files of `vision.annotation.MaskFolder`."""

    folder: annotation.MaskFolder

    def masks(self, image: Image.Image, stem: str, names: Sequence[str]) -> list[Mask | None]:
        """What somebody has looked for."""
        return [self.folder.mask(stem, name, (image.height, image.width)) for name in names]


def truth(name: str, device: str = "cpu", world: int = 1) -> Truth:
    """A truth by name.

    Parameters
    ----------
    name
        "oracle" (images of the toybox); "masks:FOLDER" (drawn by hand); one of
        `registry.truths`, or "my_package:MyTruth"; else a segmenter's name, as
        `vision.segmentation.segmenter` takes it.
    device
        The device that it runs on.
    world
        Of which toy world the oracle is.
    """
    if name == "oracle":
        return OracleTruth(device, world)
    if name.startswith("masks:"):
        return Drawn(annotation.MaskFolder(name.removeprefix("masks:")))
    if name in registry.truths:
        return registry.truths.find(name)(device)
    if registry.is_path(name):
        made = registry.truths.find(name)(device)
        return made if isinstance(made, Truth) else Segmented(made)
    return Segmented(segmentation.segmenter(name, device))


def require_toy(image: Image.Image) -> None:
    """Refuse a picture that the toybox's oracle cannot read."""
    if image.size != (128, 128):
        raise DaamkitError(
            wanted="an image of the toybox, 128 x 128, for its oracle to read",
            got=f"one of {image.height} x {image.width}",
            mend="name another truth: a segmenter, or 'masks:FOLDER'",
        )


def stem(prompt: str, seed: int) -> str:
    """What the image of a prompt and a seed is called.

    >>> stem("a red cat, please", 3)
    'a-red-cat-please-80fe-3'
    """
    words = re.sub(r"\W+", "-", prompt.lower()).strip("-")[:60]
    return f"{words}-{hashlib.sha256(prompt.encode()).hexdigest()[:4]}-{seed}"


def present(mask: Mask) -> bool:
    """Whether a thing is there: on 0.5 % of the pixels at least."""
    return bool(mask.mean() >= SMALLEST)


def apart(
    masks: Bool[np.ndarray, "things height width"],
) -> Bool[np.ndarray, "things height width"]:
    """What is one thing's alone: a truth that takes one thing for two has seen neither.

    >>> apart(np.array([[[True, True, False]], [[False, True, True]]])).astype(int).tolist()
    [[[1, 0, 0]], [[0, 0, 1]]]
    """
    return masks & (masks.sum(0) == 1)


def certain(masks: Sequence[Mask | None], names: Sequence[str], truth: str) -> list[Mask]:
    """All masks of names that a truth must know.

    Raises
    ------
    DaamkitError
        If it does not.
    """
    for name, mask in zip(names, masks, strict=True):
        if mask is None:
            raise DaamkitError(
                wanted=f"to know from {truth!r} where {name!r} is",
                got="a class it does not know, or a mask nobody has drawn",
                mend="take an open-vocabulary segmenter, draw the mask, or leave the word out; "
                "what is done is kept",
            )
    return [mask for mask in masks if mask is not None]
