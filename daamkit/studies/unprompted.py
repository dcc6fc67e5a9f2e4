"""Pipelines that take no prompt, for studies: Self-Attention Guidance's own setting."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMPipeline, DDPMPipeline, DiffusionPipeline
from PIL import Image

from daamkit.errors import DaamkitError
from daamkit.guidance.classifier import ClassifierGuidance
from daamkit.guidance.denoising import Method, guide
from daamkit.toybox.sprites import THINGS
from daamkit.toybox.training import pixels

KINDS = ("DDIMPipeline", "DDPMPipeline")


def is_folder(model: Any) -> bool:
    """Whether a folder holds such a pipeline, as `toybox.training.pixels --export` writes one."""
    file = Path(str(model)) / "model_index.json"
    return file.is_file() and json.loads(file.read_text("utf-8")).get("_class_name") in KINDS


def pipeline(folder: str | Path, dtype: torch.dtype, device: str) -> Any:
    """A folder's pipeline, which draws in DDIM's steps."""
    pipe = DiffusionPipeline.from_pretrained(folder, dtype=dtype).to(device)
    pipe.set_progress_bar_config(disable=True)
    return pipe if isinstance(pipe, DDIMPipeline) else DDIMPipeline(**pipe.components)


def guidance(folder: Any, seeds: Sequence[int], device: torch.device) -> list[Method]:
    """Classifier guidance by the classifier in the folder, towards a thing that the seed says.

    Raises
    ------
    DaamkitError
        If there is none.
    """
    if not has_classifier(folder):
        raise DaamkitError(
            wanted=f"a classifier of noisy pictures in {folder}, for 'cg'",
            got="none",
            mend="train one: `python -m daamkit.toybox.training.pixels --classifier 60000`",
        )
    labels = [seed % len(THINGS) for seed in seeds]
    return [ClassifierGuidance(pixels.load_classifier(Path(folder)).to(device), labels)]


def has_classifier(folder: Any) -> bool:
    """Whether `toybox.training.pixels` has written one beside the pipeline."""
    return (Path(str(folder)) / pixels.CLASSIFIER).is_file()


def holds(pipe: Any) -> bool:
    """Whether an open pipeline takes no prompt."""
    return isinstance(pipe, DDIMPipeline | DDPMPipeline)


def draw(
    pipe: Any, seeds: Sequence[int], steps: int, methods: Sequence[Method] = ()
) -> list[Image.Image]:
    """An image for each seed, guided by these methods."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    guided = guide(pipe, *methods) if methods else nullcontext()
    with guided:
        made = pipe(batch_size=len(seeds), generator=generators, num_inference_steps=steps)
    return list(made.images)
