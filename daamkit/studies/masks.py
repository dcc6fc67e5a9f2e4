"""The masks that self-attention makes, beside random and central ones; see `self_attention`."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Bool

from daamkit.maps.selfmaps import SelfMaps
from daamkit.measures.intervals import columns, mean, means, paired
from daamkit.studies import truths
from daamkit.studies.session import Row

CONTROLS = ("random", "centre")
Mask = Bool[np.ndarray, "rows columns"]


def last(maps: SelfMaps) -> dict[str, str]:
    """Names of the last self-attention of each group and grid ("up 16x16"), in running order."""
    ordered = sorted(maps.layers.items(), key=lambda item: item[1].order)
    return {"{} {}x{}".format(layer.group, *layer.grid): name for name, layer in ordered}


def centred(mask: Mask) -> Mask:
    """As many cells, those nearest to the centre."""
    rows, columns = mask.shape
    y, x = np.mgrid[:rows, :columns]
    far = np.hypot((y + 0.5) / rows - 0.5, (x + 0.5) / columns - 0.5).ravel()
    chosen = np.argsort(far, kind="stable")[: mask.sum()]
    return np.isin(np.arange(mask.size), chosen).reshape(mask.shape)


def enlarged(mask: Mask, size: tuple[int, ...]) -> truths.Mask:
    """Each cell as many pixels as it covers."""
    return mask.repeat(size[0] // mask.shape[0], 0).repeat(size[1] // mask.shape[1], 1)


def overlaps(rows: pd.DataFrame) -> pd.DataFrame:
    """IoU with things, beside both controls."""
    out = []
    for (layer, psi), part in rows.groupby(["layer", "psi"], sort=False):
        row: Row = {"layer": layer, "psi": psi, "images": int(part["there"].sum())}
        row |= part[["masked", "iou", *CONTROLS]].mean().to_dict()
        clusters = part["prompt"].tolist()
        for control in CONTROLS:
            gap = (part["iou"] - part[control]).to_numpy(float)
            found = mean(gap, clusters, kind="number")
            row |= dict(zip(columns(f"over_{control}"), found, strict=True))
            row[f"over_{control}_p"] = paired(gap, clusters)
        out.append(row)
    return pd.DataFrame(out)


def spectra(rows: pd.DataFrame) -> pd.DataFrame:
    """Log magnitude by frequency, of the images that have a patch above psi."""
    by, values = ["layer", "psi", "frequency"], ["above", "all"]
    each = rows[["prompt", *by, *values]].explode(["frequency", *values])
    each = each.astype(dict.fromkeys(["frequency", *values], float)).dropna()
    each["difference"] = each["above"] - each["all"]
    gaps = means(each, by, "difference", kind="number").rename(
        columns={"mean": "difference", "n": "images"}
    )
    return each.groupby(by, sort=False)[values].mean().reset_index().merge(gaps)
