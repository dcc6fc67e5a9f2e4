"""Do maps mean the same in two models? One beside itself, and beside one that knows nothing."""

import numpy as np
import pytest
from scipy import stats
from torch.nn import functional as F

import daamkit
from daamkit.errors import DaamkitError
from daamkit.studies import redraw, runner
from daamkit.studies.agreement import PAIRS, Agreement
from daamkit.studies.session import Session

SETTINGS = {"n": 6, "levels": (300,), "world": 1, "methods": ("daam",), "seed": 60}


def measured(pipe, other):
    study = Agreement(**SETTINGS, other=other)
    rows = runner.run(study, pipe=pipe, batch_size=2, threads=1, progress=False)
    return study, rows


def test_a_model_agrees_with_itself_more_than_with_other_noise_and_other_nouns(toybox):
    study, rows = measured(toybox, "toybox")
    assert np.allclose(rows["models"], 1)
    assert np.array_equal(rows["noise"], rows["noise_other"])
    assert (rows["noise"] < 1).all() and rows["noise"].mean() > 0.5
    others = rows.dropna(subset=["nouns"])
    assert len(others) and others["nouns"].mean() < rows["noise"].mean()
    (row,) = study.tables(rows)["agreement"].to_dict("records")
    assert (row["set"], row["method"], row["n"]) == ("drawn, noise 300", "daam", len(rows))
    assert row["models"] == pytest.approx(1) and row["over_nouns_low"] > 0


def test_a_model_without_training_agrees_with_nobody(toybox, tmp_path):
    blank = daamkit.load("toybox")
    for parameter in blank.unet.parameters():
        parameter.data.normal_(0, 0.02)
    blank.save_pretrained(tmp_path)
    study, rows = measured(toybox, str(tmp_path))
    assert rows["models"].abs().mean() < 0.5 < rows["noise"].mean()
    row = rows.dropna(subset=["nouns"]).iloc[0]
    (case,) = (case for case in study.cases() if case["seed"] == row["seed"])
    again = case | {"seed": redraw.fresh(case["seed"], 1)}

    def cells(pipe, case):
        found = study.explained(Session(study, pipe), case)
        maps = {noun: each["daam"].expand(absolute=True)[None] for noun, each in found.maps.items()}
        return {noun: F.adaptive_avg_pool2d(map_, 16).ravel() for noun, map_ in maps.items()}

    one, other = cells(toybox, case), cells(blank, case)
    one_again, other_again = cells(toybox, again), cells(blank, again)
    noun = row["noun"]
    nouns = [stats.spearmanr(one[noun], each)[0] for n, each in other.items() if n != noun]
    wanted = {
        "models": stats.spearmanr(one[noun], other[noun])[0],
        "noise": stats.spearmanr(one[noun], one_again[noun])[0],
        "noise_other": stats.spearmanr(other[noun], other_again[noun])[0],
        "nouns": np.mean(nouns),
    }
    assert row[[*wanted]].to_dict() == pytest.approx(wanted, abs=0.01)
    assert abs(wanted["noise"] - wanted["noise_other"]) > 0.05
    figure = study.plot(study.tables(rows))
    named = [each.get_text() for each in figure.axes[0].get_yticklabels()]
    assert len(named) == len(PAIRS) and "two models" in named


def test_an_unknown_second_model_is_named_before_anything_is_drawn():
    with pytest.raises(DaamkitError, match="the name of a model"):
        Agreement(**SETTINGS, other="toybux").check()
