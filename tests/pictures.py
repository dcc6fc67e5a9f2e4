"""Runs of the toybox in a few steps, for what is looked at."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import torch

import daamkit
from daamkit.maps.run import Run


@cache
def _pipe() -> Any:
    pipe = daamkit.load("toybox")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def run(
    prompt: str,
    seed: int = 0,
    steps: int = 5,
    keep: Iterable[str] = ("site", "head"),
    **options: Any,
) -> Run:
    """One image with its maps; the same call gives the same run, which nothing changes."""
    return _run(prompt, seed, steps, tuple(keep), **options)


@cache
def _run(prompt: str, seed: int, steps: int, keep: tuple[str, ...], **options: Any) -> Run:
    generator = torch.Generator().manual_seed(seed)
    with daamkit.trace(_pipe(), keep=keep) as tracer:
        _pipe()(prompt, num_inference_steps=steps, generator=generator, **options)
    return tracer.run
