"""The kinds of scenes of each world: how often each is drawn, and what makes it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from daamkit.toybox import clauses, gatherings, kinds
from daamkit.toybox.captions import Sentence
from daamkit.toybox.layouts import Plan

Kinds = dict[str, tuple[float, Callable[[np.random.Generator, Sentence], Plan]]]

WORLDS: dict[int, Kinds] = {
    1: kinds.KINDS,
    2: {
        "single": (0.17, gatherings.single),
        "pair": (0.30, gatherings.pair),
        "several": (0.14, gatherings.several),
        "count": (0.07, gatherings.count),
        "collective": (0.04, gatherings.collective),
        "clause": (0.13, clauses.clause),
        "verb": (0.08, clauses.participle),
        "comparison": (0.04, clauses.comparison),
        "denial": (0.03, clauses.denial),
    },
}
