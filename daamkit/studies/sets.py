"""Quality of several sets of images together."""

from __future__ import annotations

import numpy as np
import pandas as pd

from daamkit.measures.intervals import columns, mean
from daamkit.studies.session import Row


def pooled(each: pd.DataFrame) -> pd.DataFrame:
    """Means over sets, with Student's intervals over them."""
    out = []
    for setting, part in each.groupby("setting", sort=False):
        row: Row = {"setting": setting, "n": part["n"].iloc[0], "sets": len(part)}
        row["against"] = part["against"].iloc[0]
        for name in ("fid", "change", "precision", "recall"):
            within = (0, 1) if name in ("precision", "recall") else (-np.inf, np.inf)
            found = mean(part[name].to_numpy(float), kind="number", within=within)
            row |= dict(zip(columns(name), found, strict=True))
        known = [name for name in ("seconds", "gigabytes", "over_cfg") if name in part]
        out.append(row | part[known].mean().to_dict())
    return pd.DataFrame(out)
