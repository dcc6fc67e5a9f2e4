"""Kin or look-alike: the four cells, and effects that are known."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from daamkit.errors import DaamkitError
from daamkit.language import taxonomy
from daamkit.studies import truths
from daamkit.studies.likeness import ALIKE, CELLS, UNLIKE, Likeness
from daamkit.studies.relations import CHIEF
from daamkit.toybox import sprites


def test_sprites_are_like_themselves_and_like_each_other_alike():
    assert sprites.likeness("cat", "cat") == 1
    assert sprites.likeness("bear", "dog") == sprites.likeness("dog", "bear")
    assert sprites.likeness("coin", "cookie") > 0.6 > 0.4 > sprites.likeness("flamingo", "bird")


def test_cells_are_what_they_are_called():
    cases = Likeness(n=96).cases()
    assert Counter(case["group"] for case in cases) == dict.fromkeys(CELLS, 24)
    words = sprites.CATEGORIES
    known = {word for several in words.values() for word in several}
    for case in cases:
        a, b = case["a"], case["b"]
        assert {a, b} <= known and a != b and a in case["prompt"] and b in case["prompt"]
        near = sprites.likeness(a, b)
        assert (near >= ALIKE) == case["group"].endswith(" alike")
        assert (near <= UNLIKE) == case["group"].endswith("unlike")
        kind = [next(c for c, several in words.items() if word in several) for word in (a, b)]
        senses = [taxonomy.sense(word, each) for word, each in zip((a, b), kind, strict=True)]
        related = kind[0] == kind[1] and bool(taxonomy.kinship(*senses, 3, 1000))
        assert related == case["group"].startswith("kin"), case
    assert len({case["seed"] for case in cases}) == 24  # one a turn, the same in each cell


def test_pairs_come_equally_often_and_in_either_order():
    cases = Likeness(n=4 * 60).cases()
    for cell in CELLS:
        own = [(case["a"], case["b"]) for case in cases if case["group"] == cell]
        times = Counter(frozenset(two) for two in own)
        assert max(times.values()) - min(times.values()) <= 1
        if max(times.values()) > 1:
            assert any((b, a) in own for a, b in own)


def test_what_makes_maps_overlap_is_found():
    """Maps that overlap by looks alone: no effect of kinship, whose interval holds zero."""
    rng = np.random.default_rng(0)
    rows = []
    for case in Likeness(n=400).cases():
        overlap = 0.3 * case["group"].endswith(" alike") + rng.uniform(0, 0.1)
        both = case["group"].startswith("strangers")
        cut = {"rule": CHIEF[0], "tau": CHIEF[1]}
        rows.append(case | cut | {"iou": overlap, "both": both})
        rows.append(case | cut | {"tau": 0.9, "iou": 1.0, "both": both})
    study = Likeness(n=400)
    tables = study.tables(pd.DataFrame(rows))
    effects = tables["effects"].set_index(["measure", "effect"])
    for effect in ("alike", "alike, of kin", "alike, of strangers"):
        row = effects.loc[("iou", effect)]
        assert row["low"] > 0.25 and row["high"] < 0.35 and row["p"] < 0.01
    for effect in ("kin", "kin, of the alike", "kin, of the unlike"):
        assert effects.loc[("iou", effect), "low"] < 0 < effects.loc[("iou", effect), "high"]
        assert effects.loc[("both", effect), "mean"] == -1
    cells = tables["cells"].set_index(["measure", "group"])
    assert cells.loc[("iou", CELLS[0]), "mean"] == pytest.approx(0.35, abs=0.02)
    assert cells["n"].eq(100).all()
    figure = study.plot(tables)
    labels = [each.get_text() for each in figure.axes[0].get_yticklabels()]
    assert set(labels) == set(CELLS)


def test_what_has_no_sprites_is_refused():
    with pytest.raises(DaamkitError, match="world 2, whose sprites.*'toybox-2'"):
        Likeness(vocabulary="coco").cases()
    with pytest.raises(DaamkitError, match="pairs of every cell.*Raise `steps_up`"):
        Likeness(steps_up=1, breadth=2).cases()


def test_it_runs(tmp_path, monkeypatch):
    class Halves:
        def masks(self, image, stem, names):
            left = np.arange(128) < np.full((128, 1), 64)
            return [left, ~left]

    monkeypatch.setattr(truths, "truth", lambda *about: Halves())
    study = Likeness(n=4, steps=2, truth="halves")
    tables = study.write(study.run(tmp_path / "out"), tmp_path)
    assert tables["cells"]["n"].eq(1).all()
    assert (tmp_path / "likeness.png").exists()
