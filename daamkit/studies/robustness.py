"""Does a conclusion hold under other settings? In which share of them.

A conclusion is that a method is better, or worse, than another, or its equal: the sign of its mean
gain over all rows. It holds in a setting where the gain there has that sign.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from daamkit.studies.session import Row

QUARTERS = 4  # into which prompts are dealt by chance, as if each had been a study of its own


def held(
    rows: pd.DataFrame,
    measures: Mapping[str, Sequence[str]],
    *,
    to: str,
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
        By what they measure, columns: the first tells the conclusion, the others are it in other
        settings ("cut").
    to
        The method that others are held against.
    keys
        What makes pairs of rows of two methods.
    settings
        Columns whose values are settings.

    Returns
    -------
    frame
        measure, method, conclusion ("better" than `to`, "worse" or "equal"), setting (one of
        `settings`, "quarter" of the prompts, "cut": the other columns), holds, of, share.
    """
    base = rows[rows["method"] == to].set_index([*keys])
    found: list[Row] = []
    for name, part in rows[rows["method"] != to].groupby("method", sort=False):
        own = part.set_index([*keys])
        for measure, columns in measures.items():
            gains = {each: own[each] - base[each].reindex(own.index) for each in columns}
            first, *_ = gains.values()
            over = float(first.mean())
            if not np.isfinite(over):
                continue
            said: Row = {"measure": measure, "method": name}
            said["conclusion"] = "better" if over > 0 else "worse" if over < 0 else "equal"
            for setting, means in _settings(part, first, gains, settings):
                known = [each for each in means if np.isfinite(each)]
                holds = sum(np.sign(each) == np.sign(over) for each in known)
                share = holds / len(known) if known else np.nan
                count = {"setting": setting, "holds": holds, "of": len(known), "share": share}
                found.append(said | count)
    return pd.DataFrame(found)


def _settings(
    part: pd.DataFrame, first: pd.Series, gains: Mapping[str, pd.Series], settings: Sequence[str]
) -> Iterator[tuple[str, list[float]]]:
    """The mean gain in each setting of each kind."""

    def of(labels: pd.Series) -> list[float]:
        return [float(each) for each in gain.groupby(labels.to_numpy()).mean()]

    gain = first.reset_index(drop=True)
    for column in settings:
        yield column, of(part[column])
    prompts = list(dict.fromkeys(part["prompt"]))
    dealt = np.random.default_rng(0).permutation(len(prompts)) % QUARTERS
    yield "quarter", of(part["prompt"].map(dict(zip(prompts, dealt, strict=True))))
    if len(gains) > 1:
        yield "cut", [float(each.mean()) for each in list(gains.values())[1:]]
