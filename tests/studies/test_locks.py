"""Who may write into a folder: one at a time, whatever lies there and whoever made it."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from daamkit.errors import DaamkitError
from daamkit.studies import locks

SAID = '{"process": 1, "machine": "gone", "since": "2020"}'


def refused(folder: Path, match: str = "nobody writes to") -> None:
    with pytest.raises(locks.HeldError, match=match), locks.held(folder):
        pass


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Files of some numbers are another user's, or such may not be made at all."""
    real, others = os.open, set[int]()

    def opened(place: Any, flags: int, *rest: Any, **more: Any) -> int:
        if Path(place).name == locks.NAME and flags & os.O_RDWR:
            there = Path(place).stat().st_ino if Path(place).exists() else 0
            if there in others:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(place, flags, *rest, **more)

    monkeypatch.setattr(os, "open", opened)
    return others


def test_one_is_in_and_says_who_it_is(tmp_path) -> None:
    with locks.held(tmp_path):
        refused(tmp_path, rf"got process {os.getpid()} on .*since 20")
        assert (tmp_path / locks.NAME).stat().st_mode & 0o444 == 0o444
    assert not [*tmp_path.iterdir()]
    with locks.held(tmp_path):
        pass


def test_a_lock_that_another_user_holds_is_held(tmp_path, unwritable) -> None:
    with locks.held(tmp_path):
        unwritable.add((tmp_path / locks.NAME).stat().st_ino)
        refused(tmp_path, f"process {os.getpid()}")
    assert not [*tmp_path.iterdir()]


def test_a_lock_that_another_users_process_has_left_is_taken_over(tmp_path, unwritable) -> None:
    lock = tmp_path / locks.NAME
    lock.write_text(SAID)
    unwritable.add(lock.stat().st_ino)
    os.link(lock, tmp_path / "kept")  # so that its number is not given again
    with locks.held(tmp_path):
        assert json.loads(lock.read_text())["process"] == os.getpid()
        refused(tmp_path)
    assert not lock.exists() and (tmp_path / "kept").read_text() == SAID


def test_where_each_may_remove_only_his_own_it_is_held_as_it_is(
    tmp_path, unwritable, monkeypatch
) -> None:
    lock = tmp_path / locks.NAME
    lock.write_text(SAID)
    unwritable.add(lock.stat().st_ino)

    def kept(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "unlink", kept)
    with locks.held(tmp_path):
        refused(tmp_path)
    assert lock.read_text() == SAID
    with locks.held(tmp_path):
        pass


def test_a_lock_that_cannot_be_read_is_not_passed_by(tmp_path, monkeypatch) -> None:
    real = os.open

    def opened(place: Any, *rest: Any, **more: Any) -> int:
        if Path(place).name == locks.NAME:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(place, *rest, **more)

    (tmp_path / locks.NAME).touch()
    monkeypatch.setattr(os, "open", opened)
    refused(tmp_path, "cannot be read")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_where_nothing_can_be_written_nothing_is_held(tmp_path, monkeypatch, number) -> None:
    real = os.open

    def opened(place: Any, flags: int, *rest: Any, **more: Any) -> int:
        if Path(place).name == locks.NAME and flags & os.O_CREAT:
            raise OSError(number, os.strerror(number))
        return real(place, flags, *rest, **more)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with locks.held(tmp_path):
        assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_a_file_system_without_locks_is_told_of(tmp_path, monkeypatch, number) -> None:
    def none(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks.fcntl, "flock", none)
    told = pytest.warns(locks.LockWarning, match="nothing keeps a second process out")
    with told, locks.held(tmp_path):
        pass
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EACCES, errno.EBADF])
def test_what_cannot_be_asked_is_held(tmp_path, monkeypatch, number) -> None:
    def taken(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / locks.NAME).write_text(SAID)
    monkeypatch.setattr(locks.fcntl, "flock", taken)
    refused(tmp_path, "got process 1 on gone, there since 2020")
    assert (tmp_path / locks.NAME).read_text() == SAID


@pytest.mark.parametrize("kind", ["text", "link", "folder", "fifo"])
def test_a_file_of_the_name_that_is_no_lock_of_ours_stays(tmp_path, kind) -> None:
    folder, lock = tmp_path / "out", tmp_path / "out" / locks.NAME
    folder.mkdir()
    other = tmp_path / "other"
    other.write_text("mine")
    match kind:
        case "text":
            lock.write_text("of another program, pid 4711")
        case "link":
            lock.symlink_to(other)
        case "folder":
            lock.mkdir()
        case "fifo":
            os.mkfifo(lock)
    before = lock.lstat()
    with pytest.raises(DaamkitError, match="a lock of daamkit's"), locks.held(folder):
        pass
    assert lock.lstat() == before and other.read_text() == "mine"


@pytest.mark.parametrize("said", ["", '{"proc', SAID])
def test_what_a_killed_process_has_left_holds_nobody_up(tmp_path, said) -> None:
    (tmp_path / locks.NAME).write_text(said)
    with locks.held(tmp_path):
        assert json.loads((tmp_path / locks.NAME).read_text())["process"] == os.getpid()
    assert not [*tmp_path.iterdir()]


def test_a_lock_that_was_removed_by_hand_is_nobody_elses(tmp_path) -> None:
    first, second = locks.held(tmp_path), locks.held(tmp_path)
    first.__enter__()
    (tmp_path / locks.NAME).unlink()
    second.__enter__()
    first.__exit__(None, None, None)
    refused(tmp_path)  # the second one is in
    second.__exit__(None, None, None)
    assert not [*tmp_path.iterdir()]


def test_a_lock_that_goes_while_it_is_taken_is_taken_again(tmp_path, monkeypatch) -> None:
    real, times = locks.fcntl.flock, []

    def flock(lock: int, how: int) -> None:
        if not times:
            (tmp_path / locks.NAME).unlink()
        times.append(lock)
        real(lock, how)

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    with locks.held(tmp_path):
        assert len(times) == 2
        refused(tmp_path)
    assert not [*tmp_path.iterdir()]
