"""Which layers and heads a thing needs: what is said is taken out, and as many others beside."""

import numpy as np
import pytest

from daamkit.edits.heads import KnockOut
from daamkit.edits.silence import Silence
from daamkit.errors import DaamkitError
from daamkit.measures.faithfulness import perceptual
from daamkit.studies import necessity, runner
from daamkit.studies.denoised import Denoised, exact
from daamkit.studies.distances import views
from daamkit.studies.necessity import EDITS, MEASURES, QUESTIONS, Necessity, heads_of, parts
from daamkit.studies.session import Session
from daamkit.toybox import oracle
from tests.families import tiny_joint

SITES = {  # those of the toybox that attend to text
    "down": ["down_blocks.1.attentions.0", "down_blocks.2.attentions.0"],
    "up": [f"up_blocks.{i}.attentions.{j}" for i in (0, 1) for j in (0, 1)],
    "mid": ["mid_block.attentions.0"],
}
NAMES = {
    group: [f"{name}.transformer_blocks.0.attn2" for name in own] for group, own in SITES.items()
}
EVERY = sum(NAMES.values(), [])


@pytest.fixture(scope="module")
def study():
    return Necessity(n=2, steps=2, levels=(600,), seed=60)


@pytest.fixture(scope="module")
def rows(study, toybox):
    return runner.run(study, pipe=toybox, batch_size=2, threads=1, progress=False)


def test_each_part_once_and_what_is_asked_of_it(rows):
    kinds = rows.groupby("kind")["part"].unique().map(set).to_dict()
    assert kinds["layer"] == {*EVERY}
    assert kinds["block"] == {"down", "up"}  # the middle is one layer
    assert kinds["heads"] == {"heads that find things"}
    counts = rows.groupby("part")["heads"].unique().map(list).to_dict()
    assert counts["up"] == [16] and counts["down"] == [8] and counts[EVERY[0]] == [4]
    assert set(rows["edit"]) == {*EDITS} and set(rows["question"]) == {*QUESTIONS}
    assert "drawn, noise 600" in set(rows["set"])
    once = ["set", "seed", "noun", "edit", "question", "part"]
    assert not rows.duplicated(once).any()


def test_kinds_of_parts(study, toybox):
    run = study.drawing(Session(study, toybox), study.cases()[0])()
    assert [*parts(toybox, run, ["block"])] == [("block", "down"), ("block", "up")]
    with pytest.raises(DaamkitError, match="'site'"):
        Necessity(n=2, kinds=("block", "site"))
    with pytest.raises(DaamkitError, match="Name some"):
        Necessity(n=2, kinds=())


def test_more_changes_without_all_but_a_layer_than_without_it(rows):
    layers = rows[(rows["kind"] == "layer") & (rows["edit"] == "knock out")]
    means = layers.groupby("question")[["inside", "perceptual"]].mean()
    assert (means.loc["sufficiency"] > means.loc["necessity"]).all()
    assert rows["lost"].between(-1, 1).all() and rows["random_lost"].between(-1, 1).all()


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("edit", EDITS)
def test_what_is_taken_out_is_what_is_said(study, rows, toybox, edit, question):
    case = study.cases()[0]
    scene = study.scene(case)
    part = {"necessity": "up", "sufficiency": "down"}[question]
    row = rows[(rows["set"] == "drawn, noise 600") & (rows["edit"] == edit)]
    row = row[(row["question"] == question) & (row["part"] == part)].iloc[-1]
    left = {"necessity": ["up"], "sufficiency": ["up", "mid"]}[question]
    taken = dict.fromkeys(sum((NAMES[group] for group in left), []), range(4))
    denoised = Denoised(toybox)
    edits = {"knock out": KnockOut(heads=taken), "silence": Silence(row["word"], heads=taken)}
    plain, changed = (
        denoised.pictures([scene], [case["seed"]], 600, taps)[0] for taps in ([], [edits[edit]])
    )
    mask = exact(scene)[row["noun"]]
    moved = np.abs(np.asarray(plain, float) - np.asarray(changed, float)).mean(-1) / 255
    assert row["inside"] == pytest.approx(moved[mask].mean(), rel=1e-3)
    seen = perceptual(views([plain]).features, views([changed]).features)[0]
    large = seen.repeat(2, 0).repeat(2, 1)
    assert row["perceptual"] == pytest.approx(large[mask].mean(), rel=1e-3)
    read = [
        np.any([mask & ~mask, *found[found["name"] == row["word"]]["mask"]], 0)
        for found in oracle.read_all([plain, changed])
    ]
    assert row["lost"] == pytest.approx(read[0][mask].mean() - read[1][mask].mean(), abs=1e-3)


def test_beside_each_part_stand_as_many_random_heads(study, toybox, monkeypatch):
    case, taken, make = study.cases()[0], [], necessity._edit

    def noted(heads, word):
        taken.append(heads)
        return make(heads, word)

    monkeypatch.setattr(necessity, "_edit", noted)
    monkeypatch.setattr(necessity, "EDITS", ("knock out",))
    (rows,) = study.measure(Session(study, toybox), [case])
    every = frozenset(heads_of(toybox))
    fours = np.array([heads for heads in taken if heads], object).reshape(-1, 4)
    run = study.drawing(Session(study, toybox), case)()
    known = parts(toybox, run)
    assert len(fours) == len(known) == len({row["part"] for row in rows})
    for heads, (own, chance, rest, others) in zip(known.values(), fours, strict=True):
        assert own == heads and len(chance) == len(own) and chance < every
        assert rest == every - own and others == every - chance
    assert sum(own == chance for own, chance, *_ in fours) <= 1
    assert len({chance for _, chance, *_ in fours}) > len(fours) // 2


def test_tables(study, rows):
    table = study.tables(rows)["necessity"]
    by = ["set", "edit", "question", "part"]
    here = "drawn, noise 600", "silence", "necessity", "up"
    line = table.set_index(by).sort_index().loc[here]
    part = rows.set_index(by).sort_index().loc[here]
    assert line["heads"] == 16 and line["n"] == len(part)
    for measure in MEASURES:
        assert line[measure] == pytest.approx(part[measure].mean())
        gain = (part[measure] - part[f"random_{measure}"]).mean()
        assert line[f"{measure}_over_random"] == pytest.approx(gain)
    figure = study.plot(study.tables(rows))
    titles = [ax.get_title("left") for ax in figure.axes]
    assert titles == [f"{edit}, {how}" for edit in EDITS for how in ("without it", "with it alone")]
    figure.canvas.draw()


def test_parts_of_a_joint_model():
    """The names of single blocks hold those of double ones."""
    pipe = tiny_joint.toybox_flux()
    study = Necessity(n=2, levels=(600,), seed=65)
    case = study.cases()[0]
    (rows,) = study.measure(Session(study, pipe), [case])
    kinds = {
        kind: {row["part"] for row in rows if row["kind"] == kind} for kind in ("layer", "block")
    }
    layers = {
        f"{kind}transformer_blocks.{i}.attn"
        for kind, n in (("", 2), ("single_", 4))
        for i in range(n)
    }
    assert kinds == {"layer": layers, "block": {"double", "single"}}
    found = {(row["part"], row["edit"], row["question"]): row["inside"] for row in rows}
    assert np.isfinite([*found.values()]).all()
    double, single = "transformer_blocks.0.attn", "single_transformer_blocks.0.attn"
    assert found[double, "silence", "necessity"] != found[single, "silence", "necessity"]
