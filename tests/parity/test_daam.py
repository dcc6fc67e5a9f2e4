"""Numbers equal to daam 0.2.0's, on pipelines and maps that it produced.

The folder is ``tests/golden/daam`` or the one named by the environment variable DAAM_GOLDEN:
``pipeline/``, ``maps.safetensors``, ``meta.json``, any number of cases.
"""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import daamkit

GOLDEN = Path(os.environ.get("DAAM_GOLDEN", Path(__file__).parents[1] / "golden" / "daam"))
META = json.loads((GOLDEN / "meta.json").read_text())
CASES = range(len(META["cases"]))
TOLERANCE = 1e-5


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Norm of the difference over norm."""
    assert ours.shape == theirs.shape
    return float((ours - theirs).norm() / theirs.norm())


@pytest.fixture(scope="module")
def golden():
    return load_file(GOLDEN / "maps.safetensors")


@pytest.fixture(scope="module")
def traced(golden):
    """Latents and run of every case."""
    pipe = daamkit.load(GOLDEN / "pipeline", low_cpu_mem_usage=False)
    pipe.set_progress_bar_config(disable=True)
    results = []
    for index, case in enumerate(META["cases"]):
        with daamkit.trace(pipe) as tracer:
            latents = pipe(
                case["prompt"],
                latents=golden[f"case{index}.latents_in"],
                num_inference_steps=case["steps"],
                guidance_scale=META["guidance_scale"],
                height=META["height"],
                width=META["width"],
                output_type="latent",
            ).images
        results.append((latents, tracer.run))
    return results


@pytest.mark.parametrize("case", CASES)
def test_latents(golden, traced, case):
    assert difference(traced[case][0], golden[f"case{case}.latents_out"]) < TOLERANCE


@pytest.mark.parametrize("case", CASES)
def test_global_heat_map(golden, traced, case):
    theirs = golden[f"case{case}.global_heat_map"]  # SOS, tokens, EOS; ours has padding after these
    ours = traced[case][1].maps.pool("daam", exact=True)[: len(theirs)]
    assert difference(ours, theirs) < TOLERANCE


@pytest.mark.parametrize(
    ("case", "word"), [(case, word) for case in CASES for word in META["cases"][case]["words"]]
)
def test_word_map(golden, traced, case, word):
    ours = traced[case][1].maps.word(word, occurrence="all", rule="daam").values  # as daam does
    assert difference(ours, golden[f"case{case}.word.{word}"]) < TOLERANCE


@pytest.mark.parametrize("case", CASES)
def test_merging_heads_first_is_another_number(golden, traced, case):
    """The clamp is per head: about a twentieth off on these random weights, so exact is default."""
    theirs = golden[f"case{case}.global_heat_map"]
    cheap = traced[case][1].maps.pool("daam", exact=False)[: len(theirs)]
    assert TOLERANCE < difference(cheap, theirs) < 0.2
