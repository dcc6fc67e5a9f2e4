"""Teach the oracle: drawn scenes, disorderly ones, and what generation does to a picture.

    python -m daamkit.toybox.training.oracle --out build/toybox
    python -m daamkit.toybox.training.oracle --out build/toybox --world 2

A third of the scenes are the world's own. The others are messes, in which up to five things lie
anywhere, turned, cut off and over each other, and colours leak: what a generator's failures look
like. Most of their things are tinted, and half of them have their colours exchanged altogether, or
the network would know a thing by its own colour and never learn its shape. Two pictures in three
are bent, blurred and shifted in colour, and a third of these have been through the autoencoder with
noise on their latents.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from daamkit.toybox import scenes
from daamkit.toybox.captions import PLACES, Noun, Sentence
from daamkit.toybox.layouts import SCALES, Placed
from daamkit.toybox.oracle import HEADS, REACH, Oracle, called, trained
from daamkit.toybox.scenes import Scene
from daamkit.toybox.sprites import COLOURS, EVERYTHING, NAMES, SIZES, TEXTURES, THINGS
from daamkit.toybox.training import autoencoder, latents, loop
from daamkit.toybox.training.loop import Progress, descend, keep, rate, resume, write_tensors

BATCH = 8  # many small steps: a silhouette is learned in steps, not in pictures
UNKNOWN = -1  # a label that is not asked for
THINGS_OF = {1: THINGS, 2: EVERYTHING}


def mess(rng: np.random.Generator, world: int = 1) -> Scene:
    """Up to five things anywhere; nothing is said of it. In world 2 some are half hidden."""
    placed = []
    for index in range(int(rng.integers(0, 6))):
        size = str(rng.choice(SIZES)) if rng.random() < 0.1 else None
        noun = Noun(
            str(rng.choice(THINGS_OF[world])),
            (index,),
            str(rng.choice(list(COLOURS))) if rng.random() < 0.85 else None,
            str(rng.choice(TEXTURES)) if rng.random() < 0.1 else None,
            size,
            scenes.HIDDEN if world == 2 and rng.random() < 0.06 else None,
        )
        if noun.name in NAMES:
            noun = Noun(noun.name, noun.things, manner=noun.manner)  # drawn as they are
        x, y = rng.uniform(12, 116, 2)
        pixels = min(rng.uniform(24, 74) * SCALES.get(size or "", 1.0), 92.0)
        angle = int(rng.integers(-25, 26)) if rng.random() < 0.4 else 0
        placed.append(Placed(noun, index, x, y, pixels, angle))
    place = str(rng.choice(list(PLACES))) if rng.random() < 0.4 else None
    return scenes.paint(rng, Sentence(), placed, place, None)


def labels(scene: Scene, world: int = 1) -> np.ndarray:
    """(heads + 2, 128, 128) int8: a label for each of a world's heads, and the way to the
    instance's centre, (y, x) in pixels."""
    heads = HEADS[world]
    names, looks = heads["name"], list(heads)[1:]
    maps = np.zeros((len(heads) + 2, scenes.SIDE, scenes.SIDE), np.int8)
    if scene.place is not None:
        maps[0][scene.ground] = names.index(scene.place)
    ys, xs = np.mgrid[: scenes.SIDE, : scenes.SIDE]
    for thing, mask in zip(scene.things, scene.masks, strict=True):
        maps[0][mask] = names.index(thing.name)
        for channel, head in enumerate(looks, 1):
            value = getattr(thing, head)
            maps[channel][mask] = heads[head].index(value) if value else 0
        left, top, right, bottom = thing.box
        maps[-2][mask] = ((top + bottom) // 2 - ys)[mask]
        maps[-1][mask] = ((left + right) // 2 - xs)[mask]
    return maps


def leak(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Tint a round patch of a picture in some colour."""
    ys, xs = np.mgrid[: image.shape[0], : image.shape[1]]
    y, x, r = rng.uniform(20, 108), rng.uniform(20, 108), rng.uniform(4, 13)
    weight = 0.7 * np.exp(-(((ys - y) ** 2 + (xs - x) ** 2) / r**2))[..., None]
    colour = np.array(list(COLOURS.values())[rng.integers(len(COLOURS))])
    return (image * (1 - weight) + colour * weight).astype(np.uint8)


def recolour(
    rng: np.random.Generator, image: np.ndarray, maps: np.ndarray, things: int = len(THINGS)
) -> tuple[np.ndarray, np.ndarray]:
    """Exchange and invert a picture's colours; its labels lose all that hangs on them."""
    image = image[..., rng.permutation(3)]
    image = np.where(rng.random(3) < 0.4, 255 - image, image).astype(np.uint8)
    maps[0][maps[0] > things] = UNKNOWN
    maps[1] = UNKNOWN
    return image, maps


class OracleLessons(Dataset):
    """Scenes by number: each third the world's own, the others messes."""

    def __init__(self, numbers: range, seed: int, world: int = 1) -> None:
        self.numbers, self.seed, self.world = numbers, seed, world

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        number = self.numbers[index]
        rng = np.random.default_rng((self.seed, 4, number))
        scene = mess(rng, self.world) if number % 3 else scenes.draw(rng, world=self.world)
        image, maps = scene.image.copy(), labels(scene, self.world)
        if number % 3 == 1:
            return recolour(rng, image, maps, len(THINGS_OF[self.world]))
        return leak(rng, image) if rng.random() < 0.2 else image, maps


def spoil(image: Tensor, maps: Tensor, auto: AutoencoderKL) -> tuple[Tensor, Tensor]:
    """What generation does: bend picture and labels together, blur, shift colours, decode. A third
    of the pictures stays as drawn.

    `image` is (n, 3, h, w) in [-1, 1], `maps` (n, heads + 2, h, w).
    """
    (n, _, height, width), on = image.shape, image.device
    bend = F.interpolate(torch.randn(n, 2, 6, 6, device=on), size=(height, width), mode="bicubic")
    bend = bend * (torch.rand(n, 1, 1, 1, device=on) * 4 / width)  # up to some 4 pixels
    drawn = torch.rand(n, 1, 1, 1, device=on) < 1 / 3
    clean, bend = image, bend * ~drawn
    straight = F.affine_grid(torch.eye(2, 3).expand(n, 2, 3), [n, 1, height, width], False).to(on)
    grid = straight + bend.permute(0, 2, 3, 1)
    image = F.grid_sample(image, grid, padding_mode="reflection", align_corners=False)
    maps = F.grid_sample(
        maps.float(), grid, mode="nearest", padding_mode="reflection", align_corners=False
    )
    some = torch.rand(n, device=on) < 1 / 3
    if some.any():
        with torch.no_grad(), loop.half(on):
            latents = auto.encode(image[some]).latent_dist.mean
            latents += (
                torch.randn_like(latents) * torch.rand(len(latents), 1, 1, 1, device=on) * 0.4
            )
            image[some] = auto.decode(latents).sample.float()
    soft = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, 1)
    image = torch.lerp(image, soft, torch.rand(n, 1, 1, 1, device=on))
    gain = 1 + 0.08 * torch.randn(n, 3, 1, 1, device=on)
    image = (
        image * gain + 0.05 * torch.randn(n, 1, 1, 1, device=on) + 0.03 * torch.randn_like(image)
    )
    return torch.where(drawn, clean, image.clamp(-1, 1)), maps


def loss(scores: dict[str, Tensor], maps: Tensor, count: int = len(THINGS)) -> Tensor:
    """Cross-entropy of each head (what a thing is like: on its pixels only), L1 of the centre."""
    total = F.cross_entropy(scores["name"], maps[:, 0].long(), ignore_index=UNKNOWN)
    maps = maps[:, :, ::2, ::2]
    things = (maps[:, 0] > 0) & (maps[:, 0] <= count)
    for channel, (head, weight) in enumerate([("colour", 0.4), ("texture", 0.2)], 1):
        truth = maps[:, channel].long()
        each = F.cross_entropy(scores[head], truth, reduction="none", ignore_index=UNKNOWN)
        total = total + weight * (each * things).sum() / things.sum().clamp(min=1)
    away = (scores["centre"] - maps[:, -2:]).abs().sum(1) / REACH
    return total + 0.2 * (away * things).sum() / things.sum().clamp(min=1)


def answers(world: int) -> dict[str, list[tuple[str, str]]]:
    """What each row of an oracle's two last layers stands for."""
    rows = [(head, value) for head, values in HEADS[world].items() for value in values]
    likeness = [*rows[len(HEADS[world]["name"]) :], ("centre", "y"), ("centre", "x")]
    return {"name": rows[: len(HEADS[world]["name"])], "likeness": likeness}


def begin(model: Oracle, world: int, other: Oracle, known: int) -> None:
    """Give the oracle of a world what the oracle of the world `known` has learned: all its weights,
    of the last layers those rows whose answers both have."""
    weights = other.state_dict()
    for layer, wanted in answers(world).items():
        given = answers(known)[layer]
        for part in (f"{layer}.weight", f"{layer}.bias"):
            mine = model.state_dict()[part].clone()
            for row, answer in enumerate(wanted):
                if answer in given:
                    mine[row] = weights[part][given.index(answer)]
            weights[part] = mine
    model.load_state_dict(weights)


def teach(
    out: Path,
    images: int,
    seed: int = 0,
    device: str = "cpu",
    peak: float = 1e-3,
    world: int = 1,
) -> None:
    """Train the oracle; ``oracle.safetensors``, or ``oracle-2`` of world 2, goes to the folder.

    The autoencoder that spoils pictures is the folder's, or the shipped one. World 2's begins with
    what the shipped oracle of world 1 knows.
    """
    place = out / called(world)
    checkpoint = place.with_suffix(".pt")
    if place.exists():
        return
    torch.manual_seed(seed)
    own = (out / "autoencoder.safetensors").exists()
    auto = autoencoder.trained(out).to(device) if own else latents.autoencoder(device)
    model = Oracle(world)
    if world == 2:
        begin(model, 2, trained(1), 1)
    model = model.to(device)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), peak, betas=(0.9, 0.99), weight_decay=1e-2)
    seen = resume(checkpoint, model, optimizer, device).get("seen", 0)
    progress = Progress(images, seen)
    lessons = DataLoader(
        OracleLessons(range(seen, images), seed, world), BATCH, num_workers=1, drop_last=True
    )
    for pixels, maps in lessons:
        torch.manual_seed(seed * 1_000_003 + seen)
        image = autoencoder.as_tensor(pixels.numpy()).to(device)
        image, maps = spoil(image, maps.to(device), auto)
        image = image.contiguous(memory_format=torch.channels_last)
        with loop.half(device):
            scores = model(image)
        scores = {head: value.float() for head, value in scores.items()}
        total = loss(scores, maps, len(THINGS_OF[world]))
        descend(total, optimizer, rate(seen, images, peak, warmup=3200))
        seen += len(pixels)
        progress.tell(seen, total.item())
        if seen % (BATCH * 250) == 0 or seen + BATCH > images:
            keep(checkpoint, model, optimizer, seen=seen)
    weights = {name: value.half().cpu().contiguous() for name, value in model.state_dict().items()}
    write_tensors(weights, place)


def main(argv: list[str] | None = None) -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("build/toybox"))
    parser.add_argument("--world", type=int, default=1, choices=[1, 2])
    parser.add_argument("--images", type=int, default=190_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    asked = parser.parse_args(argv)
    asked.out.mkdir(parents=True, exist_ok=True)
    teach(asked.out, asked.images, asked.seed, asked.device, world=asked.world)


if __name__ == "__main__":
    main()
