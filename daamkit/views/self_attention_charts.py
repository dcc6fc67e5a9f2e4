"""Charts of what guidance does. Points are numbers of whole sets or means, lines 95% intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from daamkit.views.charts import _INK, _colour, _name, _points, _sheet


def self_attention(
    table: pd.DataFrame, masks: pd.DataFrame, frequency: pd.DataFrame, psi: float = 1.0
) -> Figure:
    """Quality of each setting, overlap of masks with things, and detail in the masked patches.

    Parameters
    ----------
    table
        setting, fid, fid_low, fid_high.
    masks
        layer, psi, over_random, random_low, random_high, over_centre, centre_low, centre_high.
    frequency
        layer, psi, frequency (cycles per pixel), difference, low, high.
    psi
        At which threshold masks and frequencies are shown.
    """
    figure, (left, middle, right) = _sheet(3, (14, 4.6))
    part = table.iloc[::-1]
    _points(left, np.arange(len(part)), part, "fid", "fid_low", "fid_high", 0)
    left.set_yticks(range(len(part)), part["setting"], fontsize=8)
    _name(left, "Quality of the images (smaller is better)", "FID", "")
    part = masks[masks["psi"] == psi].iloc[::-1]
    at = np.arange(len(part))
    for i, control in enumerate(("random", "centre")):
        columns = (f"over_{control}", f"{control}_low", f"{control}_high")
        _points(middle, at + 0.1 - 0.2 * i, part, *columns, i, f"more than {control} masks")
    middle.set_yticks(at, part["layer"])
    middle.axvline(0, color=_INK, linewidth=0.8)
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.13), "ncols": 2}
    middle.legend(frameon=False, fontsize=8, **below)
    _name(middle, f"Overlap of masks above {psi:g} with things", "difference of IoU", "")
    shown = frequency[(frequency["psi"] == psi) & (frequency["frequency"] > 0)]
    for i, (layer, part) in enumerate(shown.groupby("layer", sort=False)):
        right.plot(part["frequency"], part["difference"], "o-", color=_colour(i), label=layer)
        right.fill_between(
            part["frequency"], part["low"], part["high"], color=_colour(i), alpha=0.2
        )
    right.axhline(0, color=_INK, linewidth=0.8)
    if len(shown):
        right.legend(frameon=False, fontsize=8)
    _name(
        right, f"Detail where attention is above {psi:g}", "cycles per pixel",
        "log magnitude - that of all patches",
    )  # fmt: skip
    return figure
