"""The questions of a rating, and what can be answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from daamkit.measures.ratings import TIE, WHICH, Answer

Kind = Literal["score", "present", "preference"]


@dataclass(frozen=True)
class Choice:
    """An answer that can be given: its key, its name on a button, its value."""

    key: str
    label: str
    value: int | bool | str


@dataclass(frozen=True)
class Question:
    """A kind of question.

    Attributes
    ----------
    answer
        Its field in the file; see `measures.ratings`.
    text
        Read out before each item.
    choices
        What can be answered.
    captions
        Of the pictures, from left to right.
    """

    answer: Answer
    text: str
    choices: tuple[Choice, ...]
    captions: tuple[str, ...]

    @property
    def units(self) -> list[str]:
        """The fields that say what is rated."""
        run = [] if self.answer == "preferred" else ["run"]
        return [*WHICH[self.answer], *run]

    def choice(self, value: Any) -> Choice | None:
        """The choice that has this value, and its type: 1 is not True."""
        same = (c for c in self.choices if type(c.value) is type(value) and c.value == value)
        return next(same, None)


SCORES = ("bad", "poor", "fair", "good", "excellent")
QUESTIONS: Mapping[str, Question] = {
    "score": Question(
        "score",
        "How well does the map show what the marked word made?",
        tuple(Choice(str(i), name, i) for i, name in enumerate(SCORES, 1)),
        ("image", "map of the word (yellow: high)"),
    ),
    "present": Question(
        "present",
        "Do you see this in the image?",
        (Choice("y", "yes", True), Choice("n", "no", False)),
        ("image",),
    ),
    "preference": Question(
        "preferred",
        "Which image fits the prompt better?",
        (Choice("1", "left", "left"), Choice("2", "right", "right"), Choice("0", "tie", TIE)),
        ("left", "right"),
    ),
}
