"""Write `guidance/latents.safetensors`: what diffusers' deprecated guidance pipelines make.

    python -m tests.golden.guidance [--seed 0] [--out tests/golden/guidance]

The weights are those of `daam/pipeline`. `tests/parity/test_golden_guidance.py` reads what is
written, without these pipelines. A new case is a new entry of `CASES`.
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors.torch import save_file

import daamkit
from daamkit import record

HERE = Path(__file__).parent
FOLDER = HERE / "guidance"
SCHEDULERS: dict[str, dict[str, Any]] = {
    "DDIMScheduler": {},
    "PNDMScheduler": {"skip_prk_steps": True},
    "DPMSolverMultistepScheduler": {},
}


@dataclass(frozen=True)
class Case:
    """One generation.

    Attributes
    ----------
    reference, told
        diffusers' pipeline, and what its call is told of guidance.
    method, settings
        Ours, and its settings.
    call
        What both are called with.
    size
        (height, width) of the latents.
    """

    reference: str
    told: dict[str, Any]
    method: str
    settings: dict[str, Any]
    scheduler: str = "DDIMScheduler"
    prompt: str = "a photo of a hedgehog and a bicycle"
    call: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] = (32, 32)

    def generate(self, pipe: Any, latents: torch.Tensor, **told: Any) -> torch.Tensor:
        """Final latents from initial ones."""
        pipe.scheduler = getattr(diffusers, self.scheduler).from_config(
            pipe.scheduler.config, **SCHEDULERS[self.scheduler]
        )
        height, width = (side * pipe.vae_scale_factor for side in self.size)
        options = {"num_inference_steps": 4, "output_type": "latent"} | self.call
        return pipe(self.prompt, latents=latents, height=height, width=width, **options, **told)[0]

    def ours(self) -> Any:
        """The method."""
        return getattr(daamkit, self.method)(**self.settings)


def attend_and_excite(**options: Any) -> Case:
    """Attend-and-Excite. The untrained model's attention is steep: its scale is small."""
    told = {"attn_res": (4, 4), "max_iter_to_alter": 3, "thresholds": {}, "scale_factor": 1.0}
    told |= options.pop("told", {})
    return Case(
        "StableDiffusionAttendAndExcitePipeline",
        {"token_indices": [5, 8]} | told,
        "AttendAndExcite",
        {"subjects": ["hedgehog", "bicycle"], "exact": True} | told,
        **{"size": (16, 16)} | options,
    )


def self_attention(**options: Any) -> Case:
    """Self-Attention Guidance."""
    return Case(
        "StableDiffusionSAGPipeline",
        {"sag_scale": 0.75},
        "SelfAttentionGuidance",
        {"scale": 0.75, "exact": True},
        **options,
    )


CASES = {
    "excite ddim": attend_and_excite(),
    "excite pndm refined": attend_and_excite(
        scheduler="PNDMScheduler", told={"thresholds": {0: 0.08}, "scale_factor": 0.3}
    ),
    "excite dpm wide": attend_and_excite(
        scheduler="DPMSolverMultistepScheduler",
        size=(16, 24),
        told={"attn_res": (4, 6), "scale_factor": 2.0},
    ),
    "sag ddim": self_attention(),
    "sag pndm wide": self_attention(scheduler="PNDMScheduler", size=(24, 32)),
    "sag dpm unguided": self_attention(
        scheduler="DPMSolverMultistepScheduler", call={"guidance_scale": 1.0}
    ),
}


def pipeline(kind: str = "StableDiffusionPipeline") -> Any:
    """The small random Stable Diffusion, as one of diffusers' pipelines."""
    pipe = daamkit.load(HERE / "daam" / "pipeline", low_cpu_mem_usage=False)
    parts = {name: part for name, part in pipe.components.items() if name != "image_encoder"}
    pipe = getattr(diffusers, kind)(**parts, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FOLDER)
    chosen = parser.parse_args()
    tensors = {}
    for number, (name, case) in enumerate(CASES.items()):
        generator = torch.Generator().manual_seed(chosen.seed + number)
        start = torch.randn(1, 4, *case.size, generator=generator)
        end = case.generate(pipeline(case.reference), start, **case.told)
        tensors |= {f"{name}/start": start, f"{name}/end": end.contiguous()}
    chosen.out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, chosen.out / "latents.safetensors", metadata=record.versions())


if __name__ == "__main__":
    main()
