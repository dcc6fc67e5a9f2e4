"""A widget that asks people: blind, shuffled, one thing at a time, each answer at once on disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import traitlets

from daamkit import files
from daamkit.errors import DaamkitError
from daamkit.maps.collection import Runs, several
from daamkit.measures import ratings
from daamkit.measures.agreement import Metric, alpha
from daamkit.views import modules
from daamkit.views.rating import still
from daamkit.views.rating.items import Item, make, order
from daamkit.views.rating.questions import QUESTIONS, Kind
from daamkit.views.widget import COLOURS, Widget

_HERE = Path(__file__).parent
_METRICS: dict[str, Metric] = {
    "score": "ordinal",
    "present": "nominal",
    "preferred": "nominal",
}
BACK = "Backspace"


class Rating(Widget):
    """Ask a person about images and maps, and write each answer to a file.

    Nothing shown tells which run an image comes from or what others have said. Items come in an
    order drawn from `seed` and `rater`; those that this rater has already answered in the file are
    not asked again. Keys: 1 to 5, or y and n, or 1, 2, 0 (or the arrows) for left, right, tie;
    Backspace goes back, and the later answer counts.

    Parameters
    ----------
    runs
        One or several, or a tracer's, with images and recorded seeds.
    path
        A file of answers, one per line (`measures.ratings`); made if there is none.
    kind
        "score": how well a word's map shows what it made, from 1 (bad) to 5 (excellent), as in the
        DAAM paper (arXiv 2210.04885, section 3.2). "present": is this thing in the image? (the
        prompt is not shown). "preference": which of two runs of one prompt and seed fits the
        prompt better?
    rater
        Who answers: a name or number.
    words
        "score": which words, each wherever it stands; default all. "present": which things,
        asked about every image, whether its prompt names them or not; default each prompt's things.
    names
        What made each run, for the file. Default: the methods that guided it, or "unguided".
    seed
        Seed of the order and of the sides.

    Attributes
    ----------
    index, total
        How many items come before the one shown, and how many there are; equal when all are rated.

    Raises
    ------
    DaamkitError
        If the kind is unknown, there is nothing to ask (see `items.make`), or the file cannot be
        written or holds something else.
    """

    _esm = modules.join(_HERE / "rating.js")
    _css = COLOURS + (_HERE / "rating.css").read_text(encoding="utf-8")

    index = traitlets.Int(read_only=True).tag(sync=True)
    total = traitlets.Int(read_only=True).tag(sync=True)
    question = traitlets.Unicode(read_only=True).tag(sync=True)
    choices: traitlets.List[Any] = traitlets.List(read_only=True).tag(sync=True)  # [key, label]
    captions: traitlets.List[Any] = traitlets.List(read_only=True).tag(sync=True)
    text: traitlets.List[Any] = traitlets.List(read_only=True).tag(sync=True)  # before, mark, after
    image = traitlets.Bytes(read_only=True).tag(sync=True)  # PNG
    beside = traitlets.Bytes(read_only=True).tag(sync=True)  # PNG, or nothing
    given = traitlets.Unicode(read_only=True).tag(sync=True)  # the key of an earlier answer
    problem = traitlets.Unicode(read_only=True).tag(sync=True)
    heard = traitlets.Int(read_only=True).tag(sync=True)  # the last turn of `said`
    said = traitlets.Dict().tag(sync=True)  # what the browser says: turn, item, key

    def __init__(
        self,
        runs: Runs,
        path: str | os.PathLike[str],
        *,
        kind: Kind = "score",
        rater: str | int = 1,
        words: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        if kind not in QUESTIONS:
            raise DaamkitError(
                wanted=f"a kind of {', '.join(QUESTIONS)}", got=repr(kind), mend="name one of these"
            )
        self._question, self._path, self._rater = QUESTIONS[kind], Path(path), rater
        words = [words] if isinstance(words, str) else words
        given = [] if isinstance(runs, list | tuple) and not runs else several(runs)
        items = order(make(kind, given, words, names), rater, seed)
        self._open()
        self._answers = self._known(items)
        place = {which: i for i, which in enumerate(self._answers)}
        done = sorted((item for item in items if item.key in place), key=lambda i: place[i.key])
        self._items = [*done, *(item for item in items if item.key not in place)]
        super().__init__()
        self.set_trait("question", self._question.text)
        self.set_trait("choices", [[c.key, c.label] for c in self._question.choices])
        self.set_trait("captions", list(self._question.captions))
        self.set_trait("total", len(items))
        self._show(len(done))

    # -- answers

    def answer(self, value: int | bool | str) -> None:
        """Answer the item shown; the next is shown once the answer is on the disk.

        Parameters
        ----------
        value
            1 to 5; True or False; "left", "right" or "tie".

        Raises
        ------
        DaamkitError
            If that is no answer, all items are rated, or the file cannot be written.
        """
        choice = self._question.choice(value)
        if choice is None or self.index == self.total:
            values = ", ".join(repr(each.value) for each in self._question.choices)
            raise DaamkitError(
                wanted=f"an answer of {values}, while there is something to rate",
                got=f"{value!r}, {self.index} of {self.total} being rated",
                mend="give one of these, or go back with `undo()`",
            )
        item = self._items[self.index]
        try:
            ratings.add(self._path, **item.said(value), rater=self._rater)
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self._answers[item.key] = choice.key
        self._show(self.index + 1)

    def undo(self) -> None:
        """Show the previous item again. Its old answer holds until another is given.

        Raises
        ------
        DaamkitError
            If there is none.
        """
        if self.index == 0:
            raise DaamkitError(
                wanted="an item to go back to", got="the first", mend="answer it first"
            )
        self._show(self.index - 1)

    def table(self) -> pd.DataFrame:
        """All raters' answers of this kind in the file, a row each: `measures.ratings.answers`."""
        return ratings.answers(self._path, self._question.answer)

    def agreement(self) -> pd.DataFrame:
        """Krippendorff's alpha of all raters in the file, one row; see `measures.agreement.alpha`.

        Scores are compared as ordinal, the others as nominal. For opinions and preferences see
        `measures.agreement.opinion` and `preferences`.
        """
        said = self._question.answer
        rows = alpha(self.table(), self._question.units, said, _METRICS[said])
        return pd.DataFrame([rows])

    # -- the file

    def _open(self) -> None:
        try:
            if self._path.exists():
                files.size(self._path)
            with self._path.open("ab"):
                pass
        except (OSError, ValueError) as error:
            raise _unwritable(self._path, error) from error

    def _known(self, items: Sequence[Item]) -> dict[tuple[Any, ...], str]:
        """This rater's answers by `Item.key`, as keys to press; the latest last."""
        asked, found = {item.key: item for item in items}, {}
        for row in self.table().to_dict("records"):
            which = tuple(row[name] for name in self._question.units)
            if row["rater"] == self._rater and which in asked:
                choice = self._question.choice(asked[which].value(row))
                assert choice is not None  # `ratings.answers` lets no other answer through
                found[which] = choice.key
        return found

    # -- what is shown

    def _show(self, index: int) -> None:
        """An item, or at the end none; all of it in one message."""
        item = self._items[index] if index < self.total else None
        first, second = [*(item.pictures() if item else []), b"", b""][:2]
        with self.hold_sync():
            self.set_trait("problem", "")
            self.set_trait("image", first)
            self.set_trait("beside", second)
            self.set_trait("text", list(item.text) if item else ["", "", ""])
            self.set_trait("given", self._answers.get(item.key, "") if item else "")
            self.set_trait("index", index)

    @traitlets.observe("said")
    def _listen(self, change: dict[str, Any]) -> None:
        """Do what a key or button says, once, for the item that it was meant for."""
        said = change["new"]
        with self.hold_sync():
            try:
                if said.get("item") == self.index and said.get("key") == BACK:
                    self.undo()
                elif said.get("item") == self.index:
                    values = {choice.key: choice.value for choice in self._question.choices}
                    self.answer(values.get(said.get("key"), ""))
            except DaamkitError as error:
                self.set_trait("problem", str(error))
            self.set_trait("heard", int(said.get("turn", 0)))

    # -- without a kernel

    def picture(self) -> dict[str, Any]:
        """The progress, and the item shown."""
        pictures = zip(self.captions, (self.image, self.beside), strict=False)
        page = still.html(self.index, self.total, self.question, self.text, dict(pictures))
        return {"text/html": page}

    def __repr__(self) -> str:
        return f"Rating({self._question.answer}: {self.index} of {self.total} are rated)"


def _unwritable(path: Path, error: OSError | ValueError) -> DaamkitError:
    if isinstance(error, DaamkitError):
        return error
    return DaamkitError(
        wanted=f"to write answers to {path}",
        got=f"{getattr(error, 'strerror', None) or error}",
        mend="name a file in a folder that is there and can be written",
    )
