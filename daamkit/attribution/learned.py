"""Which layers and heads to look at: learned on drawn scenes, whose masks are exact."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit import record, resources
from daamkit.attribution.method import Again, UnsuitedError
from daamkit.errors import DaamkitError
from daamkit.maps import pooling
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap, enlarge
from daamkit.maps.words import Word

Head = tuple[str, int]  # the layer's name, and which of its heads


@dataclass(frozen=True)
class Lesson:
    """What was learned of one model (`studies.lessons`).

    Attributes
    ----------
    model, fingerprint
        The model that was shown the scenes.
    scenes
        How many.
    layers
        The weight of each layer's map.
    heads
        The heads that are kept, best first.
    also
        Fingerprints of the same model where other versions of transformers build it.
    relevance
        By layer, how relevant each head is to things; empty where that cannot be asked of a model.
    """

    model: str
    fingerprint: str
    scenes: int
    layers: Mapping[str, float]
    heads: Sequence[Head]
    also: Sequence[str] = ()
    relevance: Mapping[str, Sequence[float]] = field(default_factory=dict)


@functools.cache
def shipped() -> tuple[Lesson, ...]:
    """The lessons that ship, one for each toy model."""
    folder = resources.path("attribution")
    texts = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.json"))]
    known = map(json.loads, texts)
    return tuple(
        Lesson(**each | {"heads": [(name, head) for name, head in each["heads"]]}) for each in known
    )


@dataclass(frozen=True)
class Learned:
    """A method that was taught; override `values`.

    Parameters
    ----------
    lesson
        None: what ships for the model that drew the run.

    Raises
    ------
    UnsuitedError
        If nothing was learned of that model.
    """

    lesson: Lesson | None = None

    def maps(self, run: Run, words: Sequence[Word], again: Again) -> list[WordMap]:
        """Nothing is drawn again."""
        lesson = _lesson(self.lesson, run)
        every = map(run.maps.of, words)
        return [replace(own, values=self.values(run, own.word, lesson)) for own in every]

    def values(self, run: Run, word: Word, lesson: Lesson) -> Float[Tensor, "y x"]:
        """A word's map, as the lesson has it."""
        raise NotImplementedError


class LayerWeights(Learned):
    """A weighted sum of the layers' maps: weights that are least squares on exact masks, none below
    0, of maps with the mean 1."""

    def values(self, run: Run, word: Word, lesson: Lesson) -> Float[Tensor, "y x"]:
        """The sum."""
        layers = of_layers(run, word)
        kept = [lesson.layers[n] * layers[n] for n in layers if lesson.layers.get(n)]
        return torch.stack(_some(kept, run)).sum(0)


class BestHeads(Learned):
    """The mean of the heads that ranked the things of drawn scenes best, each head's map with the
    mean 1. A recipe of our own: Shin et al. 2025 (arXiv 2508.07519) so choose layers by their
    masks; `SelectedHeads` asks no mask. It wants a run that kept its heads."""

    def values(self, run: Run, word: Word, lesson: Lesson) -> Float[Tensor, "y x"]:
        """The mean."""
        every = of_heads(run, word)
        kept = [every[name][head] for name, head in lesson.heads if name in every]
        return torch.stack(_some(kept, run)).mean(0)


class RelevantHeads(Learned):
    """A mean over heads, each weighted by how often it answers to words for things rather than for
    colours, places and numbers: its head relevance vector, as A&E-HRV weights attention before it
    averages (Park et al. 2025, arXiv 2412.02237)."""

    def values(self, run: Run, word: Word, lesson: Lesson) -> Float[Tensor, "y x"]:
        """The mean."""
        every, heads = _relevance(lesson), _apart(run, word)
        weights = {
            name: torch.tensor(every[name], dtype=torch.float32, device=own.device)
            for name, own in heads.items()
        }
        total = torch.stack([(weights[n][:, None, None] * heads[n]).sum(0) for n in heads]).sum(0)
        return total / sum(map(len, weights.values()))


@dataclass(frozen=True)
class SelectedHeads(Learned):
    """DAAM's mean over some heads alone, those that answer to words for things most often (Park et
    al. 2026, arXiv 2604.05906: heads chosen by their head relevance vector).

    Parameters
    ----------
    share
        Of the heads that are kept; the paper's best are between a fifth and a quarter.
    """

    share: float = 0.25

    def values(self, run: Run, word: Word, lesson: Lesson) -> Float[Tensor, "y x"]:
        """The mean."""
        relevance, maps = _relevance(lesson), _apart(run, word)
        every = [(name, head) for name, own in maps.items() for head in range(len(own))]
        best = sorted(every, key=lambda place: -relevance[place[0]][place[1]])
        kept = best[: max(1, round(self.share * len(best)))]
        return torch.stack([maps[name][head] for name, head in kept]).mean(0)


def _some(maps: list[Tensor], run: Run) -> list[Tensor]:
    if not maps:
        raise UnsuitedError(
            wanted="layers that something was learned of",
            got=f"a run with none of these: {', '.join(run.maps.layers)}",
            mend="trace all layers, or take another method",
        )
    return maps


def _relevance(lesson: Lesson) -> Mapping[str, Sequence[float]]:
    if not lesson.relevance:
        raise UnsuitedError(
            wanted="heads whose relevance was counted",
            got=f"{lesson.model}, of which that cannot be asked",
            mend="take another method: joint attention scores no keys beside the prompt's",
        )
    return lesson.relevance


def of_layers(run: Run, word: Word) -> dict[str, Float[Tensor, "y x"]]:
    """A word's map of each layer, a quarter of the image's sides, with the mean 1."""
    return {name: _even(heads.mean(0)) for name, heads in _large(run, word).items()}


def of_heads(run: Run, word: Word) -> dict[str, Float[Tensor, "heads y x"]]:
    """The same of each head.

    Raises
    ------
    DaamkitError
        If the run kept no heads.
    """
    return {name: _even(heads) for name, heads in _apart(run, word).items()}


def _apart(run: Run, word: Word) -> dict[str, Float[Tensor, "heads y x"]]:
    if not {"site", "head"} <= run.maps.keep:
        raise DaamkitError(
            wanted="sites and heads kept apart",
            got=f"a trace that kept {sorted(run.maps.keep) or 'sums only'}",
            mend="trace with `keep=('site', 'head')`, which is the default",
        )
    return _large(run, word)


def _large(run: Run, word: Word) -> dict[str, Float[Tensor, "heads y x"]]:
    size, maps = tuple(max(1, side // 4) for side in run.maps.size), run.maps
    return {
        name: enlarge(pooling.of_heads(layer, maps.keep, word), (size[0], size[1])).clamp(min=0)
        for name, layer in maps.layers.items()
    }


def _even(maps: Float[Tensor, "*heads y x"]) -> Float[Tensor, "*heads y x"]:
    return maps / maps.mean((-1, -2), keepdim=True).clamp(min=1e-30)


def _lesson(given: Lesson | None, run: Run) -> Lesson:
    known = given or record.learned(shipped(), run.record)
    if known is None:
        raise UnsuitedError(
            wanted="weights that were learned of the model that drew this",
            got=f"weights of {', '.join(each.model for each in shipped()) or 'none'}",
            mend="learn them from your own masks and pass `lesson=`, or take another method",
        )
    return known
