"""Smoothed Energy Guidance: the blur, and the attention that comes of it."""

import json
import math

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPAGPipeline
from hypothesis import given, settings
from hypothesis import strategies as st

import daamkit
from daamkit.attention import families
from daamkit.attention.calls import Call, Pass
from daamkit.attention.taps import Attention
from daamkit.edits.blur import blur
from daamkit.edits.layers import meant
from daamkit.errors import DaamkitError
from daamkit.guidance.smoothed import SmoothedEnergyGuidance
from tests import tiny
from tests.tiny import generate

SIDES = st.integers(1, 7)


def by_hand(query: np.ndarray, grid: tuple[int, int], sigma: float) -> np.ndarray:
    """One channel, (cells,), in double precision, cell by cell and neighbour by neighbour."""
    image = query.reshape(grid).astype(float)
    if math.isinf(sigma):
        return np.full(len(query), image.mean())
    wide = math.ceil(6 * sigma)
    wide += 1 - wide % 2
    reach = [min(wide, side + 1 - side % 2) // 2 for side in grid]

    def mirrored(place: int, side: int) -> int:
        place = abs(place)
        return 2 * (side - 1) - place if place >= side else place

    blurred, total = np.zeros(grid), 0.0
    for dy in range(-reach[0], reach[0] + 1):
        for dx in range(-reach[1], reach[1] + 1):
            weight = math.exp(-(dx**2 + dy**2) / (2 * sigma**2))
            total += weight
            for y, x in np.ndindex(grid):
                there = mirrored(y + dy, grid[0]), mirrored(x + dx, grid[1])
                blurred[y, x] += weight * image[there]
    return (blurred / total).ravel()


def queries(grid: tuple[int, int], seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 3, grid[0] * grid[1], 4, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30, deadline=None)
@given(grid=st.tuples(SIDES, SIDES), sigma=st.floats(0.05, 4.0) | st.just(math.inf))
def test_the_blur_is_the_papers(grid, sigma):
    query = queries(grid)
    blurred = blur(query, grid, sigma)
    assert blurred.shape == query.shape
    for place in ((0, 0, slice(None), 0), (1, 2, slice(None), 3)):
        expected = by_hand(query[place].numpy(), grid, sigma)
        np.testing.assert_allclose(blurred[place], expected, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(grid=st.tuples(SIDES, SIDES), sigma=st.floats(0.05, 50.0) | st.just(math.inf))
def test_what_is_even_stays_and_extremes_shrink(grid, sigma):
    query = queries(grid)
    blurred = blur(query, grid, sigma)
    assert (blurred.amax(2) <= query.amax(2) + 1e-5).all()
    assert (blurred.amin(2) >= query.amin(2) - 1e-5).all()
    even = query[:, :, :1].expand_as(query)
    torch.testing.assert_close(blur(even, grid, sigma), even)


def test_a_narrow_blur_is_none_and_an_infinite_one_the_mean():
    query = queries((5, 4))
    assert torch.equal(blur(query, (5, 4), 1 / 6), query)
    mean = query.mean(2, keepdim=True).expand_as(query)
    torch.testing.assert_close(blur(query, (5, 4), math.inf), mean)


def test_half_precision_comes_back_as_it_was():
    query = queries((4, 6))
    for sigma in (1.0, math.inf):
        half = blur(query.to(torch.bfloat16), (4, 6), sigma)
        assert half.dtype == torch.bfloat16
        torch.testing.assert_close(half.float(), blur(query, (4, 6), sigma), atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("sigma", [0.7, math.inf])
def test_the_sites_own_scale_and_mask_are_kept(sd, sigma):
    (site,) = meant(families.find(sd.unet), "mid")
    step = Pass(Call(None, {}), 0, 0, {"cond": slice(0, 2)}, (32, 16))
    query, key, value = (queries((8, 4), seed) for seed in range(3))
    mask = torch.zeros(2, 1, 1, 32)
    mask[..., 20:] = -torch.inf
    attention = Attention(site, step, query, key, 0.3, mask, value)
    output = SmoothedEnergyGuidance(sigma=sigma).perturbation().change(attention, query)
    scores = 0.3 * blur(query, (8, 4), sigma) @ key.mT
    expected = scores[..., :20].softmax(-1) @ value[:, :, :20]
    torch.testing.assert_close(output, expected)


class Smoothing:
    """A processor of diffusers' own, whose last third or half of the batch has blurred queries."""

    def __init__(self, parts: int, sigma: float) -> None:
        self.parts, self.sigma = parts, sigma

    def __call__(self, attn, hidden_states, *_, **__):
        batch, cells, _ = hidden_states.shape
        query, key, value = (
            project(hidden_states).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for project in (attn.to_q, attn.to_k, attn.to_v)
        )
        side = math.isqrt(cells)
        for row in range(batch - batch // self.parts, batch):
            for head, channel in np.ndindex(query.shape[1], query.shape[3]):
                line = by_hand(query[row, head, :, channel].numpy(), (side, side), self.sigma)
                query[row, head, :, channel] = torch.as_tensor(line)
        weights = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)
        output = (weights @ value).transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](output))


@pytest.mark.parametrize(("sigma", "guidance_scale"), [(0.6, 7.5), (math.inf, 1.0)])
def test_it_is_the_papers_guidance_in_diffusers_loop(sigma, guidance_scale):
    options = {"guidance_scale": guidance_scale, "output_type": "latent"}
    parts = {**tiny.sd().components, "requires_safety_checker": False}
    pipe = StableDiffusionPAGPipeline(**parts, pag_applied_layers="mid")
    pipe.set_pag_applied_layers("mid", (Smoothing(3, sigma), Smoothing(2, sigma)))
    pipe.set_progress_bar_config(disable=True)
    theirs = generate(pipe, pag_scale=2.0, **options)
    own = tiny.sd()
    with daamkit.guide(own, SmoothedEnergyGuidance(scale=2.0, sigma=sigma)):
        ours = generate(own, **options)
    moved = theirs - generate(own, **options)
    assert moved.norm() > 0
    assert (ours - theirs).norm() < 1e-2 * moved.norm()
    assert (ours - theirs).norm() < 1e-4 * theirs.norm()


def test_without_blur_nothing_is_guided(sd):
    with daamkit.guide(sd, SmoothedEnergyGuidance(sigma=0.1)) as guide:
        image = generate(sd, guidance_scale=1.0)
    assert np.array_equal(image, generate(sd, guidance_scale=1.0))
    assert (guide.table()["distance"] == 0).all()


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan])
def test_sigma_must_be_above_0(sigma):
    with pytest.raises(DaamkitError, match="`sigma` above 0"):
        SmoothedEnergyGuidance(sigma=sigma)


def test_settings_are_plain_data():
    for sigma, said in ((math.inf, "infinity"), (2.0, 2.0)):
        told = SmoothedEnergyGuidance(sigma=sigma).settings()
        assert json.loads(json.dumps(told, allow_nan=False))["sigma"] == said
