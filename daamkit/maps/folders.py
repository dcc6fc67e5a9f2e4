"""Folders of several files, replaced whole: which files are ours stands in a note of their digests.

What is new is drawn into a hidden folder within, so that it is moved and never copied. Before
anything is moved, the note names what is old and what is new: whatever ends it halfway, both are
known as ours. What somebody else has laid there, or changed, is neither overwritten nor taken away.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from daamkit import files
from daamkit.errors import DaamkitError
from daamkit.maps import notes
from daamkit.maps.notes import NOTE

_PART = re.compile(r"\.daamkit-[0-9a-f]{8}")


def _nothing(_: Path) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Kind:
    """What one kind of folder holds.

    Attributes
    ----------
    name
        Of the kind.
    last
        The file that is there only where all others are.
    folders
        Those within it that its files lie in.
    belongs
        Names that only its own files may have there; default all.
    error
        What is raised.
    mend
        What to do where it cannot be written.
    digests
        What is known of its files without the note.
    """

    name: str
    last: str
    folders: tuple[str, ...] = ()
    belongs: re.Pattern[str] = re.compile(".*", re.DOTALL)
    error: type[DaamkitError] = DaamkitError
    mend: str = "name another, or free some space; what lay there is whole"
    digests: Callable[[Path], Mapping[str, str]] = _nothing

    def order(self, names: Iterable[str]) -> list[str]:
        """Names, so that what tells that all is there comes last."""
        return sorted(names, key=lambda name: (name == self.last, name))


def claim(folder: str | os.PathLike[str], kind: Kind, make: bool = False) -> Path:
    """Refuse a folder in which something else lies, or changed files of ours.

    Parameters
    ----------
    folder
        The folder; it need not be there. Of a link, the folder is meant.
    kind
        What it holds.
    make
        Whether to make it, and say early if nothing can be written there.

    Returns
    -------
    place
        The folder itself.

    Raises
    ------
    DaamkitError
        If something else lies where the files belong, or nothing can be written.
    """
    with files.told(_wanted(folder), kind.error, kind.mend):
        place = Path(os.path.realpath(files.named(folder)))
        _ours(place, kind)
        if make:
            place.mkdir(parents=True, exist_ok=True)
            if not os.access(place, os.W_OK):
                raise PermissionError(13, "no permission to write")
    return place


def write(folder: str | os.PathLike[str], kind: Kind, draw: Callable[[Path], None]) -> None:
    """Draw files into a folder: those of ours that lay there are replaced, all or none.

    Parameters
    ----------
    folder
        Made if it is not there.
    kind
        What it holds.
    draw
        Writes the files into the folder that it is given.

    Raises
    ------
    DaamkitError
        As `claim`, also of what was laid there while it was drawn.
    """
    place = claim(folder, kind)
    with files.told(_wanted(folder), kind.error, kind.mend):
        swap = _Swap(place, kind)
        try:  # twice, so that an interrupt while it is undone or tidied leaves nothing halfway
            try:
                swap.new.mkdir(parents=True)
                draw(swap.new)
                swap.move()
                swap.whole = True
            finally:
                swap.tidy()
        finally:
            swap.tidy()


class _Swap:
    """Files that are moved out and in, and back again if it ends before all are.

    Attributes
    ----------
    new, old
        Where the new files are drawn, and where the old ones wait.
    whole
        Whether all are where they belong.
    """

    def __init__(self, place: Path, kind: Kind) -> None:
        self.place, self.kind = place, kind
        self._part = place / f".daamkit-{secrets.token_hex(4)}"
        self.new, self.old = self._part / "new", self._part / "old"
        self.whole = self._undone = self._noted = False
        self._made = [each for each in (place, *place.parents) if not each.exists()]
        self._folders = [each for each in kind.folders if not (place / each).exists()]
        self._ours: list[str] = []
        self._fresh: dict[str, str] = {}
        self._before = b""

    def move(self) -> None:
        """Old files out, new ones in."""
        place, kind = self.place, self.kind
        ours = _ours(place, kind)  # again: much may have been laid there meanwhile
        drawn = [each for each in self.new.rglob("*") if each.is_file()]
        fresh = {each.relative_to(self.new).as_posix(): files.digest(each) for each in drawn}
        self._before = (place / NOTE).read_bytes() if (place / NOTE).exists() else b""
        self._ours, self._fresh = [*ours], fresh
        self._noted = True
        self._tell(notes.changed(place, kind.name, [ours, fresh]))
        for name in reversed(kind.order(ours)):
            (self.old / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).rename(self.old / name)
        for name in kind.order(fresh):
            if _exists(place / name):
                raise _refused(place, kind, [name])
            (place / name).parent.mkdir(exist_ok=True)
            (self.new / name).rename(place / name)

    def tidy(self) -> None:
        """Back to what was before if not all is there; nothing of ours is left besides."""
        if self.whole:
            with suppress(OSError):  # the note that is there has the new files too
                self._finish()
        elif not self._undone:
            self._undo()
            self._undone = True
        shutil.rmtree(self._part, ignore_errors=True)
        if not self.whole:
            for each in self._made:
                with suppress(OSError):
                    each.rmdir()

    def _undo(self) -> None:
        """Where a file lies tells how far it came."""
        for name in self._fresh:
            if not _exists(self.new / name) and _exists(self.place / name):
                (self.place / name).rename(self.new / name)
        for name in self._ours:
            if _exists(self.old / name):
                if _exists(self.place / name):
                    raise _refused(self.place, self.kind, [name])
                (self.old / name).rename(self.place / name)
        for each in self._folders:
            with suppress(OSError):
                (self.place / each).rmdir()
        if self._noted:
            with suppress(OSError):  # a full disk; the note that is there has the old files too
                self._tell(self._before)

    def _finish(self) -> None:
        place, kind = self.place, self.kind
        told = self._fresh.keys() <= kind.digests(place).keys()  # without a note
        self._tell(notes.changed(place, kind.name, [] if told else [self._fresh]))
        for each in {name.partition("/")[0] for name in self._ours if "/" in name}:
            with suppress(OSError):
                (self.place / each).rmdir()

    def _tell(self, note: bytes) -> None:
        """Lay a note there, or none; a kill leaves no part of one."""
        if note:
            files.replace(self._part / NOTE, note)
            (self._part / NOTE).replace(self.place / NOTE)
        else:
            (self.place / NOTE).unlink(missing_ok=True)


def _ours(place: Path, kind: Kind) -> dict[str, str]:
    """The files of ours that lie in a folder, unchanged, with their digests.

    Raises
    ------
    DaamkitError
        If something else lies where they belong.
    """
    if not _exists(place):
        return {}
    if not place.is_dir():
        raise _refused(place, kind, [])
    kinds, known = notes.by_kind(place), kind.digests(place)
    noted = (kinds or {}).get(kind.name, {})
    ours: dict[str, str] = {}
    others: list[str] = []
    for name in _there(place, kind):
        if name == NOTE:
            others += [name] if kinds is None else []
        elif kind.belongs.fullmatch(name):
            digests = {*noted.get(name, ()), *([known[name]] if name in known else [])}
            digest = _digest(place / name) if digests else None
            if digest in digests:
                ours[name] = str(digest)
            else:
                others.append(name)
    if others:
        raise _refused(place, kind, others)
    return ours


def _there(place: Path, kind: Kind) -> Iterator[str]:
    """All that lies in a folder and in those within it that files of ours lie in."""
    for each in sorted(place.iterdir()):
        folder = each.is_dir() and not each.is_symlink()
        if folder and each.name in kind.folders:
            yield from (f"{each.name}/{inner.name}" for inner in sorted(each.iterdir()))
        elif not (folder and _PART.fullmatch(each.name)):  # what a killed process has left
            yield each.name


def _digest(file: Path) -> str | None:
    """Of a file that is one, and no link to one."""
    try:
        files.size(file)
        return None if file.is_symlink() else files.digest(file)
    except (OSError, ValueError):
        return None


def _exists(file: Path) -> bool:
    return file.exists() or file.is_symlink()


def _wanted(folder: str | os.PathLike[str]) -> str:
    return f"a folder to write, {os.fspath(folder)!r}"


def _refused(place: Path, kind: Kind, others: list[str]) -> DaamkitError:
    names = ", ".join(others[:4]) + (f" and {len(others) - 4} more" if len(others) > 4 else "")
    what = f"files that are no {kind.name}'s, or were changed: {names}"
    return kind.error(
        wanted=f"a new folder, or an earlier {kind.name}'s, {place}",
        got=what if others else "no folder",
        mend="name another folder, or move them; nothing was touched",
    )
