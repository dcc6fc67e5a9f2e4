"""Signs in a word's map that tell whether its thing was drawn, free of scale.

No map says by itself whether its word was drawn: a map of nothing has a maximum too. What tells is
how it stands among the others, whether its parts agree, and what the special tokens are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from daamkit.maps import pooling
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.wordmap import WordMap, enlarge
from daamkit.maps.words import Word
from daamkit.measures.evenness import evenness
from daamkit.measures.places import attention

SIGNS = {
    "nouns": "how many nouns compete (log)",
    "peak": "the map's maximum, over the mean of all words' (log)",
    "mass": "its share of all words' attention, over an equal one (log)",
    "evenness": "how evenly it lies, from 0 to 1",
    "layers": "how alike the layers' maps are: mean correlation with the whole",
    "heads": "how alike the heads' maps are: mean correlation with their layer's",
    "idle": "attention to special tokens in its mask, over that in the whole image (log)",
    "shared": "greatest correlation with another noun's map; 0 of a single noun",
    "won": "share of its mask where another noun has no more attention: mean over the others",
    "halves": "correlation of the map of every second head with that of the others",
    "sos": "share of attention in its mask that goes to the start of the text",
    "padding": "share of attention in its mask that goes to the text's end and padding",
    "steps": "how alike the steps' maps are: mean correlation with the whole",
    "early": "correlation of the map of the first half of the steps with that of the second",
    "effect": "change in its mask where it is silenced, over that in the whole image (log)",
}
TINY = 1e-12
END = ("EOS", "padding")


def signs(maps: HeatMaps, nouns: Sequence[Word], changes: Iterable[WordMap] = ()) -> pd.DataFrame:
    """What tells of each noun whether it was drawn: the columns of `SIGNS`, a row a noun.

    A sign that the maps cannot give is missing (NaN): "heads" and "halves" where heads were summed,
    "steps" and "early" where steps were, or there is one; "layers" of a single layer; "sos",
    "padding" and "idle" of a text without such tokens; "effect" of a word without a change.

    Parameters
    ----------
    maps
        Of one image, whatever was kept.
    nouns
        Those that compete for the image, each once.
    changes
        What changes in the image where nouns are silenced, as ``Occlusion(window=0, by="silence")``
        maps it (`attribution.occlusion`).
    """
    every = [_flat(each) for each in maps.words()]
    found = [maps.of(noun) for noun in nouns]
    flat = [_flat(each) for each in found]
    high = float(np.mean([values.max() for values in every]))
    weight = float(np.mean([values.mean() for values in every]))
    whole = _flat(maps.tokens(range(maps.prompt.columns))) * maps.prompt.columns
    special, sos, end = (_special(maps, kinds) for kinds in (None, ("SOS",), END))
    moved = {(each.word.start, each.word.end): each for each in changes}
    rows = []
    for i, (word, values) in enumerate(zip(found, flat, strict=True)):
        mask = values >= 0.4 * values.max()
        others = [each for j, each in enumerate(flat) if j != i]
        change = moved.get((word.word.start, word.word.end))
        rows.append({
            "nouns": np.log(len(nouns)),
            "peak": _log(values.max(), high),
            "mass": _log(values.mean(), weight),
            "evenness": evenness(values),
            "idle": np.nan if special is None else _log(special[mask].mean(), special.mean()),
            "shared": max((alike(values, each) for each in others), default=0.0),
            "won": float(np.mean([values[mask] >= each[mask] for each in others] or [1.0])),
            "sos": np.nan if sos is None else sos[mask].sum() / (whole[mask].sum() + TINY),
            "padding": np.nan if end is None else end[mask].sum() / (whole[mask].sum() + TINY),
            "effect": np.nan if change is None else _effect(change, word),
        } | _agreement(maps, word))  # fmt: skip
    return pd.DataFrame(rows, columns=list(SIGNS)).astype(float)


def _flat(word: WordMap) -> Float[np.ndarray, " cells"]:
    grid = (word.values.shape[-2], word.values.shape[-1])
    return attention(word, grid).ravel()


def _special(maps: HeatMaps, kinds: Sequence[str] | None) -> Float[np.ndarray, " cells"] | None:
    """Attention to special tokens, a sum; None where the text has none of these kinds."""
    tokens = [token for token in maps.prompt.tokens if token.special]
    columns = {token.column for token in tokens if kinds is None or token.special in kinds}
    return _flat(maps.tokens(sorted(columns))) * len(columns) if columns else None


def _effect(change: WordMap, word: WordMap) -> float:
    mask = word.mask()
    values = np.broadcast_to(change.expand(word.size, absolute=True).cpu().numpy(), mask.shape)
    return _log(float(values[mask].mean()), float(values.mean()))


def _agreement(maps: HeatMaps, word: WordMap) -> dict[str, float]:
    """How alike the parts of a word's map are: layers, heads and their halves, steps and theirs."""
    whole, size = word.values.cpu().numpy(), (word.values.shape[-2], word.values.shape[-1])
    of_layers, of_heads, of_steps = [], list[float](), []
    odd, even = np.zeros_like(whole), np.zeros_like(whole)
    for layer in pooling.pooled(maps.layers.values(), maps.rule, maps.explicit_layers):
        heads = pooling.of_heads(layer, maps.keep, word.word)
        mean = heads.mean(0)
        of_layers.append(alike(enlarge(mean, size).cpu().numpy(), whole))
        of_steps.append(enlarge(pooling.of_steps(layer, maps.keep, word.word), size).cpu().numpy())
        if len(heads) > 1:
            of_heads += [alike(head.cpu().numpy(), mean.cpu().numpy()) for head in heads]
            odd += enlarge(heads[::2].sum(0), size).cpu().numpy()
            even += enlarge(heads[1::2].sum(0), size).cpu().numpy()
    steps = np.sum(of_steps, 0)
    half, many = len(steps) // 2, len(steps) > 1
    return {
        "layers": float(np.mean(of_layers)) if len(of_layers) > 1 else np.nan,
        "heads": float(np.mean(of_heads)) if of_heads else np.nan,
        "halves": alike(odd, even) if of_heads else np.nan,
        "steps": float(np.mean([alike(step, whole) for step in steps])) if many else np.nan,
        "early": alike(steps[:half].sum(0), steps[half:].sum(0)) if many else np.nan,
    }


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation over cells; 0 where one of them is even."""
    a, b = one.ravel() - one.mean(), other.ravel() - other.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > TINY else 0.0


def _log(value: float, reference: float) -> float:
    return float(np.log((value + TINY) / (reference + TINY)))
