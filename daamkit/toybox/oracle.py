"""The oracle: a small network that reads an image of the toy world back, thing by thing.

    >>> from daamkit.toybox import oracle, scenes
    >>> scene = scenes.sample(1, seed=7)[0]
    >>> scene.caption, sorted(oracle.detections(scene.image)["name"])
    ('small yellow glasses and a bow', ['bow', 'glasses'])

What it says of a generated image is an estimate (docs/toybox.md says how good a one); of a drawn
scene the exact masks are in the scene itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from safetensors.torch import load_file
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from daamkit import resources
from daamkit.errors import DaamkitError
from daamkit.toybox.captions import PLACES
from daamkit.toybox.sprites import COLOURS, EVERYTHING, TEXTURES, THINGS

# What each head tells apart; 0 is nothing, or the thing as it comes. There is none for sizes: a big
# thing among three is as long as others beside one, and a thing's length in pixels is measured.
NAMES = ("", *THINGS, *PLACES)
LOOKS = {"colour": ("own", *COLOURS), "texture": ("plain", *TEXTURES)}
HEADS: dict[int, dict[str, tuple[str, ...]]] = {  # of each world
    1: {"name": NAMES, **LOOKS},
    2: {"name": ("", *EVERYTHING, *PLACES), **LOOKS},
}
CENTRE = 2  # and two numbers: from a pixel to its instance's centre, (y, x), in parts of REACH
REACH = 32.0
SMALLEST = 80  # pixels; every thing that is drawn shows more
APART = 31  # pixels of a square in which one instance has its centre
_CHANNELS = (32, 48, 96, 128)


class Block(nn.Module):
    """Two convolutions and a way past them."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.GroupNorm(8, before), nn.GroupNorm(8, after)])
        self.first = nn.Conv2d(before, after, 3, padding=1)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.past = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(F.silu(self.norms[0](x)))
        return self.past(x) + self.second(F.silu(self.norms[1](y)))


class Oracle(nn.Module):
    """A U-Net (arXiv 1505.04597) at a half to a sixteenth of the image's size, finished at its own.

    Its heads are those of a world (`HEADS`), each a score for each pixel, and "centre", by which
    pixels of one instance find together (Panoptic-DeepLab, arXiv 1911.10194).
    """

    def __init__(self, world: int = 1) -> None:
        super().__init__()
        c = _CHANNELS
        self.heads = HEADS[world]
        self.stem = nn.Conv2d(3, c[0], 4, stride=2, padding=1)
        self.down = nn.ModuleList([Block(c[max(i - 1, 0)], c[i]) for i in range(4)])
        self.middle = Block(c[3], c[3])
        self.up = nn.ModuleList([Block(c[min(i + 1, 3)] + c[i], c[i]) for i in range(4)])
        self.sizes = [*(len(names) for names in list(self.heads.values())[1:]), CENTRE]
        self.likeness = nn.Conv2d(c[0], sum(self.sizes), 1)
        self.fine = nn.Conv2d(c[0] + 3, c[0], 3, padding=1)
        self.name = nn.Conv2d(c[0], len(self.heads["name"]), 1)

    def encode(self, image: Float[Tensor, "n 3 height width"]) -> list[Tensor]:
        """Features at 1/2, 1/4, 1/8 and 1/16 of the image's size."""
        levels, x = [], self.stem(image)
        for i, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2) if i else x)
            levels.append(x)
        levels[-1] = self.middle(x)
        return levels

    def forward(self, image: Float[Tensor, "n 3 height width"]) -> dict[str, Tensor]:
        """Scores of each head, (n, classes, height, width), all but the name's at half the size; of
        "centre" the way there in pixels."""
        *levels, x = self.encode(image)
        x = self.up[3](torch.cat([x, x], 1))
        for i in (2, 1, 0):
            x = self.up[i](torch.cat([F.interpolate(x, scale_factor=2.0), levels[i]], 1))
        *likeness, centre = self.likeness(F.silu(x)).split(self.sizes, 1)
        x = torch.cat([F.interpolate(x, scale_factor=2.0), image], 1)
        scores = [self.name(F.silu(self.fine(x))), *likeness, centre * REACH]
        return dict(zip([*self.heads, "centre"], scores, strict=True))


def called(world: int) -> str:
    """The file of a world's oracle."""
    return "oracle.safetensors" if world == 1 else f"oracle-{world}.safetensors"


@cache
def trained(world: int = 1, file: str | Path | None = None) -> Oracle:
    """The oracle of a world: the one that ships with the package, or one that was taught.

    Raises
    ------
    DaamkitError
        If none ships for that world, or the file is not there.
    """
    name = called(world)
    try:
        place = resources.path("oracle", name) if file is None else Path(file)
        weights = load_file(place)
    except (DaamkitError, OSError) as error:
        raise DaamkitError(
            wanted=f"the oracle of world {world}",
            got="no weights with this version of daamkit" if file is None else f"no file {file}",
            mend=f"teach one: `python -m daamkit.toybox.training.oracle --world {world} --out "
            f"FOLDER` writes FOLDER/{name}, which `--oracle` takes",
        ) from error
    model = Oracle(world)
    floats = {name: value.float() for name, value in weights.items()}
    model.load_state_dict(floats, assign=True)  # theirs are the device and the precision
    return model.eval().requires_grad_(False)


def detections(image: Image.Image | np.ndarray) -> pd.DataFrame:
    """Find the things in one image; see `read_all`."""
    return read_all([image])[0]


def read_all(
    images: Sequence[Image.Image | np.ndarray],
    model: Oracle | None = None,
    batch: int = 64,
) -> list[pd.DataFrame]:
    """Find the things in images of the toy world.

    Parameters
    ----------
    images
        RGB, all of one size, whose sides are multiples of 16.
    model
        An oracle; the shipped one by default.
    batch
        How many images at a time.

    Returns
    -------
    frames
        For each image a row an instance, from left to right: ``kind`` ("thing", or "place" for
        what a place's noun names), ``name``, ``colour`` ("own": as the thing comes), ``texture``
        ("plain"), ``confidence`` (mean probability of the name over its pixels), ``left``,
        ``top``, ``right``, ``bottom`` (pixels of its visible part), ``area`` (pixels) and ``mask``
        ((height, width) bool).

    Raises
    ------
    DaamkitError
        If an image is not RGB, its sides are no multiples of 16, or sizes differ.
    """
    model, frames = model or trained(), []
    for part in _batches(images, batch):
        with torch.inference_mode():
            scores = model(part)
            size = scores["name"].shape[-2:]
            scores = {head: F.interpolate(value, size=size) for head, value in scores.items()}
            parts = {head: scores[head].softmax(1).numpy() for head in model.heads}
            centres = scores["centre"].numpy()
        frames += [
            _instances({head: values[i] for head, values in parts.items()}, centres[i], model.heads)
            for i in range(len(part))
        ]
    return frames


@torch.inference_mode()
def features(
    images: Sequence[Image.Image | np.ndarray], batch: int = 64
) -> Float[np.ndarray, "n 128"]:
    """What the oracle's middle sees of each image, averaged over places; for `measures.quality`."""
    means = [torch.empty(0, _CHANNELS[-1], dtype=torch.float32, device="cpu")]
    means += [trained().encode(part)[-1].mean((2, 3)) for part in _batches(images, batch)]
    return torch.cat(means).double().numpy()


def _batches(
    images: Sequence[Image.Image | np.ndarray], batch: int
) -> Iterator[Float[Tensor, "n 3 height width"]]:
    """The images in [-1, 1], `batch` at a time."""
    pixels = [_pixels(image) for image in images]
    sizes = sorted({each.shape[:2] for each in pixels})
    if len(sizes) > 1:
        raise DaamkitError(
            wanted="images of one size",
            got=" and ".join(f"{height} x {width}" for height, width in sizes),
            mend="read those of each size by themselves",
        )
    for start in range(0, len(pixels), batch):
        part = torch.from_numpy(np.stack(pixels[start : start + batch]))
        yield part.permute(0, 3, 1, 2).float() / 127.5 - 1


def _pixels(image: Image.Image | np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    pixels = np.array(image)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise DaamkitError(
            wanted="an RGB image of 8 bits a channel",
            got=f"{pixels.dtype} of shape {pixels.shape}",
            mend="convert it with PIL's `image.convert('RGB')`",
        )
    if pixels.shape[0] % 16 or pixels.shape[1] % 16:
        raise DaamkitError(
            wanted="sides that are multiples of 16 pixels",
            got=f"{pixels.shape[0]} x {pixels.shape[1]}",
            mend="the toybox draws 128 x 128; crop or pad the image",
        )
    return pixels


def _instances(
    parts: dict[str, np.ndarray], centre: np.ndarray, heads: dict[str, tuple[str, ...]]
) -> pd.DataFrame:
    """Group one image's pixels into instances and let each group's pixels vote on what it is."""
    known, label = heads["name"], parts["name"].argmax(0)
    rows: list[dict[str, Any]] = []
    for index in np.unique(label[label > 0]):
        place = known[index] in PLACES
        for mask in [label == index] if place else _split(label == index, centre):
            if mask.sum() < SMALLEST:
                continue
            ys, xs = np.nonzero(mask)
            votes = {
                head: names[parts[head][:, mask].mean(1).argmax()]
                for head, names in heads.items()
                if head != "name"
            }
            rows.append(
                {
                    "kind": "place" if place else "thing",
                    "name": known[index],
                    **(dict.fromkeys(votes, "") if place else votes),
                    "confidence": float(parts["name"][index][mask].mean()),
                    "left": int(xs.min()),
                    "top": int(ys.min()),
                    "right": int(xs.max()) + 1,
                    "bottom": int(ys.max()) + 1,
                    "area": int(mask.sum()),
                    "mask": mask,
                }
            )
    columns = ["kind", *heads, "confidence", "left", "top", "right", "bottom", "area", "mask"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values(["kind", "left", "top"], ascending=[False, True, True]).reset_index(
        drop=True
    )


def _split(
    mask: Bool[np.ndarray, "height width"], centre: Float[np.ndarray, "2 height width"]
) -> list[np.ndarray]:
    """Part the pixels of one name by where they say that their instance's centre is."""
    height, width = mask.shape
    ys, xs = np.nonzero(mask)
    y = np.clip(np.rint(ys + centre[0, ys, xs]).astype(int), 0, height - 1)
    x = np.clip(np.rint(xs + centre[1, ys, xs]).astype(int), 0, width - 1)
    votes = np.zeros((height, width))
    np.add.at(votes, (y, x), 1.0)
    dense = ndimage.gaussian_filter(votes, 3.0)
    highest = ndimage.maximum_filter(dense, size=APART) == dense
    peaks = np.argwhere(highest & (dense > SMALLEST / (2 * np.pi * 3.0**2) / 2))
    if len(peaks) < 2:
        return [mask]
    nearest = ((np.stack([y, x], 1)[:, None] - peaks) ** 2).sum(-1).argmin(1)
    masks = []
    for index in range(len(peaks)):
        own = np.zeros_like(mask)
        own[ys[nearest == index], xs[nearest == index]] = True
        masks.append(own)
    return masks
