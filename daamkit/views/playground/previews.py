"""What is seen of a picture while it is made, and of two that were made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from daamkit.maps.run import Run
from daamkit.views import palettes, plots
from daamkit.views.labels import labels
from daamkit.views.png import from_uri, png

SIDE = 160  # longest side of a small picture, pixels
Cell = list[Any]  # caption and PNG


def cells(run: Run, subjects: list[str]) -> list[Cell]:
    """The picture and the maps of its words, on one scale; of some words if they are named."""
    found = run.maps.words()
    named = dict(zip(labels([each.word for each in found]), found, strict=True))
    chosen = {name: named[name] for name in subjects if name in named} or named
    rows: list[Cell] = [["image", small(run.image)]] if run.image is not None else []
    top = max((float(np.asarray(each).max()) for each in named.values()), default=1.0)
    for name, word in chosen.items():
        rows.append([name, small(plots.overlay(run.image, word, colour=True, vmax=top))])
    return rows


def difference(before: Run, after: Run) -> list[Cell]:
    """Two pictures and how far apart their colours are, of the whole range, and at most; or the two
    alone if they differ in size."""
    if before.image is None or after.image is None:
        return []
    rows: list[Cell] = [["before", small(before.image)], ["after", small(after.image)]]
    if before.image.size == after.image.size:
        one, other = (np.asarray(run.image.convert("RGB"), float) for run in (before, after))  # type: ignore[union-attr]
        apart = np.abs(one - other).mean(-1) / 255
        told = f"what differs, at most {apart.max():.1%}"
        rows.append([told, small(Image.fromarray(palettes.colours(apart)))])
    return rows


def seen(run: Run, stopped: bool) -> Run:
    """What is shown: of a video, the frame in the middle; of what was stopped, whose own pixels are
    half noise, the picture that the model meant then, where it was kept."""
    run = run.frames[len(run.frames) // 2]
    meant = run.record.get("previews") if stopped else None
    if run.image is None or not meant:
        return run
    return replace(run, image=from_uri(meant[-1]).resize(run.image.size))


def small(image: Image.Image | None) -> bytes:
    """A small picture's file."""
    if image is None:
        return b""
    times = max(1, round(SIDE / max(image.size)))
    page = image.convert("RGB").resize((image.width * times, image.height * times))
    page.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return png(page)
