"""A plot as a file: the same plot gives the same bytes."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from daamkit import files
from daamkit.errors import DaamkitError
from daamkit.views.plots.movies import SUFFIXES, Movie

# Nothing of the day; letters as paths in SVG, as fonts that editors can read in PDF (TrueType).
_METADATA: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
    ".png": {"Software": None},
}
_KINDS: dict[type, tuple[str, ...]] = {
    Figure: tuple(_METADATA), Image.Image: (".png",), Movie: SUFFIXES,
}  # fmt: skip
_FIXED = {"svg.fonttype": "path", "svg.hashsalt": "daamkit", "pdf.fonttype": 42}


def save(plot: Any, path: str | os.PathLike[str], dpi: float = 150) -> Path:
    """Write what any plot has returned, in the format that the suffix names.

    Parameters
    ----------
    plot
        Axes or a figure of matplotlib (.svg, .pdf, .png); a figure of plotly (.html, which needs no
        network); a picture (.png); a `Movie` (.gif, .png, .webp).
    path
        The file. Its folder is made.
    dpi
        Dots per inch of matplotlib's pixels.

    Returns
    -------
    path

    Raises
    ------
    DaamkitError
        If it is another kind of plot or of file, or the file cannot be written.
    """
    place = Path(path)
    suffix = place.suffix.lower()
    figure: Any = plot.figure if isinstance(plot, Axes) else plot
    kinds = next((ends for kind, ends in _KINDS.items() if isinstance(figure, kind)), ())
    if type(figure).__module__.startswith("plotly."):
        kinds = (".html",)
    if suffix not in kinds:
        raise DaamkitError(
            wanted=f"a file name that ends in {', '.join(kinds)}"
            if kinds
            else "what a plot has returned",
            got=f"{place.name!r}" if kinds else f"{type(plot).__name__}",
            mend="name it so" if kinds else "give axes, a figure, a picture or a movie",
        )
    if isinstance(figure, Movie):
        return figure.save(place)
    if isinstance(figure, Figure):
        buffer = io.BytesIO()
        with mpl.rc_context(_FIXED):
            figure.savefig(buffer, format=suffix[1:], dpi=dpi, metadata=_METADATA[suffix])
        return files.write(place, buffer.getvalue())
    if suffix == ".html":
        return files.write(place, figure.to_html(include_plotlyjs=True).encode())
    return files.write(place, files.encoded(figure))
