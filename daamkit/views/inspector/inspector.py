"""The widget, its page, its files and its tables."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import traitlets
from tqdm.auto import tqdm

from daamkit import files
from daamkit.errors import DaamkitError
from daamkit.maps.collection import Runs, several
from daamkit.maps.run import Run
from daamkit.views import modules, still
from daamkit.views.facts import facts
from daamkit.views.inspector import contents, painting, tables
from daamkit.views.inspector.legend import badge
from daamkit.views.inspector.sheet import Seen, Sheet
from daamkit.views.inspector.traits import STATE, Traits
from daamkit.views.labels import called, labels, made
from daamkit.views.page import page
from daamkit.views.widget import COLOURS

_HERE = Path(__file__).parent


class Inspector(Traits):
    """See which word made which pixels of one or several runs, and measure it.

    It opens with the answer: the prompt's nouns, each in its hue, lie on the image where their maps
    are above the threshold, the more opaque the higher the map, on one scale for all words and
    runs.

    Parameters
    ----------
    run, *others
        What to look at, side by side: runs, lists of runs, tracers. The words are those of the
        first run's prompt; another run shows those that its prompt has too.
    names
        What the runs are called; default the methods that guided them and their edits, or
        "unguided", and their seeds and prompts where these differ. A video has a column for each
        frame of its maps, "unguided, frame 1" and so on; the first is shown at the start.
    parser
        A spaCy pipeline, by name or loaded, for nouns and arcs; default the one that ships.

    Attributes
    ----------
    words
        What `word` and `pins` can be: the prompt's words; a second "cat" is "cat (2)".
    word
        The word pointed at, or None. Its whole map lies over each image.
    pins
        Up to five words that stay shown, in place of the nouns; striped where they lie on each
        other. Of two, the first is the head, and their overlap is measured.
    step, site, head
        One step, one layer (by its site's name), one head of that layer; None: all together.
    threshold
        Share of a map's maximum, from 0 to 1 in steps of 1/200.
    scale
        "shared": the highest value of all words in all runs is shown strongest. "own": each map's
        own maximum is. Runs of different numbers of passes are compared by their mean per pass;
        runs pooled by different rules have a scale each, and no difference.
    region
        (top, left, bottom, right) in pixels, without bottom's row and right's column; or None.
    pixel
        (y, x), or None.
    columns
        Names of the runs that are shown.
    difference
        Whether the other runs show how much more or less a word's map has than the first run's; for
        a video, at the same frame.

    Raises
    ------
    DaamkitError
        If a trait is set to what is not there, or there are not as many names as runs.

    Notes
    -----
    Clicks and code set the same traits, and `table` has the numbers shown. Where JavaScript does
    not run, a notebook keeps a still picture. The runs are held as long as the inspector has a
    name (a cell's last value has one, in IPython's ``Out``); the page keeps working without it.

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
        named = list(names) if names is not None else called(runs, prompts=True)
        _check(named, len(runs))
        words = runs[0].maps.prompt.words()
        self.runs: dict[str, Run] = {}
        self._given: dict[str, Run] = {}
        self._words = dict(zip(labels(words), words, strict=True))
        self._parser = parser
        super().__init__(_about=contents.about(runs[0], words, parser))
        self._add(dict(zip(named, runs, strict=True)))
        self.on_msg(self._asked)

    def append(self, run: Runs, *others: Runs, names: Sequence[str] | None = None) -> None:
        """Put more runs beside those that are there, which are not made or sent again.

        Parameters
        ----------
        run, *others, names
            As for a new inspector.

        Raises
        ------
        DaamkitError
            If there are not as many names as runs, or a name is taken.
        """
        runs, taken = several(run, *others), list(self._given)
        said = called([*self._given.values(), *runs], prompts=True)[len(taken) :]
        named = list(names) if names is not None else _free(said, taken)
        _check([*taken, *named], len(taken) + len(runs))
        self._add(dict(zip(named, runs, strict=True)))

    def _add(self, given: dict[str, Run]) -> None:
        """Make and send columns; says how far it is where that takes long."""
        words, done, before = list(self._words.values()), len(self.runs), len(self._given)
        columns = [each for name, run in given.items() for each in _columns(name, run)]
        _check([*self.runs, *(name for name, _, _ in columns)], done + len(columns))
        parts = len(columns) * (len(words) + 2)
        first = next(iter([*self._given.values(), *given.values()]))
        with tqdm(total=parts, desc="inspector", unit="map", leave=False, delay=2) as bar:
            for place, (name, frame, run) in enumerate(columns, done):
                sent = contents.column(run, name, words, bar.update, self._parser, frame, first)
                self.add_traits(**{f"_column_{place}": traitlets.Dict(sent).tag(sync=True)})
        self.runs = {**self.runs, **{name: run for name, _, run in columns}}
        self._given = {**self._given, **given}
        with self.hold_sync():
            self._names = list(self.runs)
            self.columns = [*self.columns, *self._at(self._frame())[before:]]

    def table(self, kind: str | None = None) -> pd.DataFrame:
        """What the view shows, in numbers: for each shown column, of the chosen part of the maps.

        Parameters
        ----------
        kind
            "words": area, centre and peak of each word, as in `Run.table`. "pairs": iou, iod, ioh
            of each two pins, head and dependent, as in `Run.relations`. "pixel": each word's value
            there and its share of all words' values. "region": the share of each word's map that
            lies in the region (inside), the IoU of its mask with the region, and the lift, inside
            over the region's share of the image. Default: the first that is chosen, in the order
            region, pairs, pixel, words.

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

    def code(self) -> str:
        """The present view as Python code, which sets an inspector of the same `runs` to it."""
        plain = {name: getattr(self, name) for name in STATE}
        plain["columns"] = None if self.columns == self._at(0) else self.columns
        default = {"pins": [], "threshold": 0.4, "scale": "shared", "difference": False}
        lines = [f"inspector = daamkit.Inspector(*runs, names={list(self._given)!r})"]
        lines += [
            f"inspector.{name} = {value!r}"
            for name, value in plain.items()
            if value != default.get(name)
        ]
        return "\n".join(lines) + "\n"

    def to_html(self) -> str:
        """The inspector in its present state, as one HTML page that needs no kernel or network."""
        state = {name: getattr(self, name) for name in (*STATE, "_about", "_names")}
        state |= {f"_column_{i}": getattr(self, f"_column_{i}") for i in range(len(self.runs))}
        return page(
            f"{self._about['prompt']} - daamkit",
            str(self._esm),
            str(self._css),
            {**state, "_still": ""},
            still=still.html(*self._given.values(), names=list(self._given)),
            after=facts(self._given, self.threshold),
        )

    def save(self, path: str | Path) -> Path:
        """Write what is seen to a file, ``.png``, ``.svg`` or ``.html``, whose folder is made.

        ``.png`` and ``.svg`` are the images with prompt, legend, model and seed (a ``.png`` in
        DejaVu Sans, or the first font here that has all letters); ``.html`` is the inspector.

        Raises
        ------
        DaamkitError
            If the name has another ending, or the file cannot be written.
        """
        file = Path(path)
        if file.suffix == ".html":
            return files.write(file, self.to_html().encode())
        if file.suffix == ".svg":
            return files.write(file, self._sheet().svg().encode())
        if file.suffix == ".png":
            return files.write(file, files.encoded(self._sheet().png()))
        raise DaamkitError(
            wanted="a file that ends in .html, .svg or .png",
            got=f"{file.name}",
            mend="name it so",
        )

    def _sheet(self) -> Sheet:
        state = self._state()
        seen = [
            Seen(
                painting.paint(self.runs, state, name),
                name,
                made(self.runs[name], name, next(iter(self.runs.values()))),
                badge(state, self.runs, name),
            )
            for name in self.columns
        ]
        return Sheet.from_state(seen, self._about["prompt"], self._words, state, self.runs)

    # -- how it is shown

    def _asked(self, _: Any, message: Any, __: Any) -> None:
        """The browser wants the page, to save it."""
        if message.get("kind") == "page":
            self.send({"kind": "page"}, [self.to_html().encode()])

    def picture(self) -> dict[str, Any]:
        """The images and the words' maps, small."""
        runs = self._given.values()
        return {
            "text/html": still.html(*runs, names=list(self._given)),
            "image/png": base64.b64encode(still.png(*runs)).decode(),
        }

    def close(self) -> None:
        """Take the widget out of the notebook, and release the runs."""
        self.runs = self._given = {}
        super().close()

    def __repr__(self) -> str:
        return f"Inspector({self._about['prompt']!r}, {', '.join(self._given)})"


def _columns(name: str, run: Run) -> list[tuple[str, tuple[str, int] | None, Run]]:
    """Name, video and place in it, and run of an image, or of each frame of a video."""
    if len(run.frames) == 1:
        return [(name, None, run.frames[0])]
    return [(f"{name}, frame {i + 1}", (name, i), each) for i, each in enumerate(run.frames)]


def _check(names: Sequence[str], runs: int) -> None:
    if len(names) != runs or len(set(names)) != runs:
        raise DaamkitError(
            wanted=f"{runs} names, each of its own",
            got=f"{list(names)}",
            mend="give one to each run, or none",
        )


def _free(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Names that none has yet."""
    found: list[str] = []
    for name in names:
        number, free = 1, name
        while free in (*taken, *found):
            number += 1
            free = f"{name} ({number})"
        found.append(free)
    return found
