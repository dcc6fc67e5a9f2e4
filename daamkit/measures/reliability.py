"""Can a word's map be believed? What signs in the maps have meant on the toys.

A `Calibration` turns `measures.signs` into probabilities, learned where the truth is known. It
holds of its own model, asked as it was then; of any other run it gives a rank.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.special import expit

from daamkit import record, resources
from daamkit.errors import DaamkitError
from daamkit.maps.wordmap import WordMap
from daamkit.measures.places import named
from daamkit.measures.signs import SIGNS, signs

if TYPE_CHECKING:
    from daamkit.maps.run import Run

TARGETS = ("present", "located")
CONDITIONS = {  # of a run, which move the signs: where its record has them
    "pipeline": ("pipeline",),
    "scheduler": ("scheduler", "class"),
    "steps": ("arguments", "num_inference_steps"),
    "guidance": ("arguments", "guidance_scale"),
    "true guidance": ("arguments", "true_cfg_scale"),
    "negative prompt": ("arguments", "negative_prompt"),
    "places of text": ("arguments", "max_sequence_length"),
    "size": ("size",),
}
NEAREST = {"cross": "toybox", "joint": "toybox-flux"}  # who ranks other models, by their attention


@dataclass(frozen=True)
class Calibration:
    """What signs have meant: logistic regressions on images whose truth is known.

    Attributes
    ----------
    model, fingerprint
        The model that drew the images.
    images, words
        How many were learned from.
    mean, deviation
        Of each sign that it takes, mean and standard deviation over these words.
    weights
        For each of `TARGETS`: the intercept, and a slope for each standardised sign and its square,
        in the order of `mean`.
    under
        How the images were asked for: `conditions`.
    also
        Fingerprints of the same model where other versions of transformers build it.
    """

    model: str
    fingerprint: str
    images: int
    words: int
    mean: Mapping[str, float]
    deviation: Mapping[str, float]
    weights: Mapping[str, Sequence[float]]
    under: Mapping[str, Any]
    also: Sequence[str] = ()

    def probabilities(self, found: pd.DataFrame) -> pd.DataFrame:
        """For rows of `signs`: the probability that the thing is "present", and that it is
        "located": present, and its map on it. A missing sign is taken for its mean, which leaves
        the order of nouns that all lack it."""
        x = design(found.fillna(dict(self.mean)), self.mean, self.deviation)
        out = {name: expit(x @ np.asarray(self.weights[name])) for name in TARGETS}
        out["located"] = np.minimum(out["located"], out["present"])
        return pd.DataFrame(out, index=found.index)


def design(
    found: pd.DataFrame, mean: Mapping[str, float], deviation: Mapping[str, float]
) -> Float[np.ndarray, "n k"]:
    """Ones, signs in deviations from their mean (at most four), and the squares of these."""
    scaled = np.stack([(found[name] - mean[name]) / deviation[name] for name in mean], 1)
    scaled = scaled.clip(-4, 4)
    return np.concatenate([np.ones((len(found), 1)), scaled, scaled**2], 1)


@functools.cache
def shipped() -> tuple[Calibration, ...]:
    """The calibrations that ship: of each toy model one, or one for each set of signs."""
    folder = resources.path("reliability")
    texts = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.json"))]
    return tuple(Calibration(**json.loads(text)) for text in texts)


def conditions(made: Mapping[str, Any]) -> dict[str, Any]:
    """How an image was asked for, by `CONDITIONS`, as its record has it."""
    found = {}
    for name, path in CONDITIONS.items():
        value: Any = made
        for key in path:
            value = (value or {}).get(key)
        value = list(value) if isinstance(value, tuple) else value
        if value not in (None, "") and not (name == "negative prompt" and not any(value)):
            found[name] = value
    return found


def judged(run: Run, found: pd.DataFrame | None = None) -> tuple[Calibration, str]:
    """The calibration that a run is judged by, and why its probabilities do not hold of it.

    Parameters
    ----------
    run
        Of any model.
    found
        Its `signs`; None: as if it gave all.

    Returns
    -------
    calibration, why
        Its model's own, where there is one, or that of the toy model whose attention is alike
        (`NEAREST`); of several, the one that takes most of the signs there are. "" where its
        probabilities hold.
    """
    given = list(SIGNS) if found is None else list(found.columns[found.notna().all()])
    own = [each for each in shipped() if record.learned([each], run.record)]
    if own:
        known = _fittest(own, given)
        return known, _against(known, run, given)
    joint = float(run.maps.mass.sum()) < 0.99  # cells attend to cells as well
    names = NEAREST["joint" if joint else "cross"], NEAREST["cross"]
    each = ([own for own in shipped() if own.model == name] for name in names)
    known = _fittest(next(filter(None, each)), given)
    return known, f"another model: ranked as {known.model} would be"


def _fittest(known: Sequence[Calibration], given: Collection[str]) -> Calibration:
    """That which lacks the fewest signs, and of these takes the most."""
    return min(known, key=lambda each: (len(set(each.mean) - set(given)), -len(each.mean)))


def _against(known: Calibration, run: Run, given: Collection[str]) -> str:
    """Why a calibration of its model does not hold of a run; "" if it does."""
    if run.method != "unguided":
        return f"guided by {run.method}"
    if run.record.get("edits"):
        return "edited"
    if run.maps.rule != "daam" or run.maps.explicit_layers:
        return (
            "maps of chosen layers" if run.maps.explicit_layers else f"pooled as {run.maps.rule!r}"
        )
    now = conditions(run.record)
    for name in CONDITIONS:
        here, there = now.get(name), known.under.get(name)
        if here != there:
            return f"{name}: {_said(here)}, calibrated with {_said(there)}"
    lacking = [name for name in known.mean if name not in given]
    return f"maps without the signs {', '.join(lacking)}" if lacking else ""


def _said(value: Any) -> str:
    return "none" if value is None else str(value)


def calibrated(run: Run) -> Calibration | None:
    """The calibration whose probabilities hold of a run, if its maps give all the signs: its
    model's own, where the image was asked for as in learning, neither guided nor edited, and its
    maps are pooled alike. See `judged`."""
    known, why = judged(run)
    return None if why else known


def said(run: Run, found: pd.DataFrame) -> pd.DataFrame:
    """Probabilities for a run's `signs`; NaN where nothing is calibrated."""
    known, why = judged(run, found)
    if why:
        return pd.DataFrame(np.nan, index=found.index, columns=list(TARGETS))
    return known.probabilities(found)


def table(run: Run, parser: Any = None, changes: Iterable[WordMap] = ()) -> pd.DataFrame:
    """How far each noun's map can be believed; see `Run.reliability`."""
    from daamkit.language import parsing, subjects

    things = subjects.subjects(parsing.parse(run.prompt, parser))
    nouns = [run.maps.prompt.span(thing.start, thing.end) for thing in things]
    if not nouns:
        raise DaamkitError(
            wanted="a prompt that names a thing", got=repr(run.prompt), mend="name one: 'a cat'"
        )
    found = signs(run.maps, nouns, changes)
    known, why = judged(run, found)
    frame = pd.concat([pd.DataFrame([named(noun) for noun in nouns]), said(run, found)], axis=1)
    likely = known.probabilities(found)["located"]
    frame["rank"] = likely.rank(method="first").astype(int)
    frame["calibrated"], frame["why_not"] = not why, why
    return pd.concat([frame, found], axis=1)
