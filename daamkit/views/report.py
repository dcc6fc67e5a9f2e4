"""A run as files for people: what `daamkit explain` writes, from wherever the run comes."""

from __future__ import annotations

import os
from pathlib import Path

from daamkit.maps.run import Run
from daamkit.views import plots
from daamkit.views.inspector import Inspector


def write(run: Run, folder: str | os.PathLike[str], threshold: float = 0.4) -> Path:
    """Write what `daamkit explain` writes: the run, its image, an overlay for each word, the table
    of words, and the inspector as a page.

    Parameters
    ----------
    run
        Any run.
    folder
        Made if it is not there. Of an earlier report's files none stays that is not written anew.
    threshold
        Share of a map's maximum above which a pixel belongs to the word.

    Returns
    -------
    page
        ``report.html`` in the folder, beside ``run/``, ``image.png``, ``words/`` and ``words.csv``.
    """
    path = Path(folder)
    words = path / "words"
    words.mkdir(parents=True, exist_ok=True)
    run.save(path / "run")
    if run.image is not None:
        run.image.save(path / "image.png")
    for old in words.glob("[0-9][0-9]-*.png"):  # an earlier prompt's
        old.unlink()
    for index, word in enumerate(run.maps.words()):
        name = "".join(c if c.isalnum() else "-" for c in word.word.text)
        overlay = plots.overlay(run.image, word, threshold=threshold)
        overlay.save(words / f"{index:02d}-{name}.png")
    run.table(threshold).to_csv(path / "words.csv", index=False)
    inspector = Inspector(run)
    inspector.threshold = threshold
    page = path / "report.html"
    inspector.save(page)
    return page
