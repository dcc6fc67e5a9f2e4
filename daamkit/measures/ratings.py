"""What people say of images and maps: one answer a line, in JSON.

Each line is an object with ``prompt`` and ``seed`` (which image), ``rater`` (a name or number),
``made`` (when, ISO 8601), and the answer to one of three questions:

How well does the map show what the word made? ``start``, ``end`` (the word, by its characters) and
``score``: 1 bad, 2 poor, 3 fair, 4 good, 5 excellent.

Does the image show this thing? ``word`` and ``present``, true or false.

Which of two images fits the prompt better? ``first`` and ``second``, the names of the two runs (of
what guided them, say) in the alphabet's order, whichever stood on the left; and ``preferred``, one
of these names or "tie".

Of the first two, ``run`` may name the run, where several have one prompt and seed. Other fields are
kept. A line once written is never changed; who answers again is heard the last
time.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from daamkit import files
from daamkit.errors import DaamkitError

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

Answer = Literal["score", "present", "preferred"]
WHICH = {
    "score": ["prompt", "seed", "start", "end"],
    "present": ["prompt", "seed", "word"],
    "preferred": ["prompt", "seed", "first", "second"],
}
ALLOWED = {"score": (1, 2, 3, 4, 5), "present": (True, False)}
TIE = "tie"
PATIENCE = 10  # seconds to wait for somebody else who writes


class AnswerFileError(DaamkitError, OSError):
    """A file of answers that cannot be written."""


def answers(file: str | os.PathLike[str], answer: Answer = "score") -> pd.DataFrame:
    """All answers to one question, a row each, the last of each rater on each thing.

    The column ``run`` is "" where none was named.

    Raises
    ------
    DaamkitError
        If the file is missing, or a line is no answer to any of the questions.
    """
    try:
        lines = files.text(file).split("\n")
    except (OSError, ValueError) as error:
        got = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise DaamkitError(
            wanted=f"a file of people's answers, {file}",
            got=getattr(error, "strerror", None) or got,
            mend="name one with a JSON object a line",
        ) from error
    rows = [_check(line, f"line {i} of {file}") for i, line in enumerate(lines, 1) if line.strip()]
    which = [*WHICH[answer], "rater"]
    if answer != "preferred":
        which.append("run")
        rows = [{"run": ""} | row for row in rows]
    rows = [row for row in rows if answer in row]
    frame = pd.DataFrame(rows, columns=None if rows else [*which, answer])
    return frame.drop_duplicates(which, keep="last", ignore_index=True)


def add(file: str | os.PathLike[str], **said: Any) -> None:
    """Append an answer, given by its fields but for ``made``; it is on the disk when this returns.

    Several may add to one file at once: one waits for the other.

    Raises
    ------
    DaamkitError
        If a field is missing, the answer is none that there is, or the file cannot be written; then
        all that others have said stays.
    """
    plain = {name: v.item() if isinstance(v, np.generic) else v for name, v in said.items()}
    row = plain | {"made": datetime.now(UTC).isoformat(timespec="seconds")}
    line = json.dumps(row, ensure_ascii=False)
    _check(line, "this answer")
    place = Path(file)
    try:
        if place.exists():
            files.size(place)  # a FIFO would wait for a reader
        with place.open("a+b", buffering=0) as lines:
            _wait(lines.fileno())
            end = lines.seek(0, os.SEEK_END)
            lines.seek(max(0, end - 1))
            cut = lines.read() not in (b"", b"\n")  # a last line without its end
            own = 0
            try:
                whole = b"\n" * cut + line.encode() + b"\n"
                own = lines.write(whole)
                if own < len(whole):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(lines.fileno())
            except BaseException:
                if os.fstat(lines.fileno()).st_size == end + own:  # nobody has written since
                    lines.truncate(end)  # no half a line stays
                raise
    except (OSError, ValueError) as error:
        raise AnswerFileError(
            wanted=f"to write answers to {place}",
            got=f"{getattr(error, 'strerror', None) or error}",
            mend="answer again when that one has ended"
            if isinstance(error, TimeoutError)
            else "name a file in a folder that is there and can be written",
        ) from error


def _wait(opened: int) -> None:
    """Until nobody else writes; where there are no locks, not at all."""
    latest = time.monotonic() + PATIENCE
    while fcntl is not None:
        try:
            return fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > latest:
                raise TimeoutError(errno.EAGAIN, "somebody who writes and does not end") from None
            time.sleep(0.01)
        except OSError:  # a file system without
            return None


def present(answers: pd.DataFrame, prompt: str, seed: int, names: Sequence[str]) -> list[bool]:
    """Which things an image shows, by the majority of raters; a tie says no.

    Raises
    ------
    DaamkitError
        If nobody was asked about one, or the answers are on several images.
    """
    of_image = answers[(answers["prompt"] == prompt) & (answers["seed"] == seed)]
    if of_image["run"].nunique() > 1:
        raise DaamkitError(
            wanted=f"answers on one image of {prompt!r}, seed {seed}",
            got=f"those of the runs {', '.join(map(repr, of_image['run'].unique()))}",
            mend="keep one: `answers[answers['run'] == ...]`",
        )
    found = []
    for name in names:
        said = of_image.loc[of_image["word"] == name, "present"]
        if not len(said):
            raise DaamkitError(
                wanted=f"an answer whether the image of {prompt!r}, seed {seed}, shows {name!r}",
                got="none in the file",
                mend="annotate it and run the study again; what is done is kept",
            )
        found.append(bool(said.astype(float).mean() > 0.5))
    return found


def _check(line: str, where: str) -> dict[str, Any]:
    got = repr(line[:60])
    try:
        row = files.plain(line)
        answer = next((name for name in WHICH if name in row), "present")
        missing = [name for name in (*WHICH[answer], "rater", "made", answer) if name not in row]
        which = [row.get(name) for name in (*WHICH[answer], "rater", "run")]
        hash(tuple(which))  # a list is no text
        wrong = [name for name, kind in _KINDS.items() if name in row and not _is(row[name], kind)]
        if not missing and not wrong and _is_allowed(row, answer):
            return row
        got = f"the {answer} {row[answer]!r}" if not missing else f"no {missing[0]!r}"
        if wrong and not missing:
            got = f"the {wrong[0]} {row[wrong[0]]!r}"
    except (ValueError, TypeError, AttributeError):
        pass
    raise DaamkitError(
        wanted="an answer: prompt, seed, rater, made, and either start, end and a score from 1 to "
        "5, or word and present (true, false), or first, second (names of runs, in the alphabet's "
        "order) and preferred (one of these or 'tie')",
        got=f"{got} in {where}",
        mend="mend or delete that line",
    )


_KINDS: dict[str, type | tuple[type, ...]] = {
    "prompt": str, "seed": int, "start": int, "end": int, "word": str, "made": str, "run": str,
    "rater": (str, int),
}  # fmt: skip


def _is(value: Any, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_allowed(row: dict[str, Any], answer: str) -> bool:
    if answer != "preferred":
        return any(row[answer] is each for each in ALLOWED[answer])
    names = (row["first"], row["second"])
    ordered = all(isinstance(name, str) for name in names) and names[0] < names[1]
    return ordered and TIE not in names and row[answer] in (*names, TIE)
