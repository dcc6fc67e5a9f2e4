"""Curves of deletion and insertion: what knows where a word works has all of it early."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from daamkit.measures.faithfulness import (
    SHARES,
    area,
    effects,
    highest,
    inside,
    parts,
    perceptual,
)

MAPS = arrays.arrays(
    np.float64, st.tuples(st.integers(3, 9), st.integers(3, 9)), elements=st.floats(-5, 5)
)


@given(MAPS, st.floats(0, 1))
def test_the_highest_are_as_many_as_asked_and_none_outside_is_higher(values, share):
    found = highest(values, share)
    assert found.sum() == round(share * values.size)
    assert not found.any() or found.all() or values[found].min() >= values[~found].max()


def test_parts_are_within_and_without():
    values = np.arange(100.0).reshape(10, 10)
    found = parts(values, (0.1, 0.5))
    assert found.sum((1, 2)).tolist() == [10, 50, 90, 50]
    assert found[0, 9].all() and found[1, 5:].all()  # the last rows are the highest
    assert (found[2] == ~found[0]).all() and (found[3] == ~found[1]).all()


@pytest.mark.parametrize("tall", [False, True])
def test_who_knows_has_all_of_it_early_who_is_wrong_late_who_knows_nothing_a_half(tall):
    work = np.zeros((20, 20))
    work[(slice(3, 7), slice(10, 15)) if tall else (slice(10, 15), slice(3, 7))] = 1.0  # a 20th
    found = {}
    chance = np.random.default_rng(0).random(work.shape)
    for name, values in {"knows": work, "wrong": -work, "nothing": chance}.items():
        deletion, insertion = effects(work, work * parts(values))
        assert deletion == pytest.approx(insertion)  # where nothing spreads, they are one
        found[name] = area(deletion)
        if name == "knows":
            assert deletion.tolist() == [1.0] * len(SHARES)
    assert found["knows"] > 0.95 and found["wrong"] < 0.2
    assert found["nothing"] == pytest.approx(0.5, abs=0.1)


def test_deletion_and_insertion_are_told_apart():
    """What spreads is undone everywhere by an edit anywhere: nothing is left alone."""
    deletion, insertion = effects(np.full((4, 4), 2.0), np.full((2 * len(SHARES), 4, 4), 2.0))
    assert (deletion == 1).all() and (insertion == 0).all()
    assert area(deletion) > 0.9 and area(insertion) < 0.2


def test_of_a_word_that_does_nothing_nothing_is_told():
    whole, changes = np.full((4, 4), 1e-6), np.full((2 * len(SHARES), 4, 4), 5e-7)
    assert np.isnan(effects(whole, changes, least=1e-5)).all()
    assert effects(whole, changes, least=1e-7)[0] == pytest.approx(0.5)
    changes = np.array([3.0, 6.0, 9.0, 3.0])[:, None, None] * np.ones((4, 2, 3))
    deletion, insertion = effects(np.full((2, 3), 12.0), changes)
    assert deletion.tolist() == [0.25, 0.5] and insertion.tolist() == [0.25, 0.75]


def test_a_word_that_does_nothing_has_no_curve():
    assert all(np.isnan(each).all() for each in effects(np.zeros((2, 2)), np.ones((12, 2, 2))))


def test_inside_weighs_a_place_by_how_much_of_it_the_mask_covers():
    change = np.array([[1.0, 2.0], [3.0, 8.0]])
    mask = np.zeros((8, 4), bool)
    mask[:4, :2] = True  # all of the first place
    mask[2:4, 2:] = True  # a half of that beside it
    found = inside(change, mask)
    assert found == pytest.approx(((1 + 0.5 * 2) / 1.5, (0.5 * 2 + 3 + 8) / 2.5))
    whole, nothing = inside(change, np.ones((2, 2), bool)), inside(change, np.zeros((2, 2), bool))
    assert whole[0] == nothing[1] == 3.5 and np.isnan([whole[1], nothing[0]]).all()


def test_perceptual_is_the_papers_equation_before_its_mean():
    rng = np.random.default_rng(0)
    shapes = [(5, 8, 12), (7, 4, 6), (3, 2, 3)]
    one = [rng.normal(size=(1, *shape)).astype(np.float32) for shape in shapes]
    other = [rng.normal(size=(3, *shape)).astype(np.float32) for shape in shapes]
    found = perceptual(one, other)
    assert found.shape == (3, 8, 12)
    unit = torch.nn.functional.normalize
    wanted = torch.stack(
        [
            (unit(torch.tensor(a)) - unit(torch.tensor(b))).square().sum(1).mean((1, 2))
            for a, b in zip(one, other, strict=True)
        ]
    ).mean(0)
    assert found.mean((1, 2)) == pytest.approx(wanted.numpy(), rel=1e-5)
    last = (unit(torch.tensor(one[2])) - unit(torch.tensor(other[2]))).square().sum(1)
    alone = perceptual([*one[:2], one[2]], [*(each.repeat(3, 0) for each in one[:2]), other[2]])
    assert alone[:, :4, 8:] == pytest.approx(last[:, :1, 2:].numpy().repeat(4, 1).repeat(4, 2) / 3,
                                             rel=1e-5)  # fmt: skip
    assert (perceptual(one, one) == 0).all()
    scaled = [each * 7 for each in one]  # a place's strength is no matter
    assert perceptual(scaled, one) == pytest.approx(0, abs=1e-12)
