"""A measure of the same prompts and seeds with a method and without it, as numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from daamkit.errors import DaamkitError
from daamkit.measures.intervals import gain, mean


class Comparison(NamedTuple):
    """A method's pairs, and their means with intervals (mean, low, high).

    Attributes
    ----------
    name
        The method's name, as the plot shows it.
    pairs
        The columns that tell pairs apart, before, after.
    before, after, gain
        Means; gain is that of after - before.
    """

    name: str
    pairs: pd.DataFrame
    before: tuple[float, float, float]
    after: tuple[float, float, float]
    gain: tuple[float, float, float]

    @property
    def label(self) -> str:
        """Name, gain, number of pairs."""
        mean, low, high = self.gain
        within = f" [{low:+.3f}, {high:+.3f}]" if np.isfinite(low) else ""
        return f"{self.name.replace('_', '-')}\n{mean:+.3f}{within}\nn = {len(self.pairs)}"


def compare(
    frame: pd.DataFrame, value: str, base: str, pairs: list[str], cluster: str
) -> list[Comparison]:
    """Each method beside `base`, over the pairs that both have a value for.

    Parameters
    ----------
    frame, value, base, cluster
        As for `plots.guidance`.
    pairs
        Columns that tell which rows belong together.

    Raises
    ------
    DaamkitError
        If a pair has two rows, or a method none.
    """
    if frame.duplicated([*pairs, "method"]).any():
        raise DaamkitError(
            wanted=f"one row for each method and {', '.join(pairs)}",
            got="several",
            mend="name in `pairs=` the columns that tell them apart",
        )
    wide = frame.pivot(index=pairs, columns="method", values=value).astype(float)
    names = [name for name in frame["method"].unique() if name != base]
    if base not in wide or not names:
        raise DaamkitError(
            wanted=f"rows of the method {base!r} and of another",
            got=", ".join(map(str, wide.columns)),
            mend="name in `base=` the method that is none",
        )
    out = []
    for name in names:
        part = wide[[base, name]].dropna()
        part.columns = pd.Index(["before", "after"])
        part = part.reset_index()
        if part.empty:
            raise DaamkitError(
                wanted=f"pairs of {base!r} and {name!r} with the same {', '.join(pairs)}",
                got="none",
                mend="draw the same prompts from the same seeds with both",
            )
        of = part[cluster].tolist()
        before, after = (part[end].to_numpy(float) for end in ("before", "after"))
        gained = gain(after, before, of)
        out.append(Comparison(str(name), part, mean(before, of), mean(after, of), gained))
    return out
