"""The frames of a video's maps, and each with the frame of the video that it is shown with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from daamkit.maps.heatmaps import HeatMaps
    from daamkit.maps.run import Run
    from daamkit.maps.wordmap import WordMap


def of_word(word: WordMap) -> tuple[WordMap, ...]:
    """`WordMap.frames`."""
    if word.values.ndim == 2:
        return (word,)
    return tuple(replace(word, values=frame) for frame in word.values)


def of_maps(maps: HeatMaps) -> tuple[HeatMaps, ...]:
    """`HeatMaps.frames`."""
    count = max(layer.frames for layer in maps.layers.values())
    if not count:
        return (maps,)
    return tuple(
        replace(maps, layers={name: own.frame(at) for name, own in maps.layers.items()})
        for at in range(count)
    )


def of_run(run: Run) -> tuple[Run, ...]:
    """`Run.frames`."""
    branches = {name: maps.frames for name, maps in run.branches.items()}
    count = max(map(len, branches.values()))
    if count == 1 and not run.video:
        return (run,)
    last = (len(run.video) - 1) / max(count - 1, 1)
    return tuple(
        replace(
            run,
            image=run.video[round(at * last)] if run.video else None,
            branches={name: maps[at] for name, maps in branches.items()},
            self_attention={},
            related={},
            video=(),
        )
        for at in range(count)
    )


def sheet(maps: np.ndarray) -> np.ndarray:
    """Frames, if there are several, one below the other: all are compared as one."""
    return maps.reshape(-1, maps.shape[-1])
