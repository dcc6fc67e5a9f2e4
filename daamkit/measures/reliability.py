"""Can a word's map be believed? Signs of it in the maps, and what they have meant on the toys.

No map says by itself whether its word was drawn: a map of nothing has a maximum too. What tells is
how it stands among the others. `signs` measures that, free of scale and of the number of steps; a
`Calibration` turns signs into probabilities, learned where the truth is known.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.special import expit

from daamkit import record, resources
from daamkit.errors import DaamkitError
from daamkit.maps import pooling
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.wordmap import WordMap, enlarge
from daamkit.maps.words import Word
from daamkit.measures.evenness import evenness
from daamkit.measures.places import attention, named

if TYPE_CHECKING:
    from daamkit.maps.run import Run

SIGNS = {
    "nouns": "how many nouns compete (log)",
    "peak": "the map's maximum, over the mean of all words' (log)",
    "mass": "its share of all words' attention, over an equal one (log)",
    "evenness": "how evenly it lies, from 0 to 1",
    "layers": "how alike the layers' maps are: mean correlation with the whole",
    "heads": "how alike the heads' maps are: mean correlation with their layer's",
    "idle": "attention to special tokens in its mask, over that elsewhere (log)",
    "shared": "greatest correlation with another noun's map; 0 of a single noun",
    "won": "share of its mask where no other noun has more attention",
}
TARGETS = ("present", "located")
TINY = 1e-12


def signs(maps: HeatMaps, nouns: Sequence[Word]) -> pd.DataFrame:
    """What tells of each noun whether it was drawn: the columns of `SIGNS`, a row a noun.

    Parameters
    ----------
    maps
        Of one image, whatever was kept.
    nouns
        Those that compete for the image, each once.
    """
    every = [_flat(each) for each in maps.words()]
    found = [maps.of(noun) for noun in nouns]
    flat = [_flat(each) for each in found]
    high = float(np.mean([values.max() for values in every]))
    weight = float(np.mean([values.mean() for values in every]))
    special = _special(maps)
    rows = []
    for i, (word, values) in enumerate(zip(found, flat, strict=True)):
        mask = values >= 0.4 * values.max()
        others = [each for j, each in enumerate(flat) if j != i]
        layers, heads = _agreement(maps, word)
        rows.append({
            "nouns": np.log(len(nouns)),
            "peak": _log(values.max(), high),
            "mass": _log(values.mean(), weight),
            "evenness": evenness(values),
            "layers": layers,
            "heads": heads,
            "idle": _log(special[mask].mean(), special.mean()),
            "shared": max((_alike(values, each) for each in others), default=0.0),
            "won": float(np.mean([values[mask] >= each[mask] for each in others] or [1.0])),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=list(SIGNS))


def _flat(word: WordMap) -> Float[np.ndarray, " cells"]:
    grid = (word.values.shape[-2], word.values.shape[-1])
    return attention(word, grid).ravel()


def _special(maps: HeatMaps) -> Float[np.ndarray, " cells"]:
    """Attention to tokens that are no word, a sum."""
    columns = {token.column for token in maps.prompt.tokens if token.special}
    if not columns:
        return np.ones(maps.of(maps.prompt.words()[0]).values.numel())
    return _flat(maps.tokens(sorted(columns))) * len(columns)


def _agreement(maps: HeatMaps, word: WordMap) -> tuple[float, float]:
    """Mean correlation of layers' maps with the whole, and of heads' maps with their layer's."""
    whole, of_layers, of_heads = word.values.cpu().numpy(), [], []
    for layer in pooling.pooled(maps.layers.values(), maps.rule, maps.explicit_layers):
        heads = pooling.of_heads(layer, maps.keep, word.word)
        mean = heads.mean(0)
        large = enlarge(mean, (whole.shape[-2], whole.shape[-1])).cpu().numpy()
        of_layers.append(_alike(large, whole))
        of_heads += [_alike(head.cpu().numpy(), mean.cpu().numpy()) for head in heads]
    return float(np.mean(of_layers)), float(np.mean(of_heads))


def _alike(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation over cells; 0 where one of them is even."""
    a, b = one.ravel() - one.mean(), other.ravel() - other.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > TINY else 0.0


def _log(value: float, reference: float) -> float:
    return float(np.log((value + TINY) / (reference + TINY)))


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
        Each sign's mean and standard deviation over these words.
    weights
        For each of `TARGETS`: the intercept, and a slope for each standardised sign and its square.
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
    also: Sequence[str] = ()

    def probabilities(self, found: pd.DataFrame) -> pd.DataFrame:
        """For rows of `signs`: the probability that the thing is "present", and that it is
        "located": present, and its map on it."""
        x = design(found, self.mean, self.deviation)
        out = {name: expit(x @ np.asarray(self.weights[name])) for name in TARGETS}
        out["located"] = np.minimum(out["located"], out["present"])
        return pd.DataFrame(out, index=found.index)


def design(
    found: pd.DataFrame, mean: Mapping[str, float], deviation: Mapping[str, float]
) -> Float[np.ndarray, "n k"]:
    """Ones, signs in deviations from their mean (at most four), and the squares of these."""
    scaled = np.stack([(found[name] - mean[name]) / deviation[name] for name in SIGNS], 1)
    scaled = scaled.clip(-4, 4)
    return np.concatenate([np.ones((len(found), 1)), scaled, scaled**2], 1)


@functools.cache
def shipped() -> tuple[Calibration, ...]:
    """The calibrations that ship, one for each toy model."""
    folder = resources.path("reliability")
    texts = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.json"))]
    return tuple(Calibration(**json.loads(text)) for text in texts)


def calibrated(run: Run) -> Calibration | None:
    """The calibration that holds of a run: its model's own, where its image was neither guided nor
    edited, which moves what tells, and its maps are pooled as those that were learned from."""
    found = record.learned(shipped(), run.record)
    plain = run.method == "unguided" and not run.record.get("edits")
    return found if plain and run.maps.rule == "daam" and not run.maps.explicit_layers else None


def said(run: Run, found: pd.DataFrame) -> pd.DataFrame:
    """Probabilities for a run's `signs`; NaN where nothing is calibrated."""
    known = calibrated(run)
    if known is None:
        return pd.DataFrame(np.nan, index=found.index, columns=list(TARGETS))
    return known.probabilities(found)


def table(run: Run, parser: Any = None) -> pd.DataFrame:
    """How far each noun's map can be believed; see `Run.reliability`."""
    from daamkit.language import parsing

    phrases = parsing.parse(run.prompt, parser).things()
    nouns = [run.maps.prompt.span(noun.start, noun.end) for noun in phrases]
    if not nouns:
        raise DaamkitError(
            wanted="a prompt that names a thing", got=repr(run.prompt), mend="name one: 'a cat'"
        )
    found = signs(run.maps, nouns)
    chances, known = said(run, found), calibrated(run) is not None
    likely = chances if known else shipped()[0].probabilities(found)
    frame = pd.concat([pd.DataFrame([named(noun) for noun in nouns]), chances], axis=1)
    frame["rank"] = likely["located"].rank(method="first").astype(int)
    frame["calibrated"] = known
    return pd.concat([frame, found], axis=1)
