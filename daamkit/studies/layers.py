"""Which layers, blocks, directions of joint attention and steps say where a noun's thing is?

And would another choice be a better default than to pool all? Scenes are drawn and denoised in one
step, and their captions generated, as in the study `attribution`. From the same runs each part of
the attention is read by itself, beside what is pooled today. Sets in which the things of only one
prompt are there have no table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd

from daamkit.attribution.related import RELATION
from daamkit.attribution.share import among_words
from daamkit.maps.layers import Layer
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word
from daamkit.measures import ranking
from daamkit.studies import cuts, gains, localisation, winners
from daamkit.studies.drawn_scenes import Known, OfScenes, relations
from daamkit.studies.session import Case, Row, Session

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TODAY = "daam"  # the default pooling
KEYS = ["prompt", "seed", "noun"]
THIRDS = ("first", "middle", "last")  # of the steps, and of the layers in their order


@dataclass(frozen=True, kw_only=True)
class Layers(OfScenes):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    n
        How many cases: one scene at each level and generated, then the next scene.
    levels, world, truth
        As in `OfScenes`.
    """

    name: ClassVar[str] = "layers"
    fewest: ClassVar[int] = 4
    n: int = 600

    def tracing(self, pipe: Any, prompt: str) -> dict[str, Any]:
        """Steps, sites and heads apart, and what nouns attend to where attention is joint."""
        kept = relations(pipe, prompt, [RELATION])
        return {"keep": ("step", "site", "head")} | kept

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """A row a noun and part: set, split, prompt, seed, noun, word, kind ("pooling", "layer",
        "block", "direction", "steps", "third" of the layers, "control"), part, ap, and the IoU at
        every cut ("max 0.4")."""
        return [self._rows(self.seen(case, self.drawing(session, case)()), case) for case in cases]

    def _rows(self, seen: Known, case: Case) -> list[Row]:
        pooled = {noun: seen.run.maps.of(word) for noun, word in seen.nouns.items()}
        every, rows = [*parts(seen.run)], list[Row]()
        for noun, mask in seen.masks.items():
            found = [(kind, part, of(seen.nouns[noun])) for kind, part, of in every]
            beside = localisation.controls(pooled, noun, case["seed"], self.world)
            found += [("control", name, each) for name, each in beside.items()]
            for kind, part, map_ in found:
                row = seen.named[noun] | {"kind": kind, "part": part}
                row["ap"] = ranking.average_precision(map_.expand(absolute=True).numpy(), mask)
                rows.append(row | cuts.wide(map_, mask))
        return rows

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """With 95% intervals over prompts:

        "layers": for each set and part its kind, the mean "ap" and "iou" (at a cut chosen on other
        prompts, "cuts"), the gain of each over what is pooled today ("ap_over", "iou_over"); n.
        "winner": what would be the best default, chosen on one half of the prompts, over today's on
        the other; see `winners.crossed`.
        """
        told = rows.rename(columns={"part": "method"})
        cut = {
            place: localisation.cut(part).dropna(subset=["rule"])
            for place, part in localisation.sets(told)
        }
        chosen = pd.concat(cut.values(), ignore_index=True)
        blind = [*chosen.loc[chosen["kind"] == "control", "method"].unique()]
        winner = winners.crossed(chosen, ["ap", "iou"], to=TODAY, without=blind)
        return {"layers": pd.DataFrame(self._lines(cut)), "winner": winner}

    def _lines(self, cut: Mapping[str, pd.DataFrame]) -> Iterator[Row]:
        for place, chosen in cut.items():
            today = chosen[chosen["method"] == TODAY][[*KEYS, "ap", "iou"]]
            for (kind, name), own in chosen.groupby(["kind", "method"], sort=False):
                base = None if name == TODAY else today
                line: Row = {"set": place, "kind": kind, "part": name, "n": len(own)}
                line |= gains.over(own, base, ("ap", "iou"), KEYS)
                yield line | {"cuts": cuts.chosen(own)}

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """How well each part finds the thing, and what it has over what is pooled today."""
        from daamkit.studies import charts

        return charts.layers(tables["layers"])


def parts(run: Run) -> Iterator[tuple[str, str, Callable[[Word], WordMap]]]:
    """Every part of a run's attention: its kind, its name, and what gives a word's map of it.

    Parameters
    ----------
    run
        Traced with steps, sites and heads apart.
    """
    maps, layers = run.maps, list(run.maps.layers.values())
    yield "pooling", "daam", partial(maps.of, rule="daam")
    yield "pooling", "paper", partial(maps.of, rule="paper")
    yield "pooling", "share", among_words(maps).of
    for kind, name, chosen in _chosen(layers):
        yield kind, name, maps.select(sites=lambda layer, of=chosen: layer.name in of).of
    if maps.steps >= len(THIRDS):
        for name, steps in _thirds(range(maps.steps)):
            yield "steps", f"{name} steps", maps.select(steps=steps).of
    if related := run.related.get(RELATION):
        yield "direction", "text to image", related.map
        for group in dict.fromkeys(layer.group for layer in related.layers.values()):
            own = related.select(sites=lambda layer, of=group: layer.group == of)
            yield "direction", f"text to image, {group}", own.map


def _chosen(layers: Sequence[Layer]) -> Iterator[tuple[str, str, set[str]]]:
    """Kind and name of each choice of layers, and the names of those."""
    for layer in layers:
        yield "layer", layer.name, {layer.name}
    for group in dict.fromkeys(layer.group for layer in layers):
        yield "block", group, {layer.name for layer in layers if layer.group == group}
    ordered = sorted(layers, key=lambda layer: layer.order)
    if len(ordered) >= len(THIRDS):
        for name, some in _thirds(ordered):
            yield "third", f"{name} layers", {layer.name for layer in some}


def _thirds(several: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    count = len(several)
    ends = [round(count * i / len(THIRDS)) for i in range(len(THIRDS) + 1)]
    for name, start, end in zip(THIRDS, ends, ends[1:], strict=False):
        yield name, several[start:end]
