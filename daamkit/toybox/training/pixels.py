"""Train a diffusion of drawn scenes in pixels, without text: Self-Attention Guidance's own setting.

    python -m daamkit.toybox.training.pixels --out build/pixels --samples 200000
    python -m daamkit.toybox.training.pixels --out build/pixels --samples 200000 --resume
    python -m daamkit.toybox.training.pixels --out build/pixels --classifier 60000 --resume

Scenes of world 1, 64 x 64 pixels, self-attention at 32 x 32, 16 x 16 and 8 x 8 as in the paper
(arXiv 2210.00939); ``--side 32`` has them at 16 x 16 and 8 x 8, for a few hours of one core. Each
stage leaves its result in the folder and a later call goes on from there; ``--export FOLDER``
writes the `DDIMPipeline` that diffusers opens, with the classifier of noisy pictures beside it,
if there is one (``--classifier``: which thing is the largest; arXiv 2105.05233). `daamkit.guide`
guides it, and `daamkit study self_attention --model FOLDER` compares its images.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel
from diffusers.models.embeddings import get_timestep_embedding
from jaxtyping import Float, UInt8
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from daamkit import compat
from daamkit.toybox import scenes
from daamkit.toybox.sprites import THINGS
from daamkit.toybox.training import loop
from daamkit.toybox.training.loop import Progress

SIDE = 64
WIDTHS = {64: (32, 64, 96, 128), 32: (32, 64, 128)}  # of the blocks, down to 8 x 8 cells
SCENES = "scenes.safetensors"
CLASSIFIER = "classifier.safetensors"  # beside the pipeline's own files


def model(side: int = SIDE) -> UNet2DModel:
    """The denoiser: 3.8 M parameters for a side of 64, 2.8 M for 32."""
    attending = len(WIDTHS[side]) - 1
    return UNet2DModel(
        sample_size=side,
        block_out_channels=WIDTHS[side],
        layers_per_block=1,
        down_block_types=("DownBlock2D", *["AttnDownBlock2D"] * attending),
        up_block_types=(*["AttnUpBlock2D"] * attending, "UpBlock2D"),
        attention_head_dim=16,
        norm_num_groups=16,
    )


def scheduler() -> DDIMScheduler:
    """Cosine levels, v-prediction, trailing time steps."""
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=False,
        clip_sample=True,
    )


class Classifier(nn.Module):
    """Which thing is the largest in a noisy picture; 0.75 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 32, 3, padding=1)
        self.times = nn.Linear(64, 32)
        widths = (32, 64, 96, 128, 128)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(8, a), nn.SiLU(), nn.Conv2d(a, b, 3, stride=2, padding=1),
                nn.GroupNorm(8, b), nn.SiLU(), nn.Conv2d(b, b, 3, padding=1),
            )
            for a, b in zip(widths, widths[1:], strict=False)
        )  # fmt: skip
        self.last = nn.Linear(widths[-1], len(THINGS))

    def forward(
        self, x: Float[Tensor, "n 3 side side"], times: Tensor
    ) -> Float[Tensor, "n things"]:
        """Logits of `sprites.THINGS`, of pictures as the denoiser sees them and its times."""
        said = self.times(get_timestep_embedding(times, 64).to(x.dtype))
        x = self.first(x) + said[:, :, None, None]
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.last(F.silu(x).mean((2, 3)))
        return logits


def reduced(pictures: Iterator[np.ndarray], side: int = SIDE) -> UInt8[Tensor, "n 3 side side"]:
    """Pictures of 128 x 128 as the model has them, uint8."""
    small = [np.asarray(Image.fromarray(each).resize((side, side), Image.Resampling.BOX))
             for each in pictures]  # fmt: skip
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).contiguous()


def draw_scenes(out: Path, n: int, seed: int, side: int = SIDE) -> None:
    """Draw n scenes once: their pictures, and which thing is the largest."""
    place = out / SCENES
    if place.exists():
        return
    drawn = scenes.sample(n, seed)
    largest = [
        THINGS.index(scene.things[int(scene.masks.sum((1, 2)).argmax())].name) for scene in drawn
    ]
    pictures = reduced((scene.image for scene in drawn), side)
    loop.write_tensors({"pictures": pictures, "largest": torch.tensor(largest)}, place)


def train(
    out: Path,
    samples: int,
    what: str = "denoiser",
    batch: int = 32,
    seed: int = 0,
    peak: float = 4e-4,
    device: str = "cpu",
    keep_every: int = 100,
    total: int | None = None,
) -> None:
    """Train the "denoiser" (v-prediction) or the "classifier" to so many samples in all, going on
    from its checkpoint; `total` is where the rate has cooled down, if that is later."""
    data = load_file(out / SCENES)
    torch.manual_seed(seed)
    net = _net(out, what).to(device)
    average = {name: value.detach().clone() for name, value in net.named_parameters()}
    optimizer = torch.optim.AdamW(net.parameters(), peak, betas=(0.9, 0.99), weight_decay=1e-3)
    seen, checkpoint = 0, out / f"{what}.pt"
    if state := loop.resume(checkpoint, net, optimizer, device):
        average, seen = state["average"], state["seen"]
    progress, signal = Progress(samples, seen), scheduler().alphas_cumprod
    while seen < samples:
        step = seen // batch
        rng = torch.Generator().manual_seed(seed * 1_000_003 + step)
        rows = torch.randint(0, len(data["pictures"]), (batch,), generator=rng)
        clean = data["pictures"][rows].float() / 127.5 - 1
        times = torch.randint(0, 1000, (batch,), generator=rng)
        noise = torch.randn(clean.shape, generator=rng)
        a = signal[times].view(-1, 1, 1, 1)
        noisy = (a.sqrt() * clean + (1 - a).sqrt() * noise).to(device)
        with loop.half(device):
            found = net(noisy, times.to(device))
            if what == "classifier":
                loss = F.cross_entropy(found.float(), data["largest"][rows].to(device))
            else:
                velocity = (a.sqrt() * noise - (1 - a).sqrt() * clean).to(device)
                loss = F.mse_loss(found.sample.float(), velocity)
        loop.descend(loss, optimizer, loop.rate(seen, total or samples, peak))
        seen += batch
        momentum = min(0.999, (1 + step) / (10 + step))
        now = [p.detach() for p in net.parameters()]
        compat.lerp([*average.values()], now, 1 - momentum)
        progress.tell(seen, loss.item())
        if (step + 1) % keep_every == 0 or seen >= samples:
            loop.keep(checkpoint, net, optimizer, average=average, seen=seen)


def _net(out: Path, what: str) -> nn.Module:
    """A new part, for scenes as large as those that were drawn."""
    return model(_side(out)) if what == "denoiser" else Classifier()


def _side(out: Path) -> int:
    with safe_open(out / SCENES, "pt") as data:
        return int(data.get_slice("pictures").get_shape()[-1])


def averaged(out: Path, what: str) -> nn.Module:
    """A trained part with the averaged weights of its checkpoint."""
    net = _net(out, what)
    state = torch.load(out / f"{what}.pt", map_location="cpu", weights_only=True)
    net.load_state_dict(net.state_dict() | state["average"])
    return net.eval()


def export(out: Path, place: Path) -> None:
    """Write the pipeline, and the classifier if there is one."""
    DDIMPipeline(averaged(out, "denoiser"), scheduler()).save_pretrained(place)
    if (out / "classifier.pt").exists():
        loop.write_tensors(averaged(out, "classifier").state_dict(), place / CLASSIFIER)


def load_classifier(folder: Path) -> Classifier:
    """The classifier that lies beside an exported pipeline."""
    net = Classifier().eval()
    net.load_state_dict(load_file(folder / CLASSIFIER))
    return net.requires_grad_(False)


def main(argv: list[str] | None = None) -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("build/pixels"))
    parser.add_argument("--samples", type=int, default=200_000, help="the denoiser sees in all")
    parser.add_argument("--classifier", type=int, default=0, metavar="N", help="its samples")
    parser.add_argument("--scenes", type=int, default=30_000, help="drawn for both")
    parser.add_argument("--side", type=int, choices=WIDTHS, default=SIDE, help="of a picture")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from what lies in --out")
    parser.add_argument("--export", type=Path, help="write the pipeline here and stop")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    asked = parser.parse_args(argv)
    if asked.export:
        export(asked.out, asked.export)
        return
    if asked.out.exists() and not asked.resume:
        parser.error(f"{asked.out} exists: add --resume to go on, or name another folder")
    asked.out.mkdir(parents=True, exist_ok=True)
    draw_scenes(asked.out, asked.scenes, asked.seed, asked.side)
    if (drawn := _side(asked.out)) != asked.side:
        parser.error(
            f"{asked.out} has scenes of --side {drawn}: ask for that, or name another folder"
        )
    for what, samples in (("denoiser", asked.samples), ("classifier", asked.classifier)):
        train(asked.out, samples, what, asked.batch, asked.seed, device=asked.device)


if __name__ == "__main__":
    main()
