"""What the inspector looks at, in the library's own terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from daamkit.errors import DaamkitError
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word
from daamkit.views.inspector.contents import HUES, matched


@dataclass(frozen=True, eq=False)
class State:
    """The traits of an `Inspector` at one moment; words are those of the first prompt, and `bases`
    tells of each column by name which it is compared with: the first run's at the same frame."""

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
    bases: Mapping[str, str]
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

    def top(self, runs: Iterable[Run], run: Run, word: WordMap) -> float:
        """The value of a run's map that is shown strongest: the word's own maximum; or that of all
        words of all runs pooled alike, where a sum over other passes counts as often over its."""
        if self.scale == "own":
            return _most(word)
        alike = [each for each in runs if each.maps.rule == run.maps.rule]
        return max(self._top(each) * self.times(each, run) for each in alike)

    def times(self, run: Run, other: Run) -> float:
        """What a run's values are multiplied by to be those of as many passes as another's."""
        return 1.0 if self.step is not None else other.maps.steps / run.maps.steps

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


def unlike(run: Run, other: Run) -> str:
    """Why two runs' maps cannot be subtracted; empty where they can."""
    if run.maps.size != other.maps.size:
        return "other size: no difference"
    return "other pooling: no difference" if run.maps.rule != other.maps.rule else ""


def _most(word: WordMap) -> float:
    return float(word.expand(absolute=True).max())
