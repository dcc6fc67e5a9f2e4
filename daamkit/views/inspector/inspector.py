"""The widget, its page, its files and its tables."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from daamkit.errors import DaamkitError
from daamkit.maps.collection import Runs, several
from daamkit.views import modules, still
from daamkit.views.facts import facts
from daamkit.views.inspector import painting, tables
from daamkit.views.inspector.contents import Contents
from daamkit.views.inspector.svg import svg
from daamkit.views.inspector.traits import STATE, Traits
from daamkit.views.labels import labels, method, told_apart
from daamkit.views.page import page
from daamkit.views.widget import COLOURS

_HERE = Path(__file__).parent


class Inspector(Traits):
    """See which word made which pixels of one or several runs, and measure it.

    Parameters
    ----------
    run, *others
        What to look at, side by side: runs, lists of runs, tracers. Words are those of the first
        run's prompt; another run shows those that its prompt has too.
    names
        What the runs are called; default the methods that guided them, or "unguided".
    parser
        A spaCy pipeline, by name or open, for the arcs; default the one that ships.

    Attributes
    ----------
    words
        What `word` and `pins` can be: the prompt's words; a second "cat" is "cat (2)".
    word
        The word pointed at, or None. Its map lies over each image.
    pins
        Words that stay. Of two, the first is the head, and their overlap is measured.
    step, site, head
        One step, one layer (by its site's name), one head of that layer; None: all together.
    threshold
        Of a map's maximum, from 0 to 1 in steps of 1/200.
    region
        (top, left, bottom, right) in pixels, rows and columns before bottom and right; or None.
    pixel
        (y, x), or None.
    columns
        Names of the runs that are shown.
    difference
        Whether the other runs show what a word's map has more or less than the first's.

    Raises
    ------
    DaamkitError
        If a trait is set to what is not there, or there are not as many names as runs.

    Notes
    -----
    Click and code set the same traits, and `table` has the numbers shown. Where JavaScript does
    not run, a notebook keeps a still picture. The runs are held as long as the inspector has a
    name (a cell's last value has one, in IPython's ``Out``); the page works on without it.

    Examples
    --------
    >>> import daamkit, torch
    >>> pipe = daamkit.load("toybox")
    >>> with daamkit.trace(pipe) as tracer:
    ...     _ = pipe("a red cat", num_inference_steps=2, generator=torch.manual_seed(0))
    >>> inspector = daamkit.Inspector(tracer.run)
    >>> inspector.pins = ["cat", "red"]
    >>> inspector.table().columns.tolist()
    ['column', 'head', 'dependent', 'iou', 'iod', 'ioh']
    """

    _esm = modules.join(_HERE / "inspector.js")
    _css = COLOURS + (_HERE / "inspector.css").read_text(encoding="utf-8")

    def __init__(
        self, run: Runs, *others: Runs, names: Sequence[str] | None = None, parser: Any = None
    ) -> None:
        runs = several(run, *others)
        named = list(names) if names is not None else told_apart(map(method, runs))
        if len(named) != len(runs) or len(set(named)) != len(runs):
            raise DaamkitError(
                wanted=f"{len(runs)} names, each of its own",
                got=f"{named}",
                mend="give one to each run, or none",
            )
        self.runs = dict(zip(named, runs, strict=True))
        sent = Contents(runs, named, parser)  # not kept: it holds the runs
        self._words = dict(zip(labels(sent.words), sent.words, strict=True))
        super().__init__(_about=sent.about, _data=sent.data, columns=named)
        self.on_msg(self._asked)

    def table(self, kind: str | None = None) -> pd.DataFrame:
        """What the view shows, in numbers: of each shown column, at the state's part of the maps.

        Parameters
        ----------
        kind
            "words": area, centre and peak of each word, as in `Run.table`. "pairs": iou, iod, ioh
            of each two pins, head and dependent, as in `Run.relations`. "pixel": each word's value
            there and its share of all words' values. "region": the share of each word's map that
            lies in the region (mass), the IoU of its mask with the region, and the lift, mass over
            the region's share of the image. Default: what is chosen, in the order region, pairs,
            pixel, words.

        Raises
        ------
        DaamkitError
            If nothing of that kind is chosen, or that part of the maps was not kept.
        """
        state = self._state()
        chosen = (
            "region" if state.region
            else "pairs" if len(state.pins) > 1
            else "pixel" if state.pixel
            else "words"
        )  # fmt: skip
        shown = {name: self.runs[name] for name in self.columns}
        return tables.table(shown, state, kind or chosen)

    def to_html(self) -> str:
        """The inspector in its present state as one HTML page that needs no kernel, no network."""
        state = {name: getattr(self, name) for name in STATE}
        title = f"{self._about['prompt']} - daamkit"
        return page(
            title,
            str(self._esm),
            str(self._css),
            {"_about": self._about, "_data": self._data, "_still": "", **state},
            still=still.html(*self.runs.values(), names=list(self.runs)),
            after=facts(self.runs, self.threshold),
        )

    def save(self, path: str | Path) -> Path:
        """What is seen as a file: ``.png`` or ``.svg`` the images, ``.html`` the inspector itself.

        Raises
        ------
        DaamkitError
            If the name ends otherwise.
        """
        file = Path(path)
        if file.suffix == ".html":
            file.write_text(self.to_html(), encoding="utf-8")
        elif file.suffix == ".svg":
            file.write_text(svg(self._pictures(), self._caption()), encoding="utf-8")
        elif file.suffix == ".png":
            painting.sheet([picture for _, picture in self._pictures()]).save(file)
        else:
            raise DaamkitError(
                wanted="a file that ends in .html, .svg or .png",
                got=f"{file.name}",
                mend="name it so",
            )
        return file

    def _pictures(self) -> list[tuple[str, painting.Pixels]]:
        state = self._state()
        return [(name, painting.paint(self.runs, state, name)) for name in self.columns]

    def _caption(self) -> list[tuple[str, int | None]]:
        """The words shown with the place of their hue, or the prompt."""
        if self.word is not None:
            return [(self.word, None)]
        if len(self.pins) == 1:
            return [(self.pins[0], None)]
        return [(pin, i) for i, pin in enumerate(self.pins)] or [(self._about["prompt"], None)]

    # -- how it is shown

    def _asked(self, _: Any, message: Any, __: Any) -> None:
        """The browser wants the page, to save it."""
        if message.get("kind") == "page":
            self.send({"kind": "page"}, [self.to_html().encode()])

    def picture(self) -> dict[str, Any]:
        """The images and the words' maps, small."""
        runs = self.runs.values()
        return {
            "text/html": still.html(*runs, names=list(self.runs)),
            "image/png": base64.b64encode(still.png(*runs)).decode(),
        }

    def close(self) -> None:
        """Take the widget out of the notebook, and let go of the runs."""
        self.runs = {}
        super().close()

    def __repr__(self) -> str:
        return f"Inspector({self._about['prompt']!r}, {', '.join(self.runs)})"
