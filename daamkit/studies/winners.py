"""The best of several methods: chosen on one half of the prompts, held against a baseline on the
other, so that it is not measured by what it was chosen for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from daamkit.measures import intervals
from daamkit.studies.session import Row

DEALT = 1  # seed of the halves; `localisation.fold` has others, on which cuts were chosen


def crossed(
    rows: pd.DataFrame,
    measures: Sequence[str],
    *,
    to: str,
    without: Sequence[str] = (),
    keys: Sequence[str] = ("seed", "noun"),
) -> pd.DataFrame:
    """Each half's best method, and its gain over a baseline on the other half.

    Parameters
    ----------
    rows
        A row a method and what it was measured of: "set", "prompt", "method", `keys`, the measures.
    measures
        Columns; higher is better.
    to
        The baseline.
    without
        Methods that cannot win. The others are ranked by their gain over the baseline, pair by
        pair, for not each has a map of every word.
    keys
        What makes pairs of rows of two methods.

    Returns
    -------
    frame
        set, measure, winner (both halves', where they differ), the mean gain "over" with its 95%
        interval over prompts, n. Sets of a single prompt are left out.
    """
    found: list[Row] = []
    for place, part in rows.groupby("set", sort=False):
        prompts = list(dict.fromkeys(part["prompt"]))
        dealt = np.random.default_rng(DEALT).permutation(len(prompts)) % 2
        half = part["prompt"].map(dict(zip(prompts, dealt, strict=True)))
        base = part[part["method"] == to][[*keys, *measures]]
        beside = base.set_index([*keys]).reindex(pd.MultiIndex.from_frame(part[[*keys]]))
        able = ~part["method"].isin([to, *without])
        for measure in measures if len(prompts) > 1 and able.any() else ():
            names, pairs = list[str](), list[pd.DataFrame]()
            for number in (0, 1):
                gains = (part[measure] - beside[measure].to_numpy())[able & (half != number)]
                means = gains.groupby(part["method"]).mean().dropna()
                if len(means):
                    names.append(str(means.idxmax()))
                    own = part[(half == number) & (part["method"] == names[-1])]
                    pairs.append(own.merge(base, on=[*keys], suffixes=("", "_base")))
            if pairs:
                both = pd.concat(pairs, ignore_index=True)
                pair = both[measure].to_numpy(), both[f"{measure}_base"].to_numpy()
                gain = intervals.gain(*pair, both["prompt"].tolist(), within=(-1, 1))
                row: Row = {"set": place, "measure": measure, "winner": ", ".join(sorted({*names}))}
                row |= dict(zip(intervals.columns("over"), gain, strict=True))
                found.append(row | {"n": len(both)})
    return pd.DataFrame(found)
