"""Folders replaced whole: what is somebody else's stays, and nothing ends halfway."""

import itertools
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from daamkit import files
from daamkit.errors import DaamkitError
from daamkit.maps import folders, notes
from tests import interrupts

KIND = folders.Kind("thing", "last.txt", ("in",))
SHARED = folders.Kind("list", "a.txt", ("in",), re.compile(r"a\.txt|in/\d+\.txt"))
OLD = {"a.txt": "old", "in/0.txt": "old", "in/1.txt": "old 1", "last.txt": "old"}
NEW = {"a.txt": "new", "in/0.txt": "new", "last.txt": "new"}
SWAP = (
    folders.write,
    folders._Swap.move,
    folders._Swap.tidy,
    folders._Swap._undo,
    folders._Swap._finish,
    folders._Swap._tell,
    files.replace,
)


def put(place, texts, kind=KIND):
    def draw(folder):
        for name, text in texts.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)

    folders.write(place, kind, draw)


def lies(place):
    """What a folder holds, but for notes."""
    found = [each for each in Path(place).rglob("*") if each.is_file() or each.is_symlink()]
    named = {each.relative_to(place).as_posix(): each.read_text() for each in found}
    return {name: text for name, text in named.items() if name != notes.NOTE}


def test_an_earlier_one_is_replaced_and_nothing_else_is_left(tmp_path):
    put(tmp_path / "new" / "x", OLD)
    put(tmp_path / "new" / "x", NEW)
    assert lies(tmp_path / "new" / "x") == NEW
    put(tmp_path / "new" / "x", {"last.txt": "only"})
    names = {each.name for each in (tmp_path / "new" / "x").iterdir()}
    assert names == {"last.txt", notes.NOTE}  # an empty folder neither
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["x"]


def link(file):
    target = file.with_name("target")
    file.rename(target)
    file.symlink_to(target)


def linked_folder(file):
    file.rename(file.parent.parent / "elsewhere")
    file.symlink_to(file.parent.parent / "elsewhere")


FOREIGN = {
    "beside": ("mine.txt", lambda file: file.write_text("mine")),
    "within": ("in/mine.txt", lambda file: file.write_text("mine")),
    "hidden": (".mine", lambda file: file.write_text("mine")),
    "changed": ("in/1.txt", lambda file: file.write_text("retouched")),
    "as another's": ("in/0.txt", lambda file: file.write_text("old 1")),
    "a folder": ("b.txt", lambda file: (file / "deep").mkdir(parents=True)),
    "a folder within": ("in/deep", lambda file: file.mkdir()),
    "a link": ("a.txt", link),
    "a linked folder": ("in", linked_folder),
    "a FIFO": ("fifo", os.mkfifo),
    "a note of others": (notes.NOTE, lambda file: file.write_text('{"format": "mine"}')),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_not_its_own_refuses_it(tmp_path, what):
    put(tmp_path / "x", OLD)
    name, lay = FOREIGN[what]
    lay(tmp_path / "x" / name)
    before = {str(each): each.lstat().st_mtime_ns for each in tmp_path.rglob("*")}
    with pytest.raises(DaamkitError, match="no thing's, or were changed") as told:
        put(tmp_path / "x", NEW)
    assert name in told.value.got
    assert before == {str(each): each.lstat().st_mtime_ns for each in tmp_path.rglob("*")}


def test_names_alone_make_nothing_ours(tmp_path):
    (tmp_path / "in").mkdir()
    for name, text in OLD.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(DaamkitError, match="a.txt, last.txt, in/0.txt|a.txt, in/0.txt"):
        put(tmp_path, NEW)
    assert lies(tmp_path) == OLD


def test_a_note_takes_nothing_that_its_kind_does_not_have(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    noted = {"thesis.txt": [files.digest(tmp_path / "thesis.txt")]}
    forged = {"format": notes.FORMAT, "files": {"list": noted | {"../x.txt": ["0"]}}}
    (tmp_path / notes.NOTE).write_text(json.dumps(forged))
    put(tmp_path, {"a.txt": "new"}, SHARED)
    assert lies(tmp_path) == {"thesis.txt": "mine", "a.txt": "new"}


def test_two_kinds_share_a_folder_where_both_may(tmp_path):
    other = folders.Kind("note", "b.txt", belongs=re.compile(r"[b]\.txt"))
    for text in ("one", "two"):
        put(tmp_path, {"a.txt": text}, SHARED)
        put(tmp_path, {"b.txt": text}, other)
        assert lies(tmp_path) == {"a.txt": text, "b.txt": text}
    with pytest.raises(DaamkitError, match="no thing's.*a.txt, b.txt"):
        put(tmp_path, NEW)


@pytest.mark.parametrize("name", ["mine.txt", "in/0.txt", "in/1.txt"])
def test_what_is_laid_there_while_it_is_drawn_stays(tmp_path, name):
    put(tmp_path / "x", OLD)

    def draw(folder):
        (folder / "last.txt").write_text("new")
        (tmp_path / "x" / name).write_text("mine")

    with pytest.raises(DaamkitError, match=re.escape(name)):
        folders.write(tmp_path / "x", KIND, draw)
    assert lies(tmp_path / "x") == OLD | {name: "mine"}


def test_what_is_laid_there_while_it_is_moved_stays(tmp_path, monkeypatch):
    put(tmp_path / "x", {"a.txt": "old"})
    real = Path.rename

    def rename(self, target):
        if self.name == "a.txt" and self.parent.name == "x":
            (tmp_path / "x" / "last.txt").write_text("mine")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(DaamkitError, match="last.txt"):
        put(tmp_path / "x", NEW)
    assert lies(tmp_path / "x") == {"a.txt": "old", "last.txt": "mine"}


@pytest.mark.parametrize("earlier", [OLD, {}], ids=["over an earlier one", "new"])
def test_it_fails_at_any_move_and_what_was_there_is_whole(tmp_path, monkeypatch, earlier):
    real = Path.rename
    for number in itertools.count(1):
        place = tmp_path / str(number) / "x"
        if earlier:
            put(place, earlier)
        left = number

        def rename(self, target):
            nonlocal left
            left -= 1
            if left == 0:
                raise OSError(28, "No space left on device")
            return real(self, target)

        monkeypatch.setattr(Path, "rename", rename)
        if number > len(earlier) + len(NEW):
            put(place, NEW)
            break
        with pytest.raises(DaamkitError, match=r"No space left.*free some space"):
            put(place, NEW)
        monkeypatch.undo()
        assert lies(place) == earlier
        assert place.exists() == bool(earlier) and not [*place.parent.glob(".*")]
        put(place, NEW)
        assert lies(place) == NEW


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files left open
@pytest.mark.parametrize("earlier", [OLD, {}], ids=["over an earlier one", "new"])
def test_an_interrupt_at_any_line_leaves_all_or_nothing(tmp_path, monkeypatch, earlier):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    place = tmp_path / "x"
    for number in itertools.count(1):
        shutil.rmtree(place, ignore_errors=True)
        if earlier:
            put(place, earlier)
        stopped = interrupts.at(number, SWAP, lambda: put(place, NEW))
        found = lies(place) if place.exists() else {}
        assert found in (earlier, NEW), number
        names = {each.name for each in place.iterdir()} if place.exists() else set()
        assert names <= {"a.txt", "in", "last.txt", notes.NOTE}, number
        assert [each.name for each in tmp_path.iterdir()] in ([], ["x"]), number
        put(place, {"last.txt": "again"})
        assert lies(place) == {"last.txt": "again"}, number
        if not stopped:
            break
    assert number > 50


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_while_it_goes_back_leaves_what_was_there(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    place, real, left = tmp_path / "x", Path.rename, 0

    def rename(self, target):
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(5, "Input/output error")
        return real(self, target)

    def fail():
        nonlocal left
        left = len(OLD) + 2
        with pytest.raises(DaamkitError, match="Input/output"):
            put(place, NEW)

    put(place, OLD)
    monkeypatch.setattr(Path, "rename", rename)
    for number in itertools.count(1):
        stopped = interrupts.at(number, [folders._Swap.tidy, folders._Swap._undo], fail)
        assert lies(place) == OLD, number
        assert {each.name for each in place.iterdir()} == {"a.txt", "in", "last.txt", notes.NOTE}
        if not stopped:
            break
    assert number > 30


def test_a_kill_at_any_line_loses_nothing_and_is_gone_on_from(tmp_path, monkeypatch, every_line):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    place = tmp_path / "x"
    for number in itertools.count(1, 1 if every_line else 3):
        shutil.rmtree(place, ignore_errors=True)
        put(place, OLD)
        stopped = interrupts.killed(number, SWAP, lambda: put(place, NEW))
        found = lies(place)
        assert {*found.values()} >= {*OLD.values()} or NEW.items() <= found.items(), number
        put(place, {"a.txt": "again", "last.txt": "again"})
        seen = {name: text for name, text in lies(place).items() if not name.startswith(".daam")}
        assert seen == {"a.txt": "again", "last.txt": "again"}, number
        if not stopped:
            break
    assert number > 50


def test_it_is_moved_in_within_the_folder(tmp_path, monkeypatch):
    place = tmp_path / "x"
    place.mkdir()
    before = tmp_path.stat().st_mtime_ns  # a mount point, or in a folder that is not ours to write
    monkeypatch.chdir(place)
    for texts in (OLD, NEW):
        put(".", texts)
        assert lies(".") == texts and Path("last.txt").exists()
    assert tmp_path.stat().st_mtime_ns == before


def test_through_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    for texts in (OLD, NEW):
        put(tmp_path / "link", texts)
        assert (tmp_path / "link").is_symlink() and lies(tmp_path / "disk") == texts


def test_the_longest_name_and_none(tmp_path, monkeypatch):
    put(tmp_path / ("n" * 255), OLD)
    with pytest.raises(DaamkitError, match="Give a shorter name"):
        put(tmp_path / ("n" * 256), OLD)
    with pytest.raises(DaamkitError, match="NUL"):
        put(str(tmp_path / "a\0b"), OLD)
    with pytest.raises(DaamkitError, match="got no folder"):
        put(tmp_path / ("n" * 255) / "a.txt", OLD)
    with pytest.raises(DaamkitError, match="Not a directory|File exists"):
        put(tmp_path / ("n" * 255) / "a.txt" / "x", OLD)
    assert len([*tmp_path.iterdir()]) == 1


def test_it_is_as_open_as_the_system_makes_files(tmp_path):
    for umask, folder, file in ((0o077, 0o700, 0o600), (0o002, 0o775, 0o664)):
        before = os.umask(umask)
        try:
            place = tmp_path / f"{umask}"
            put(place, OLD)
        finally:
            os.umask(before)
        each = [place, place / "in", place / "in/0.txt", place / notes.NOTE]
        modes = [one.stat().st_mode & 0o777 for one in each]
        assert modes == [folder, folder, file, file]
