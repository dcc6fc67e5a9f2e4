"""Train the toybox from nothing: tokenizer, autoencoder, latents, then the denoiser.

    python -m daamkit.toybox.train --out build/toybox --samples 400000
    python -m daamkit.toybox.train --out build/toybox --samples 600000 --resume

Each stage leaves its result in the folder, and a later call goes on from there; `--export` writes
the pipeline that diffusers opens. The denoiser learns at a constant rate and cools down over the
last fifth of its samples, so a run can be prolonged from a checkpoint before the cooling.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from daamkit.toybox import pipeline, scenes, tokenizer

BATCH = 32
COOLING = 0.2  # part of the samples over which the rate falls to a thirtieth


def rate(step: int, steps: int, peak: float, warmup: int = 200, floor: float = 1 / 30) -> float:
    """Learning rate: linear warm-up, constant, cosine cooling at the end."""
    cooling = max(0.0, (step / steps - (1 - COOLING)) / COOLING)
    return peak * min(1, (step + 1) / warmup) * (floor + (1 - floor) * math.cos(math.pi / 2 * min(cooling, 1)) ** 2)


def write(state: dict, place: Path) -> None:
    """Save a checkpoint whole or not at all."""
    part = place.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, place)


class Progress:
    """A line now and then: samples done, loss, speed, time left."""

    def __init__(self, total: int, done: int = 0, every: float = 20.0) -> None:
        self.total, self.every = total, every
        self.started = self.said = time.monotonic()
        self.begun_at = done
        self.losses: list[float] = []

    def tell(self, done: int, loss: float) -> None:
        self.losses.append(loss)
        now = time.monotonic()
        if now - self.said < self.every and done < self.total:
            return
        speed = (done - self.begun_at) / (now - self.started)
        left = (self.total - done) / max(speed, 1e-9) / 60
        mean = float(np.mean(self.losses))
        print(f"{done:8d}/{self.total}  loss {mean:.4f}  {speed:5.1f}/s  {left:5.1f} min left", flush=True)
        self.said, self.losses = now, []


# -- the autoencoder ------------------------------------------------------------------------------


def as_tensor(images: np.ndarray) -> torch.Tensor:
    """(n, height, width, 3) uint8 to (n, 3, height, width) in [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def reconstruction_loss(image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1 on the pixels and on their differences to the right and below, which keeps edges."""
    loss = (image - target).abs().mean()
    for axis in (2, 3):
        loss = loss + (image.diff(dim=axis) - target.diff(dim=axis)).abs().mean()
    return loss


def train_autoencoder(out: Path, images: int, seed: int) -> None:
    """Three quarters of the images as 64-pixel crops, the last quarter whole."""
    place, checkpoint = out / "autoencoder.safetensors", out / "autoencoder.pt"
    if place.exists():
        return
    torch.manual_seed(seed)
    model = pipeline.autoencoder()
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, betas=(0.9, 0.99), weight_decay=1e-3)
    steps, step = images // BATCH, 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    progress = Progress(images, step * BATCH)
    while step < steps:
        rng = np.random.default_rng((seed, 1, step))
        batch = np.stack([scenes.draw(rng).image for _ in range(BATCH if step < 0.75 * steps else BATCH // 2)])
        if step < 0.75 * steps:
            y, x = rng.integers(0, 65, 2)
            batch = batch[:, y : y + 64, x : x + 64]
        target = as_tensor(np.ascontiguousarray(batch))
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, 2e-3)
        with torch.autocast("cpu", torch.bfloat16):
            posterior = model.encode(target).latent_dist
            image = model.decode(posterior.sample()).sample
        loss = reconstruction_loss(image.float(), target) + 1e-5 * posterior.kl().mean() / 4096
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        progress.tell(step * BATCH, loss.item())
        if step % 200 == 0:
            write({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, checkpoint)
    save_file(model.state_dict(), place)


def load_autoencoder(out: Path) -> nn.Module:
    model = pipeline.autoencoder()
    model.load_state_dict(load_file(out / "autoencoder.safetensors"))
    return model.eval()


# -- latents --------------------------------------------------------------------------------------


@torch.no_grad()
def cache_latents(out: Path, n: int, seed: int) -> None:
    """Draw n scenes and keep their latents' means (scaled to unit deviation) and token ids."""
    place = out / "latents.safetensors"
    if place.exists():
        return
    model = load_autoencoder(out)
    tokens = pipeline.tokenizer(out / "tokenizer")
    latents, ids, progress = torch.empty(n, 4, 32, 32, dtype=torch.float16), [], Progress(n)
    for start in range(0, n, 64):
        drawn = [scenes.draw(np.random.default_rng((seed, 2, i))) for i in range(start, min(start + 64, n))]
        with torch.autocast("cpu", torch.bfloat16):
            mean = model.encode(as_tensor(np.stack([scene.image for scene in drawn]))).latent_dist.mean
        latents[start : start + len(drawn)] = mean.half()
        text = [scene.caption for scene in drawn]
        ids.append(tokens(text, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids)
        progress.tell(start + len(drawn), 0.0)
    scale = 1 / latents.float().std()
    save_file({"latents": latents, "ids": torch.cat(ids).short(), "scale": scale.reshape(1)}, place)


# -- the denoiser ---------------------------------------------------------------------------------


class Denoiser(nn.Module):
    """The UNet and its text encoder, trained together."""

    def __init__(self, out: Path) -> None:
        super().__init__()
        self.tokenizer = pipeline.tokenizer(out / "tokenizer")
        self.unet, self.text = pipeline.unet(), pipeline.text_encoder(self.tokenizer)

    def forward(self, noisy: torch.Tensor, times: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        text = self.text(input_ids=ids).last_hidden_state
        return self.unet(noisy, times, text).sample


def train_denoiser(out: Path, samples: int, seed: int, peak: float, decay: float) -> None:
    """v-prediction with min-SNR weights (gamma 5, arXiv 2303.09556), one prompt in ten empty."""
    data = load_file(out / "latents.safetensors")
    latents, ids = data["latents"], data["ids"]
    scale = data["scale"].item()
    torch.manual_seed(seed)
    model = Denoiser(out).to(memory_format=torch.channels_last)
    average = {name: value.detach().clone() for name, value in model.named_parameters()}
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, peak, betas=(0.9, 0.99), weight_decay=1e-3)
    empty = torch.tensor(model.tokenizer("", padding="max_length").input_ids)
    signal = pipeline.scheduler().alphas_cumprod
    step, steps = 0, samples // BATCH
    checkpoint = out / "denoiser.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average, step = state["average"], state["step"]
    progress = Progress(samples, step * BATCH)

    def keep(place: Path) -> None:
        write(
            {
                "model": model.state_dict(), "average": average,
                "optimizer": optimizer.state_dict(), "step": step,
            },
            place,
        )  # fmt: skip

    while step < steps:
        rng = torch.Generator().manual_seed(seed * 1_000_003 + step)
        rows = torch.randint(0, len(latents), (BATCH,), generator=rng)
        clean = latents[rows].float() * scale
        tokens = ids[rows].long()
        tokens[torch.rand(BATCH, generator=rng) < 0.1] = empty
        times = torch.randint(0, 1000, (BATCH,), generator=rng)
        a = signal[times].view(-1, 1, 1, 1)
        noise = torch.randn(clean.shape, generator=rng)
        noisy = (a.sqrt() * clean + (1 - a).sqrt() * noise).contiguous(memory_format=torch.channels_last)
        velocity = a.sqrt() * noise - (1 - a).sqrt() * clean
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, peak)
        with torch.autocast("cpu", torch.bfloat16):
            prediction = model(noisy, times, tokens)
        snr = a / (1 - a)
        loss = (snr.clamp(max=5) / (snr + 1) * (prediction.float() - velocity) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        momentum = min(decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(average.values()), [p.detach() for p in parameters], 1 - momentum)
        progress.tell(step * BATCH, loss.item())
        if step % 250 == 0 or step == steps:
            keep(checkpoint)
        if step == int(steps * (1 - COOLING)):
            keep(out / f"before-cooling-{step * BATCH}.pt")


def export(out: Path, place: Path) -> None:
    """Write the averaged weights as a float16 pipeline folder."""
    state = torch.load(out / "denoiser.pt", weights_only=True)
    model, auto = Denoiser(out), load_autoencoder(out)
    for name, parameter in model.named_parameters():
        parameter.data.copy_(state["average"][name])
    auto.register_to_config(scaling_factor=load_file(out / "latents.safetensors")["scale"].item())
    pipe = pipeline.assemble(model.unet.eval(), model.text.eval(), auto, model.tokenizer)
    pipe.to(torch.float16).save_pretrained(place)
    print(f"{place}: after {state['step'] * BATCH} samples")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/toybox"), help="where stages and checkpoints lie")
    parser.add_argument("--samples", type=int, default=400_000, help="samples the denoiser sees in all")
    parser.add_argument("--images", type=int, default=100_000, help="images the autoencoder sees")
    parser.add_argument("--scenes", type=int, default=100_000, help="scenes drawn for the denoiser")
    parser.add_argument("--peak", type=float, default=8e-4, help="learning rate of the denoiser")
    parser.add_argument("--decay", type=float, default=0.999, help="of the average of its weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from what lies in --out")
    parser.add_argument("--export", type=Path, help="write the pipeline here and stop")
    asked = parser.parse_args()
    if asked.export:
        export(asked.out, asked.export)
        return
    if asked.out.exists() and not asked.resume:
        parser.error(f"{asked.out} exists: add --resume to go on, or name another folder with --out")
    asked.out.mkdir(parents=True, exist_ok=True)
    if not (asked.out / "tokenizer" / "vocab.json").exists():
        tokenizer.write(asked.out / "tokenizer")
    train_autoencoder(asked.out, asked.images, asked.seed)
    cache_latents(asked.out, asked.scenes, asked.seed)
    train_denoiser(asked.out, asked.samples, asked.seed, asked.peak, asked.decay)


if __name__ == "__main__":
    main()
