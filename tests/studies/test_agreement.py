"""Do maps mean the same in two models? One beside itself, and beside one that knows nothing."""

import numpy as np
import pytest

import daamkit
from daamkit.errors import DaamkitError
from daamkit.studies import runner
from daamkit.studies.agreement import PAIRS, Agreement

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
    figure = study.plot(study.tables(rows))
    named = [each.get_text() for each in figure.axes[0].get_yticklabels()]
    assert len(named) == len(PAIRS) and "two models" in named


def test_an_unknown_second_model_is_named_before_anything_is_drawn():
    with pytest.raises(DaamkitError, match="the name of a model"):
        Agreement(**SETTINGS, other="toybux").check()
