"""One process at a time in a folder, and who it is."""

from __future__ import annotations

import errno
import json
import os
import platform
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daamkit import files
from daamkit.errors import DaamkitError

try:
    import fcntl
except ImportError:  # Windows has no such locks; there two processes are not told apart
    fcntl = None  # type: ignore[assignment]

NAME = ".daamkit.lock"
OLD = ".lock"  # what it was called before
_BEGIN = b'{"process": '  # of every lock of ours
_NONE = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)  # no locks
_TAKEN = (errno.EAGAIN, errno.EACCES, errno.EBADF)  # the last: NFS, of a file only to be read
TRIES = 100


class HeldError(DaamkitError):
    """A folder that another process, or another part of this one, is writing to."""


class LockWarning(UserWarning):
    """A folder in which two processes are not told apart."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder; the system lets go of it when the process ends, however it ends.

    Where nothing can be written, nothing is held: writing will fail by itself. A file system that
    has no locks is told of in a warning.

    Raises
    ------
    HeldError
        If somebody holds it.
    DaamkitError
        If a file of the lock's name is none of ours.
    """
    place, taken = folder / NAME, None
    try:
        taken = _take(place) if fcntl is not None else None
        yield
    finally:
        if taken is not None:
            _leave(place, taken)


def is_ours(place: Path) -> bool:
    """Whether a file is a lock that daamkit has written, or was about to."""
    try:
        return not place.is_symlink() and _says_so(files.content(place))
    except (OSError, ValueError):
        return False


def _says_so(said: bytes) -> bool:
    return _BEGIN.startswith(said[: len(_BEGIN)])


def _take(place: Path) -> int | None:
    """A descriptor of the lock; None if there can be none."""
    for _ in range(TRIES):
        try:
            lock, own = _open(place)
        except FileNotFoundError:
            if os.access(place.parent, os.W_OK):
                continue  # that of another user has gone just now
            raise
        except OSError as error:
            if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
                return None
            raise
        mine = False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = _is_there(place, lock)
            if mine and (own or not _removed(place)):
                if own:
                    os.truncate(lock, 0)
                    os.write(lock, json.dumps(_me()).encode())
                return lock
        except OSError as error:
            got, nobodys = _who(place), error.errno in _NONE and not os.fstat(lock).st_size
            _leave(place, lock, mine or nobodys)
            if mine or error.errno not in (*_NONE, *_TAKEN):
                raise
            if error.errno in _TAKEN:
                raise _held(place, got) from None
            _tell(place)
            return None
        except BaseException:
            _leave(place, lock, mine)
            raise
        os.close(lock)  # whoever held it has just taken the file away, or we have: again
    raise _held(place, "others, that come and go")


def _open(place: Path) -> tuple[int, bool]:
    """A descriptor of the file, made if it is missing, and whether it can be written; that of
    another user can be locked all the same."""
    flags = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        lock, own = os.open(place, os.O_RDWR | os.O_CREAT | flags, 0o644), True
    except PermissionError as error:
        lock, own = _readable(place, flags, error), False
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _foreign(place) from error
        raise
    try:
        told = os.fstat(lock)
        if not stat.S_ISREG(told.st_mode) or not _says_so(os.pread(lock, len(_BEGIN), 0)):
            raise _foreign(place)
        if own and told.st_uid == os.geteuid():
            with suppress(OSError):
                os.fchmod(lock, 0o644)  # others have to read it, to ask whether it is held
    except BaseException:
        os.close(lock)
        raise
    return lock, own


def _readable(place: Path, flags: int, unwritable: OSError) -> int:
    try:
        return os.open(place, os.O_RDONLY | flags)
    except FileNotFoundError:
        if os.access(place.parent, os.W_OK):
            raise  # it has gone just now
        raise unwritable from None  # and none can be made
    except PermissionError:
        raise _held(place, f"a lock of another user's that cannot be read, {place.name}") from None
    except OSError as error:
        raise _foreign(place) from error


def _is_there(place: Path, lock: int) -> bool:
    """Whether the file of the name is still the one that was opened."""
    try:
        return os.path.samestat(place.lstat(), os.fstat(lock))
    except FileNotFoundError:
        return False


def _removed(place: Path) -> bool:
    """Take away what another user's process has left, to write one that says who we are."""
    try:
        place.unlink()
    except OSError:  # a folder where each may remove only what is his: it is held as it is
        return False
    return True


def _leave(place: Path, lock: int, mine: bool = True) -> None:
    """Take the file away while it is held, unless it is somebody else's by now; let go."""
    with suppress(OSError):
        if mine and _is_there(place, lock):
            place.unlink()
    os.close(lock)


def _me() -> dict[str, Any]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"process": os.getpid(), "machine": platform.node(), "since": since}


def _who(place: Path) -> str:
    try:
        told = files.plain(files.content(place, 4096))
        return f"process {told['process']} on {told['machine']}, there since {told['since']}"
    except (OSError, ValueError, LookupError, TypeError):
        return "another process, which has just begun"


def _held(place: Path, got: str) -> HeldError:
    return HeldError(
        wanted=f"a folder that nobody writes to, {place.parent}",
        got=got,
        mend="wait for it to end, or name another folder",
    )


def _foreign(place: Path) -> DaamkitError:
    return DaamkitError(
        wanted=f"a lock of daamkit's, {place}, or none",
        got="something else of that name",
        mend="name another folder, or move it; nothing was touched",
    )


def _tell(place: Path) -> None:
    warnings.warn(
        f"{place.parent} is on a file system without locks: nothing keeps a second process out "
        "of it; begin no other run there until this one ends",
        LockWarning,
        stacklevel=9,
    )
