"""Does a conclusion hold under other settings? In which share of them.

A conclusion is that a method is better, or worse, than another: the interval of its mean gain over
all rows does not hold 0, else it is undecided. It holds in a setting where the gain there has the
sign that it has over all. Parts of the rows belong to the whole, so that of two parts one mostly
agrees; other rules, cuts, halves and noises are measurements of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from daamkit.measures import intervals
from daamkit.studies.session import Row

QUARTERS = 4  # into which prompts are dealt by chance, as if each had been a study of its own


def held(
    rows: pd.DataFrame,
    measures: Mapping[str, Mapping[str, Sequence[str]]],
    *,
    to: str,
    rules: Sequence[str] = (),
    keys: Sequence[str] = ("set", "seed", "noun"),
    settings: Sequence[str] = ("set", "split"),
) -> pd.DataFrame:
    """Under how many settings each method's gain has the sign that it has over all.

    Parameters
    ----------
    rows
        A row a method and what it was measured of: "method", "prompt", `keys`, `settings`, and the
        measures.
    measures
        By the column that tells the conclusion, columns that are it in other settings, by what
        these are called: {"ap": {"cut": ["max 0.4", "otsu"]}}.
    to
        The method that others are held against.
    rules
        The same method by other rules: of "rule" each is a setting.
    keys
        What makes pairs of rows of two methods.
    settings
        Columns whose values are settings.

    Returns
    -------
    frame
        measure, method, conclusion ("better" than `to`, "worse" or "undecided"), gain, setting (one
        of `settings`, "quarter" of the prompts, what other columns are called, "rule"), holds, of,
        share.
    """
    every = {
        str(name): part.set_index([*keys]) for name, part in rows.groupby("method", sort=False)
    }
    found: list[Row] = []
    for name, own in every.items():
        for measure, others in measures.items() if name != to else ():
            gain = _gain(own, every[to], measure)
            over, low, high = intervals.mean(gain.to_numpy(), own["prompt"].tolist())
            if not np.isfinite(over):
                continue
            said: Row = {"measure": measure, "method": name}
            sure = "better" if low > 0 else "worse" if high < 0 else "undecided"
            said |= {"conclusion": sure, "gain": over}
            means = _parts(own, gain, settings)
            for setting, columns in others.items():
                means[setting] = [_gain(own, every[to], each).mean() for each in columns]
            ruled = [every[rule] for rule in rules if rule in every and rule != name]
            means["rule"] = [_gain(own, each, measure).mean() for each in ruled]
            for setting, each in means.items():
                known = [mean for mean in each if np.isfinite(mean)]
                if not known:
                    continue
                holds = sum(np.sign(mean) == np.sign(over) for mean in known)
                count = {"setting": setting, "holds": holds, "of": len(known)}
                found.append(said | count | {"share": holds / len(known)})
    return pd.DataFrame(found)


def _gain(own: pd.DataFrame, base: pd.DataFrame, column: str) -> pd.Series:
    return own[column] - base[column].reindex(own.index)


def _parts(own: pd.DataFrame, gain: pd.Series, settings: Sequence[str]) -> dict[str, list[float]]:
    """The mean gain of each part of the rows, by what parts them."""
    plain = own.reset_index()
    prompts = list(dict.fromkeys(plain["prompt"]))
    dealt = np.random.default_rng(0).permutation(len(prompts)) % QUARTERS
    labels = {each: plain[each] for each in settings}
    labels["quarter"] = plain["prompt"].map(dict(zip(prompts, dealt, strict=True)))
    return {
        name: [float(mean) for mean in gain.groupby(each.to_numpy()).mean()]
        for name, each in labels.items()
    }
