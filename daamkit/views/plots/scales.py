"""What maps must be to stand on one scale: of images, pooled alike, sums over as many passes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap

Shown = TypeVar("Shown", Run, WordMap)


def images(shown: Iterable[Shown]) -> list[Shown]:
    """Runs or maps that one picture can show: of images, or of single frames.

    Raises
    ------
    DaamkitError
        If one is of a video.
    """
    found = []
    for each in shown:
        if len(each.frames) > 1:
            raise DaamkitError(
                wanted="maps of an image, to draw one picture",
                got=f"those of a video, {len(each.frames)} frames",
                mend="draw one of `run.frames`, or all: `plots.animate(run, word)`",
            )
        found.append(each.frames[0])
    return found


def passes(runs: Sequence[Run]) -> list[int]:
    """By what each run's maps are to be divided: its passes where runs have different numbers of
    them, so that all are means over passes; else 1, they are sums alike.

    Raises
    ------
    DaamkitError
        If they are pooled by different rules.
    """
    rules = sorted({run.maps.rule for run in runs})
    if len(rules) > 1:
        raise DaamkitError(
            wanted="runs that are pooled alike, to stand on one scale",
            got=" and ".join(map(repr, rules)),
            mend="trace both with the same `rule=`, or draw each by itself",
        )
    counts = [run.maps.steps for run in runs]
    return counts if len({*counts}) > 1 else [1] * len(counts)


def mean(word: WordMap, passes: int) -> WordMap:
    """A sum over so many passes as their mean."""
    return word if passes == 1 else replace(word, values=word.values / passes)


def highest(maps: Iterable[WordMap]) -> float:
    """The highest value of several maps, the end of the scale that they share; 0 of none."""
    return max((float(each.expand(absolute=True).max()) for each in maps), default=0.0)
