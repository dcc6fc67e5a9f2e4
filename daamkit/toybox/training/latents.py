"""Scenes of world 2 as latents, with what lies in each place: what both denoisers learn from."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from scipy import ndimage

from daamkit import files, resources
from daamkit.toybox import scenes, sprites
from daamkit.toybox.captions import PLACES
from daamkit.toybox.scenes import Scene
from daamkit.toybox.training import loop
from daamkit.toybox.training.autoencoder import as_tensor

SIDE = re.compile(r"\b(left|right|above|below)\b")
PLACE = 8  # pixels a side of a place of the joint-attention model
NAMES = ("", *sprites.EVERYTHING, *PLACES)
PARTS = 9  # of a thing: the ninths of its box
SHARD = 1600  # scenes
BATCH = 32  # encoded at once


@dataclass(frozen=True)
class Shard:
    """Drawn scenes as latents (n, 4, 32, 32) float16, what is to be told of each place (`answers`),
    and their captions."""

    latents: torch.Tensor
    answers: torch.Tensor
    captions: list[str]

    def rows(self, sides: int = 1) -> list[int]:
        """The numbers of all scenes; of those with a thing to the left or right of, above or below
        another so many times."""
        return [
            row
            for row, caption in enumerate(self.captions)
            for _ in range(sides if SIDE.search(caption) else 1)
        ]


def place_labels(scene: Scene) -> np.ndarray:
    """(16, 16) uint8: which of `NAMES` has most pixels in each place; 0 is none of them."""
    side = scenes.SIDE // PLACE
    known = [(thing.name, mask) for thing, mask in zip(scene.things, scene.masks, strict=True)]
    if scene.place is not None:
        known.append((scene.place, scene.ground))
    votes = np.zeros((len(NAMES), side, side), np.int32)
    for name, mask in known:
        votes[NAMES.index(name)] += mask.reshape(side, PLACE, side, PLACE).sum((1, 3))
    votes[0] = PLACE**2 - votes.sum(0)
    return votes.argmax(0).astype(np.uint8)


def answers(labels: np.ndarray) -> torch.Tensor:
    """What a model is to tell of each place, (n, 16, 16): its label and which ninth of its thing
    lies there, as label * PARTS + 0 (above, to the left) to 8; of what is no thing always 0.

    Things of one name that touch count as one.
    """
    told = labels.astype(np.int64) * PARTS
    for image, known in zip(told, labels, strict=True):
        for label in set(known[(known > 0) & (known <= len(sprites.EVERYTHING))].tolist()):
            pieces, _ = ndimage.label(known == label, np.ones((3, 3)))
            for index, box in enumerate(ndimage.find_objects(pieces), 1):
                own = pieces[box] == index
                down, right = (np.arange(side) * 3 // side for side in own.shape)
                image[box] += own * (down[:, None] * 3 + right)
    return torch.from_numpy(told)


def shard(out: Path, number: int, auto: AutoencoderKL, seed: int = 0) -> Shard:
    """Scenes ``number * SHARD`` and on of the training split, from the folder or drawn now.

    Both denoisers learn from the same shards, ``latents-NNN.safetensors`` with ``.json`` beside it.
    """
    place = out / f"latents-{number:03d}.safetensors"
    if not place.exists():
        _draw(place, range(number * SHARD, (number + 1) * SHARD), auto, seed)
    data = load_file(place)
    captions = json.loads(place.with_suffix(".json").read_text(encoding="utf-8"))
    return Shard(data["latents"], answers(data["labels"].numpy()), captions)


def count(out: Path) -> int:
    """How many scenes a folder holds as latents."""
    return SHARD * len([*out.glob("latents-*.safetensors")])


@torch.no_grad()
def _draw(place: Path, numbers: range, auto: AutoencoderKL, seed: int) -> None:
    means, labels, captions = [], [], []
    for start in range(0, len(numbers), BATCH):
        drawn = [
            scenes.draw(np.random.default_rng((seed, 2, i)), None, 2, "training")
            for i in numbers[start : start + BATCH]
        ]
        images = as_tensor(np.stack([scene.image for scene in drawn])).to(auto.device)
        means.append(auto.encode(images).latent_dist.mean.half().cpu())
        labels += [place_labels(scene) for scene in drawn]
        captions += [scene.caption for scene in drawn]
    files.replace(place.with_suffix(".json"), json.dumps(captions).encode())
    loop.write_tensors(
        {"latents": torch.cat(means).contiguous(), "labels": torch.from_numpy(np.stack(labels))},
        place,
    )


def autoencoder(device: str = "cpu") -> AutoencoderKL:
    """The shipped autoencoder, in float32."""
    auto = AutoencoderKL.from_pretrained(
        resources.path("toybox") / "vae", local_files_only=True, low_cpu_mem_usage=False
    )
    return auto.float().eval().to(device)
