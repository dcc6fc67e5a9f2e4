"""A run as files for people: what `daamkit explain` writes, from wherever the run comes.

Which files are ours, those of the run too, stands with their digests in a note beside them, so that
no other file is overwritten or taken away, and no file of ours that somebody has changed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from daamkit.maps import folders, saving
from daamkit.maps.run import Run
from daamkit.views import plots
from daamkit.views.inspector import Inspector
from daamkit.views.plots.scales import highest

_PAGE = "report.html"
_BELONGS = r"image\.png|words\.csv|report\.html|words|words/\d{2,}-.*\.png|run|run/.*"
REPORT = folders.Kind(
    "report",
    _PAGE,
    ("words", "run"),
    re.compile(_BELONGS, re.DOTALL),
    mend="name another with --out, or free some space; what lay there is whole",
)


def write(run: Run, folder: str | os.PathLike[str], threshold: float = 0.4) -> Path:
    """Write what `daamkit explain` writes: the run, its image, an overlay for each word (of a
    video, for each frame of its maps), all on one scale, the table of words, and the inspector as a
    page.

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
    folders.write(folder, REPORT, lambda place: _draw(run, place, threshold))
    return Path(folder) / _PAGE


def claim(folder: str | os.PathLike[str]) -> None:
    """Make the folder, or say early why it cannot be written.

    Raises
    ------
    DaamkitError
        If something else lies where a report's files belong, or nothing can be written.
    """
    folders.claim(folder, REPORT, make=True)


def _draw(run: Run, folder: Path, threshold: float) -> None:
    words, kept = folder / "words", folder / "run"
    words.mkdir()
    kept.mkdir()
    saving.draw(run, kept)
    if run.image is not None:
        run.image.save(folder / "image.png")
    frames = [frame.maps.words() for frame in run.frames]
    top = highest(word for frame in frames for word in frame)
    for at, frame in enumerate(frames):
        place = f"-frame-{at + 1}" * (len(frames) > 1)
        for index, word in enumerate(frame):
            name = "".join(c if c.isalnum() else "-" for c in word.word.text)[:60]
            overlay = plots.overlay(word.image, word, threshold=threshold, vmax=top, side=384)
            overlay.save(words / f"{index:02d}-{name}{place}.png")
    run.table(threshold).to_csv(folder / "words.csv", index=False)
    inspector = Inspector(run)
    inspector.threshold = threshold
    (folder / _PAGE).write_text(inspector.to_html(), encoding="utf-8")
    inspector.close()
