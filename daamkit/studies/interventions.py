"""Does a word change its own place more than others?

Each scene is drawn, so that what every word mentions has an exact mask, noised to some levels and
denoised in one step under its own caption. Each word that mentions something is silenced, which no
prompt does; a thing's name, a colour, a texture and a size are also exchanged for the vectors of
another, which stay among what prompts say. What changes in the word's own mask is compared with
what changes elsewhere, in the same mask moved, and in it when another thing's noun is edited.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from daamkit.attribution.occlusion import pixels
from daamkit.edits.edit import Edit
from daamkit.edits.exchange import Exchange
from daamkit.edits.silence import Silence
from daamkit.maps.prompt import Prompt
from daamkit.measures import intervals
from daamkit.studies import stand_ins
from daamkit.studies.drawn_scenes import OfScenes, called
from daamkit.studies.session import Case, Row, Session
from daamkit.toybox.captions import CaptionWord
from daamkit.toybox.oracle import SMALLEST
from daamkit.toybox.scenes import Scene

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Change = Float[np.ndarray, "height width"]
CONTROLS = (
    "outside",
    "moved",
    "by_another",
)  # what a change in the word's own mask is held against


@dataclass(frozen=True, kw_only=True)
class Interventions(OfScenes):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    n
        How many cases: one scene at each level, then the next scene. Half of the scenes have
        compositions that the model's training has seen, half have others.
    levels
        As in `OfScenes`.
    """

    name: ClassVar[str] = "interventions"
    fewest: ClassVar[int] = 4
    generates: ClassVar[bool] = False
    n: int = 600

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """A row a word and edit: set, split, prompt, seed, word, start, pos, relation, edit, and
        the mean change of colours, from 0 to 1, "inside" its own mask, "outside" of it, in the mask
        "moved" by half the picture, and inside when the noun of another thing is edited alike
        ("by_another", where there is one)."""
        return [self._rows(session, case) for case in cases]

    def _rows(self, session: Session, case: Case) -> list[Row]:
        scene, draw = self.scene(case), self.drawing(session, case)
        run = draw()
        plain = pixels(run).numpy()
        changes: dict[tuple[str, int], Change] = {}  # by edit and where the word begins
        said = {word.start: word for word in scene.words if _shows(scene.mask(word))}
        for word in said.values():
            for name, edit in _edits(session.pipe, scene, word, run.maps.prompt):
                picture = pixels(draw(edit)).numpy()
                changes[name, word.start] = np.abs(picture - plain).mean(-1)
        rows: list[Row] = []
        for (name, start), change in changes.items():
            word, mask = said[start], scene.mask(said[start])
            row: Row = {"set": called(case["level"]), "split": case["split"]}
            row |= {"prompt": case["prompt"], "seed": case["seed"], "word": word.text}
            row |= {"start": start, "pos": word.pos, "relation": word.relation, "edit": name}
            moved = np.roll(mask, [side // 2 for side in mask.shape], (0, 1))
            row |= {"inside": float(change[mask].mean()), "outside": float(change[~mask].mean())}
            row["moved"] = float(change[moved].mean())
            others = [
                float(changes[name, other.start][mask].mean())
                for other in said.values()
                if other.pos in ("NOUN", "PROPN") and (name, other.start) in changes
                if not (scene.mask(other) & mask).any()
            ]
            rows.append(row | {"by_another": float(np.mean(others)) if others else np.nan})
        return rows

    # -- what they say

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """With 95% intervals over prompts, for each set and edit:

        "parts_of_speech", "relations": by the words' own, the mean change "inside" and how much
        more it is than each control's ("over_outside", "over_moved", "over_by_another"); n.
        """
        return {
            "parts_of_speech": _gains(rows, "pos"),
            "relations": _gains(rows, "relation"),
        }

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """How much more changes inside, by part of speech."""
        from daamkit.studies import charts

        return charts.interventions(tables["parts_of_speech"])


def _gains(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    found: list[Row] = []
    for names, part in rows.groupby(["set", "edit", by], sort=False):
        row: Row = dict(zip(("set", "edit", by), names, strict=True))
        prompts, inside = part["prompt"].tolist(), part["inside"].to_numpy()
        mean = intervals.mean(inside, prompts, within=(0, 1))
        row |= dict(zip(intervals.columns("inside"), mean, strict=True))
        for control in CONTROLS:
            gain = intervals.gain(inside, part[control].to_numpy(), prompts, within=(-1, 1))
            row |= dict(zip(intervals.columns(f"over_{control}"), gain, strict=True))
        found.append(row | {"n": len(part)})
    return pd.DataFrame(found)


def _shows(mask: Bool[np.ndarray, "height width"]) -> bool:
    return bool(mask.sum() >= SMALLEST and not mask.all())


def _edits(
    pipe: Any, scene: Scene, word: CaptionWord, prompt: Prompt
) -> Iterator[tuple[str, Edit]]:
    """A word's silence, and its exchange where another fits in its place; that of a name of several
    words is its head's."""
    yield "silence", Silence(prompt.span(word.start, word.end))
    (start, end), head = stand_ins.place(scene, word), scene.words[word.head]
    text = stand_ins.instead(pipe, scene, word)
    if text is not None and (head is word or not start <= head.start < end):
        yield "exchange", Exchange(prompt.span(start, end), text)
