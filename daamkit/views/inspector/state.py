"""What the inspector looks at, in the library's own terms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from daamkit.errors import DaamkitError
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word
from daamkit.views.inspector.contents import HUES, matched


@dataclass(frozen=True, eq=False)
class State:
    """The traits of an `Inspector` at one moment; words are those of the first prompt."""

    words: Sequence[Word]
    opening: Sequence[Word]
    word: Word | None
    pins: Sequence[Word]
    step: int | None
    site: str | None
    head: int | None
    threshold: float
    scale: str
    region: tuple[int, int, int, int] | None
    pixel: tuple[int, int] | None
    columns: Sequence[str]
    difference: bool
    _parts: dict[Run, HeatMaps] = field(default_factory=dict, init=False, repr=False)
    _tops: dict[Run, float] = field(default_factory=dict, init=False, repr=False)

    @property
    def single(self) -> Word | None:
        """The word whose map is shown by itself: the one pointed at, or the one to compare."""
        alone = self.pins[0] if self.difference and len(self.pins) == 1 else None
        return self.word or alone

    @property
    def shown(self) -> list[tuple[Word, int]]:
        """The words coloured on the image, each with the place of its hue, which stays its own."""
        own = {word: hue for hue, word in enumerate(self.opening)}
        taken = {own[pin] for pin in self.pins if pin in own}
        free = (hue for hue in range(HUES) if hue not in taken)
        return [
            (word, own[word] if word in own else next(free)) for word in self.pins or self.opening
        ]

    def top(self, runs: Iterable[Run], word: WordMap) -> float:
        """The value that is shown strongest: of all words of all runs, or the word's own."""
        if self.scale == "own":
            return _most(word)
        return max(self._top(run) for run in runs)

    def _top(self, run: Run) -> float:
        if run not in self._tops:
            maps = (self.map(run, word) for word in self.words)
            self._tops[run] = max((_most(each) for each in maps if each is not None), default=0.0)
        return self._tops[run]

    def maps(self, run: Run) -> HeatMaps:
        """The part of a run's maps that is looked at; the same object again, which has pooled."""
        if run not in self._parts:
            maps = run.maps
            if self.step is not None:
                maps = maps.select(steps=self.step)
            if self.site is not None:
                maps = maps.select(sites=lambda layer: layer.name == self.site)
            self._parts[run] = maps if self.head is None else maps.select(heads=self.head)
        return self._parts[run]

    def map(self, run: Run, word: Word) -> WordMap | None:
        """A word's map there; None if the run has no such word, or did not keep that part."""
        own = matched(run.maps.prompt, word)
        try:
            return None if own is None else self.maps(run).of(own)
        except DaamkitError:
            return None


def inside(region: Sequence[int], size: tuple[int, int]) -> bool:
    """Whether (top, left, bottom, right) is a region within (height, width)."""
    top, left, bottom, right = region
    return 0 <= top < bottom <= size[0] and 0 <= left < right <= size[1]


def _most(word: WordMap) -> float:
    return float(word.expand(absolute=True).max())
