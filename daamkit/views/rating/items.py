"""What a rater is asked: one thing of one image, or of two, and never which run it is."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daamkit.errors import DaamkitError
from daamkit.language import parsing
from daamkit.maps.run import Run
from daamkit.maps.words import Word, WordError
from daamkit.measures.ratings import TIE
from daamkit.views import plots
from daamkit.views.png import png
from daamkit.views.rating.questions import Kind


@dataclass(frozen=True, eq=False)
class Item:
    """One thing to rate.

    Attributes
    ----------
    which
        What is rated, as the file names it.
    text
        What is shown of the prompt: before the marked part, the part, after it.
    shown
        The runs, from left to right, by their names.
    word
        Whose map is shown.
    """

    which: Mapping[str, Any]
    text: tuple[str, str, str]
    shown: tuple[tuple[str, Run], ...]
    word: Word | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from all others; in the order of `Question.units`."""
        return tuple(self.which.values())

    def pictures(self) -> list[bytes]:
        """PNG files, without a word on where they come from."""
        images = [run.image for _, run in self.shown if run.image is not None]
        if self.word is not None:
            run = self.shown[0][1]
            images.append(plots.overlay(run.image, run.maps.of(self.word)))
        return [png(image) for image in images]

    def turned(self) -> Item:
        """The same with the sides exchanged."""
        return replace(self, shown=self.shown[::-1])

    def said(self, value: int | bool | str) -> dict[str, Any]:
        """The fields of an answer."""
        if len(self.shown) == 1:
            field = "present" if isinstance(value, bool) else "score"
            return {**self.which, field: value}
        left, right = (name for name, _ in self.shown)
        preferred = {"left": left, "right": right}.get(str(value), value)
        return {**self.which, "preferred": preferred, "left": left}

    def value(self, row: Mapping[str, Any]) -> Any:
        """The inverse of `said`: what was answered, as it is asked here."""
        if len(self.shown) == 1:
            return bool(row["present"]) if "present" in row else int(row["score"])
        sides = dict(zip((name for name, _ in self.shown), ("left", "right"), strict=True))
        return sides.get(row["preferred"], row["preferred"])


def make(
    kind: Kind, runs: Sequence[Run], words: Sequence[str] | None, names: Sequence[str] | None
) -> list[Item]:
    """All items of a kind.

    Raises
    ------
    DaamkitError
        If there are no runs, or runs without an image or a seed; if two runs of one prompt and
        seed have one name; if a word is in no prompt, or nothing is left to ask.
    """
    named = _named(runs, names)
    items = _MAKERS[kind](named, words)
    if not items:
        raise DaamkitError(
            wanted="something to ask",
            got=_NOTHING[kind][0],
            mend=_NOTHING[kind][1],
        )
    return items


def order(items: Sequence[Item], rater: str | int, seed: int) -> list[Item]:
    """Items shuffled and sides drawn: alike for one rater and seed, however the runs were given."""
    plain = sorted(items, key=lambda item: [str(value) for value in item.which.values()])
    rng = np.random.default_rng([seed, *str(rater).encode()])
    mixed = [plain[i] for i in rng.permutation(len(plain))]
    turns = rng.random(len(mixed)) < 0.5
    return [item.turned() if turn else item for item, turn in zip(mixed, turns, strict=True)]


# -- the kinds

Named = list[tuple[str, Run]]


def _scores(named: Named, words: Sequence[str] | None) -> list[Item]:
    for text in words or ():
        if not any(_places(run, text) for _, run in named):
            named[0][1].maps.prompt.word(text)  # says what is wrong
    items = []
    for name, run in named:
        for word in _words(run, words):
            start, end = word.start, word.end
            parts = (run.prompt[:start], run.prompt[start:end], run.prompt[end:])
            which = _which(run) | {"start": start, "end": end, "run": name}
            items.append(Item(which, parts, ((name, run),), word))
    return items


def _words(run: Run, words: Sequence[str] | None) -> list[Word]:
    if words is None:
        return run.maps.prompt.words()
    found = [word for text in words for word in _places(run, text)]
    return list({(word.start, word.end): word for word in found}.values())


def _places(run: Run, text: str) -> list[Word]:
    """A word wherever it stands in a prompt; "cat (2)" at that place alone."""
    found: list[Word] = []
    with contextlib.suppress(WordError):
        found.extend(run.maps.prompt.word(text, i) for i in itertools.count())
    if not found:
        with contextlib.suppress(WordError):
            found.append(run.maps.prompt.word(text))
    return found


def _things(named: Named, words: Sequence[str] | None) -> list[Item]:
    return [
        Item(_which(run) | {"word": thing, "run": name}, ("", thing, ""), ((name, run),))
        for name, run in named
        for thing in dict.fromkeys(
            [each.name for each in parsing.parse(run.prompt).things()] if words is None else words
        )
    ]


def _pairs(named: Named, words: Sequence[str] | None) -> list[Item]:
    if words is not None:
        raise DaamkitError(
            wanted="no words: a preference is for the whole prompt",
            got=f"{list(words)}",
            mend="leave `words` out",
        )
    images: dict[tuple[Any, ...], Named] = {}
    for name, run in named:
        images.setdefault(tuple(_which(run).values()), []).append((name, run))
    return [
        Item(_which(a[1]) | {"first": a[0], "second": b[0]}, (a[1].prompt, "", ""), (a, b))
        for group in images.values()
        for a, b in itertools.combinations(sorted(group, key=lambda entry: entry[0]), 2)
    ]


_MAKERS: Mapping[str, Callable[[Named, Sequence[str] | None], list[Item]]] = {
    "score": _scores, "present": _things, "preference": _pairs,
}  # fmt: skip
_NOTHING = {
    "score": ("prompts without words", "give runs whose prompts have words"),
    "present": ("prompts that name nothing", "say what to look for with `words=`"),
    "preference": (
        "no two runs of one prompt and seed",
        "give both runs of a prompt, made from the same seed by two methods",
    ),
}


# -- runs


def _named(runs: Sequence[Run], names: Sequence[str] | None) -> Named:
    if not runs or any(run.image is None or not run.record.get("seed") for run in runs):
        raise DaamkitError(
            wanted="runs with an image and a recorded seed, which name it",
            got=f"{len(runs)}, {sum(run.image is None for run in runs)} without an image, "
            f"{sum(not run.record.get('seed') for run in runs)} without a seed",
            mend="trace a call that returns images, with `generator=torch.manual_seed(0)`",
        )
    names = [run.method for run in runs] if names is None else list(names)
    if len(names) != len(runs) or TIE in names:
        raise DaamkitError(
            wanted=f"a name for each of {len(runs)} runs, none of them {TIE!r}",
            got=f"{names}",
            mend="name what made each run; runs of one method have the same name",
        )
    seen = set()
    for name, run in zip(names, runs, strict=True):
        key = (run.prompt, _which(run)["seed"], name)
        if key in seen:
            raise DaamkitError(
                wanted="runs told apart by prompt, seed and name",
                got=f"two of {run.prompt!r}, seed {key[1]}, called {name!r}",
                mend="give each run's with `names=`, such as ['plain', 'guided']",
            )
        seen.add(key)
    return list(zip(names, runs, strict=True))


def _which(run: Run) -> dict[str, Any]:
    return {"prompt": run.prompt, "seed": run.record["seed"]["seed"]}
