"""Train the joint-attention toybox on scenes of world 2.

    python -m daamkit.toybox.training.flux --out build/flux --samples 225000
    python -m daamkit.toybox.training.flux --out build/flux --samples 225000 --resume
    python -m daamkit.toybox.training.flux --out build/flux --export data/toybox-flux
    python -m daamkit.toybox.training.flux --out build/again --start data/toybox-flux

The tokenizer, the latents and the checkpoint stay in the folder, and a later call goes on from
there; `--hours` stops in time. The last fifth of the samples cools, and what was before is kept as
``before-cooling-N.pt``, which, put in the place of ``denoiser.pt``, prolongs a run. What was
exported before it had seen all its samples can be gone on with on another machine, with `--start`.
The shipped autoencoder is used as it is.

CLIP pools the whole prompt into one vector, and T5's padding, which Flux does not mask, gathers it
too. A model of this size takes from these first and hardly learns to look at words. So in nine of
ten samples the pooled vector is the empty prompt's, padding and the end of the text always are, T5
learns to leave them so, and the keys of text begin louder than those of places: words tell.

Rectified flow (arXiv 2209.03003) with logit-normal times (arXiv 2403.03206), one prompt in ten
empty. Text is padded to 32 tokens, in the second half to 64, 128 and 512 now and then, since Flux
lets the image look at padding.

Until `loop.TOLD_UNTIL` the image's places behind the double blocks also tell which part of what
lies in them (a linear reading, cross-entropy), with a weight that falls to zero by then: the idea
of REPA (arXiv 2410.06940), ended early. Times lie towards the noise, where things take their shape.

Matrices learn by Muon. All this spares hours of a small machine; what did not is to see a part of
the places only, scattered (as MaskDiT's, arXiv 2306.09305) or in a window.
"""

from __future__ import annotations

import argparse
import shutil
import time
import warnings
from pathlib import Path

import torch
from diffusers import FluxPipeline
from diffusers.utils import make_image_grid
from torch.nn import functional as F

from daamkit import compat
from daamkit.toybox import flux, scenes
from daamkit.toybox.training import latents, loop
from daamkit.toybox.training.denoiser import (
    BIAS,
    BLOCKS,
    FluxDenoiser,
    ids,
    packed,
    upper,
)
from daamkit.toybox.training.muon import Muon, parted

LENGTHS, HOW_OFTEN = (32, 64, 128, 512), (0.82, 0.10, 0.06, 0.02)
MUTE = 0.9  # of the samples: CLIP pools an empty prompt
READ = 8_000  # scenes whose captions the tokenizer learns from
TO_NOISE = 1.0  # of the times' logits: where things take their shape (SD3's shift of 3 is 1.1)


def train(
    out: Path,
    samples: int,
    batch: int = 8,
    seed: int = 0,
    peak: float = 6e-4,
    decay: float = 0.9995,
    device: str = "cpu",
    hours: float | None = None,
    grid: int = 0,
    shards: int = 64,
    scenes_folder: Path | None = None,
    start: Path | None = None,
    sides: int = 1,
    to_noise: float = TO_NOISE,
) -> None:
    """Until the model has seen so many samples in all, or for so many hours.

    Scenes come from `shards` shards of `latents`, one after the other and again from the first,
    which lie in `scenes_folder`, by default `out`; of `sides` see `latents.Shard.rows`. `start` is
    an exported pipeline to begin with. The times' logits have the mean `to_noise`.
    """
    auto, number = latents.autoencoder(device), -1
    torch.manual_seed(seed)
    model, seen = FluxDenoiser(out), 0
    if start is not None:
        seen = model.load_weights(start)
    model = model.to(device)
    average = {name: value.detach().clone() for name, value in model.named_parameters()}
    parameters = list(model.parameters())
    matrices, others = parted(model, BLOCKS, but=BIAS)
    optimizer = Muon(matrices, others, peak, betas=(0.9, 0.99), weight_decay=1e-2)
    steps, checkpoint = seen // batch, out / "denoiser.pt"
    if state := loop.resume(checkpoint, model, optimizer, device):
        average, seen, steps = state["average"], state["seen"], state["steps"]
    progress = loop.Progress(samples, seen)
    stop = None if hours is None else time.monotonic() + 3600 * hours

    def keep(place: Path) -> None:
        loop.keep(place, model, optimizer, average=average, seen=seen, steps=steps)

    while seen < samples:
        if (current := seen // latents.SHARD % shards) != number:
            number = current
            shard = latents.shard(scenes_folder or out, number, auto, seed)
            known = torch.tensor(shard.rows(sides))
        rng = torch.Generator().manual_seed(seed * 1_000_003 + steps)
        rows = known[torch.randint(0, len(known), (batch,), generator=rng)]
        clean = packed(shard.latents[rows].float())
        empty = torch.rand(batch, generator=rng) < 0.1
        capital = torch.rand(batch, generator=rng) < 0.15  # T5 tells "A cat" from "a cat"
        texts = [
            "" if blank else upper(shard.captions[row]) if large else shard.captions[row]
            for blank, large, row in zip(
                empty.tolist(), capital.tolist(), rows.tolist(), strict=True
            )
        ]
        length = LENGTHS[int(torch.multinomial(torch.tensor(HOW_OFTEN), 1, generator=rng))]
        length = length if seen > samples / 2 else LENGTHS[0]
        mute = torch.rand(batch, generator=rng) < MUTE
        pooled = ["" if each else text for each, text in zip(mute.tolist(), texts, strict=True)]
        t5_ids, clip_ids = ids(model, texts, pooled, length)
        times = (torch.randn(batch, generator=rng) + to_noise).sigmoid()
        noise = torch.randn(clean.shape, generator=rng)
        at = times.view(-1, 1, 1)
        noisy = (1 - at) * clean + at * noise
        with loop.half(device), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Mismatch dtype")  # torch: a norm is not fused
            velocity, inside, wordless = model(
                *(each.to(device) for each in (noisy, times, t5_ids, clip_ids))
            )
        loss = F.mse_loss(velocity.float(), (noise - clean).to(device))
        total = loss + wordless
        if told := loop.told(seen, samples):
            right = shard.answers[rows].flatten(1).to(device)
            weight = told * (1 - times).to(device).view(-1, 1)  # noise hides what lies where
            each = F.cross_entropy(inside.float().transpose(1, 2), right, reduction="none")
            total = total + (weight * each).mean()
        loop.descend(total, optimizer, loop.rate(seen, samples, peak))
        hot = loop.hot(seen, samples)
        seen, steps = seen + batch, steps + 1
        momentum = min(decay, (1 + steps) / (10 + steps))
        compat.lerp([*average.values()], [p.detach() for p in parameters], 1 - momentum)
        progress.tell(seen, loss.item())
        late = stop is not None and time.monotonic() > stop
        picture = grid and (seen // grid > (seen - batch) // grid or seen >= samples)
        if steps % 100 == 0 or seen >= samples or picture or late:
            keep(checkpoint)
        if hot and not loop.hot(seen, samples):
            keep(out / f"before-cooling-{seen}.pt")
        if picture:
            draw_grid(out, out / f"grid-{seen}.png")
        if late:
            return


def averaged(out: Path) -> tuple[FluxPipeline, int]:
    """The pipeline with the averaged weights of the checkpoint, and the samples they have seen."""
    state = torch.load(out / "denoiser.pt", map_location="cpu", weights_only=True)
    model = FluxDenoiser(out)
    for name, parameter in model.named_parameters():
        parameter.data.copy_(state["average"][name])
    compat.clear_hooks(model.transformer.transformer_blocks[-1])
    pipe = flux.assemble(
        model.transformer.eval(),
        model.t5.eval(),
        model.t5_tokenizer,
        model.clip.eval(),
        model.clip_tokenizer,
        latents.autoencoder(),
    )
    return pipe, state["seen"]


def draw_grid(out: Path, place: Path) -> None:
    """What the checkpoint draws: three rows of six, prompts and seeds always the same."""
    pipe, _ = averaged(out)
    pipe.set_progress_bar_config(disable=True)
    drawn = scenes.sample(18, seed=1_000_000, world=2, split="training")
    generators = [torch.Generator().manual_seed(index) for index in range(len(drawn))]
    images = pipe(
        [scene.caption for scene in drawn],
        negative_prompt=[""] * len(drawn),
        generator=generators,
        num_inference_steps=20,
        **flux.CALL,
    ).images
    make_image_grid(images, rows=3, cols=6).save(place)


def export(out: Path, place: Path, samples: int, drawn: Path | None = None) -> None:
    """Write the averaged weights as a float16 pipeline folder, and how far they are; `drawn` is the
    folder of the scenes, by default `out`."""
    pipe, seen = averaged(out)
    pipe.vae.register_to_config(_name_or_path="")  # where it lay here is nobody's business
    pipe.to(torch.float16).save_pretrained(place)
    loop.portable(place)
    loop.tell_how_far(place, seen, samples, latents.count(drawn or out))


def main(argv: list[str] | None = None) -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("build/flux"), help="where stages lie")
    parser.add_argument("--samples", type=int, default=200_000, help="samples to see in all")
    parser.add_argument("--hours", type=float, help="stop after so long; --resume goes on")
    parser.add_argument("--grid", type=int, default=20_000, help="a picture every so many samples")
    parser.add_argument(
        "--shards",
        type=int,
        default=64,
        help=f"{latents.SHARD} scenes each, before they come again",
    )
    parser.add_argument("--scenes", type=Path, help="folder of the scenes' latents; default: --out")
    parser.add_argument("--sides", type=int, default=1, help="see `latents.Shard.rows`")
    parser.add_argument(
        "--to-noise",
        type=float,
        default=TO_NOISE,
        help="mean of the times' logits: layouts are learned where noise is high, shapes below",
    )
    parser.add_argument("--batch", type=int, default=8, help="samples a step")
    parser.add_argument("--peak", type=float, default=6e-4, help="learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from what lies in --out")
    parser.add_argument("--start", type=Path, help="an exported pipeline to begin with")
    parser.add_argument("--export", type=Path, help="write the pipeline here and stop")
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda"
    )
    asked = parser.parse_args(argv)
    if asked.export:
        export(asked.out, asked.export, asked.samples, asked.scenes)
        return
    if asked.out.exists() and not asked.resume:
        parser.error(f"{asked.out} exists: add --resume to go on, or name another with --out")
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.start and not (asked.out / "tokenizer_2").exists():
        shutil.copytree(asked.start / "tokenizer_2", asked.out / "tokenizer_2")
    if not (asked.out / "tokenizer_2").exists():
        drawn = scenes.sample(READ, asked.seed, world=2, split="training")
        captions = [scene.caption for scene in drawn]
        flux.learn_t5_tokenizer(captions).save_pretrained(asked.out / "tokenizer_2")
    train(
        asked.out, asked.samples, asked.batch, asked.seed, asked.peak,
        device=asked.device, hours=asked.hours, grid=asked.grid, shards=asked.shards,
        scenes_folder=asked.scenes, start=asked.start, sides=asked.sides, to_noise=asked.to_noise,
    )  # fmt: skip


if __name__ == "__main__":
    main()
