"""A word's share among the prompt's words, beside a softmax over their keys alone."""

from dataclasses import replace

import pytest
import torch

import daamkit
from daamkit.attention.hooks import attach
from daamkit.attention.taps import Tap
from daamkit.attribution.share import Share
from daamkit.maps.wordmap import enlarge
from tests import tiny
from tests.families import tiny_joint

PROMPT = "a cat and a car"


class Products(Tap):
    """Of each site, cells' queries times text's keys."""

    def __init__(self):
        self.found = {}

    def wants(self, site):
        return site.kind != "self"

    def observe(self, attention):
        rows = attention.branches["cond"]
        cells, text = attention.layout.cells, attention.layout.keys(rows)
        keys = attention.every_key()[rows, :, text]
        self.found[attention.site.name] = (
            attention.scale * attention.query[rows, :, cells] @ keys.mT
        )


def never(*taps):
    raise AssertionError("nothing is to be drawn again")


def draw(pipe, tap, steps, **options):
    with attach(pipe, tap), daamkit.trace(pipe, **options) as tracer:
        pipe(PROMPT, num_inference_steps=steps, generator=torch.Generator().manual_seed(0))
    return tracer.run


@pytest.mark.parametrize("make", [tiny.sd, tiny_joint.flux1])
def test_it_is_the_same_whether_steps_were_kept_apart(make):
    pipe, maps = make(), []
    for keep in (("site", "head"), ("step", "site", "head")):
        run = draw(pipe, Tap(), 3, keep=keep)
        maps.append(Share().maps(run, [run.maps.prompt.word("cat")], never)[0].values)
    assert torch.allclose(*maps, rtol=1e-4)


@pytest.mark.parametrize("make", [tiny.sd, tiny_joint.flux1])
def test_of_one_step_it_is_a_softmax_over_the_words_keys(make):
    tap = Products()
    run = draw(make(), tap, 1, keep=("site", "head"))
    maps, words = run.maps, run.maps.prompt.words()
    known = [column for word in words for column in word.columns]
    for name in maps.layers:
        alone = maps.select(sites=lambda layer, own=name: layer.name == own)
        (layer,) = alone.layers.values()
        found = Share().maps(replace(run, branches={"cond": alone}), words, never)
        shares = tap.found[name][0][:, :, known].softmax(-1).mT.unflatten(-1, layer.grid)
        for word, own in zip(words, found, strict=True):
            mine = shares[:, [known.index(column) for column in word.columns]].mean(1)
            large = enlarge(mine, own.values.shape).clamp(min=0).mean(0)
            assert torch.allclose(own.values, large, atol=1e-5), (name, word)
            assert not torch.allclose(own.values, alone.of(word).values, atol=1e-3)


def test_the_words_shares_are_one_in_every_cell(toybox):
    run = draw(toybox, Products(), 3)
    words = run.maps.prompt.words()
    found = Share().maps(run, words, never)
    total = torch.stack([own.values * len(own.word.columns) for own in found]).sum(0)
    assert float(total.min()) > 1 - 1e-4  # clamped at 0 after bicubic enlarging, which adds
    assert float(total.mean()) < 1.02
