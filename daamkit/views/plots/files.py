"""A plot as a file: the same plot gives the same bytes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daamkit.errors import DaamkitError

# Nothing of the day; letters as paths in SVG, as fonts that editors can read in PDF (TrueType).
_METADATA: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
    ".png": {"Software": None},
}
_FIXED = {"svg.fonttype": "path", "svg.hashsalt": "daamkit", "pdf.fonttype": 42}


def save(plot: Any, path: str | os.PathLike[str], dpi: float = 150) -> Path:
    """Write a plot as SVG, PDF or PNG, as the suffix says.

    Parameters
    ----------
    plot
        A figure of matplotlib, or axes of one.
    path
        The file. Its folder is made.
    dpi
        Dots per inch of pixels.

    Returns
    -------
    path

    Raises
    ------
    DaamkitError
        If it is another kind of figure or of file.
    """
    place = Path(path)
    figure = plot.figure if isinstance(plot, Axes) else plot
    if not isinstance(figure, Figure) or place.suffix.lower() not in _METADATA:
        raise DaamkitError(
            wanted=f"a matplotlib figure and a file name that ends in {', '.join(_METADATA)}",
            got=f"{type(plot).__name__} and {place.name!r}",
            mend="plotly figures have `write_html`, pictures `save`",
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_FIXED):
        figure.savefig(place, dpi=dpi, metadata=_METADATA[place.suffix.lower()])
    return place
