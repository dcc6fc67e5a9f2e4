"""Drawing again, the control of guidance: of some images of one prompt, the best is kept.

Who draws twice has a second chance without any guidance; a method is worth its cost where it does
better than that. What the best is can be known to the oracle, which nobody has, or told by what
everybody has: Attend-and-Excite's own loss, or CLIP.

A search looks at more noises than it draws: at the first step of each, where Attend-and-Excite's
loss is a score of the noise, as InitNO (arXiv 2404.04650) has it, which then also moves the noise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from daamkit.attention.calls import Pass
from daamkit.guidance.attend_and_excite import AttendAndExcite
from daamkit.guidance.denoising import Method, guide
from daamkit.guidance.subjects import Subjects
from daamkit.studies import methods
from daamkit.studies.methods import PAPER
from daamkit.studies.session import Case, Row, Session

Draw = Callable[[Sequence[Case], Sequence[Method]], list[list[Row]]]  # an image of each case

SCORES = ("redraw_oracle", "redraw_loss", "redraw_clip")
SEARCH = "search"
SEARCHED = 10  # noises looked at, one step each: of 25 steps less than half an image
APART = 1_000_003  # from one seed to the next one of a case


def fresh(seed: int, turn: int) -> int:
    """The seed of a case's image number `turn`; the first has the case's own."""
    return seed + turn * APART


def watch(subjects: Subjects) -> list[Method]:
    """Attend-and-Excite's losses are noted, and nothing is moved."""
    return [AttendAndExcite(subjects, scale_factor=0.0, out_of=PAPER)]


class Looked(Exception):  # noqa: N818
    """The first step has been seen."""


@dataclass(eq=False)
class FirstLook(AttendAndExcite):
    """Attend-and-Excite's losses at the first step, at which the call ends."""

    scale_factor: float = 0.0
    losses: list[float] = field(default_factory=list, init=False)  # of each image

    def before(self, now: Pass) -> None:
        super().before(now)
        if self.losses:
            raise Looked

    def objective(self, sample: int, *seen: Any) -> Tensor:
        loss = super().objective(sample, *seen)
        self.losses.append(loss.item())
        return loss


def again(session: Session, cases: Sequence[Case], draw: Draw, many: int) -> list[list[list[Row]]]:
    """The rows of each case's images to choose from, so many, the unguided one in front."""
    watched = watch([methods.subject_columns(session.pipe, case) for case in cases])
    turns = [draw(_seeded(cases, [turn] * len(cases)), watched) for turn in range(many)]
    return [
        [_own(case, rows) for rows in images] for case, *images in zip(cases, *turns, strict=True)
    ]


def searched(session: Session, cases: Sequence[Case], draw: Draw) -> list[list[Row]]:
    """The rows of each case's image from the best of `SEARCHED` noises, the first of equals, with
    the seconds of looking at all."""
    begun = time.perf_counter()
    texts, scores = [case["prompt"] for case in cases], list[list[float]]()
    for turn in range(SEARCHED):
        look = FirstLook([methods.subject_columns(session.pipe, case) for case in cases])
        with suppress(Looked), guide(session.pipe, look):
            session.call(texts, [fresh(case["seed"], turn) for case in cases])
        scores.append(look.losses)
    chosen = np.argmin(scores, axis=0).tolist()
    spent = (time.perf_counter() - begun) / len(cases)
    found = []
    for case, (head, *words) in zip(cases, draw(_seeded(cases, chosen), []), strict=True):
        found.append(_own(case, [head | {"seconds": head["seconds"] + spent}, *words]))
    return found


def _seeded(cases: Sequence[Case], turns: Sequence[int]) -> list[Case]:
    each = zip(cases, turns, strict=True)
    return [case | {"seed": fresh(case["seed"], turn)} for case, turn in each]


def _own(case: Case, rows: Sequence[Row]) -> list[Row]:
    """Rows of one of its images, under the seed of the case."""
    return [row | {"seed": case["seed"]} for row in rows]


def best(images: Sequence[Sequence[Row]], name: str) -> list[Row]:
    """The rows of the best image, the first of equals, with the seconds of all.

    Parameters
    ----------
    images
        Rows of each image of a case, that of the image itself in front.
    name
        Of `SCORES`. "redraw_oracle": more things there, then more in their colours, then fewer that
        nobody asked for. "redraw_loss": the mean loss of Attend-and-Excite over its steps.
        "redraw_clip": CLIP's similarity with the prompt.
    """
    heads = [rows[0] for rows in images]
    seconds = sum(row["seconds"] for row in heads)
    chosen = max(range(len(heads)), key=lambda i: _score(heads[i], name))  # the first of equals
    first, *others = images[chosen]
    return [first | {"seconds": seconds}, *others]


def _score(row: Row, name: str) -> tuple[float, ...]:
    if name == "redraw_loss":
        return (-row["loss_mean"],)
    if name == "redraw_clip":
        return (row["clip_full"],)
    return (row["there"], *np.nan_to_num((row["bound"], -row["extra"])))
