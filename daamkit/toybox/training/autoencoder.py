"""Train the autoencoder, and draw scenes as its latents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file

from daamkit.toybox import pipeline, scenes
from daamkit.toybox.training import loop
from daamkit.toybox.training.loop import Progress, descend, keep, rate, resume, write_tensors

BATCH = 32


def as_tensor(images: np.ndarray) -> torch.Tensor:
    """(n, height, width, 3) uint8 to (n, 3, height, width) in [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def reconstruction_loss(image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1 on the pixels and on their differences to the right and below, which keeps edges."""
    loss = (image - target).abs().mean()
    for axis in (2, 3):
        loss = loss + (image.diff(dim=axis) - target.diff(dim=axis)).abs().mean()
    return loss


def train(out: Path, images: int, seed: int, device: str = "cpu") -> None:
    """Three quarters of the images as 64-pixel crops, the last quarter whole."""
    place, checkpoint = out / "autoencoder.safetensors", out / "autoencoder.pt"
    if place.exists():
        return
    torch.manual_seed(seed)
    model = pipeline.autoencoder().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, betas=(0.9, 0.99), weight_decay=1e-3)
    steps = images // BATCH
    step = resume(checkpoint, model, optimizer, device).get("step", 0)
    progress = Progress(images, step * BATCH)
    while step < steps:
        rng = np.random.default_rng((seed, 1, step))
        torch.manual_seed(seed * 1_000_003 + step)  # a resumed run draws what an unbroken one draws
        batch = np.stack(
            [scenes.draw(rng).image for _ in range(BATCH if step < 0.75 * steps else BATCH // 2)]
        )
        if step < 0.75 * steps:
            y, x = rng.integers(0, 65, 2)
            batch = batch[:, y : y + 64, x : x + 64]
        target = as_tensor(np.ascontiguousarray(batch)).to(device)
        with loop.half(device):
            posterior = model.encode(target).latent_dist
            image = model.decode(posterior.sample()).sample
        loss = reconstruction_loss(image.float(), target) + 1e-5 * posterior.kl().mean() / 4096
        descend(loss, optimizer, rate(step * BATCH, images, 2e-3))
        step += 1
        progress.tell(step * BATCH, loss.item())
        if step % 200 == 0:
            keep(checkpoint, model, optimizer, step=step)
    standardize(model.cpu(), np.random.default_rng((seed, 3)))
    write_tensors(model.state_dict(), place)


@torch.no_grad()
def standardize(model: AutoencoderKL, rng: np.random.Generator, images: int = 512) -> None:
    """Fold a shift and a scale into the 1x1 convolutions around the latents, so that each channel
    has mean 0 and deviation 1 over drawn scenes."""
    means = []
    for _ in range(images // 64):
        batch = as_tensor(np.stack([scenes.draw(rng).image for _ in range(64)]))
        means.append(model.encode(batch).latent_dist.mean)
    latents = torch.cat(means).transpose(0, 1).flatten(1)  # (channels, values)
    shift, scale = latents.mean(1), latents.std(1)
    into, out = model.quant_conv, model.post_quant_conv
    n = len(shift)  # the first n outputs are means, the next n log variances
    out.bias += out.weight[..., 0, 0] @ shift
    out.weight *= scale[None, :, None, None]
    into.weight[:n] /= scale[:, None, None, None]
    into.bias[:n] = (into.bias[:n] - shift) / scale
    into.bias[n:] -= 2 * scale.log()


def trained(out: Path) -> AutoencoderKL:
    """The autoencoder that `train` has left."""
    model = pipeline.autoencoder()
    model.load_state_dict(load_file(out / "autoencoder.safetensors"))
    return model.eval()


@torch.no_grad()
def cache_latents(out: Path, n: int, seed: int, device: str = "cpu") -> None:
    """Draw n scenes and keep their latents' means and token ids."""
    place = out / "latents.safetensors"
    if place.exists():
        return
    model = trained(out).to(device)
    tokens = pipeline.tokenizer(out / "tokenizer")
    latents, ids, progress = torch.empty(n, 4, 32, 32, dtype=torch.float16), [], Progress(n)
    for start in range(0, n, 64):
        drawn = [
            scenes.draw(np.random.default_rng((seed, 2, i)))
            for i in range(start, min(start + 64, n))
        ]
        images = as_tensor(np.stack([scene.image for scene in drawn])).to(device)
        with loop.half(device):
            mean = model.encode(images).latent_dist.mean
        latents[start : start + len(drawn)] = mean.half().cpu()
        text = [scene.caption for scene in drawn]
        ids.append(
            tokens(
                text, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
            ).input_ids
        )
        progress.tell(start + len(drawn), 0.0)
    write_tensors({"latents": latents, "ids": torch.cat(ids).short()}, place)
