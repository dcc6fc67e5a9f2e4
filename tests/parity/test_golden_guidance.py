"""Latents equal to those that diffusers' deprecated guidance pipelines made.

The folder is ``tests/golden/guidance`` or the one named by the environment variable
GUIDANCE_GOLDEN, as ``python -m tests.golden.guidance`` writes it.
"""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import daamkit
from tests.golden import guidance

FOLDER = Path(os.environ.get("GUIDANCE_GOLDEN", guidance.FOLDER))
TOLERANCE = 1e-4  # relative: other processors round otherwise


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Norm of the difference over norm."""
    assert ours.shape == theirs.shape
    return float((ours - theirs).norm() / theirs.norm())


@pytest.fixture(scope="module")
def golden():
    return load_file(FOLDER / "latents.safetensors")


@pytest.fixture(scope="module")
def pipe():
    return guidance.pipeline()


@pytest.fixture
def case(name):
    """With two threads where there is refinement, as the goldens were made: sums over other shares
    round differently, and what stops where a loss falls below its threshold makes much of that."""
    case, threads = guidance.CASES[name], torch.get_num_threads()
    torch.set_num_threads(2 if case.settings.get("thresholds") else threads)
    yield case
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", guidance.CASES)
def test_latents(golden, pipe, case, name, record_testsuite_property):
    start, end = golden[f"{name}/start"], golden[f"{name}/end"]
    with daamkit.guide(pipe, case.ours()) as guide:
        ours = case.generate(pipe, start)
    record_testsuite_property(f"golden {name}", difference(ours, end))
    assert difference(ours, end) < TOLERANCE
    if case.settings.get("thresholds"):
        assert guide.table()["iterations"].sum() > 0
    assert (
        difference(case.generate(pipe, start), end) > 50 * TOLERANCE
    )  # it is not nothing that is equal


def test_every_case_is_there(golden):
    assert {key.split("/")[0] for key in golden} == set(guidance.CASES)
