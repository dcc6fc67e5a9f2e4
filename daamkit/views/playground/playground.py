"""The widget: makes pictures in a thread of its own, keeps them, and compares them."""

from __future__ import annotations

import base64
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets
import traitlets
from IPython.display import display

import daamkit
from daamkit.errors import DaamkitError
from daamkit.maps import saving
from daamkit.maps.run import Run
from daamkit.views import modules, still
from daamkit.views.inspector import Inspector
from daamkit.views.labels import differing
from daamkit.views.playground import previews
from daamkit.views.playground.progress import Watching, sentence, unstoppable
from daamkit.views.playground.recipe import Recipe, free, opened, words
from daamkit.views.playground.traits import PlaygroundTraits
from daamkit.views.widget import COLOURS, LIVE


class Playground(PlaygroundTraits):
    """Type a prompt, draw, tick words to guide, compare, and take the code away.

    Parameters
    ----------
    pipe
        A pipeline, or what `load` opens.
    prompt
        The prompt that stands in the field at first.
    keep
        What traces do not sum over, see `trace`; more gives more to look at, and takes more memory.
    previews
        After every how many steps to show what the model means; 0: never, and nothing is decoded.

    Attributes
    ----------
    prompt, seed, steps, height, width, scale
        What to make. Sizes of 0, and a guidance scale of None, stand for the model's own.
    methods
        Names of guidance methods, such as "AttendAndExcite".
    subjects
        Words of the prompt, out of `words`, that methods guide; empty: its nouns.
    runs
        The pictures made so far, as `Run`.
    shown
        The index in `runs` of the picture whose maps and code are shown.
    pinned
        Indices of the pictures that the inspector below compares; empty: the one shown.
    inspector
        The `Inspector` below, or None.
    busy, progress, status, problem, unstoppable
        Whether a picture is being made; how far it is, from 0 to 1; the same in words; a sentence
        on what went wrong; a sentence saying that the pipeline cannot be stopped, or "" if it can.
    code
        Python that makes the picture shown again, bit for bit.
    folder
        Where `save` puts pictures.

    Notes
    -----
    A picture is made in a thread: do not use that pipeline until it is done. A video is shown by
    its middle frame, what was stopped by what the model meant then; `runs` has what was made.

    Examples
    --------
    >>> import daamkit
    >>> play = daamkit.Playground("toybox", "a red cat")
    >>> play.steps, play.methods, play.subjects = 2, ["AttendAndExcite"], ["cat"]
    >>> play.generate()
    >>> play.wait().prompt
    'a red cat'
    >>> print(play.code.splitlines()[4])
    attend_and_excite = daamkit.AttendAndExcite(['cat'])
    """

    _esm = modules.join(Path(__file__).with_suffix(".js"))
    _css = COLOURS + Path(__file__).with_suffix(".css").read_text(encoding="utf-8")

    def __init__(
        self,
        pipe: Any = "toybox",
        prompt: str = "a red cat next to a blue car",
        *,
        keep: Sequence[str] = ("step", "site", "head"),
        previews: int = 1,
    ) -> None:
        self.pipe = daamkit.load(pipe)
        self.keep, self.previews = tuple(keep), previews
        self.runs: list[Run] = []
        self.recipes: list[Recipe] = []
        self.inspector: Inspector | None = None
        self._saved: dict[tuple[str, int], Path] = {}
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._below = ipywidgets.VBox()
        super().__init__(prompt=prompt)
        self.set_trait("unstoppable", unstoppable(self.pipe))
        self.on_msg(self._asked)

    def generate(self) -> None:
        """Begin to make the picture that the settings describe; see `wait`.

        Raises
        ------
        DaamkitError
            If a picture is being made.
        """
        self._begin(self.recipe(), None)

    def change(self, word: str, to: str) -> None:
        """Make the shown picture again, same seed and all, with one word changed; then compare.

        Parameters
        ----------
        word
            One of the words of its prompt, a second "cat" as "cat (2)".
        to
            What to put in its place; in `prompt` too, if that is still this picture's.

        Raises
        ------
        DaamkitError
            If nothing was made yet, the prompt has no such word, or a picture is being made.
        """
        place = self._shown()
        shown, recipe = self.recipes[place], self.recipes[place].changed(word, to)
        self._begin(recipe, place)
        if self.prompt == shown.prompt:
            self.prompt, self.seed = recipe.prompt, recipe.seed

    def stop(self) -> None:
        """Make no further step; what was made so far is decoded and kept.

        Raises
        ------
        DaamkitError
            If the pipeline is `unstoppable`.
        """
        if self.unstoppable:
            raise DaamkitError(
                wanted="a pipeline that can be stopped between its steps",
                got=type(self.pipe).__name__,
                mend="wait until it is done",
            )
        self._stopping.set()

    def wait(self, timeout: float | None = None) -> Run | None:
        """Wait until the picture is made; return its run, or None if it failed or takes longer.

        Parameters
        ----------
        timeout
            Seconds to wait at most.
        """
        if self._thread is not None:
            self._thread.join(timeout)
        return None if self.busy or self.problem or self.shown is None else self.runs[self.shown]

    def save(self, folder: str | Path | None = None) -> Path:
        """Write the shown picture, its maps, and its code as ``make.py`` beside them.

        Parameters
        ----------
        folder
            Where to write; default a new folder in the trait `folder`, named after prompt and seed.

        Returns
        -------
        folder
            `daamkit.open` opens it, and ``daamkit.open("runs/*")`` all of them.

        Raises
        ------
        DaamkitError
            If nothing was made yet, or as `Run.save` does.
        """
        place = self._shown()
        known = self._saved.get((self.folder, place))
        target = Path(folder or known or free(Path(self.folder), self.recipes, place))
        saving.save(self.runs[place], target, {"make.py": self.code})
        if folder is None:
            self._saved[self.folder, place] = target
        self.set_trait("status", f"saved as {target}")
        return target

    # -- the thread

    def _begin(self, recipe: Recipe, before: int | None) -> None:
        if self.busy:
            raise DaamkitError(
                wanted="to make one picture at a time",
                got="a second one",
                mend="wait for it, or stop it: `playground.stop()`",
            )
        recipe = replace(recipe, opened=opened(self.pipe))
        self._stopping.clear()
        self._say(busy=True, problem="", progress=0.0, status="starting")
        self._thread = threading.Thread(target=self._work, args=(recipe, before), daemon=True)
        self._thread.start()

    def _work(self, recipe: Recipe, before: int | None) -> None:
        """Make a picture and show it; whatever goes wrong is said, and ends nothing else."""
        try:
            watching = Watching(self, recipe, self.previews, self._stopping)
            run = recipe.make(self.pipe, watching.hears, self.previews > 0)
            self._done(run, watching.recipe, before)
        except Exception as error:
            self._say(problem=sentence(error), status="", cells=[])
            with suppress(DaamkitError):  # of maps that are not finite
                self._say(cells=self._cells())
        finally:
            self.set_trait("busy", False)

    def _done(self, run: Run, recipe: Recipe, before: int | None) -> None:
        place = len(self.runs)
        self.runs.append(run)
        self.recipes.append(recipe)
        called = differing([each.facts for each in self.recipes])
        made = [recipe.title, previews.small(self._seen(place).image)]
        self._say(_called=called, history=[*self.history, made])
        self._say(status=f"done: {recipe.title}", progress=1.0)
        if before is None:
            self.shown = place
            return
        self.pinned = [before, place]
        self.shown = place
        self.set_trait("cells", previews.difference(self._seen(before), self._seen(place)))
        if self.inspector is not None:
            self.inspector.difference = True
            common = [word for word in self.inspector.words if word in self._offered]
            self.inspector.word = max(common, key=len, default=None)

    # -- what is seen

    def _seen(self, place: int) -> Run:
        return previews.seen(self.runs[place], self.recipes[place].stopped is not None)

    def _cells(self) -> list[previews.Cell]:
        """The picture shown and its maps."""
        at = self.shown
        return [] if at is None else previews.cells(self._seen(at), [*self.recipes[at].subjects])

    @traitlets.observe("shown", "pinned")
    def _look(self, change: Any) -> None:
        """The maps and code of the picture shown; the inspector of it, or of those pinned."""
        if change["name"] == "shown" and self.shown is not None:
            recipe = self.recipes[self.shown]
            self._say(code=recipe.code(self.pipe), cells=self._cells())
            self._say(_offered=[*words(recipe.prompt)])
        places = list(self.pinned) or [each for each in (self.shown,) if each is not None]
        if not places or (change["name"] == "shown" and self.pinned):
            return
        old, names = self.inspector, differing([self.recipes[place].facts for place in places])
        self.inspector = Inspector([*map(self._seen, places)], names=names)
        self._below.children = (self.inspector,)
        if old is not None:
            old.close()

    def _asked(self, _: Any, message: Any, __: Any) -> None:
        """A button was pressed: the page is told that somebody hears it."""
        self.send({"kind": "heard"})
        try:
            match message:
                case {"kind": "change", "word": word, "to": to}:
                    self.change(str(word), str(to))
                case {"kind": "generate" | "stop" | "dice" | "save" as verb}:
                    getattr(self, verb)()
        except Exception as error:
            self.set_trait("problem", sentence(error))

    def picture(self) -> dict[str, Any]:
        """The pictures made so far; before the first, a line that says what this is."""
        if not self.runs:
            return {"text/html": f"<p>Playground: {escape(self.prompt)} (nothing made yet)</p>"}
        runs = [*map(self._seen, range(len(self.runs)))]
        picture = base64.b64encode(still.png(*runs)).decode()
        return {"text/html": still.html(runs, names=self._called), "image/png": picture}

    def _ipython_display_(self) -> None:
        """The still picture, then the controls with the inspector below."""
        bundle, _ = self._repr_mimebundle_()
        bundle.pop(LIVE)
        bundle["text/html"] = f'<div class="{self._still}">{bundle["text/html"]}</div>'
        display(bundle, raw=True)
        display(ipywidgets.VBox([self, self._below]))

    def __repr__(self) -> str:
        return f"Playground({self.prompt!r}, {len(self.runs)} made)"
