"""What methods add to a baseline that has drawn the same prompts from the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from daamkit.measures.intervals import bootstrap, paired

BASE = "none"  # the method that is none


def compare(
    name: str,
    parts: Mapping[str, pd.DataFrame],
    measures: Sequence[str],
    pairs: Sequence[str] = ("prompt", "case"),
    draws: int = 1000,
) -> pd.DataFrame:
    """Means by method, and each method's gain over `BASE`, pair by pair.

    Parameters
    ----------
    name, parts
        Rows to look at, part by part, and what the parts are called together.
    measures
        Columns of numbers. One that a part knows nothing of (all NaN) is left out there.
    pairs
        Columns that tell which rows of two methods belong together, "prompt" among them.
    draws
        Of the bootstrap.

    Returns
    -------
    frame
        A row a part, measure and method: the part's column, measure, method, mean, low, high (95%
        over prompts), n (values); but for the baseline gain, gain_low, gain_high (the same of the
        differences; pairs with a missing value are left out) and p that there is none.
    """
    out = []
    for part, rows in parts.items():
        for measure in measures:
            wide = rows.pivot(index=list(pairs), columns="method", values=measure).astype(float)
            prompts = wide.index.get_level_values("prompt").tolist()
            for method in rows["method"].unique() if wide.notna().any(axis=None) else ():
                found = bootstrap(wide[method].to_numpy(), prompts, draws=draws)
                row = {name: part, "measure": measure, "method": method}
                row |= dict(zip(("mean", "low", "high"), found, strict=True))
                row["n"] = int(wide[method].notna().sum())
                if method != BASE:
                    gain = (wide[method] - wide[BASE]).to_numpy()
                    found = bootstrap(gain, prompts, draws=draws)
                    row |= dict(zip(("gain", "gain_low", "gain_high"), found, strict=True))
                    row["p"] = paired(gain, prompts)
                out.append(row)
    return pd.DataFrame(out)
