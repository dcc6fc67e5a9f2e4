"""What guidance costs: daamkit's beside that of diffusers' deprecated pipelines.

    python benchmarks/guidance.py --json
    python benchmarks/guidance.py --device cuda --dtype float16 --steps 50 --rounds 5
    python benchmarks/guidance.py --own --steps 2 --before ../earlier    # and another checkout's

Attend-and-Excite and Self-Attention Guidance on a Stable Diffusion 1.5 UNet of full size with
random weights (512 x 512, CFG 7.5, DDIM), the same for both sides. The bars:

| | | bar |
|---|---|---|
| run | Attend-and-Excite, half of the steps guided, none refined: diffusers / daamkit | 1.2 |
| iteration | of its refinement, forward and backward: diffusers / daamkit | 1.35 |
| self_attention | a run of a third as many steps, all guided: diffusers / daamkit | 1.0 |
| memory | peak of Attend-and-Excite above the resting model: daamkit / diffusers | 0.5 at most |

Both generate in turn, the order changing round by round; seconds are medians over rounds, ratios
medians of the rounds' ratios, with their range. An iteration lasts from the start of one pass
through the UNet to the start of the next; what diffusers runs before and after them is left out.
Memory is that of a fresh process for each side and round, and of two guided steps: diffusers holds
one graph while it builds the next.
Walks are how often all modules of the UNet are gone through in a guided step with two iterations of
refinement: each loss must find its sites and freeze the weights without.
FLOPs are those of matrix products, convolutions and fused attention (whose backward pass computes
its products once more), counted in short generations that also warm up; a run's are its steps' sum.

--own leaves diffusers' side and the walks out: what daamkit alone takes, for --before.

Run it on a quiet machine. On two cores a round takes 20 minutes and 20 GB of memory; --small, a
UNet a tenth as wide on which the ratios mean little, tries the script in a minute.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch
from diffusers import (
    StableDiffusionAttendAndExcitePipeline,
    StableDiffusionPipeline,
    StableDiffusionSAGPipeline,
    UNet2DConditionModel,
)
from diffusers.utils import logging
from memory import Peak
from rounds import beside, told
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop, sdpa_flop
from tracing import stable_diffusion_15

import daamkit

PROMPT, TOKENS = "a cat and a car", [2, 5]
SIDES = ("diffusers", "daamkit")
EXTRA, OWN = 1, 2  # batch rows of a method's passes and, with CFG, of the pipeline's own
NEVER = 0.9999  # a threshold that no attention reaches: refinement goes on to its cap
BARS = {"run": 1.2, "iteration": 1.35, "self_attention": 1.0, "memory": 0.5}

Generate = Callable[..., Tensor]  # latents, of so many steps
Sides = dict[str, Generate]  # by the names of `SIDES`, or of some of them
Numbers = tuple[int, ...]


def attend_and_excite(pipe: StableDiffusionPipeline) -> Sides:
    """Generate so many steps, so many of them guided, the first with so many iterations."""
    theirs, method = _like(pipe, StableDiffusionAttendAndExcitePipeline), daamkit.AttendAndExcite
    refine = theirs._perform_iterative_refinement_step  # its cap is no argument of the call
    grid = (pipe.unet.config.sample_size // 4,) * 2

    def options(guided: int, iterations: int) -> dict[str, Any]:
        thresholds = {0: NEVER} if iterations else {}
        return {"max_iter_to_alter": guided, "thresholds": thresholds, "attn_res": grid}

    def diffusers(steps: int, guided: int, iterations: int = 0) -> Tensor:
        capped = partial(refine, max_refinement_steps=iterations)
        theirs._perform_iterative_refinement_step = capped
        return _generate(theirs, steps, token_indices=TOKENS, **options(guided, iterations))

    def ours(steps: int, guided: int, iterations: int = 0) -> Tensor:
        how = options(guided, iterations) | {"max_refinement_steps": iterations}
        with daamkit.guide(pipe, method(TOKENS, **how)):
            return _generate(pipe, steps)

    return {"diffusers": diffusers, "daamkit": ours}


def self_attention(pipe: StableDiffusionPipeline) -> Sides:
    """Generate so many steps."""
    theirs, method = _like(pipe, StableDiffusionSAGPipeline), daamkit.SelfAttentionGuidance

    def diffusers(steps: int) -> Tensor:
        return _generate(theirs, steps, sag_scale=0.75)

    def ours(steps: int) -> Tensor:
        with daamkit.guide(pipe, method(scale=0.75)):
            return _generate(pipe, steps)

    return {"diffusers": diffusers, "daamkit": ours}


def _like(pipe: StableDiffusionPipeline, kind: type) -> Any:
    """Another pipeline of the same parts."""
    parts = {name: part for name, part in pipe.components.items() if name != "image_encoder"}
    other = kind(**parts, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    return other


def _generate(pipe: Any, steps: int, **options: Any) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    options |= {"guidance_scale": 7.5, "generator": generator, "output_type": "latent"}
    latents: Tensor = pipe(PROMPT, num_inference_steps=steps, **options).images
    return latents


@dataclass
class Passes:
    """What a gauge, say a clock, showed in a generation: when it began and ended, and when each
    pass through the UNet did, by the pass's batch rows."""

    start: float
    end: float = 0.0
    latents: Tensor = field(default_factory=lambda: torch.empty(0))
    begins: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    ends: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    def run(self) -> float:
        return self.end - self.start

    def steps(self) -> list[float]:
        """From the first pass, then from the end of each of the pipeline's own to the next's."""
        return _between([min(begins[0] for begins in self.begins.values()), *self.ends[OWN]])

    def forward(self) -> float:
        """The first extra pass."""
        return self.ends[EXTRA][0] - self.begins[EXTRA][0]

    def iterations(self, number: int) -> list[float]:
        """So many of refinement, in a generation of one step."""
        found = _between(self.begins[EXTRA])[-number:]  # diffusers does not use its first pass
        if len(found) < number:
            raise RuntimeError(f"wanted {number} iterations of refinement, got {len(found)}")
        return found


Reading = Callable[[Passes], float]


def _between(marks: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(marks)]


def watch(unet: nn.Module, gauge: Callable[[], float], generate: Generate, *asked: int) -> Passes:
    """Generate, and read the gauge all the while."""

    def rows(args: tuple, kwargs: dict[str, Any]) -> int:
        return len(args[0] if args else kwargs["sample"])

    def before(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        passes.begins[rows(args, kwargs)].append(gauge())

    def after(module: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any) -> None:
        passes.ends[rows(args, kwargs)].append(gauge())

    hooks = [
        unet.register_forward_pre_hook(before, with_kwargs=True),
        unet.register_forward_hook(after, with_kwargs=True, always_call=True),  # early exits too
    ]
    passes = Passes(gauge())
    passes.latents = generate(*asked)
    passes.end = gauge()
    for hook in hooks:
        hook.remove()
    return passes


def walks(unet: nn.Module, generate: Generate, *asked: int) -> int:
    """How often a generation goes through all modules of the UNet."""
    own, count = unet.named_modules, 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        return own(*args, **kwargs)

    unet.__dict__["named_modules"] = counted
    try:
        generate(*asked)
    finally:
        del unet.__dict__["named_modules"]
    return count


def seconds() -> float:
    """A clock that waits for the GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class Flops(FlopCounterMode):
    """Knows what fused attention does on a CPU, too. Modules are not tracked: that would keep all
    graphs alive, and refuse the gradient of a leaf."""

    def __init__(self) -> None:
        super().__init__(display=False)
        fused, ops = "_scaled_dot_product_flash_attention_for_cpu", torch.ops.aten
        self.flop_registry[getattr(ops, fused)] = sdpa_flop
        self.flop_registry[getattr(ops, f"{fused}_backward")] = sdpa_backward_flop

    def __enter__(self) -> Flops:
        super().__enter__()
        self.mod_tracker.__exit__()
        return self


class Comparison:
    """Both sides' generations: a short one of each in FLOPs, and in rounds long ones in seconds."""

    def __init__(
        self, unet: nn.Module, sides: Sides, short: Numbers, long: Numbers, rounds: int
    ) -> None:
        self.counted = dict[str, Passes]()
        self.timed: dict[str, list[Passes]] = {name: [] for name in sides}
        for name, side in sides.items():
            with Flops() as flops:
                self.counted[name] = watch(unet, flops.get_total_flops, side, *short)
        for index in range(rounds):
            for name in sides if index % 2 == 0 else reversed(sides):
                self.timed[name].append(watch(unet, seconds, sides[name], *long))

    def line(self, took: Reading, flops: Reading) -> dict[str, Any]:
        """Seconds and GFLOPs of both, and diffusers' / daamkit's."""
        taken = {name: [took(passes) for passes in side] for name, side in self.timed.items()}
        done = {name: flops(passes) / 1e9 for name, passes in self.counted.items()}
        line = {"seconds": _medians(taken), "gflops": _medians({n: [g] for n, g in done.items()})}
        if len(taken) == 1:
            return line
        ratio = told([t / o for t, o in zip(*taken.values(), strict=True)])
        line |= {"ratio": ratio["median"], "range": ratio["range"]}
        return line | {"gflops_ratio": round(done["diffusers"] / done["daamkit"], 3)}

    def difference(self) -> float:
        """How far the short generations' latents are apart, as a share of the greatest."""
        latents = [passes.latents.double() for passes in self.counted.values()]
        return float(f"{(latents[0] - latents[-1]).abs().max() / latents[0].abs().max():.1e}")


def _medians(found: dict[str, list[float]]) -> dict[str, float]:
    return {name: round(median(values), 3) for name, values in found.items()}


def compare(
    pipe: StableDiffusionPipeline, steps: int, rounds: int, names: Sequence[str] = SIDES
) -> dict[str, Any]:
    """All that the docstring of this file names, but memory."""

    def known(sides: Sides) -> Sides:
        return {name: sides[name] for name in names}

    guided, fewer = steps // 2, max(steps // 3, 1)

    def run(short: Passes) -> float:
        first, second = short.steps()
        return guided * first + (steps - guided) * second

    sides = known(attend_and_excite(pipe))
    plain = Comparison(pipe.unet, sides, (2, 1), (steps, guided), rounds)
    refined = Comparison(pipe.unet, sides, (1, 0, 1), (1, 0, 2), rounds)
    other = Comparison(pipe.unet, known(self_attention(pipe)), (1,), (fewer,), rounds)
    found: dict[str, Any] = {
        "run": plain.line(Passes.run, run),
        "guided_step": plain.line(lambda p: median(p.steps()[:guided]), lambda p: p.steps()[0]),
        "forward": plain.line(Passes.forward, Passes.forward),
        "iteration": refined.line(lambda p: median(p.iterations(2)), lambda p: p.iterations(1)[0]),
        "self_attention": other.line(Passes.run, lambda p: fewer * p.steps()[0]),
    }
    if len(names) == 1:
        return found
    found["walks"] = {
        name: walks(pipe.unet, side, 1, 1, 2) - walks(pipe.unet, side, 1, 0, 0)
        for name, side in sides.items()
    }
    return found | {"difference": {"run": plain.difference(), "self_attention": other.difference()}}


def grown(pipe: StableDiffusionPipeline, side: str, peak: Peak) -> float | None:
    """MiB at the peak of two guided steps, above those of the resting model."""
    generate = attend_and_excite(pipe)[side]
    peak.reset()
    rest = peak.read()
    generate(2, 2)
    most = peak.read()
    return None if most is None or rest is None else (most - rest) / 2**20


def memory(rounds: int, names: Sequence[str] = SIDES) -> dict[str, Any]:
    """`grown` by each side, in a process of its own, and daamkit's / diffusers'."""
    found: dict[str, list[float]] = {side: [] for side in names}
    for side in [*names] * rounds:
        command = [sys.executable, *sys.argv, "--peak", side]
        run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        if (said := json.loads(run.stdout)) is None:
            return {}
        found[side].append(said)
    line: dict[str, Any] = {"mib": _medians(found)}
    if len(found) == 1:
        return line
    ratio = told([o / t for t, o in zip(*found.values(), strict=True)])
    return line | {"ratio": ratio["median"], "range": ratio["range"]}


def small(device: str, dtype: torch.dtype) -> StableDiffusionPipeline:
    """The toybox with a random UNet in the form of Stable Diffusion 1.5's, a tenth as wide."""
    torch.manual_seed(0)
    pipe, widths = daamkit.load("toybox"), (32, 64, 128, 128)
    unet = UNet2DConditionModel(
        32, block_out_channels=widths, cross_attention_dim=128, attention_head_dim=4
    )
    pipe.register_modules(unet=unet)
    return pipe.to(device, dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object and no more")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    parser.add_argument("--small", action="store_true", help="a small UNet, to try the script")
    parser.add_argument("--own", action="store_true", help="daamkit's side alone")
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="another checkout to compare")
    parser.add_argument("--peak", choices=SIDES, help=argparse.SUPPRESS)  # for `memory`
    asked = parser.parse_args()
    if asked.steps < 2 or asked.rounds < 1:
        parser.error("wanted 2 --steps and 1 of --rounds, or more")
    if asked.before:
        print(json.dumps(beside(asked.before, asked.rounds), indent=1))
        return
    warnings.filterwarnings("ignore", "torch.meshgrid")  # in diffusers' blur
    logging.set_verbosity_error()  # says that these pipelines are deprecated
    logging.disable_progress_bar()
    names = SIDES[1:] if asked.own else SIDES
    peaks = {} if asked.peak else memory(asked.rounds, names)  # before a model is here
    make = small if asked.small else stable_diffusion_15
    pipe = make(asked.device, getattr(torch, asked.dtype))
    pipe.set_progress_bar_config(disable=True)
    if asked.peak:
        print(json.dumps(grown(pipe, asked.peak, Peak(asked.device))))
        return
    result = compare(pipe, asked.steps, asked.rounds, names) | {"memory": peaks}
    for name, bar in () if asked.own else BARS.items():
        ratio = result[name].get("ratio")
        met = None if ratio is None else ratio <= bar if name == "memory" else ratio >= bar
        result[name] |= {"bar": bar, "met": met}
    if asked.json:
        setting = {"device": asked.device, "dtype": asked.dtype, "steps": asked.steps}
        setting |= {"rounds": asked.rounds, "threads": torch.get_num_threads()}
        print(json.dumps(setting | result))
        return
    lines = {name: each for name, each in result.items() if {"seconds", "mib"} & each.keys()}
    columns = [f"{unit}.{side}" for unit in ("seconds", "gflops", "mib") for side in SIDES]
    table = pd.json_normalize(list(lines.values())).set_index([list(lines)])
    table = table.reindex(columns=[*columns, "gflops_ratio", "ratio", "range", "bar", "met"])
    print(table.to_string(na_rep=""))
    if "difference" in result:
        print("latents apart by", result["difference"])


if __name__ == "__main__":
    main()
