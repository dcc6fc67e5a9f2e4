"""The study of reliability: prompts of two splits, rows of drawn maps and of noise, its tables."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from daamkit.errors import DaamkitError
from daamkit.measures.reliability import SIGNS, TARGETS
from daamkit.studies import prompts, runner
from daamkit.studies.calibrate import learn
from daamkit.studies.reliability import GROUPS, Reliability
from daamkit.toybox import claims
from daamkit.toybox.sprites import THINGS


@pytest.fixture(scope="module")
def rows(toybox) -> pd.DataFrame:
    study = Reliability(n=14, steps=4)
    return runner.run(study, pipe=toybox, batch_size=4, progress=False)


def test_the_splits_share_no_composition():
    unseen, seen = (Reliability(n=70, split=split).cases() for split in ("held-out", "seen"))
    for cases, held in ((unseen, True), (seen, False)):
        assert [case["group"] for case in cases[:7]] == list(GROUPS)
        asked = [claims.parse(case["prompt"]) for case in cases]
        assert all(prompts.held_out(each) is held for each in asked)
        assert all(len({t.name for t in each.things}) == len(each.things) for each in asked)
    assert not {c["prompt"] for c in unseen} & {c["prompt"] for c in seen}
    assert len({case["seed"] for case in unseen}) == 70


def test_more_prompts_than_there_are():
    whole = prompts.several("two", 10_000, 0)
    assert len(set(whole)) == len(whole) == math.perm(len(THINGS), 2)
    with pytest.raises(DaamkitError, match="200 prompts of 'one' for each group of n=1400; got"):
        Reliability(n=1400).cases()
    with pytest.raises(DaamkitError, match="a split of seen, held-out, any; got 'test'"):
        Reliability(split="test")


def test_a_row_for_each_thing_drawn_and_of_noise(rows):
    drawn, noisy = (rows[rows["maps"] == kind] for kind in ("drawn", "noise"))
    asked = [claims.parse(case["prompt"]) for case in Reliability(n=14).cases()]
    assert drawn["name"].tolist() == [thing.name for each in asked for thing in each.things]
    assert noisy["name"].tolist() == drawn["name"].tolist()
    assert set(drawn["present"]) <= {0.0, 1.0}
    assert drawn["iou"].isna().tolist() == (drawn["present"] == 0).tolist()
    located = (drawn["iou"] >= 0.5).astype(float)
    assert drawn["located"].tolist() == located.tolist()
    assert np.isfinite(rows[list(SIGNS)]).all(axis=None)
    assert drawn["layers"].mean() > noisy["layers"].mean() + 0.1


def test_what_is_learned_tells_apart_what_it_was_learned_from(rows):
    """Signs that say the truth, and one of noise: the first decides."""
    many = pd.concat([rows] * 12, ignore_index=True)
    rng = np.random.default_rng(0)
    many["present"] = (rng.random(len(many)) < 0.7).astype(float)
    many["located"] = many["present"] * (rng.random(len(many)) < 0.8)
    many["won"] = 0.2 * rng.random(len(many)) + 0.5 * many["present"]
    own = learn(many, "a model", "0123")
    said = own.probabilities(many[many["maps"] == "drawn"])
    there = many.loc[many["maps"] == "drawn", "present"] > 0
    assert said["present"][there].min() > said["present"][~there].max()
    assert said["present"].mean() == pytest.approx(there.mean(), abs=0.05)
    assert (own.images, own.words) == (14, len(said))


def test_tables_are_of_all_and_of_each_group(rows):
    study = Reliability(n=14, steps=4)
    tables = study.tables(rows)
    assert list(tables["reliability"]["group"].unique()) == ["all", *GROUPS]
    signs = tables["signs"]
    assert set(signs["sign"]) == set(SIGNS) and set(signs["target"]) == set(TARGETS)
    assert ((signs["auroc"] >= signs["auroc_low"]) | signs["auroc"].isna()).all()
