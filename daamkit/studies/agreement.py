"""Do maps mean the same in two models?

The same drawn scenes are noised alike and denoised in one step by two models, under the scenes' own
captions; the map of each noun in one model is compared with its map in the other. Beside it stand
each model's map of the same scene under other noise, as much agreement as can be asked for, and the
other model's map of another noun, which shares with it what all maps share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch.nn import functional as F

from daamkit import fingerprint, zoo
from daamkit.maps.wordmap import WordMap
from daamkit.measures import intervals, ranking
from daamkit.studies import redraw
from daamkit.studies.drawn_scenes import called
from daamkit.studies.explaining import Explained, Explaining
from daamkit.studies.session import Case, Row, Session

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELLS = 16  # a side, in which maps are compared
PAIRS = ("models", "noise", "noise_other", "nouns")


@dataclass(frozen=True, kw_only=True)
class Agreement(Explaining):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    n
        How many cases: one scene at each level, then the next scene.
    other
        The second model, by name.
    levels, world, methods
        As in `Explaining`.
    """

    name: ClassVar[str] = "agreement"
    generates: ClassVar[bool] = False
    n: int = 400
    world: int = 2
    methods: tuple[str, ...] = ("daam", "occlusion")
    other: str = "toybox-flux"

    def check(self) -> None:
        """Truth, the methods, and the second model."""
        super().check()
        _ = self._other

    def instruments(self) -> dict[str, str]:
        """The second model too."""
        told = fingerprint.model_facts(self._other)["fingerprint"]
        return super().instruments() | {"other": str(told)}

    @cached_property
    def _other(self) -> Any:
        pipe = zoo.load(self.other, dtype=getattr(torch, self.dtype))
        pipe.set_progress_bar_config(disable=True)
        return zoo.move(pipe, self.resolved_device)

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """A row a noun and method: set, split, prompt, seed, noun, word, method, and Spearman's
        correlation, over 16 x 16 cells, of the noun's map in the first model with that of the other
        model ("models"), of the first under other noise ("noise"), of both of the other
        ("noise_other"), and with the other's map of another noun ("nouns": the mean; NaN where
        there is none)."""
        second = Session(self, self._other)
        return [self._rows([session, second], case) for case in cases]

    def _rows(self, sessions: Sequence[Session], case: Case) -> list[Row]:
        again = case | {"seed": redraw.fresh(case["seed"], 1)}
        one, other = (self.explained(session, case) for session in sessions)
        one_again, other_again = (self.explained(session, again) for session in sessions)
        rows: list[Row] = []
        for noun in one.maps:
            every = (one, other, one_again, other_again)
            for method in (m for m in self._methods if all(m in each.maps[noun] for each in every)):
                own, theirs = (_cells(each, noun, method) for each in (one, other))
                found: Row = {"set": called(case["level"])} | one.named[noun] | {"method": method}
                found["models"] = ranking.rank_correlation(own, theirs)
                found["noise"] = ranking.rank_correlation(own, _cells(one_again, noun, method))
                found["noise_other"] = ranking.rank_correlation(
                    theirs, _cells(other_again, noun, method)
                )
                others = [
                    ranking.rank_correlation(own, _cells(other, each, method))
                    for each in other.maps
                    if each != noun
                ]
                rows.append(found | {"nouns": float(np.mean(others)) if others else np.nan})
        return rows

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """With 95% intervals over prompts:

        "agreement": for each set and method the mean of each correlation, and how much more that of
        the models is than that of other nouns ("over_nouns"), pair by pair; n.
        """
        out: list[Row] = []
        for (place, method), part in rows.groupby(["set", "method"], sort=False):
            row: Row = {"set": place, "method": method, "n": len(part)}
            prompts = part["prompt"].tolist()
            for pair in PAIRS:
                found = intervals.mean(part[pair].to_numpy(), prompts, within=(-1, 1))
                row |= dict(zip(intervals.columns(pair), found, strict=True))
            both = part["models"].to_numpy(), part["nouns"].to_numpy()
            more = intervals.gain(*both, prompts, within=(-2, 2))
            out.append(row | dict(zip(intervals.columns("over_nouns"), more, strict=True)))
        return {"agreement": pd.DataFrame(out)}

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """The correlations of each method."""
        from daamkit.studies import charts

        return charts.agreement(tables["agreement"])


def _cells(found: Explained, noun: int, method: str) -> Float[np.ndarray, " cells"]:
    map_: WordMap = found.maps[noun][method]
    return F.adaptive_avg_pool2d(map_.expand(absolute=True)[None], CELLS)[0].numpy().ravel()
