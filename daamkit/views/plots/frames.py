"""What a plot wants of a frame, and the means that it shows."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from daamkit.errors import DaamkitError
from daamkit.measures.intervals import means
from daamkit.views.pieces import VALUES


def require_columns(frame: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    """See that a frame has rows and these columns.

    Raises
    ------
    DaamkitError
        If not: it names them.
    """
    missing = [column for column in columns if column not in frame.columns]
    if missing or frame.empty:
        raise DaamkitError(
            wanted=f"rows with the columns {', '.join(columns)}, to plot {what}",
            got=f"no {', '.join(missing)}" if missing else "no row",
            mend="add them with `frame.assign(...)`, such as the prompt of each run"
            if missing
            else "give a row or more",
        )


def require_single(frame: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    """See that rows are of one kind, where a mean over several would mean nothing.

    Raises
    ------
    DaamkitError
        If one of these columns, where it is there, holds several values.
    """
    for column in columns:
        if column in frame.columns and frame[column].nunique() > 1:
            some = ", ".join(map(repr, frame[column].unique()[:5].tolist()))
            raise DaamkitError(
                wanted=f"rows of one {column}, to plot {what}",
                got=some,
                mend=f"choose one: `frame[frame[{column!r}] == ...]`",
            )


def is_table(frame: pd.DataFrame) -> bool:
    """Whether a frame has intervals already."""
    return {"low", "high"} <= set(frame.columns)


def summary(
    frame: pd.DataFrame, by: Sequence[str], value: str, cluster: str, what: str
) -> pd.DataFrame:
    """Means with 95% intervals over clusters. A table that has them already,
    as mean (or the name of the value), low and high, keeps them.

    Returns
    -------
    table
        The columns of `by`, mean, low, high, and of rows n (values) and clusters (their number).

    Raises
    ------
    DaamkitError
        If columns or values are missing, or a table has several means of one kind.
    """
    if is_table(frame):
        frame = frame if "mean" in frame.columns else frame.rename(columns={value: "mean"})
        require_columns(frame, [*by, *VALUES], what)
        if frame.duplicated(list(by)).any():
            raise DaamkitError(
                wanted=f"one mean for each {', '.join(by)}, to plot {what}",
                got="several",
                mend="choose some of the rows",
            )
        return frame
    require_columns(frame, [*by, value, cluster], what)
    known = frame[frame[value].notna()]
    if known.empty:
        raise DaamkitError(
            wanted=f"a value of {value!r}, to plot {what}",
            got=f"{len(frame)} rows where it is missing",
            mend="give rows that were measured",
        )
    counts = known.groupby(list(by), sort=False)[cluster].nunique().rename("clusters")
    return means(known, by, value, cluster).merge(counts.reset_index(), on=list(by))
