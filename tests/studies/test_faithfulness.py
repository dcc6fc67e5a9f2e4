"""The study of faithfulness: who knows what a word does is told from who does not."""

import numpy as np
import pytest
import torch

from daamkit.edits.silence import Silence
from daamkit.maps.wordmap import WordMap
from daamkit.studies import runner
from daamkit.studies.faithfulness import CURVES, Faithfulness

WORKS = "tests.studies.test_faithfulness:Works"


class Works:
    """Silences the word, and looks where the picture changes; `occlusion` at its plainest."""

    def maps(self, run, words, again):
        def change(word):
            pictures = [np.asarray(each.image, float) for each in (run, again(Silence(word)))]
            return torch.from_numpy(np.abs(pictures[0] - pictures[1]).mean(-1)).float()

        return [WordMap(change(word), word, run.maps.size) for word in words]


@pytest.fixture(scope="module")
def study():
    return Faithfulness(n=2, steps=2, levels=(600,), methods=("daam", WORKS), seed=60)


@pytest.fixture(scope="module")
def rows(study, toybox):
    return runner.run(study, pipe=toybox, batch_size=2, threads=1, progress=False)


def test_where_the_word_works_is_more_faithful_than_what_knows_nothing(rows):
    means = rows.groupby("method")[[*CURVES]].mean()
    for curve in CURVES:
        assert means.loc[WORKS, curve] > means.loc["smooth noise", curve] + 0.05
        assert means.loc["daam", curve] > means.loc["smooth noise", curve]
    assert means.loc["smooth noise"].between(0.3, 0.7).all()
    assert set(rows["set"]) == {"drawn, noise 600"}


def test_tables(study, rows):
    tables = study.tables(rows)
    table = tables["faithfulness"].set_index("method")
    own = rows[rows["method"] == WORKS]
    areas = own[[*CURVES]].mean(axis=1)
    line = table.loc[WORKS]
    assert line["area"] == pytest.approx(areas.mean()) and line["n"] == len(own)
    assert line["area_low"] <= line["area"] <= line["area_high"]
    daam = rows[rows["method"] == "daam"].set_index(["seed", "noun"])[[*CURVES]].mean(axis=1)
    gain = own.set_index(["seed", "noun"])[[*CURVES]].mean(axis=1) - daam
    assert line["over_daam"] == pytest.approx(gain.mean()) and np.isnan(
        table.loc["daam", "over_daam"]
    )
    curves = tables["curves"]
    part = curves[curves["method"] == WORKS].set_index("share")
    assert part.loc[0.2, "deletion"] == pytest.approx(own["deletion 0.2"].mean())
    assert part.loc[0.2, "insertion"] == pytest.approx(own["insertion 0.2"].mean())
    titles = [ax.get_title("left") + ax.get_title() for ax in study.plot(tables).axes]
    assert titles == ["Silenced where the map is high", "Left there alone"]
