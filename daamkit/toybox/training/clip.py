"""Teach a small CLIP (arXiv 2103.00020) the toy world, so that similarities run offline.

    python -m daamkit.toybox.training.clip --out build/toybox
    python -m daamkit.toybox.training.clip --out build/toybox --export data/clip

Besides telling the captions of a batch apart, each patch of the picture learns what lies in it,
which makes a vision transformer see after minutes instead of hours.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTokenizer,
    CLIPVisionConfig,
)

from daamkit.toybox import pipeline, scenes
from daamkit.toybox.oracle import LOOKS, NAMES
from daamkit.toybox.sprites import THINGS
from daamkit.toybox.training import loop
from daamkit.toybox.training.autoencoder import as_tensor
from daamkit.toybox.training.loop import Progress, descend, keep, rate, resume
from daamkit.toybox.training.oracle import labels

BATCH, PATCH = 32, 16
_LOOKS = [len(NAMES), len(LOOKS["colour"])]


def untrained(tokenizer: CLIPTokenizer) -> CLIPModel:
    """Five layers of width 192 over 64 patches, three of width 128 over the text."""
    text = pipeline.text_config(tokenizer, layers=3, inner=512, projection_dim=128)
    vision = CLIPVisionConfig(
        hidden_size=192,
        intermediate_size=768,
        num_hidden_layers=5,
        num_attention_heads=6,
        image_size=scenes.SIDE,
        patch_size=PATCH,
        projection_dim=128,
    )
    return CLIPModel(
        CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=128)
    )


class Pairs(Dataset):
    """Drawn scenes by number: picture, caption's ids, labels of its pixels."""

    def __init__(self, numbers: range, seed: int, tokenizer: CLIPTokenizer) -> None:
        self.numbers, self.seed, self.tokenizer = numbers, seed, tokenizer

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Tensor, np.ndarray]:
        scene = scenes.draw(np.random.default_rng((self.seed, 5, self.numbers[index])))
        ids = self.tokenizer(
            scene.caption, padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids[0]
        return scene.image.copy(), ids, labels(scene)[:2]


def contrast(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    """Cross-entropy of each picture's own caption among all, and the other way round."""
    scores = F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T * scale.exp().clamp(max=100)
    own = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2


def shares(maps: Tensor) -> list[Tensor]:
    """(n, patches, classes) share of each patch's pixels, for names and for colours of things."""
    parts = []
    for channel, classes in enumerate(_LOOKS):
        each = F.one_hot(maps[:, channel].long(), classes).float()
        if channel:  # only things have one
            each = each * ((maps[:, 0] > 0) & (maps[:, 0] <= len(THINGS)))[..., None]
        parts.append(F.avg_pool2d(each.permute(0, 3, 1, 2), PATCH).flatten(2).transpose(1, 2))
    return parts


def teach(out: Path, images: int, seed: int = 0, device: str = "cpu", peak: float = 1e-3) -> None:
    """Train; checkpoints lie in ``clip.pt``, from which it goes on."""
    torch.manual_seed(seed)
    tokenizer = pipeline.tokenizer(out / "tokenizer")
    model, patches = untrained(tokenizer), nn.Linear(192, sum(_LOOKS))
    both = nn.ModuleDict({"clip": model, "patches": patches}).to(device)
    optimizer = torch.optim.AdamW(both.parameters(), peak, betas=(0.9, 0.98), weight_decay=0.05)
    checkpoint = out / "clip.pt"
    seen = resume(checkpoint, both, optimizer, device).get("seen", 0)
    progress = Progress(images, seen)
    pairs = Pairs(range(seen, images), seed, tokenizer)
    for pixels, ids, maps in DataLoader(pairs, BATCH, num_workers=1, drop_last=True):
        ids = ids[:, : int((ids != tokenizer.pad_token_id).sum(1).max()) + 1].to(device)
        with loop.half(device):
            vision = model.vision_model(pixel_values=as_tensor(pixels.numpy()).to(device))
            image = model.visual_projection(vision.pooler_output)
            text = model.text_projection(model.text_model(input_ids=ids).pooler_output)
            inside = patches(vision.last_hidden_state[:, 1:])
        total = contrast(image.float(), text.float(), model.logit_scale)
        for scores, share in zip(
            inside.float().split(_LOOKS, -1), shares(maps.to(device)), strict=True
        ):
            total = total - (share * scores.log_softmax(-1)).sum(-1).mean()
        descend(total, optimizer, rate(seen, images, peak))
        seen += len(pixels)
        progress.tell(seen, total.item())
        if seen % (BATCH * 100) == 0 or seen + BATCH > images:
            keep(checkpoint, both, optimizer, seen=seen)


def export(out: Path, place: Path) -> None:
    """Write model, tokenizer and image processor as transformers opens them, in float16."""
    tokenizer = pipeline.tokenizer(out / "tokenizer")
    state = torch.load(out / "clip.pt", "cpu", weights_only=True)["model"]
    model = untrained(tokenizer)
    model.load_state_dict(
        {name[5:]: value for name, value in state.items() if name.startswith("clip.")}
    )
    model.half().save_pretrained(place)
    tokenizer.save_pretrained(place)
    CLIPImageProcessor(
        size={"shortest_edge": scenes.SIDE},
        crop_size=scenes.SIDE,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    ).save_pretrained(place)


def main(argv: list[str] | None = None) -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("build/toybox"))
    parser.add_argument("--images", type=int, default=48_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--export", type=Path, help="write the model here and stop")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    asked = parser.parse_args(argv)
    if asked.export:
        export(asked.out, asked.export)
    else:
        teach(asked.out, asked.images, asked.seed, asked.device)


if __name__ == "__main__":
    main()
