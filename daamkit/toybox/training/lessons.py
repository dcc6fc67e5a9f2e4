"""What the UNet learns from: latents of scenes with their token ids."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from daamkit.toybox import pipeline
from daamkit.toybox.training import latents


class SceneLessons:
    """Where latents and their token ids come from, and of which world they are."""

    world: int

    def at(self, seen: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Those to draw a batch from, once the model has seen so many samples: latents
        (n, 4, 32, 32), ids (n, 77), and `latents.answers` where they are known."""
        raise NotImplementedError


class Cached(SceneLessons):
    """World 1: all latents of the folder at once."""

    world = 1

    def __init__(self, out: Path) -> None:
        data = load_file(out / "latents.safetensors")
        self.all = (data["latents"], data["ids"], None)

    def at(self, seen: int) -> tuple[Tensor, Tensor, Tensor | None]:
        return self.all


class Shards(SceneLessons):
    """World 2: one shard of `latents` after the other, and again from the first; see
    `latents.Shard.rows` of `sides`."""

    world = 2

    def __init__(
        self, out: Path, shards: int, scenes_folder: Path, device: str, sides: int = 1
    ) -> None:
        self.shards, self.folder, self.sides = shards, scenes_folder, sides
        self.tokenizer = pipeline.tokenizer(out / "tokenizer")
        self.autoencoder, self.number = latents.autoencoder(device), -1

    def at(self, seen: int) -> tuple[Tensor, Tensor, Tensor | None]:
        number = seen // latents.SHARD % self.shards
        if number != self.number:
            shard = latents.shard(self.folder, number, self.autoencoder)
            options = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
            ids = self.tokenizer(shard.captions, max_length=77, **options).input_ids
            rows = shard.rows(self.sides)
            self.number, self.now = number, (shard.latents[rows], ids[rows], shard.answers[rows])
        return self.now
