"""A word's map as it comes about, step by step, or in each frame of a video, on one scale."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path

from PIL import Image

from daamkit import files
from daamkit.errors import DaamkitError
from daamkit.maps.collection import Runs, several
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Asked, Occurrence, Word
from daamkit.views.plots import scales
from daamkit.views.plots.pictures import SIDE, beside, overlay

SUFFIXES = (".gif", ".png", ".webp")  # a .png of several frames is an APNG


@dataclass(frozen=True, eq=False)
class Movie:
    """Pictures one after the other; a notebook plays them.

    Attributes
    ----------
    frames
        All of one size.
    text
        What is seen, for those who cannot see it.
    fps
        How many frames are shown in a second.
    """

    frames: Sequence[Image.Image]
    text: str
    fps: float = 5

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a ``.gif``, or, with all colours, an animated ``.png`` or ``.webp``.

        Its folder is made.

        Raises
        ------
        DaamkitError
            If the name has another ending, or the file cannot be written.
        """
        file = Path(path)
        if file.suffix.lower() not in SUFFIXES:
            raise DaamkitError(
                wanted=f"a file name that ends in {', '.join(SUFFIXES)}",
                got=repr(file.name),
                mend="name it so",
            )
        return files.write(file, self._written(file.suffix.lower()[1:]))

    def _written(self, kind: str) -> bytes:
        buffer, (first, *rest) = io.BytesIO(), self.frames
        first.save(
            buffer, kind.upper(), save_all=True, append_images=rest, loop=0,
            duration=round(1000 / self.fps),
        )  # fmt: skip
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        """The pictures, playing."""
        data = base64.b64encode(self._written("gif")).decode()
        return f'<img src="data:image/gif;base64,{data}" alt="{escape(self.text)}">'

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        return f"Movie({self.text!r}, {len(self)} frames)"


def animate(
    run: Runs,
    word: Asked,
    occurrence: Occurrence | None = None,
    *,
    opacity: float | None = None,
    colour: bool = False,
    cmap: str | None = None,
    fps: float = 5,
) -> Movie:
    """A word's map over the steps, or of a video over its frames, each over its own picture.

    All are on one scale, several runs side by side, videos of different numbers of passes as means.

    Parameters
    ----------
    run
        One or several; those of images are traced with "step" in `keep=`. For the steps of a video,
        give one of its ``run.frames``.
    word, occurrence
        Which word, as in `HeatMaps.word`.
    opacity, colour, cmap
        As in `overlay`.
    fps
        How many frames are shown in a second.

    Raises
    ------
    WordError
        If a prompt has no such word, or several.
    DaamkitError
        If an image's steps were not kept apart, several runs are pooled by different rules, or
        `fps` is no number of frames per second.
    """
    if not fps > 0:
        raise DaamkitError(wanted="frames a second, more than 0", got=f"{fps}", mend="try 5")
    runs = several(run)
    video = any(len(each.frames) > 1 for each in runs)
    films = []
    for each, passes in zip(runs, scales.passes(runs), strict=True):
        found = each.maps.prompt.word(word, occurrence)
        films.append(_frames(each, found, passes) if video else _steps(each.frames[0], found))
    top = scales.highest(one for film in films for one in film)
    draw = partial(overlay, opacity=opacity, colour=colour, cmap=cmap, vmax=top, side=SIDE)
    frames = []
    for at in range(max(map(len, films))):
        shown = [film[min(at, len(film) - 1)] for film in films]  # an ended one stands still
        frames.append(beside([draw(one.image, one) for one in shown]))
    what = f"attention of {films[0][0].word.label} over {len(frames)}"
    return Movie(frames, f"{what} {'frames' if video else 'steps'}", fps)


def _frames(run: Run, word: Word, passes: int) -> list[WordMap]:
    return [scales.mean(frame.maps.of(word), passes) for frame in run.frames]


def _steps(run: Run, word: Word) -> list[WordMap]:
    return [run.maps.select(steps=step).of(word) for step in range(run.maps.steps)]
