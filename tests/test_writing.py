"""One file, written whole or not at all."""

import itertools
import os

import pytest
from PIL import Image

from daamkit import files
from daamkit.errors import DaamkitError
from tests import interrupts


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files left open
@pytest.mark.parametrize("earlier", [b"old", None])
def test_an_interrupt_at_any_line_leaves_the_old_or_the_new(tmp_path, earlier):
    place = tmp_path / "x"
    for number in itertools.count(1):
        place.unlink(missing_ok=True)
        if earlier is not None:
            place.write_bytes(earlier)
        stopped = interrupts.at(number, [files.replace], lambda: files.replace(place, b"new"))
        assert (place.read_bytes() if place.exists() else None) in (earlier, b"new")
        assert {each.name for each in tmp_path.iterdir()} <= {"x"}, number
        if not stopped:
            break
    assert number > 10


def test_permissions_are_the_systems_or_the_earlier_ones(tmp_path):
    for umask, mode in ((0o077, 0o600), (0o002, 0o664), (0o022, 0o644)):
        before, file = os.umask(umask), tmp_path / f"{umask}"
        try:
            files.replace(file, b"x")
            assert file.stat().st_mode & 0o777 == mode
            file.chmod(0o640)
            files.replace(file, b"y")
            assert file.stat().st_mode & 0o777 == 0o640 and file.read_bytes() == b"y"
        finally:
            os.umask(before)


def test_through_a_link_and_with_the_longest_name(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "x")
    files.replace(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "disk" / "x").read_bytes() == b"x"
    files.replace(tmp_path / ("n" * 255), b"x")


def test_what_cannot_be_written_is_said(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"mine")
    os.mkfifo(tmp_path / "fifo")
    for name, told in {
        "folder": "Is a directory.*a folder of that name lies there",
        "file/x": "file/x; got (File exists|Not a directory).*where its folder should be",
        "fifo": "what is no file",
        "a\0b": "NUL.*a name that files can have",
        "n" * 256: "Give a shorter name",
    }.items():
        with pytest.raises(DaamkitError, match=told):
            files.write(f"{tmp_path}/{name}", b"x")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DaamkitError, match="No space left on device.*what lay there is whole"):
        files.write(tmp_path / "file", b"x")
    assert (tmp_path / "file").read_bytes() == b"mine"
    assert {each.name for each in tmp_path.iterdir()} == {"folder", "file", "fifo"}
    monkeypatch.undo()
    assert files.write(tmp_path / "new" / "er" / "x", b"x").read_bytes() == b"x"


def test_a_picture_as_bytes_is_the_same_as_in_a_file(tmp_path):
    image = Image.new("RGB", (3, 2), "red")
    image.save(tmp_path / "x.png")
    assert files.encoded(image) == (tmp_path / "x.png").read_bytes()
