"""Runs as a picture that needs no script: for kernel-less notebooks, and where scripts are off."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from daamkit.maps.collection import Runs, several
from daamkit.maps.run import Run
from daamkit.views import plots
from daamkit.views.labels import labels
from daamkit.views.png import data_uri
from daamkit.views.png import png as file

SIDE, ROW = 128, 7  # longest side of a small picture, and how many stand in a row


def html(run: Runs, *others: Runs, names: Sequence[str] | None = None) -> str:
    """Each run's image and the maps of its words, as tables of small pictures.

    Parameters
    ----------
    run, *others
        Runs, lists of runs, tracers.
    names
        What each is called, where there are several.
    """
    runs, parts = several(run, *others), []
    for i, each in enumerate(runs):
        named = f" ({escape(names[i])})" if names is not None and len(runs) > 1 else ""
        parts.append(f"<p><b>{escape(each.prompt) or '(empty prompt)'}</b>{named}</p>")
        parts.append(_table(each))
        if not each.maps.prompt.words():
            parts.append("<p>The prompt has no words.</p>")
    return "".join(parts)


def png(run: Run, *others: Run) -> bytes:
    """The same as one picture."""
    cells = [_cells(each) for each in (run, *others)]
    rows = [row for each in cells for row in _rows(each)]
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    font, line = ImageFont.truetype(fonts / "DejaVuSans.ttf", 12), 18
    heights = [max(image.height for _, _, image in row) + line + 6 for row in rows]
    page = Image.new("RGB", ((SIDE + 6) * max(map(len, rows)), sum(heights)), "white")
    pen, y = ImageDraw.Draw(page), 0
    for row, height in zip(rows, heights, strict=True):
        for i, (text, _, image) in enumerate(row):
            page.paste(image, (i * (SIDE + 6), y))
            while pen.textlength(text, font) > SIDE:
                text = text.removesuffix("…")[:-1] + "…"
            pen.text((i * (SIDE + 6), y + height - line - 4), text, "black", font)
        y += height
    return file(page)


def _cells(run: Run) -> list[tuple[str, str, Image.Image]]:
    """Caption, alternative text and small picture of the image and of each word."""
    plain = run.image or Image.new("RGB", run.maps.size[::-1], "grey")
    first = "image" if run.image else "(latents only)"
    found = [(first, f"generated image: {run.prompt}", _small(plain))]
    words = run.maps.words()
    for word, text in zip(words, labels([each.word for each in words]), strict=True):
        found.append(
            (
                text,
                f"attention of the word {text}",
                _small(plots.overlay(run.image, word)),
            )
        )
    return found


def _table(run: Run) -> str:
    rows = []
    for row in _rows(_cells(run)):
        images = "".join(
            f'<td><img src="{data_uri(image)}" '
            f'alt="{escape(alt)}" width="{image.width}" height="{image.height}"></td>'
            for _, alt, image in row
        )
        texts = "".join(f"<td>{escape(text)}</td>" for text, _, _ in row)
        rows.append(f"<tr>{images}</tr><tr>{texts}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _rows(cells: list[tuple[str, str, Image.Image]]) -> list[list[tuple[str, str, Image.Image]]]:
    return [cells[i : i + ROW] for i in range(0, len(cells), ROW)]


def _small(image: Image.Image) -> Image.Image:
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return small
