"""Train the toybox from nothing: tokenizer, autoencoder, latents, then the denoiser.

    python -m daamkit.toybox.training.unet --out build/toybox --samples 400000
    python -m daamkit.toybox.training.unet --out build/toybox --samples 600000 --resume
    python -m daamkit.toybox.training.unet --out build/toybox --hours 2 --resume
    python -m daamkit.toybox.training.unet --out build/toybox-2 --world 2 --samples 220000 --sides 4

With ``--world 2`` the tokenizer and the autoencoder are the shipped ones, and the scenes are the
shards of `latents`, which hold no composition of `heldout`. As in `training.flux`, places
within the UNet also tell what lies in them at first, weights learn by Muon, and what was exported
early can be gone on with on another machine, with `--start`.

Each stage leaves its result in the folder, and a later call goes on from there; `--export` writes
the pipeline that diffusers opens. With `--hours` the denoiser stops in time, however many samples
that makes; `grid-N.png` shows what it draws after N samples. The denoiser learns at a constant rate
and cools down over the last fifth of its samples; what it was before is kept as
``before-cooling-N.pt``, which, put in the place of ``denoiser.pt``, prolongs a run.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import make_image_grid
from torch import Tensor, nn
from torch.nn import functional as F

from daamkit import compat, resources
from daamkit.toybox import pipeline, scenes, tokenizer
from daamkit.toybox.training import autoencoder, latents, loop
from daamkit.toybox.training.lessons import Cached, SceneLessons, Shards
from daamkit.toybox.training.loop import Progress
from daamkit.toybox.training.muon import Muon, parted

GRID_STEPS = 25  # of its pictures
BLOCKS = ("down_blocks.", "mid_block.", "up_blocks.", "encoder.layers.")


class UNetDenoiser(nn.Module):
    """The UNet and its text encoder, trained together."""

    def __init__(self, out: Path) -> None:
        super().__init__()
        self.tokenizer = pipeline.tokenizer(out / "tokenizer")
        self.unet, self.text = pipeline.unet(), pipeline.text_encoder(self.tokenizer)
        width = self.unet.config.block_out_channels[-1]
        self.reading = nn.Linear(width, len(latents.NAMES) * latents.PARTS)
        self._behind: list[Tensor] = []
        self.unet.up_blocks[0].register_forward_hook(
            lambda module, given, made: self._behind.append(made)
        )

    def forward(self, noisy: Tensor, times: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Velocity (n, 4, 32, 32), and scores of `latents.answers` (n, 16, 16, answers)."""
        self._behind.clear()
        text = self.text(input_ids=ids).last_hidden_state
        velocity = self.unet(noisy, times, text).sample
        return velocity, self.reading(self._behind.pop().permute(0, 2, 3, 1))

    def load_weights(self, folder: Path) -> int:
        """Take the weights of an exported pipeline; returns how many samples of world 2 they have
        seen."""
        pipe = StableDiffusionPipeline.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32, low_cpu_mem_usage=False
        )
        self.unet.load_state_dict(pipe.unet.state_dict())
        self.text.load_state_dict(pipe.text_encoder.state_dict())
        return loop.how_far(folder)


def train_denoiser(
    out: Path,
    samples: int,
    batch: int = 16,
    seed: int = 0,
    peak: float = 6e-4,
    decay: float = 0.999,
    device: str = "cpu",
    hours: float | None = None,
    grid: int = 0,
    compiled: bool = False,
    lessons: SceneLessons | None = None,
    start: Path | None = None,
) -> None:
    """v-prediction with min-SNR weights (gamma 5, arXiv 2303.09556), one prompt in ten empty.

    As no signal is left at the last time, weights count SNR + 1: else it would teach nothing.

    With `hours`, as many samples in all as that leaves time for. `lessons` are by default the
    latents in the folder. `start` is an exported pipeline to begin with.
    """
    lessons = lessons or Cached(out)
    torch.manual_seed(seed)
    model, seen = UNetDenoiser(out), 0
    if start is not None:
        seen = model.load_weights(start)
    model = model.to(device)
    model.unet.to(memory_format=torch.channels_last)
    average = {name: value.detach().clone() for name, value in model.named_parameters()}
    parameters = list(model.parameters())
    weights, others = parted(model, BLOCKS)
    optimizer = Muon(weights, others, peak, betas=(0.9, 0.99), weight_decay=1e-3)
    empty = torch.tensor(model.tokenizer("", padding="max_length").input_ids)
    signal = pipeline.scheduler().alphas_cumprod
    steps, options = seen // batch, {"batch": batch, "seed": seed, "peak": peak, "decay": decay}
    checkpoint = out / "denoiser.pt"
    if state := loop.resume(checkpoint, model, optimizer, device):
        average, seen, steps = state["average"], state["seen"], state["steps"]
        for name, value in state.get("options", {}).items():
            if options[name] != value:
                print(f"--{name} was {value} before and is {options[name]} from here on")
    progress = Progress(samples, seen)
    deadline = None if hours is None else time.monotonic() + 3600 * hours
    if deadline is not None:  # until the first steps have shown the speed
        samples = max(samples, seen + batch)
    predict = torch.compile(model) if compiled else model

    def keep(place: Path) -> None:
        counts = {"seen": seen, "steps": steps, "options": options}
        loop.keep(place, model, optimizer, average=average, **counts)

    while seen < samples:
        rng = torch.Generator().manual_seed(seed * 1_000_003 + steps)
        known, ids, answers = lessons.at(seen)
        rows = torch.randint(0, len(known), (batch,), generator=rng)
        clean = known[rows].float()
        tokens = ids[rows].long()
        tokens[torch.rand(batch, generator=rng) < 0.1] = empty
        times = torch.randint(0, 1000, (batch,), generator=rng)
        a = signal[times].view(-1, 1, 1, 1)
        noise = torch.randn(clean.shape, generator=rng)
        noisy = a.sqrt() * clean + (1 - a).sqrt() * noise
        velocity = a.sqrt() * noise - (1 - a).sqrt() * clean
        noisy = noisy.to(device).contiguous(memory_format=torch.channels_last)
        with loop.half(device):
            prediction, inside = predict(noisy, times.to(device), tokens.to(device))
        snr = a / (1 - a)
        weight = ((snr + 1).clamp(max=5) / (snr + 1)).to(device)
        loss = (weight * (prediction.float() - velocity.to(device)) ** 2).mean()
        total = loss
        if answers is not None and (told := loop.told(seen, samples)):
            right = answers[rows].to(device)
            each = F.cross_entropy(inside.float().permute(0, 3, 1, 2), right, reduction="none")
            total = loss + told * (a.squeeze(1).to(device) * each).mean()
        loop.descend(total, optimizer, loop.rate(seen, samples, peak))
        hot = loop.hot(seen, samples)
        seen, steps = seen + batch, steps + 1
        momentum = min(decay, (1 + steps) / (10 + steps))
        compat.lerp([*average.values()], [p.detach() for p in parameters], 1 - momentum)
        progress.tell(seen, loss.item())
        if deadline is not None:
            samples = progress.total = progress.reached(deadline)
        picture = grid and (seen // grid > (seen - batch) // grid or seen >= samples)
        if steps % 250 == 0 or seen >= samples or picture:
            keep(checkpoint)
        if hot and not loop.hot(seen, samples):
            keep(out / f"before-cooling-{seen}.pt")
        if picture:
            draw_grid(out, out / f"grid-{seen}.png", lessons.world)


def averaged(out: Path) -> tuple[StableDiffusionPipeline, int]:
    """The pipeline with the averaged weights of the checkpoint, and the samples they have seen."""
    state = torch.load(out / "denoiser.pt", map_location="cpu", weights_only=True)
    model, auto = UNetDenoiser(out), autoencoder.trained(out)
    for name, parameter in model.named_parameters():
        parameter.data.copy_(state["average"][name])
    compat.clear_hooks(model.unet.up_blocks[0])
    pipe = pipeline.assemble(model.unet.eval(), model.text.eval(), auto, model.tokenizer)
    return pipe, state["seen"]


def draw_grid(out: Path, place: Path, world: int = 1) -> None:
    """What the checkpoint draws: two rows of six, prompts and seeds always the same."""
    pipe, _ = averaged(out)
    pipe.set_progress_bar_config(disable=True)
    prompts = [scene.caption for scene in scenes.sample(12, seed=1_000_000, world=world)]
    generators = [torch.Generator().manual_seed(index) for index in range(len(prompts))]
    images = pipe(prompts, generator=generators, num_inference_steps=GRID_STEPS).images
    make_image_grid(images, rows=2, cols=6).save(place)


def export(out: Path, place: Path, samples: int, drawn: Path | None = None) -> None:
    """Write the averaged weights as a float16 pipeline folder, and how far they are; `drawn` is the
    folder of the scenes, by default `out`."""
    pipe, seen = averaged(out)
    pipe.to(torch.float16).save_pretrained(place)
    loop.portable(place)
    loop.tell_how_far(place, seen, samples, latents.count(drawn or out))


def world_2(out: Path, shards: int, drawn: Path | None, device: str, sides: int) -> Shards:
    """The shipped tokenizer and autoencoder put into the folder, and the scenes of world 2."""
    if not (out / "tokenizer" / "vocab.json").exists():
        shutil.copytree(resources.path("toybox", "tokenizer"), out / "tokenizer")
    if not (out / "autoencoder.safetensors").exists():
        loop.write_tensors(latents.autoencoder().state_dict(), out / "autoencoder.safetensors")
    return Shards(out, shards, drawn or out, device, sides)


def main(argv: list[str] | None = None) -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/toybox"), help="where stages and checkpoints lie"
    )
    parser.add_argument(
        "--samples", type=int, default=400_000, help="samples the denoiser sees in all"
    )
    parser.add_argument(
        "--hours", type=float, help="let the denoiser learn so long instead, in this call"
    )
    parser.add_argument(
        "--grid", type=int, default=20_000, help="draw a picture every so many samples; 0: never"
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="of the denoiser, a sixth faster; wants a C++ compiler",
    )
    parser.add_argument(
        "--images",
        type=int,
        default=100_000,
        help="32 a step of the autoencoder (the last quarter: 16, but whole)",
    )
    parser.add_argument("--scenes", type=int, default=100_000, help="scenes drawn for the denoiser")
    parser.add_argument("--world", type=int, default=1, choices=[1, 2])
    parser.add_argument("--shards", type=int, default=64, help="of world 2's scenes")
    parser.add_argument(
        "--sides",
        type=int,
        default=1,
        help="of world 2's scenes; see `latents.Shard.rows`",
    )
    parser.add_argument("--drawn", type=Path, help="folder of world 2's shards; default: --out")
    parser.add_argument("--batch", type=int, default=16, help="samples a step of the denoiser")
    parser.add_argument("--peak", type=float, default=6e-4, help="learning rate of the denoiser")
    parser.add_argument("--decay", type=float, default=0.999, help="of the average of its weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from what lies in --out")
    parser.add_argument("--start", type=Path, help="an exported pipeline to begin with")
    parser.add_argument("--export", type=Path, help="write the pipeline here and stop")
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda"
    )
    asked = parser.parse_args(argv)
    if asked.export:
        export(asked.out, asked.export, asked.samples, asked.drawn)
        return
    if asked.out.exists() and not asked.resume:
        parser.error(
            f"{asked.out} exists: add --resume to go on, or name another folder with --out"
        )
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.world == 2:
        lessons: SceneLessons | None = world_2(
            asked.out, asked.shards, asked.drawn, asked.device, asked.sides
        )
    else:
        lessons = None
        if not (asked.out / "tokenizer" / "vocab.json").exists():
            tokenizer.write(asked.out / "tokenizer")
        autoencoder.train(asked.out, asked.images, asked.seed, asked.device)
        autoencoder.cache_latents(asked.out, asked.scenes, asked.seed, asked.device)
    train_denoiser(
        asked.out,
        asked.samples,
        asked.batch,
        asked.seed,
        asked.peak,
        asked.decay,
        asked.device,
        asked.hours,
        asked.grid,
        asked.compile,
        lessons,
        asked.start,
    )


if __name__ == "__main__":
    main()
