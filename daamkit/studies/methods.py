"""Guidance by name, as studies compare it: the papers' settings, scaled to a study's steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from daamkit.errors import DaamkitError
from daamkit.guidance.attend_and_excite import AttendAndExcite
from daamkit.guidance.denoising import Method
from daamkit.guidance.perturbed import PerturbedAttentionGuidance
from daamkit.guidance.self_attention import SelfAttentionGuidance
from daamkit.guidance.smoothed import SmoothedEnergyGuidance
from daamkit.guidance.subjects import Subjects
from daamkit.guidance.syngen import SynGen

PAPER = 50  # steps that the papers' constants are counted in


def _excite(**changes: Any) -> Callable[[Subjects], list[Method]]:
    return lambda subjects: [AttendAndExcite(subjects, out_of=PAPER, **changes)]


def _alone(method: Callable[..., Method], **settings: Any) -> Callable[[Subjects], list[Method]]:
    return lambda subjects: [method(**settings)]


METHODS: dict[str, Callable[[Subjects], list[Method]]] = {
    "none": lambda subjects: [],
    "attend_and_excite": _excite(),
    "self_attention": _alone(SelfAttentionGuidance),
    "syngen": _alone(SynGen, out_of=PAPER, unbound="leave"),
    "perturbed": _alone(PerturbedAttentionGuidance),
    "smoothed": _alone(SmoothedEnergyGuidance),
    "attend_and_excite+self_attention": lambda subjects: [
        *_excite()(subjects),
        SelfAttentionGuidance(),
    ],
    # Attend-and-Excite's ablations
    "all_steps": _excite(max_iter_to_alter=PAPER),
    "unsmoothed": _excite(smooth=False),
    "unrefined": _excite(thresholds={}),
}


def load(name: str, subjects: Subjects) -> Sequence[Method]:
    """The methods behind a name, for a batch of prompts with these subjects.

    Raises
    ------
    DaamkitError
        If there is none of that name.
    """
    if name not in METHODS:
        raise DaamkitError(
            wanted=f"a way to guide: {', '.join(METHODS)}",
            got=repr(name),
            mend="name some of these, separated by commas",
        )
    return METHODS[name](subjects)
