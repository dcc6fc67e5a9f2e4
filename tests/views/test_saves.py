"""Whatever is saved as one file: whole or not at all, and told as people read it."""

import os

import pytest

from daamkit import plots
from daamkit.errors import DaamkitError
from daamkit.views.inspector import Inspector
from tests.views.runs import made

NAMES = (
    "figure.png",
    "figure.svg",
    "picture.png",
    "movie.gif",
    "seen.html",
    "seen.svg",
    "seen.png",
)


@pytest.fixture(scope="module")
def saves():
    run = made("a cat")
    picture = plots.overlay(run, "cat")
    named = {
        "figure": plots.word(run, "cat"),
        "picture": picture,
        "movie": plots.Movie([picture, picture], "x"),
    }
    inspector = Inspector(run)

    def save(file):
        what = named.get(file.stem)
        return inspector.save(file) if what is None else plots.save(what, file)

    return save


@pytest.mark.parametrize("name", NAMES)
def test_saved_whole_or_not_at_all(saves, tmp_path, monkeypatch, name):
    place = saves(tmp_path / "new" / "er" / name)
    assert place == tmp_path / "new" / "er" / name and place.stat().st_size > 200
    (tmp_path / name).mkdir()
    with pytest.raises(DaamkitError, match="Is a directory"):
        saves(tmp_path / name)
    with pytest.raises(DaamkitError, match="File exists|Not a directory"):
        saves(place / name)
    before = place.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DaamkitError, match=f"a file to write, .*{name}; got No space left"):
        saves(place)
    assert place.read_bytes() == before and [*place.parent.iterdir()] == [place]
