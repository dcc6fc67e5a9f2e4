"""Gradient times attention is of the word's own places, wherever a family puts its text."""

import copy

import pytest
import torch

import daamkit
from daamkit import prompts
from daamkit.attention.hooks import attach
from daamkit.attribution import gradients
from tests.families import every

PROMPT = "a red cat beside the blue car"


class Kept(gradients.Relevance):
    """Keeps the prompt as it is numbered by places."""

    def before(self, now):
        super().before(now)
        (self.placed,) = prompts.by_place(now.call, "cond")


@pytest.mark.parametrize("name", ["sd3", "qwenimage", "auraflow", "hunyuandit", "sana", "flux"])
def test_a_word_has_its_own_places(name):
    case = every.CASES[name]
    pipe = case.build()
    call = {"num_inference_steps": 1, **case.call, **case.alone, "prompt": PROMPT}

    def draw():
        pipe(**copy.deepcopy(call), generator=torch.Generator().manual_seed(0))

    cat, car = daamkit.attribute(pipe, draw, "cat", "car", method="gradients")
    tap = Kept(cat.size)
    with attach(pipe, tap):
        draw()
    for word, found in (("cat", cat), ("car", car)):
        wanted = gradients.over_tokens(tap.total[-1], tap.placed.word(word))
        torch.testing.assert_close(found.values, wanted)
    assert not torch.equal(cat.values, car.values)
