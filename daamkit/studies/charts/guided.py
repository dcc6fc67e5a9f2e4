"""Charts of the studies of guidance: what is neglected, what changes, how good images are."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from daamkit.measures.intervals import columns
from daamkit.views import pieces, plots

_GAINS = {
    "all_there": "all things drawn", "bound": "things in their colour",
    "clip_min": "CLIP, lesser half", "text_text": "caption and prompt",
}  # fmt: skip
_MAPS = {
    "on_other": "on the other thing", "other_area": "an even map on the other thing",
    "iou_present": "on its own thing (IoU, of those there)",
}  # fmt: skip
_EFFECTS = {
    "present": "thing there",
    "iou": "map on its thing (mIoU, there in both)", "truer": "own image over the other (IoU)",
    "overlap": "overlap of two things' maps (IoU)", "entropy": "entropy of a thing's map",
}  # fmt: skip
_GAIN = columns("gain")


def neglect(table: pd.DataFrame, localisation: pd.DataFrame) -> Figure:
    """What is drawn by group of prompts, what each method adds, and where words' maps lie.

    Parameters
    ----------
    table
        group, measure, method, mean, low, high, gain, gain_low, gain_high.
    localisation
        words, measure, method, mean, low, high. Shown are the "neglected" words, or, if there are
        none, those where nothing was neglected.
    """
    figure, (left, middle, right) = pieces.sheet(3, (14, 4.8), sharey=True)
    names = {name: name.replace("+", "\n+ ") for name in table["method"].unique()}
    drawn = table[table["measure"] == "all_there"]
    groups = {str(group): str(group).replace("_", " and ") for group in drawn["group"].unique()}
    pieces.points(left, drawn, "method", "group", names=names, keys=groups)
    pieces.label_axes(left, "All things drawn", "share of images")
    added = table[(table["group"] == table["group"].iloc[-1]) & table["gain"].notna()]
    pieces.points(middle, added, "method", "measure", values=_GAIN, names=names, keys=_GAINS)
    pieces.zero(middle)
    pieces.label_axes(middle, "What a method adds to no guidance", "gain")
    words = "neglected" if (localisation["words"] == "neglected").any() else "nothing neglected"
    part = localisation[localisation["words"] == words]
    pieces.points(right, part, "method", "measure", names=names, keys=_MAPS)
    title = {"neglected": "Words neglected without guidance", "nothing neglected": "All words"}
    pieces.label_axes(right, f"{title[words]}: where their maps lie", "share")
    for ax in (left, middle, right):
        pieces.legend(ax, below=True)
    return figure


def effects(table: pd.DataFrame, neglected: pd.DataFrame, changes: pd.DataFrame) -> Figure:
    """Differences that each method makes, over all prompts and those with a thing missing before;
    and how well the maps' change tells where the image changed.

    Parameters
    ----------
    table, neglected
        method, measure, gain, gain_low, gain_high.
    changes
        method, measure, mean, low, high.
    """
    figure, (left, middle, right) = pieces.sheet(3, (14, 4.4))
    known = table[table["gain"].notna()]["method"].unique()
    methods = {name: name.replace("_", "-") for name in known}
    panels = {"All prompts": (left, table), "A thing was missing without it": (middle, neglected)}
    for title, (ax, part) in panels.items():
        pieces.points(ax, part, "measure", "method", values=_GAIN, names=_EFFECTS, keys=methods)
        pieces.zero(ax)
        pieces.label_axes(ax, title, "guided - unguided")
    middle.tick_params(labelleft=False)
    kinds = {"follows": "change of the maps", "still": "the unguided maps"}
    pieces.points(right, changes, "method", "measure", names=methods, keys=kinds)
    pieces.label_axes(
        right, "Where did the image change?", "rank correlation with the image's change"
    )
    pieces.legend(left, below=True)
    pieces.legend(right, below=True)
    return figure


def self_attention(
    table: pd.DataFrame, masks: pd.DataFrame, frequency: pd.DataFrame, psi: float = 1.0
) -> Figure:
    """Quality of each setting, overlap of masks with things, and detail in the masked patches.

    Parameters
    ----------
    table
        setting, fid, fid_low, fid_high.
    masks
        layer, psi, over_random, over_centre, each with its interval (`intervals.columns`).
    frequency
        layer, psi, frequency (cycles per pixel), difference, low, high.
    psi
        At which threshold masks and frequencies are shown.
    """
    figure, (left, middle, right) = pieces.sheet(3, (14, 4.6))
    pieces.points(left, table, "setting", values=columns("fid"))
    left.tick_params(axis="y", labelsize=8)
    pieces.label_axes(left, "Quality of the images (smaller is better)", "FID")
    part, controls = masks[masks["psi"] == psi], []
    for control in ("random", "centre"):
        named = columns(f"over_{control}")
        own = part[["layer", *named]].assign(control=f"more than {control} masks")
        controls.append(own.rename(columns=dict(zip(named, pieces.VALUES, strict=True))))
    pieces.points(middle, pd.concat(controls), "layer", "control")
    pieces.zero(middle)
    pieces.legend(middle, below=True)
    pieces.label_axes(middle, f"Overlap of masks above {psi:g} with things", "difference of IoU")
    shown = frequency[frequency["psi"] == psi]
    if len(shown):
        plots.frequency(shown, ax=right)
    right.set_title(f"Contrast where attention is above {psi:g}", fontsize=10, loc="left")
    return figure
