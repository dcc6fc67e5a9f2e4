"""Drawing again, the control of guidance: of some images of one prompt, the best is kept.

Who draws twice has a second chance without any guidance; a method is worth its cost where it does
better than that. What the best is can be known to the oracle, which nobody has, or told by what
everybody has: Attend-and-Excite's own loss, or CLIP.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daamkit.guidance.attend_and_excite import AttendAndExcite
from daamkit.guidance.denoising import Method
from daamkit.guidance.subjects import Subjects
from daamkit.studies.methods import PAPER
from daamkit.studies.session import Row

SCORES = ("redraw_oracle", "redraw_loss", "redraw_clip")
APART = 1_000_003  # from one seed to the next one of a case


def fresh(seed: int, turn: int) -> int:
    """The seed of a case's image number `turn`; the first has the case's own."""
    return seed + turn * APART


def watch(subjects: Subjects) -> list[Method]:
    """Attend-and-Excite's losses are noted, and nothing is moved."""
    return [AttendAndExcite(subjects, scale_factor=0.0, out_of=PAPER)]


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
