"""The frames of a video's maps, and each with the frame of the video that it is shown with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from daamkit.maps.heatmaps import HeatMaps
    from daamkit.maps.run import Run
    from daamkit.maps.wordmap import WordMap


def of_word(word: WordMap) -> tuple[WordMap, ...]:
    """`WordMap.frames`."""
    if word.values.ndim == 2:
        return (word,)
    return tuple(
        replace(word, values=values, image=image, video=())
        for values, image in zip(word.values, _pictures(word, len(word.values)), strict=True)
    )


def of_maps(maps: HeatMaps) -> tuple[HeatMaps, ...]:
    """`HeatMaps.frames`."""
    count = max(layer.frames for layer in maps.layers.values())
    if not count:
        return (maps,)
    return tuple(
        replace(
            maps,
            layers={name: own.frame(at) for name, own in maps.layers.items()},
            image=image,
            video=(),
            concepts=maps.concepts and maps.concepts.frames[at],
        )
        for at, image in enumerate(_pictures(maps, count))
    )


def of_run(run: Run) -> tuple[Run, ...]:
    """`Run.frames`."""
    branches = {name: maps.frames for name, maps in run.branches.items()}
    if all(own[0] is run.branches[name] for name, own in branches.items()):
        return (run,)
    return tuple(
        replace(
            run,
            image=image,
            branches={name: maps[at] for name, maps in branches.items()},
            self_attention={},
            related={},
            video=(),
        )
        for at, image in enumerate(_pictures(run, max(map(len, branches.values()))))
    )


def _pictures(of: Run | HeatMaps | WordMap, count: int) -> list[Image.Image | None]:
    """With which of a video's pictures each of so many frames of its maps is shown: those that
    stand where it does between the first and the last."""
    if not of.video:
        return [of.image if count == 1 else None] * count
    last = (len(of.video) - 1) / max(count - 1, 1)
    return [of.video[round(at * last)] for at in range(count)]


def sheet(maps: np.ndarray) -> np.ndarray:
    """Frames, if there are several, one below the other: all are compared as one."""
    return maps.reshape(-1, maps.shape[-1])
