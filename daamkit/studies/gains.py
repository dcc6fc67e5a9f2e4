"""What methods add to a baseline, on the same prompts and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from daamkit.measures.clusters import ANY, Ends, is_share
from daamkit.measures.intervals import Kind, columns, gain, mean, paired
from daamkit.studies.session import Row

BASE = "none"  # the method that is none


def compare(
    name: str,
    parts: Mapping[str, pd.DataFrame],
    measures: Sequence[str],
    pairs: Sequence[str] = ("prompt", "case"),
    cluster: str = "prompt",
    base: str = BASE,
    within: Mapping[str, Ends] = {},
) -> pd.DataFrame:
    """Means by method, and each method's gain over a baseline, pair by pair.

    Parameters
    ----------
    name, parts
        Rows to look at, part by part, and what the parts are called together.
    measures
        Columns of numbers. One that a part knows nothing of (all NaN) is left out there.
    pairs
        Columns that tell which rows of two methods belong together.
    cluster
        One of these: what values belong to that are not independent.
    base
        The method that is the baseline.
    within
        Of measures that have them, the least and the greatest mean possible; they also tell what
        `is_share`.

    Returns
    -------
    frame
        A row a part, measure and method: the part's column, measure, method, mean, low, high (95%
        over clusters), n (values); but for the baseline gain, gain_low, gain_high (the same of the
        differences; pairs with a missing value are left out) and p that there is none.
    """
    out = []
    for part, rows in parts.items():
        for measure in measures:
            wide = rows.pivot(index=list(pairs), columns="method", values=measure).astype(float)
            least, most = ends = within.get(measure, ANY)
            share = is_share(wide.to_numpy(), ends)
            kinds: tuple[Kind, Kind] = ("share", "gain") if share else ("number", "number")
            clusters = wide.index.get_level_values(cluster).tolist()
            for method in rows["method"].unique() if wide.notna().any(axis=None) else ():
                own = wide[method].to_numpy()
                found = mean(own, clusters, kind=kinds[0], within=ends)
                row = {name: part, "measure": measure, "method": method}
                row |= dict(zip(("mean", "low", "high"), found, strict=True))
                row["n"] = int(wide[method].notna().sum())
                if method != base:
                    more, span = own - wide[base].to_numpy(), most - least
                    found = mean(more, clusters, kind=kinds[1], within=(-span, span))
                    row |= dict(zip(columns("gain"), found, strict=True))
                    row["p"] = paired(more, clusters)
                out.append(row)
    return pd.DataFrame(out)


def over(
    own: pd.DataFrame, base: pd.DataFrame | None, measures: Sequence[str], keys: Sequence[str]
) -> Row:
    """Means of measures from 0 to 1, and their gains over the baseline's.

    Parameters
    ----------
    own, base
        Rows of a method and of the baseline, with a column "prompt"; None: the baseline's own.
    measures
        Columns of numbers.
    keys
        Columns that tell which rows of the two belong together.

    Returns
    -------
    row
        "ap", "ap_low", "ap_high" of a measure "ap", with 95% over prompts, and of a method beside
        a baseline "ap_over", "ap_over_low", "ap_over_high".
    """
    row: Row = {}
    both = None if base is None else own.merge(base, on=list(keys), suffixes=("", " of base"))
    for measure in measures:
        found = mean(own[measure].to_numpy(), own["prompt"].tolist(), within=(0, 1))
        row |= dict(zip(columns(measure), found, strict=True))
        if both is not None:
            pair = both[measure].to_numpy(), both[f"{measure} of base"].to_numpy()
            found = gain(*pair, both["prompt"].tolist(), within=(-1, 1))
            row |= dict(zip(columns(f"{measure}_over"), found, strict=True))
    return row
