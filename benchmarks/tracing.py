"""What tracing costs: time and peak memory of a traced generation over an untraced one.

    python benchmarks/tracing.py --json
    python benchmarks/tracing.py --before ../earlier     # of this code and of another checkout's

Two pipelines: a Stable Diffusion 1.5 UNet of full size with random weights (512 x 512, 2 steps,
CFG), and the toybox (25 steps, CFG). Untraced and traced generations alternate, the order turning
round by round; what is printed are medians over the rounds with their range. Run it on a quiet
machine: beside other work the ratio is noise. What is not noise is counted too: the operations of
torch that a generation calls, and the numbers that they make.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from memory import Peak
from rounds import beside, told
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import CLIPTextConfig, CLIPTextModel

import daamkit
from daamkit import resources
from daamkit.toybox import pipeline

PROMPT = "a red cat next to a blue car"


def stable_diffusion_15(device: str, dtype: torch.dtype) -> StableDiffusionPipeline:
    """A UNet of SD 1.5's size with random weights; text encoder and decoder are small."""
    torch.manual_seed(0)
    tokenizer = pipeline.tokenizer(resources.path("toybox", "tokenizer"))
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=768,
        num_hidden_layers=2,
        num_attention_heads=12,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    pipe = StableDiffusionPipeline(
        unet=UNet2DConditionModel(sample_size=64, cross_attention_dim=768),  # the other defaults
        text_encoder=CLIPTextModel(text),
        vae=AutoencoderKL(
            block_out_channels=(8, 8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            norm_num_groups=4,
        ),
        tokenizer=tokenizer,
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return pipe.to(device, dtype)


class Work(TorchDispatchMode):
    """Counts the operations that are called, and the numbers in the tensors that they return."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.operations += 1
        self.numbers += sum(t.numel() for t in tree_leaves(made) if isinstance(t, torch.Tensor))
        return made


def compare(pipe: Any, steps: int, rounds: int, device: str) -> dict[str, Any]:
    """Ratios of traced over untraced generations."""
    pipe.set_progress_bar_config(disable=True)
    peak = Peak(device)

    def plain() -> None:
        pipe(
            PROMPT,
            num_inference_steps=steps,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
        )

    def traced() -> None:
        with daamkit.trace(pipe):
            plain()

    def measure(generate: Callable[[], None]) -> tuple[float, int | None]:
        peak.reset()
        started = time.perf_counter()
        generate()
        memory = peak.read()  # synchronizes
        return time.perf_counter() - started, memory

    counted: dict[Callable, Work] = {}
    for generate in (plain, traced):
        with Work() as counted[generate]:  # the warm-up
            generate()
    results: dict[Callable, list[tuple[float, int | None]]] = {plain: [], traced: []}
    for index in range(rounds):
        for generate in (plain, traced) if index % 2 == 0 else (traced, plain):
            results[generate].append(measure(generate))
    pairs = list(zip(results[traced], results[plain], strict=True))
    with daamkit.trace(pipe) as tracer:
        plain()
    started = time.perf_counter()
    tracer.run.maps.pool()
    return {
        "operations_ratio": round(counted[traced].operations / counted[plain].operations, 4),
        "numbers_ratio": round(counted[traced].numbers / counted[plain].numbers, 4),
        "time_ratio": told([t[0] / p[0] for t, p in pairs], 4),
        "memory_ratio": told([t[1] / p[1] for t, p in pairs], 4) if pairs[0][0][1] else None,
        "untraced_seconds": told([p[0] for _, p in pairs]),
        "heat_map_seconds": round(time.perf_counter() - started, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object and no more")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    parser.add_argument("--only", choices=("sd15", "toybox"))
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="another checkout to compare")
    asked = parser.parse_args()
    if asked.before:
        print(json.dumps(beside(asked.before, asked.rounds), indent=1))
        return
    dtype = getattr(torch, asked.dtype)
    result: dict[str, Any] = {"device": asked.device, "dtype": asked.dtype}
    if asked.only != "sd15":
        toybox = daamkit.load("toybox").to(asked.device, dtype)
        result["toybox"] = compare(toybox, 25, 2 * asked.rounds, asked.device)
        del toybox
    if asked.only != "toybox":
        pipe = stable_diffusion_15(asked.device, dtype)
        result["sd15"] = compare(pipe, 2, asked.rounds, asked.device)
    if not asked.json:
        print("traced / untraced:", file=sys.stderr)
    print(json.dumps(result, indent=None if asked.json else 1))


if __name__ == "__main__":
    main()
