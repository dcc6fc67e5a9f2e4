"""Many runs as one: from memory, from a pattern, from folders."""

import re

import pytest

import daamkit
from daamkit.errors import DaamkitError
from daamkit.maps.collection import Collection
from daamkit.maps.run import Run, RunFolderError
from tests.views.runs import made


@pytest.fixture
def runs() -> list[Run]:
    return [made("a cat", 0), made("a red dog", 1, "syngen"), made("a cat", None)]


def test_their_tables_stand_one_below_the_other(runs) -> None:
    found = daamkit.Collection(runs)
    table = found.table()
    assert table["run"].tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert table.columns[:5].tolist() == ["run", "prompt", "seed", "method", "word"]
    assert table.loc[2, ["prompt", "seed", "method"]].tolist() == ["a red dog", 1, "syngen"]
    own = runs[1].table()
    assert table.loc[2:4, own.columns].reset_index(drop=True).equals(own)
    pairs = found.relations(threshold=[0.3, 0.5], rule="minmax")
    assert set(pairs["tau"]) == {0.3, 0.5} and set(pairs["rule"]) == {"minmax"}
    assert set(pairs["method"]) == {"unguided", "syngen"} and pairs["run"].is_monotonic_increasing


def test_runs_of_a_pattern_and_of_folders(runs, tmp_path, monkeypatch) -> None:
    for name, run in zip("cab", runs, strict=True):
        run.save(tmp_path / name)
    (tmp_path / "notes").mkdir()
    found = daamkit.open(f"{tmp_path}/*")
    assert [run.prompt for run in found] == ["a red dog", "a cat", "a cat"]
    monkeypatch.chdir(tmp_path)
    assert repr(daamkit.open("[ac]")) == "Collection(2 runs)"
    assert [run.seed for run in daamkit.open(["c", tmp_path / "a"])] == [0, 1]
    assert isinstance(daamkit.open("a"), Run) and found[0] is not found[0]  # opened each time
    with pytest.raises(RunFolderError, match="got none"):
        daamkit.open("nothing*")
    runs[0].save(tmp_path / "x[1]*")
    assert daamkit.open("x[1]*").prompt == "a cat"  # a folder that is there is that folder


def test_a_part_is_a_collection(runs) -> None:
    found = Collection(*runs)
    assert isinstance(found[1:], Collection) and len(found[1:]) == 2
    assert found[-1] is runs[2] and runs[1] in list(found)
    for nothing in ([], [[]]):
        with pytest.raises(DaamkitError, match="got none"):
            Collection(*nothing)
    with pytest.raises(DaamkitError, match="got int"):
        Collection(3)


def test_it_shows_its_images(runs) -> None:
    page = Collection(runs)._repr_html_()
    assert re.findall(r'alt="([^"]+)"', page) == [f"generated image: {r.prompt}" for r in runs]
    assert "a red dog (syngen, seed 1)" in page and "a cat (unguided)" in page


def test_no_word_no_row(runs) -> None:
    assert Collection(made("")).table().empty
    assert len(Collection(made(""), runs[0]).table()) == 2
