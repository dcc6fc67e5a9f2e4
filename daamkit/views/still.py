"""Runs as a picture that needs no script: for kernel-less notebooks, and where scripts are off."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from html import escape
from typing import TypeVar

from PIL import Image, ImageDraw

from daamkit.maps.collection import Collection, Runs, several
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.views import fonts, plots
from daamkit.views.labels import unread
from daamkit.views.plots.scales import highest
from daamkit.views.png import data_uri
from daamkit.views.png import png as file

SIDE, ROW = 128, 7  # longest side of a small picture, and how many stand in a row
LARGE, MOST = 384, 49  # of a picture by itself; how many runs of a collection are shown
Cell = tuple[str, str, Image.Image]  # caption, alternative text, picture
Shown = TypeVar("Shown", Run, HeatMaps, WordMap)


def html(run: Runs, *others: Runs, names: Sequence[str] | None = None) -> str:
    """Each run's image and the maps of its words, as tables of small pictures.

    Parameters
    ----------
    run, *others
        Runs, lists of runs, tracers.
    names
        What each run is called, where there are several.
    """
    runs, parts = several(run, *others), []
    for i, each in enumerate(runs):
        named = f" ({escape(names[i])})" if names is not None and len(runs) > 1 else ""
        parts.append(of_maps(_middle(each).maps, named))
    return "".join(parts)


def of_maps(maps: HeatMaps, named: str = "") -> str:
    """The prompt, its image and the maps of its words, on one scale, which is told; `named`, HTML,
    stands after the prompt."""
    maps = _middle(maps)
    words = maps.words()
    scale = f", maps from 0 to {highest(words):.2g}" if words else ""
    found = [f"<p><b>{escape(maps.prompt.text) or '(empty prompt)'}</b>{named}{scale}</p>"]
    if said := unread(maps.prompt):
        found.append(f"<p>{escape(said)}</p>")
    found.append(_table(_cells(maps, words)))
    if not words:
        found.append("<p>The prompt has no words.</p>")
    return "".join(found)


def of_word(word: WordMap) -> str:
    """A word's map over the image, large enough to see."""
    word = _middle(word)
    picture = plots.overlay(word.image, word, side=LARGE)
    return _picture(picture, f"attention of the word {word.word.label}")


def gallery(runs: Collection) -> str:
    """The image of each run with its prompt and seed, as a table of small pictures."""
    cells = []
    for run in itertools.islice(runs, MOST):
        seed = "" if run.seed is None else f", seed {run.seed}"
        alt = f"generated image: {run.prompt}"
        cells.append((f"{run.prompt} ({run.method}{seed})", alt, _small(_plain(_middle(run).maps))))
    more = len(runs) - len(cells)
    return _table(cells) + (f"<p>and {more} more</p>" if more else "")


def png(run: Run, *others: Run) -> bytes:
    """The same as one picture."""
    maps = [_middle(each).maps for each in (run, *others)]
    rows = [row for each in maps for row in _rows(_cells(each, each.words()))]
    line = 18
    heights = [max(image.height for _, _, image in row) + line + 6 for row in rows]
    page = Image.new("RGB", ((SIDE + 6) * max(map(len, rows)), sum(heights)), "white")
    pen, y = ImageDraw.Draw(page), 0
    for row, height in zip(rows, heights, strict=True):
        for i, (text, _, image) in enumerate(row):
            page.paste(image, (i * (SIDE + 6), y))
            font = fonts.font(12, text + "…")
            while pen.textlength(text, font) > SIDE:
                text = text.removesuffix("…")[:-1] + "…"
            pen.text((i * (SIDE + 6), y + height - line - 4), text, "black", font)
        y += height
    return file(page)


def _middle(shown: Shown) -> Shown:
    """Of a video, the frame in the middle."""
    return shown.frames[len(shown.frames) // 2]


def _cells(maps: HeatMaps, words: list[WordMap]) -> list[Cell]:
    """Caption, alternative text and small picture of the image and of each word."""
    top = highest(words)
    first = "image" if maps.image else "(latents only)"
    found = [(first, f"generated image: {maps.prompt.text}", _small(_plain(maps)))]
    for word in words:
        text, picture = word.word.label, _small(plots.overlay(maps.image, word, vmax=top))
        found.append((text, f"attention of the word {text}", picture))
    return found


def _plain(maps: HeatMaps) -> Image.Image:
    return maps.image or Image.new("RGB", maps.size[::-1], "grey")


def _table(cells: list[Cell]) -> str:
    rows = []
    for row in _rows(cells):
        images = "".join(f"<td>{_picture(image, alt)}</td>" for _, alt, image in row)
        texts = "".join(f"<td>{escape(text)}</td>" for text, _, _ in row)
        rows.append(f"<tr>{images}</tr><tr>{texts}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _picture(image: Image.Image, alt: str) -> str:
    return (
        f'<img src="{data_uri(image)}" alt="{escape(alt)}" '
        f'width="{image.width}" height="{image.height}">'
    )


def _rows(cells: list[Cell]) -> list[list[Cell]]:
    return [cells[i : i + ROW] for i in range(0, len(cells), ROW)]


def _small(image: Image.Image) -> Image.Image:
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return small
