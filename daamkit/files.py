"""Files from elsewhere, read in bounded time and memory, and files written whole or not at all.

What is no regular file is never waited for, what is too large never read, and a picture is decoded
as PNG and as nothing else, after its size is known. What does not fit is a `ValueError` that says
why; readers tell which file it was and how to mend it. Writers have `told`.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import secrets
import stat
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from daamkit.errors import DaamkitError

MOST = 64 * 2**20  # bytes of a file that is read into memory
ENTRIES = 2**22  # of lists and mappings in JSON; each costs about 100 bytes
PIXELS = 2**26
PNG = b"\x89PNG\r\n\x1a\n"  # how one begins
KINDS: dict[Callable[[int], bool], str] = {
    stat.S_ISFIFO: "a FIFO",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}
MENDS = {
    errno.EEXIST: "name another: a file lies where its folder should be",
    errno.ENOTDIR: "name another: a file lies where its folder should be",
    errno.EISDIR: "name another: a folder of that name lies there",
    errno.EINVAL: "give a name that files can have",
    errno.ENAMETOOLONG: "give a shorter name",
}


def size(file: str | os.PathLike[str]) -> int:
    """Its size in bytes.

    Raises
    ------
    OSError, ValueError
        If it is missing, or no file: a folder, a FIFO, a device.
    """
    told = Path(file).stat()
    if stat.S_ISDIR(told.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    for is_kind, name in KINDS.items():
        if is_kind(told.st_mode):
            raise ValueError(f"{name} and no file")
    return told.st_size


def content(file: str | os.PathLike[str], most: int = MOST) -> bytes:
    """All bytes of a file.

    Raises
    ------
    OSError, ValueError
        If it is missing, no file, or larger than `most`.
    """
    size(file)  # opening some devices is an act; a FIFO would wait for a writer
    with open(os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as opened:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            raise ValueError("no file any more")
        found = opened.read(most + 1)
    if len(found) > most:
        raise ValueError(f"more than {most:,} bytes")
    return found


def text(file: str | os.PathLike[str], most: int = MOST, encoding: str = "utf-8") -> str:
    """A file's text, ends of lines as they are; otherwise as `content`."""
    return content(file, most).decode(encoding)


def plain(written: str | bytes) -> Any:
    """JSON as plain data.

    Raises
    ------
    ValueError
        If it is no JSON, nests too deep, has too many entries, or one name twice in a mapping.
    """
    content = written.encode() if isinstance(written, str) else written
    many = sum(content.count(mark) for mark in (b",", b"[", b"{"))
    if many > ENTRIES:
        raise ValueError(f"JSON of more than {ENTRIES:,} entries")
    try:
        return json.loads(written, object_pairs_hook=_mapping)
    except RecursionError:
        raise ValueError("JSON that nests too deep") from None


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} twice in one mapping")
    return found


def picture(file: str | os.PathLike[str], wanted: tuple[int, int] | None = None) -> Image.Image:
    """A PNG, decoded.

    Parameters
    ----------
    file
        The file.
    wanted
        Its (height, width), where that is known.

    Raises
    ------
    OSError, ValueError
        If it is missing, no PNG, damaged, of another size, or of more than `PIXELS` pixels.
    """
    raw = content(file, 4 * PIXELS)
    found = heading(raw)
    if wanted is not None and found != wanted:
        raise ValueError("a picture of {} x {} in place of {} x {}".format(*found, *wanted))
    return decode(raw)


def heading(raw: bytes) -> tuple[int, int]:
    """(height, width) that the first bytes of a PNG tell."""
    if raw[:8] != PNG or raw[12:16] != b"IHDR":
        raise ValueError("no PNG")
    width, height = struct.unpack(">II", raw[16:24].ljust(8, b"\0"))
    return height, width


def decode(raw: bytes, formats: tuple[str, ...] = ("PNG",)) -> Image.Image:
    """A picture of one of some formats, all of whose pixels are there.

    Raises
    ------
    ValueError
        If it is none, damaged, or of more than `PIXELS` pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused below
            opened = Image.open(io.BytesIO(raw), formats=formats)
        with opened:
            if opened.height * opened.width > PIXELS:
                raise ValueError(f"{opened.height} x {opened.width}, over {PIXELS:,} pixels")
            return opened.copy()
    except Exception as error:  # of many kinds: the decoder's, for each way to be damaged
        raise ValueError(f"a damaged {' or '.join(formats)} ({error})") from error


def missing(file: str | os.PathLike[str]) -> bool:
    """Whether there is no picture, or half of a PNG; what is something else is none of ours."""
    try:
        raw = content(file)
    except (OSError, ValueError) as error:
        return isinstance(error, FileNotFoundError)
    try:
        decode(raw)
    except ValueError:
        return PNG.startswith(raw[:8])
    return False


def encoded(image: Image.Image) -> bytes:
    """A picture as the bytes of a PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def digest(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def write(file: str | os.PathLike[str], written: bytes) -> Path:
    """Write a file whole or not at all; its folder is made.

    Raises
    ------
    DaamkitError
        If it cannot be written.
    """
    with told(f"a file to write, {file!s}"):
        place = named(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        replace(place, written)
    return place


def named(file: str | os.PathLike[str]) -> Path:
    """A place of that name.

    Raises
    ------
    OSError
        If no file can have it, such as one with a NUL.
    """
    name = os.fspath(file)
    if "\0" in name:
        raise OSError(errno.EINVAL, f"the name {name!r}, with a NUL in it")
    return Path(name)


@contextmanager
def told(wanted: str, kind: type[DaamkitError] = DaamkitError, mend: str = "") -> Iterator[None]:
    """What the system refuses is told as people read it.

    Parameters
    ----------
    wanted
        What was to be written.
    kind
        Which error is raised.
    mend
        What to do about it where the system does not tell.
    """
    try:
        yield
    except OSError as error:
        mended = MENDS.get(
            error.errno or 0, mend or "name another, or free some space; what lay there is whole"
        )
        raise kind(wanted=wanted, got=f"{error.strerror or error}", mend=mended) from error


def replace(file: str | os.PathLike[str], written: bytes) -> None:
    """Write a file whole or not at all, also when the machine stops.

    A link to it stays one; an earlier one's permissions stay, and a new one has those that the
    system gives to new files.
    """
    place = Path(os.path.realpath(file)) if Path(file).is_symlink() else Path(file)
    part = place.parent / f".{secrets.token_hex(8)}.part"
    mode = None
    if place.exists():
        mode = place.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(place))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "what is no file", str(place))
        if not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
    try:  # twice, so that an interrupt while it is taken away leaves nothing
        try:
            with part.open("xb") as opened:
                opened.write(written)
                opened.flush()
                os.fsync(opened.fileno())
            if mode is not None:
                part.chmod(stat.S_IMODE(mode))
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)
    finally:
        part.unlink(missing_ok=True)
