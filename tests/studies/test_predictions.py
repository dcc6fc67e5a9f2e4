"""Maps of anybody's, scored: the truth has all of it, what knows nothing has little."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from daamkit.cli import main
from daamkit.errors import DaamkitError
from daamkit.studies import predictions
from daamkit.studies.attribution import AttributionStudy

DOCS = Path(__file__).parents[2] / "docs" / "attribution.md"


@pytest.fixture
def few(monkeypatch):
    """A truth of 12 scenes."""
    monkeypatch.setattr(predictions, "MANY", 12)
    predictions.truth.cache_clear()
    with pytest.raises(DaamkitError, match="others"):  # than the 300
        predictions.truth()
    monkeypatch.setattr(predictions, "digest", lambda frame: "")
    monkeypatch.setattr(predictions, "DIGESTS", {1: "", 2: ""})
    yield predictions.truth()
    predictions.truth.cache_clear()


def save(folder, truth, of):
    folder.mkdir()
    for row in truth.itertuples():
        np.save(folder / f"{row.id}.npy", of(row))
    return folder


@pytest.mark.parametrize("world", [1, 2])
def test_the_truth_is_what_it_was(world):
    predictions.truth.cache_clear()
    known = predictions.truth(world)  # or its digest is another
    assert known["id"].is_unique and known["id"].str.rsplit("-", n=1).str[0].nunique() > 290
    assert set(known["split"]) == {"training", "held-out"}
    words = [row.prompt[row.start : row.end] for row in known.itertuples()]
    assert words == known["word"].tolist()


def test_its_scenes_are_those_of_the_study(few):
    captions = [scene.caption for scene in AttributionStudy(n=36)._scenes]
    assert [*few["prompt"].unique()] == [each for each in captions if each in {*few["prompt"]}]


def test_who_knows_the_masks_has_everything(few, tmp_path):
    table = predictions.score(save(tmp_path / "maps", few, lambda row: row.mask.astype(np.uint8)))
    own = table[table["method"] == predictions.YOURS].set_index("split")
    assert own["ap"].tolist() == [1] * 4 and own["iou"].tolist() == [1] * 4
    assert own.loc["all", "n"] == len(few) == own.loc[["training", "held-out"], "n"].sum()
    counts = table[table["split"] == "several things"].set_index("method")["n"]
    assert 0 < counts["other word"] < len(few) and counts.nunique() == 1
    other = table[(table["method"] == "other word") & (table["split"] == "all")]
    assert (other["ap"] < 0.5).all() and (other["iou"] < 0.2).all()


def test_who_knows_nothing_has_no_more_than_the_controls(few, tmp_path):
    rng = np.random.default_rng(0)
    table = predictions.score(save(tmp_path / "maps", few, lambda row: rng.normal(size=(16, 16))))
    every = table[table["split"] == "all"].set_index("method")["ap"]
    assert every[predictions.YOURS] < every["centre prior"]


def test_the_script_of_the_page(few, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    script = re.search(r"```py\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)[1]
    assert main(["score", "--truth", "truth"]) == 0
    assert f"{len(few)} words" in capsys.readouterr().out
    exec(script, {})
    assert main(["score", "maps", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["truth"].items() <= json.loads(Path("truth/truth.json").read_text()).items()
    ap = {(row["split"], row["method"]): row["ap"] for row in told["scores"]}
    assert ap["all", "yours"] > ap["all", "centre prior"]
    several = ap["several things", "yours"], ap["several things", "other word"]
    assert several[0] == pytest.approx(several[1], abs=0.05)
    assert main(["score", "maps"]) == 0 and "version 1, world 1" in capsys.readouterr().out
    assert main(["score"]) == 2 and "neither" in capsys.readouterr().err
    assert (
        main(["score", "maps", "--world", "3"]) == 2 and "world 1 or 2" in capsys.readouterr().err
    )
    assert (
        main(["score", "maps", "--world", "2"]) == 2 and "no such file" in capsys.readouterr().err
    )


def test_world_2_has_scenes_of_its_own(few, tmp_path):
    other = predictions.truth(2)
    assert not {*other["prompt"]} & {*few["prompt"]}
    table = predictions.score(save(tmp_path / "maps", other, lambda row: row.mask), world=2)
    own = table.set_index(["split", "method"]).loc[("all", predictions.YOURS)]
    assert own["ap"] == 1 and own["n"] == len(other)
    told = json.loads((predictions.write(tmp_path / "truth", 2).parent / "truth.json").read_text())
    assert told["world"] == 2 and told["rows"] == len(other)


def test_what_is_written_can_be_read_without_us(few, tmp_path):
    frame = pd.read_parquet(predictions.write(tmp_path / "truth"))
    assert [*frame.columns] == [*predictions.COLUMNS] and len(frame) == len(few)
    for row, known in zip(frame.itertuples(), few.itertuples(), strict=True):
        image, mask = (np.asarray(Image.open(io.BytesIO(each))) for each in (row.image, row.mask))
        assert np.array_equal(image, known.image) and np.array_equal(mask > 0, known.mask)
    (tmp_path / "truth" / "thesis.txt").write_text("years of work")
    predictions.write(tmp_path / "truth")  # what is not ours stays
    assert (tmp_path / "truth" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda file: file.unlink(), "no such file"),
        (lambda file: file.write_bytes(b"nothing"), "wanted a map of"),
        (lambda file: file.write_bytes(file.read_bytes().replace(b"}", b"{")), "got [A-Z]"),
        (lambda file: np.save(file, np.full((8, 8), np.nan)), "not finite"),
        (lambda file: np.save(file, np.zeros((8, 8, 3))), r"shape \(8, 8, 3\)"),
        (lambda file: np.save(file, np.zeros((0, 8))), r"shape \(0, 8\)"),
        (lambda file: np.save(file, np.array([["a", "b"]])), "shape"),
        (lambda file: np.save(file, np.array([[{}]]), allow_pickle=True), "Object arrays|pickle"),
    ],
)
def test_what_is_no_map_is_told_with_its_word(few, tmp_path, spoil, told):
    folder = save(tmp_path / "maps", few, lambda row: row.mask.astype(float))
    spoil(folder / f"{few['id'].iloc[3]}.npy")
    with pytest.raises(DaamkitError, match=told) as error:
        predictions.score(folder)
    assert repr(few["word"].iloc[3]) in str(error.value)
