"""A run as files for people: what `daamkit explain` writes, from wherever the run comes.

Which files are ours stands with their digests in the record of the run that lies beside them, so
that no other file is overwritten or taken away, and no file of ours that somebody has changed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from daamkit import files
from daamkit.errors import DaamkitError
from daamkit.maps import saved
from daamkit.maps.run import Run
from daamkit.views import plots
from daamkit.views.inspector import Inspector

FIXED = ("image.png", "words.csv", "report.html")


def write(run: Run, folder: str | os.PathLike[str], threshold: float = 0.4) -> Path:
    """Write what `daamkit explain` writes: the run, its image, an overlay for each word, the table
    of words, and the inspector as a page.

    Parameters
    ----------
    run
        The run to write about.
    folder
        Made if it is not there. Of an earlier report's files none stays that is not written anew;
        other files stay as they are.
    threshold
        Share of a map's maximum above which a pixel belongs to the word.

    Returns
    -------
    page
        ``report.html`` in the folder, beside ``run/``, ``image.png``, ``words/`` and ``words.csv``.

    Raises
    ------
    DaamkitError
        If something else lies where these belong, or the folder cannot be written.
    """
    path = Path(folder)
    ours = claim(path)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=path))
    try:
        _draw(run, part, threshold)
        made = [each.relative_to(part) for each in part.rglob("*") if each.is_file()]
        digests = {name.as_posix(): saved.digest(part / name) for name in sorted(made)}
        for name in ours:
            (path / name).unlink()
        for name in digests:
            (path / name).parent.mkdir(exist_ok=True)
            (part / name).replace(path / name)
        replace(run, record={**run.record, "report": digests}).save(path / "run")
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return path / "report.html"


def claim(folder: Path) -> list[str]:
    """Make the folder, or say early why it cannot be written.

    Returns
    -------
    ours
        The files of an earlier report that lie there, unchanged.

    Raises
    ------
    DaamkitError
        If something else lies where a report's files belong, or nothing can be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "no permission to write")
        words = folder / "words"
        there = [folder / name for name in FIXED] + [*words.glob("[0-9][0-9]-*.png")]
        digests = _digests(folder / "run")
        ours = [name for name in digests if _is(folder / name, digests[name])]
        others = [each for each in there if _exists(each) and _name(each, folder) not in ours]
        if words.is_symlink() or (_exists(words) and not words.is_dir()):
            others.append(words)
        if _exists(folder / "run") and not digests:
            others.append(folder / "run")
    except OSError as error:
        raise _unwritable(folder, error) from error
    if others:
        raise DaamkitError(
            wanted=f"a new folder, or an earlier report's, {folder}",
            got=f"files that are no report's, or were changed: {_names(others, folder)}",
            mend="name another folder, or move them; nothing was touched",
        )
    return ours


def _draw(run: Run, folder: Path, threshold: float) -> None:
    words = folder / "words"
    words.mkdir()
    if run.image is not None:
        run.image.save(folder / "image.png")
    for index, word in enumerate(run.maps.words()):
        name = "".join(c if c.isalnum() else "-" for c in word.word.text)[:60]
        overlay = plots.overlay(run.image, word, threshold=threshold, side=384)
        overlay.save(words / f"{index:02d}-{name}.png")
    run.table(threshold).to_csv(folder / "words.csv", index=False)
    inspector = Inspector(run)
    inspector.threshold = threshold
    inspector.save(folder / "report.html")
    inspector.close()


def _digests(run: Path) -> dict[str, str]:
    """What an earlier report has noted, as far as it names files that a report has."""
    try:
        noted = files.plain(files.content(run / saved.JSON))["record"]["report"]
        return {
            str(name): str(digest)
            for name, digest in noted.items()
            if name in FIXED or Path(name).parent == Path("words")
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def _is(file: Path, digest: str) -> bool:
    """Whether a file is there and as it was written."""
    try:
        files.size(file)
    except (OSError, ValueError):
        return False
    return not file.is_symlink() and saved.digest(file) == digest


def _exists(file: Path) -> bool:
    return file.exists() or file.is_symlink()


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _names(found: Iterable[Path], folder: Path) -> str:
    names = sorted(_name(each, folder) for each in found)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _unwritable(folder: Path, error: OSError) -> DaamkitError:
    return (
        error
        if isinstance(error, DaamkitError)
        else DaamkitError(
            wanted=f"a folder to write, {folder}",
            got=f"{error.strerror or error}",
            mend="name another with --out, or free some space",
        )
    )
