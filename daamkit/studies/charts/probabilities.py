"""Charts of the study of reliability."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from daamkit.measures.intervals import columns
from daamkit.views import pieces

_TARGETS = {"present": "the thing is there", "located": "and its map is on it"}


def reliability(diagram: pd.DataFrame | None, signs: pd.DataFrame) -> Figure:
    """Said against happened, and how well each sign tells apart by itself.

    Parameters
    ----------
    diagram
        target, said, happened, low, high; None where nothing is calibrated.
    signs
        target, sign, auroc, auroc_low, auroc_high.
    """
    figure, (left, right) = pieces.sheet(2, (10, 4.2))
    left.plot([0, 1], [0, 1], color=pieces.INK, linewidth=0.8)
    if diagram is not None:
        pieces.band(
            left, diagram, "said", "target", values=("happened", "low", "high"), keys=_TARGETS
        )
    left.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    pieces.label_axes(
        left, "Does it come true?", "probability said", "share that happened", grid="both"
    )
    pieces.legend(left, below=True)
    values = columns("auroc")
    pieces.points(right, signs, "sign", "target", values=values, keys=_TARGETS)
    right.axvline(0.5, color=pieces.INK, linewidth=0.8)
    pieces.label_axes(right, "What tells, each sign by itself", "AUROC (0.5: nothing)")
    return figure
