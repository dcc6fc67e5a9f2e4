"""Pooling, views of steps, layers and heads, masses, special tokens."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

import daamkit
from daamkit.errors import DaamkitError
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.wordmap import enlarge
from tests.families import tiny_joint
from tests.tiny import generate

PROMPT = "a red cat and a blue car"


@pytest.fixture(scope="module")
def full(sd):
    with daamkit.trace(sd, keep=("step", "site", "head"), branches=("cond", "uncond")) as tracer:
        generate(sd, PROMPT, steps=3)
    return tracer.run


def test_daam_pooling_written_out(full):
    """A second, slow writing of the reference's rule, key by key."""
    maps = full.maps
    keys = []
    for layer in maps.layers.values():
        if layer.group == "mid" or int((96 * 96 // np.prod(layer.grid)) ** 0.5) == 8:
            continue
        keys += [enlarge(head, (96, 96)).clamp(min=0) for head in layer.values.sum(0)]
    assert torch.allclose(maps.pool("daam"), torch.stack(keys).mean(0), atol=1e-6)


def test_paper_pooling_written_out(full):
    maps = full.maps
    total = sum(
        enlarge(head.double(), maps.size)
        for layer in maps.layers.values()
        if layer.group != "mid"
        for step in layer.values
        for head in step
    )
    assert total.max() > 50  # shares of all heads and steps are summed
    assert torch.allclose(maps.pool("paper").double(), total.clamp(min=0), rtol=1e-6, atol=1e-5)


def test_normalized_maps_share_each_place(full):
    shares = full.maps.pool(normalize=True)[1:8].sum(0)
    assert torch.allclose(shares, torch.ones(()), atol=1e-4)


def test_a_phrase_is_the_mean_of_its_tokens(full):
    maps = full.maps
    phrase = maps.word("red cat").values
    assert torch.allclose(phrase, (maps.word("red").values + maps.word("cat").values) / 2)
    assert torch.equal(phrase, maps.tokens([2, 3]).values)


def test_masses(full):
    for maps in full.branches.values():
        assert maps.mass.sum() == pytest.approx(1, abs=1e-5)
        assert (maps.mass > 0).all()
    tokens = full.tokens()
    assert list(tokens["special"].dropna()) == ["SOS", "EOS", "padding"]
    assert tokens["mass"].sum() == pytest.approx(1, abs=1e-5)
    assert list(full.tokens("uncond")["special"]) == ["SOS", "EOS", "padding"]


def test_special_tokens_have_maps(full):
    for name in ("SOS", "EOS", "padding"):
        assert full.maps.special(name).values.sum() > 0
    together = sum(full.maps.pool("paper")).sum()
    layers = [layer for layer in full.maps.layers.values() if layer.group != "mid"]
    keys = sum(layer.heads for layer in layers) * 3 * 64 * 64
    assert together == pytest.approx(keys, rel=1e-3)  # nothing is lost: each cell's sum is 1


def test_parts_add_up(full):
    maps = full.maps
    steps = sum(maps.select(steps=i).pool("paper") for i in range(3))
    assert torch.allclose(steps, maps.pool("paper"), atol=1e-3)
    heads = sum(maps.select(heads=[i]).pool("paper") for i in range(4))
    assert torch.allclose(heads, maps.pool("paper"), atol=1e-3)
    sites = sum(maps.select(sites=name).pool("paper") for name in ("down_blocks", "up_blocks"))
    assert torch.allclose(sites, maps.pool("paper"), atol=1e-3)


def test_parts_know_their_counts(full):
    part = full.maps.select(
        steps=slice(1, None), heads=[0, 2], sites=lambda layer: layer.group == "mid"
    )
    assert part.steps == 2
    assert [layer.heads for layer in part.layers.values()] == [2]
    assert part.mass.sum() == pytest.approx(1, abs=1e-5)
    assert full.maps.steps == 3 and len(full.maps.layers) > 1  # the whole is as it was


def test_parts_that_were_not_kept(sd, full):
    with daamkit.trace(sd, keep=()) as tracer:
        generate(sd, PROMPT)
    maps = tracer.run.maps
    with pytest.raises(
        DaamkitError, match=r"single steps; got a trace that kept sums only.*'step'"
    ):
        maps.select(steps=0)
    with pytest.raises(DaamkitError, match=r"single heads"):
        maps.select(heads=0)
    with pytest.raises(DaamkitError, match=r"heads and sites kept apart"):
        maps.pool("daam", exact=True)
    with pytest.raises(DaamkitError, match=r"steps from 0 to 2; got 3"):
        full.maps.select(steps=3)
    with pytest.raises(DaamkitError, match=r"layers named nowhere; got none. The layers are down"):
        full.maps.select(sites="nowhere")


def test_merged_layers_are_not_taken_for_one_site(sd):
    with daamkit.trace(sd, keep=()) as tracer:
        generate(sd, PROMPT)
    maps = tracer.run.maps
    merged = next(layer for layer in maps.layers.values() if len(layer.sites) > 1)
    with pytest.raises(DaamkitError, match=rf"layer '{merged.name}', which sums \d sites"):
        maps.select(sites=merged.sites[0])
    assert list(maps.select(sites=list(merged.sites)).layers) == [merged.name]


def test_numpy_indices_and_pools_of_ones_own(full):
    assert full.maps.select(heads=np.arange(2), steps=np.int64(1)).steps == 1
    full.maps.pool().zero_()
    assert full.maps.pool().sum() > 0


def test_layers_chosen_by_name_are_pooled_whatever_the_rule(full, sd):
    middle = full.maps.select(sites="mid_block")
    for rule in ("daam", "paper"):
        assert middle.word("cat", rule=rule).values.sum() > 0
    with daamkit.trace(sd, sites="mid_block") as tracer:
        generate(sd, PROMPT, steps=3)
    assert torch.allclose(tracer.run.maps.pool(), middle.pool(), atol=1e-6)
    with daamkit.trace(sd) as tracer:
        generate(sd, PROMPT, steps=3)
    assert not torch.allclose(tracer.run.maps.pool(), middle.pool(), atol=1e-3)


def test_argmax_of_nothing(full):
    with pytest.raises(DaamkitError, match="words to choose from"):
        full.maps.argmax([])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_argmax_of_what_is_not_finite(full, value):
    spoiled = {
        name: replace(each, values=each.values.clone()) for name, each in full.maps.layers.items()
    }
    column = full.maps.prompt.word("car").columns[0]
    for each in spoiled.values():
        each.values[..., column, 0, 0] = float(value)
    maps = replace(full.maps, layers=spoiled)
    assert maps.argmax(["red", "cat"]).max() == 1
    with pytest.raises(DaamkitError, match="finite map of 'car'; got infinite or missing"):
        maps.argmax(["cat", "car"])


def test_argmax_gives_each_pixel_one_word(full):
    labels = full.maps.argmax(["cat", "car"])
    cat, car = (full.maps.word(word).expand(absolute=True).numpy() for word in ("cat", "car"))
    assert np.array_equal(labels == 1, car > cat)


def test_a_token_that_does_not_exist(full):
    with pytest.raises(DaamkitError, match=r"columns from 0 to 9; got \(77,\)"):
        full.maps.tokens([77])


def test_an_unknown_pooling(full):
    with pytest.raises(DaamkitError, match=r"rule 'daam' or 'paper'; got 'mean'"):
        inspect.unwrap(HeatMaps._pool)(full.maps, "mean", None)  # without the tests' type checker


def test_sizes_that_are_not_square(sd):
    with daamkit.trace(sd, self_attention=True) as tracer:
        images = generate(sd, PROMPT, height=40, width=88)
    run = tracer.run
    assert images.shape[1:3] == (40, 88) == run.maps.size
    assert run.maps.word("cat").mask().shape == (40, 88)
    height, width = run.maps.pool().shape[1:]
    assert height < width and height * width == pytest.approx(96 * 96, rel=0.02)
    grids = {layer.grid for layer in run.maps.layers.values()}
    assert grids == {(20, 44), (10, 22), (5, 11)}
    assert run.maps.mass.sum() == pytest.approx(1, abs=1e-5)


def test_self_attention_is_public(sd):
    with daamkit.trace(sd, self_attention=True, self_grid=16, keep=("step", "site")) as tracer:
        generate(sd, PROMPT)
    maps = tracer.run.self_attention["cond"]
    assert {layer.grid for layer in maps.layers.values()} == {(16, 16), (8, 8)}
    finest = [name for name, layer in maps.layers.items() if layer.grid == (16, 16)]
    mean = sum(maps.received(name) for name in finest) / len(finest)
    assert torch.allclose(maps.received(), mean, atol=1e-5) and len(finest) > 1
    for name in maps.layers:
        assert maps.attention_from(10, 50, name).sum() == pytest.approx(1, abs=1e-4)
        assert maps.received(name).mean() == pytest.approx(1, abs=1e-4)
        sums = maps.attention_to(63, 0, name)
        assert sums.shape == maps.layers[name].grid
    with pytest.raises(
        DaamkitError, match=r"pixel within 64 x 64 \(height x width\); got \(64, 0\)"
    ):
        maps.attention_from(64, 0)
    with pytest.raises(DaamkitError, match=r"layer named 'x'"):
        maps.received("x")
    with (
        pytest.raises(DaamkitError, match="at most 4 cells a side; got none"),
        daamkit.trace(sd, self_attention=True, self_grid=4),
    ):
        generate(sd, PROMPT)


@pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning")
def test_layers_without_concepts_are_selected_without_them():
    """FLUX keeps them of its double blocks alone, unless told."""
    pipe = tiny_joint.flux1()
    with daamkit.trace(pipe, concepts=["sky", "house"]) as tracer:
        tiny_joint.generate(pipe, "a red cat", max_sequence_length=32)
    maps = tracer.run.maps
    for sites in ("single_transformer_blocks", lambda layer: layer.group == "single"):
        single = maps.select(sites=sites)
        assert {layer.group for layer in single.layers.values()} == {"single"}
        assert single.concepts is None and single.word("cat").values.any()
        with pytest.raises(DaamkitError, match="the concept 'sky'; got maps without concepts"):
            single.concept("sky")
    both = maps.select(sites="transformer_blocks.0")
    assert {layer.group for layer in both.layers.values()} == {"single", "double"}
    assert list(both.concepts.layers) == ["transformer_blocks.0.attn"]
    with pytest.raises(DaamkitError, match="named nothing; got none"):
        maps.select(sites="nothing")
