"""One process at a time in a folder, and who it is."""

from __future__ import annotations

import errno
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from daamkit import files
from daamkit.errors import DaamkitError

try:
    import fcntl
except ImportError:  # Windows has no such locks; there two processes are not told apart
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"


class HeldError(DaamkitError):
    """A folder that another process, or another part of this one, is writing to."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder; the system lets go of it when the process ends, however it ends.

    Where nothing can be written, nothing is held: writing will fail by itself.

    Raises
    ------
    HeldError
        If somebody holds it.
    """
    taken = _take(folder / NAME) if fcntl is not None else None
    try:
        yield
    finally:
        if taken is not None:
            (folder / NAME).unlink(missing_ok=True)  # while it is held: nobody else's goes
            taken.close()


def _take(place: Path) -> IO[Any] | None:
    while True:
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW
            lock = os.fdopen(os.open(place, flags, 0o644), "r+")
        except OSError as error:
            if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
                return None
            raise
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if place.exists() and place.stat().st_ino == os.fstat(lock.fileno()).st_ino:
                lock.truncate()
                lock.write(json.dumps(_me()))
                lock.flush()
                return lock
        except BlockingIOError:
            lock.close()
            raise HeldError(
                wanted=f"a folder that nobody writes to, {place.parent}",
                got=_who(place),
                mend="wait for it to end, or name another folder",
            ) from None
        except BaseException:
            lock.close()
            raise
        lock.close()  # whoever held it has just taken the file away: again


def _me() -> dict[str, Any]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"process": os.getpid(), "machine": platform.node(), "since": since}


def _who(place: Path) -> str:
    try:
        told = files.plain(files.content(place, 4096))
        return f"process {told['process']} on {told['machine']}, there since {told['since']}"
    except (OSError, ValueError, LookupError, TypeError):
        return "another process, which has just begun"
