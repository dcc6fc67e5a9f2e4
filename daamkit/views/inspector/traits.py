"""The inspector's state as traits: what each may be, and what they are together."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import traitlets

from daamkit.errors import DaamkitError
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.run import Run
from daamkit.maps.words import Word, WordError
from daamkit.views.inspector.contents import CUTS, HUES
from daamkit.views.inspector.state import State, inside
from daamkit.views.widget import Widget

STATE = (
    "word", "pins", "step", "site", "head", "threshold", "scale", "region", "pixel", "columns",
    "difference",
)  # fmt: skip


class Traits(Widget):
    """The state of an `Inspector`, which describes it."""

    runs: Mapping[str, Run]
    _words: Mapping[str, Word]

    _about = traitlets.Dict().tag(sync=True)
    _names = traitlets.List(traitlets.Unicode()).tag(sync=True)  # of `_column_0`, `_column_1`, ...

    word = traitlets.Unicode(None, allow_none=True).tag(sync=True)
    pins = traitlets.List(traitlets.Unicode()).tag(sync=True)
    step = traitlets.Int(None, allow_none=True).tag(sync=True)
    site = traitlets.Unicode(None, allow_none=True).tag(sync=True)
    head = traitlets.Int(None, allow_none=True).tag(sync=True)
    threshold = traitlets.Float(0.4).tag(sync=True)
    scale = traitlets.Unicode("shared").tag(sync=True)
    region = traitlets.List(traitlets.Int(), None, allow_none=True).tag(sync=True)
    pixel = traitlets.List(traitlets.Int(), None, allow_none=True).tag(sync=True)
    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    difference = traitlets.Bool(False).tag(sync=True)

    @property
    def words(self) -> list[str]:
        """What the words are called."""
        return list(self._words)

    def _state(self) -> State:
        region, pixel = self.region, self.pixel
        return State(
            words=(words := list(self._words.values())),
            opening=[words[place] for place in self._about["opening"]],
            word=None if self.word is None else self._words[self.word],
            pins=[self._words[pin] for pin in self.pins],
            step=self.step,
            site=self.site,
            head=self.head,
            threshold=self.threshold,
            scale=self.scale,
            region=None if region is None else (region[0], region[1], region[2], region[3]),
            pixel=None if pixel is None else (pixel[0], pixel[1]),
            columns=self.columns,
            difference=self.difference,
            bases=self._bases(),
        )

    # -- columns and frames

    def _sent(self) -> list[dict[str, Any]]:
        """What was sent of each column."""
        return [getattr(self, f"_column_{place}") for place in range(len(self.runs))]

    def _at(self, frame: int) -> list[str]:
        """The columns at a frame: of a shorter video its last, of an image its own."""
        found = {
            each["video"] or each["name"]: each["name"]
            for each in self._sent()
            if (each["frame"] or 0) <= frame
        }
        return list(found.values())

    def _frame(self) -> int:
        """The first frame that is shown."""
        shown = [each["frame"] for each in self._sent() if each["name"] in self.columns]
        return min((frame for frame in shown if frame is not None), default=0)

    def _bases(self) -> dict[str, str]:
        """What each column is compared with: the first run's at its frame."""
        now = self._frame()
        return {
            each["name"]: self._at(now if each["frame"] is None else each["frame"])[0]
            for each in self._sent()
        }

    # -- what a trait may be

    @traitlets.validate("word")
    def _known_word(self, proposal: Any) -> str | None:
        word = proposal["value"]
        return None if word is None else self._known(word)

    @traitlets.validate("pins")
    def _known_pins(self, proposal: Any) -> list[str]:
        pins = list(dict.fromkeys(self._known(word) for word in proposal["value"]))
        if len(pins) > HUES:
            raise DaamkitError(
                wanted=f"up to {HUES} pins, as many as there are hues to tell apart",
                got=f"{len(pins)}",
                mend="take one off first",
            )
        return pins

    def _known(self, label: str) -> str:
        """What a word is called here, however `Prompt.word` would find it."""
        if label not in self._words:
            prompt = next(iter(self.runs.values())).maps.prompt
            with suppress(WordError):
                found = prompt.word(label)
                for own, word in self._words.items():
                    if (word.start, word.end) == (found.start, found.end):
                        return own
            raise DaamkitError(
                wanted="a word of the prompt",
                got=repr(label),
                mend=f"`inspector.words` are {', '.join(map(repr, self._words))}",
            )
        return label

    @traitlets.validate("threshold")
    def _on_a_cut(self, proposal: Any) -> float:
        value = proposal["value"]
        if not 0 <= value <= 1:
            raise DaamkitError(
                wanted="a threshold in [0, 1]", got=f"{value}", mend="give a share of the maximum"
            )
        return round(value * CUTS) / CUTS

    @traitlets.validate("scale")
    def _one_of_two(self, proposal: Any) -> str:
        if proposal["value"] not in ("shared", "own"):
            raise DaamkitError(
                wanted="the scale 'shared' or 'own'", got=repr(proposal["value"]), mend="name one"
            )
        return str(proposal["value"])

    @traitlets.validate("columns")
    def _known_columns(self, proposal: Any) -> list[str]:
        unknown = [name for name in proposal["value"] if name not in self.runs]
        if unknown:
            raise DaamkitError(
                wanted=f"columns out of {', '.join(self.runs)}",
                got=f"{', '.join(unknown)}",
                mend="name only these",
            )
        if not proposal["value"]:
            raise DaamkitError(
                wanted="a column to show", got="none", mend=f"name some of {', '.join(self.runs)}"
            )
        return [name for name in self.runs if name in proposal["value"]]

    @traitlets.validate("region", "pixel")
    def _within(self, proposal: Any) -> list[int] | None:
        value = proposal["value"]
        if value is None:
            return None
        length = {"region": 4, "pixel": 2}[proposal["trait"].name]
        if len(value) != length:
            raise DaamkitError(
                wanted="(top, left, bottom, right)" if length == 4 else "(y, x)",
                got=f"{tuple(value)}",
                mend="in pixels of the image",
            )
        box = value if length == 4 else [*value, value[0] + 1, value[1] + 1]
        sizes = [run.maps.size for run in self.runs.values()]
        if not any(inside(box, size) for size in sizes):
            raise DaamkitError(
                wanted=f"{'(top, left, bottom, right)' if length == 4 else '(y, x)'} within "
                + " or ".join(dict.fromkeys(f"{h} x {w}" for h, w in sizes))
                + " pixels (height x width)",
                got=f"{tuple(value)}",
                mend="rows count from the top, columns from the left; bottom and right are not in",
            )
        return list(value)

    @traitlets.validate("step", "site", "head")
    def _kept(self, proposal: Any) -> Any:
        """A part that some run has; the columns of the others say what they lack."""
        if proposal["value"] is not None:
            self._some_run_has(proposal["trait"].name, proposal["value"])
        return proposal["value"]

    def _some_run_has(self, name: str, value: Any) -> None:
        problems = []
        for run in self.runs.values():
            try:
                return self._take(run.maps, name, value)
            except DaamkitError as error:
                problems.append(error)
        raise problems[0]

    def _take(self, maps: HeatMaps, name: str, value: Any) -> None:
        """Raises if the maps have no such part."""
        if name == "site":
            if value not in maps.layers:
                raise DaamkitError(
                    wanted="a layer of the maps",
                    got=repr(value),
                    mend=f"the layers are {', '.join(maps.layers)}",
                )
            return
        if value < 0:
            raise DaamkitError(wanted=f"a {name} from 0", got=f"{value}", mend="count from 0")
        if name == "step":
            maps.select(steps=value)
        elif self.site is None:
            raise DaamkitError(
                wanted="the layer of that head",
                got="none",
                mend="set `inspector.site` first; `run.maps.layers` has the names",
            )
        else:
            maps.select(sites=lambda layer: layer.name == self.site).select(heads=value)

    @traitlets.observe("step", "site")
    def _one_part(self, change: Any) -> None:
        """A step of all layers, or a layer of all steps; a head that the layer has."""
        if change["new"] is None:
            if change["name"] == "site":
                self.head = None
        elif change["name"] == "step":
            self.site = None
        else:
            self.step = None
            try:
                if self.head is not None:
                    self._some_run_has("head", self.head)
            except DaamkitError:
                self.head = None
