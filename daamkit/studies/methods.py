"""Guidance by name, as studies compare it: the papers' settings, scaled to a study's steps."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from daamkit import registry
from daamkit.attention import families
from daamkit.errors import DaamkitError
from daamkit.guidance.attend_and_excite import AttendAndExcite
from daamkit.guidance.denoising import Method
from daamkit.guidance.divide_and_bind import DivideAndBind
from daamkit.guidance.perturbed import PerturbedAttentionGuidance
from daamkit.guidance.self_attention import SelfAttentionGuidance
from daamkit.guidance.smoothed import SmoothedEnergyGuidance
from daamkit.guidance.subjects import Subjects
from daamkit.guidance.syngen import SynGen
from daamkit.prompts import tokenized
from daamkit.studies.session import Case

PAPER = 50  # steps that the papers' constants are counted in


class UnborneWarning(UserWarning):
    """A model lacks what a method works in: it is not compared."""


def _excite(**changes: Any) -> Callable[[Subjects], list[Method]]:
    return lambda subjects: [AttendAndExcite(subjects, out_of=PAPER, **changes)]


def _alone(method: Callable[..., Method], **settings: Any) -> Callable[[Subjects], list[Method]]:
    return lambda subjects: [method(**settings)]


METHODS: dict[str, Callable[[Subjects], list[Method]]] = {
    "none": lambda subjects: [],
    "attend_and_excite": _excite(),
    "divide_and_bind": lambda subjects: [DivideAndBind(subjects, out_of=PAPER)],
    "self_attention": _alone(SelfAttentionGuidance),
    "syngen": _alone(SynGen, out_of=PAPER, unbound="leave"),
    "perturbed": _alone(PerturbedAttentionGuidance),
    "smoothed": _alone(SmoothedEnergyGuidance),
    "attend_and_excite+self_attention": lambda subjects: [
        *_excite()(subjects),
        SelfAttentionGuidance(),
    ],
    # Attend-and-Excite's ablations, and other constants
    "all_steps": _excite(max_iter_to_alter=PAPER),
    "unsmoothed": _excite(smooth=False),
    "unrefined": _excite(thresholds={}),
    "low_thresholds": _excite(thresholds={0: 0.05, 10: 0.2, 20: 0.4}),
    "high_thresholds": _excite(thresholds={0: 0.2, 10: 0.8, 20: 0.9}),
    "small_moves": _excite(scale_factor=5.0),
    "large_moves": _excite(scale_factor=80.0),
}
MIDDLE = ("self_attention", "perturbed", "smoothed", "attend_and_excite+self_attention")


def known(name: str) -> bool:
    """Whether `named` would know what is meant."""
    return name in METHODS or name in registry.guidance_methods or registry.is_path(name)


def named(name: str, subjects: Subjects) -> Sequence[Method]:
    """The methods behind a name, for a batch of prompts with these subjects.

    Parameters
    ----------
    name
        Of `METHODS`, or of a method in `registry.guidance_methods` that is made of its defaults,
        or of the subjects where it has a setting of that name.

    Raises
    ------
    DaamkitError
        If there is none of that name, or it has settings without a default.
    """
    if name in METHODS:
        return METHODS[name](subjects)
    if not known(name):
        raise registry.guidance_methods.unknown(name, METHODS)
    method = registry.guidance_methods.find(name)
    needed = [
        each.name
        for each in inspect.signature(method).parameters.values()
        if each.default is each.empty and each.name != "subjects"
    ]
    if needed:
        raise DaamkitError(
            wanted=f"a guidance method that a study can make by itself, {name!r}",
            got=f"one with settings that nobody knows here: {', '.join(needed)}",
            mend="give them defaults, or register a subclass that has some",
        )
    given = {"subjects": subjects} if "subjects" in inspect.signature(method).parameters else {}
    return [method(**given)]


def borne(pipe: Any, names: Sequence[str]) -> list[str]:
    """Those that the model bears: what works in the middle of a model is left out, with a warning,
    where the model has none."""
    middle = families.family_of(pipe).middle
    left = [name for name in names if name in MIDDLE and not middle]
    if left:
        warnings.warn(
            f"left out, for {type(pipe).__name__} has no layers that are its middle, in which they "
            f"work: {', '.join(left)}",
            UnborneWarning,
            stacklevel=2,
        )
    return [name for name in names if name not in left]


def subject_columns(pipe: Any, case: Case) -> list[Any]:
    """The tokens of a prompt's nouns, as guidance is told its subjects."""
    prompt = tokenized(pipe, str(case["prompt"]))
    return [prompt.span(*span).columns for span in case["spans"]]
