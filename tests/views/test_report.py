"""Reports and exports over what lies there: what is not theirs stays."""

import pytest

import daamkit
from daamkit.errors import DaamkitError
from daamkit.maps import notes, saving
from daamkit.views import report
from tests.views.runs import made


def lies(place):
    found = [each for each in place.rglob("*") if each.is_file()]
    return {each.relative_to(place).as_posix(): each.read_bytes() for each in found}


def refused(write, place, what):
    before = lies(place)
    with pytest.raises(DaamkitError, match="or were changed") as told:
        write()
    assert what in told.value.got and lies(place) == before


@pytest.fixture
def drawn(monkeypatch):
    """Reports without the page, which takes long and is tested elsewhere."""

    def draw(run, folder, threshold):
        (folder / "run").mkdir()
        saving.draw(run, folder / "run")
        (folder / "words").mkdir()
        for i, word in enumerate(run.prompt.split()):
            (folder / "words" / f"{i:02d}-{word}.png").write_text(word)
        (folder / "report.html").write_text(run.prompt)

    monkeypatch.setattr(report, "_draw", draw)


def test_a_report_is_written_and_again(tmp_path):
    page = report.write(made("a cat"), tmp_path / "x")
    assert page == tmp_path / "x" / "report.html" and "a cat" in page.read_text()
    names = {*lies(tmp_path / "x")}
    run = {"run/run.json", "run/maps.safetensors", "run/image.png"}
    fixed = {"image.png", "words.csv", "report.html", notes.NOTE}
    assert names == run | fixed | {"words/00-a.png", "words/01-cat.png"}
    assert daamkit.open(tmp_path / "x" / "run").record == made("a cat").record
    report.write(made("dogs"), tmp_path / "x")
    assert {*lies(tmp_path / "x")} == run | fixed | {"words/00-dogs.png"}


def test_a_run_that_was_saved_there_is_not_a_reports(tmp_path, drawn):
    report.write(made("a cat"), tmp_path / "a")
    daamkit.open(tmp_path / "a" / "run").save(tmp_path / "b" / "run")
    refused(lambda: report.write(made(), tmp_path / "b"), tmp_path / "b", "run/run.json")
    run = daamkit.open(tmp_path / "a" / "run")
    run.record["note"] = "years of work"
    run.save(tmp_path / "a" / "run")
    refused(lambda: report.claim(tmp_path / "a"), tmp_path / "a", "run/run.json")
    assert daamkit.open(tmp_path / "a" / "run").record["note"] == "years of work"


@pytest.mark.parametrize(
    "name", ["run/image.png", "run/notes.txt", "run/more/x", "words/100-mine.png", "words/00-a.png"]
)
def test_what_is_not_a_reports_is_told_before_anything_is_drawn(tmp_path, monkeypatch, drawn, name):
    report.write(made("a cat"), tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"mine")
    monkeypatch.setattr(report, "_draw", None)
    what = "/".join(name.split("/")[:2])
    refused(lambda: report.claim(tmp_path), tmp_path, what)
    refused(lambda: report.write(made(), tmp_path), tmp_path, what)


def test_a_full_disk_leaves_the_earlier_report_which_can_be_replaced(tmp_path, monkeypatch, drawn):
    report.write(made("a cat"), tmp_path)
    before = lies(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(saving, "save_file", full)
        with pytest.raises(DaamkitError, match=r"No space left.*--out.*whole"):
            report.write(made("two dogs"), tmp_path)
    assert lies(tmp_path) == before
    report.write(made("two dogs"), tmp_path)
    assert daamkit.open(tmp_path / "run").prompt == "two dogs"


@pytest.mark.parametrize("name", ["masks/mine.png", "masks/01-cat.png", "maps/more/x", "thesis"])
def test_an_export_takes_nothing_of_others(tmp_path, name):
    place = made("a cat").export(tmp_path / "x")
    (place / name).parent.mkdir(exist_ok=True)
    (place / name).write_bytes(b"mine")
    refused(lambda: made().export(place), place, "/".join(name.split("/")[:2]))


def test_an_export_of_ones_own_making_is_not_one(tmp_path):
    (tmp_path / "masks").mkdir()
    for name in ("maps.npz", "masks/hand.png", "image.png"):
        (tmp_path / name).write_text("mine")
    refused(lambda: made().export(tmp_path), tmp_path, "image.png, maps.npz, masks/hand.png")


def test_an_export_here_and_through_a_link(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    made("a cat").export(tmp_path / "link")
    monkeypatch.chdir(tmp_path / "disk")
    made("dogs").export(".")
    assert (tmp_path / "link").is_symlink()
    assert [each.name for each in (tmp_path / "link" / "masks").iterdir()] == ["00-dogs.png"]
