"""Do a noun's maps lie on its thing? IoU with known masks, beside maps that know nothing.

Masks come from the oracle's reading of a generated image (an estimate), or from a drawn scene
(exact), which is noised and denoised one step by the model under its own caption.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from daamkit.errors import DaamkitError
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word
from daamkit.measures import intervals
from daamkit.measures.overlap import iou
from daamkit.studies import cuts
from daamkit.studies.denoised import Denoised, Mask, exact
from daamkit.studies.prompts import PromptCase
from daamkit.toybox import claims, scenes
from daamkit.toybox.claims import Claims
from daamkit.toybox.scenes import Scene

OVERLAP: dict[str, Any] = {"kind": "number", "within": (0, 1)}  # of an IoU, for its interval
BASELINES = ("whole image", "centre prior", "other word", "smooth noise")


def truths(case: PromptCase, reading: pd.DataFrame) -> dict[int, Mask]:
    """By claim, the pixels of all instances of its name; without claims that share a name, and
    without things that were not drawn."""
    names = [claim.name for claim in case.claims.things]
    things = reading[reading["kind"] == "thing"].groupby("name")["mask"].agg(list)
    return {
        index: np.any(things[name], axis=0)
        for index, name in enumerate(names)
        if names.count(name) == 1 and name in things
    }


def words(maps: HeatMaps, claims: Claims) -> dict[int, Word]:
    """The nouns of a prompt by their number, as the maps have them.

    Raises
    ------
    DaamkitError
        If the model has not read one, because the prompt is too long.
    """
    return {i: maps.prompt.span(each.start, each.end) for i, each in enumerate(claims.things)}


@torch.no_grad()
def overlaps(
    maps: HeatMaps,
    nouns: Mapping[int, Word],
    masks: Mapping[int, Mask],
    seed: int,
    given: Mapping[str, Mapping[int, Mask]] | None = None,
) -> list[dict[str, Any]]:
    """IoU of each noun's map with its mask, a row a noun, method and cut.

    Parameters
    ----------
    maps
        The heat maps of one image.
    nouns, masks
        What its prompt names, and where that is, by the noun's number.
    seed
        Of the smooth noise; give each image another.
    given
        Masks of other methods, by method and noun.

    Returns
    -------
    rows
        noun, method ("daam" and "paper": the pooling rules; `BASELINES`; those given), rule, tau,
        iou.
    """
    own = {index: maps.of(word, rule="daam") for index, word in nouns.items()}
    rows: list[dict[str, Any]] = []
    for index, truth in masks.items():
        methods = {"daam": own[index], "paper": maps.of(own[index].word, rule="paper")}
        methods |= controls(own, index, seed)
        for method, found in methods.items():
            rows += [{"noun": index, "method": method} | each for each in cuts.scores(found, truth)]
        fixed = {"whole image": float(truth.mean())}
        for method, of_noun in (given or {}).items():
            if index in of_noun:
                fixed[method] = float(iou(of_noun[index], truth))
        rows += [
            {"noun": index, "method": method, "rule": "max", "tau": 0.0, "iou": score}
            for method, score in fixed.items()
        ]
    return rows


def controls(
    own: Mapping[int, WordMap], noun: int, seed: int, world: int = 1
) -> dict[str, WordMap]:
    """Maps that know nothing of a noun, as large as its own: where things mostly are, smooth noise,
    and, where there is another noun, that one's.

    Parameters
    ----------
    own
        The maps of all nouns, by number.
    noun
        The number of the noun that the maps stand beside.
    seed
        Of the noise; give each image another.
    world
        Of which toy world the scenes are that say where things mostly are.
    """
    word, others = own[noun], without_noise(own, noun, world)
    rng = torch.Generator().manual_seed(1000 * seed + noun)
    noise = torch.rand(word.values.shape, generator=rng, dtype=torch.float32, device="cpu")
    blurred = {"smooth noise": replace(word, values=smooth(noise))}
    return {"centre prior": others.pop("centre prior")} | blurred | others


def without_noise(own: Mapping[int, WordMap], noun: int, world: int = 1) -> dict[str, WordMap]:
    """Those `controls` that no dice are thrown for, and no size of map makes dear."""
    word, order = own[noun], list(own)
    found = {"centre prior": replace(word, values=_centre(word.size, world))}
    if len(own) > 1:
        found["other word"] = own[order[(order.index(noun) + 1) % len(own)]]
    return found


def smooth(noise: Float[Tensor, "*kept y x"], sigma: float = 0.15) -> Float[Tensor, "*kept y x"]:
    """Blur by a Gaussian of `sigma` sides, so that blobs come out as large as things are."""
    sides = noise.shape[-2:]
    size = {"sigma": [sigma * side for side in sides], "radius": sides, "axes": (-2, -1)}
    blur = partial(ndimage.gaussian_filter, mode="constant", **size)
    blurred = blur(noise.double().numpy()) / blur(np.ones(sides))  # of places within alone
    return torch.from_numpy(blurred - blurred.min((-2, -1), keepdims=True)).float()


@cache
def _centre(size: tuple[int, int], world: int) -> Tensor:
    """Where the things of 300 drawn pairs of a world lie on average."""
    drawn = scenes.sample(300, seed=777, kind="pair", world=world)
    masks = np.concatenate([scene.masks for scene in drawn])
    mean = torch.from_numpy(masks.mean(0, dtype=np.float32))
    return F.interpolate(mean[None, None], size=size, mode="area")[0, 0]


def fold(rows: pd.DataFrame) -> pd.DataFrame:
    """Take each method's best cut over one half of the prompts and keep its scores on the other.

    Parameters
    ----------
    rows
        Of `overlaps`, with a column "prompt".

    Returns
    -------
    frame
        The rows at those cuts: one a noun and method.

    Raises
    ------
    DaamkitError
        If there is but one prompt.
    """
    prompts = rows["prompt"].unique()
    if len(prompts) < 2:
        raise DaamkitError(
            wanted="two prompts, one to choose the cut on and one to use it",
            got=f"{len(prompts)}",
            mend="measure more",
        )
    order = np.random.default_rng(0).permutation(len(prompts)) % 2
    half = rows["prompt"].map(dict(zip(prompts, order, strict=True)))
    kept = []
    for number in (0, 1):
        means = rows[half != number].groupby(["method", "rule", "tau"])["iou"].mean()
        best = pd.DataFrame(
            means.groupby("method").idxmax().tolist(), columns=["method", "rule", "tau"]
        )
        kept.append(rows[half == number].merge(best, on=["method", "rule", "tau"]))
    return pd.concat(kept, ignore_index=True)


def cut(rows: pd.DataFrame) -> pd.DataFrame:
    """Wide rows (`cuts.long`) with the iou at each method's cut that is best on other prompts, its
    rule and tau; of a single prompt that is not known."""
    if rows["prompt"].nunique() < 2:
        return rows.assign(iou=np.nan, rule="", tau=0.0)
    keys = ["seed", "noun", "method"]
    chosen = fold(cuts.long(rows)).rename(columns={"image": "seed"})
    return rows.merge(chosen[[*keys, "iou", "rule", "tau"]], on=keys, how="left")


def sets(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each "set" that has two prompts: of one nothing can be said."""
    each = [(str(name), part) for name, part in rows.groupby("set", sort=False)]
    return [(name, part) for name, part in each if part["prompt"].nunique() > 1]


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Each method's mean IoU at cuts chosen on other prompts, with 95% intervals over prompts.

    Parameters
    ----------
    rows
        Of `overlaps`, with columns "prompt" and "image" (which image of all).

    Returns
    -------
    frame
        method, miou, low, high, cuts ("max 0.4", both halves'), nouns, prompts, and, but for
        baselines, above, above_low and above_high: the gain over the best of them.
    """
    folded = fold(rows)
    table = folded.pivot_table(index=["prompt", "image", "noun"], columns="method", values="iou")
    baselines = [name for name in BASELINES if name in table]
    best = table[baselines].mean().idxmax()
    out = []
    others = [name for name in folded["method"].unique() if name not in baselines]
    for method in [*others, *baselines]:
        part = folded[folded["method"] == method]
        found = intervals.mean(part["iou"].to_numpy(), part["prompt"].tolist(), **OVERLAP)
        row = dict(zip(("miou", "low", "high"), found, strict=True))
        row = {"method": method} | row | {"cuts": cuts.chosen(part)}
        row |= {"nouns": len(part), "prompts": part["prompt"].nunique()}
        if method not in baselines:
            clusters = table.index.get_level_values("prompt").tolist()
            both = table[method].to_numpy(), table[best].to_numpy()
            over = intervals.gain(*both, clusters, within=(-1, 1))
            row |= dict(zip(intervals.columns("above"), over, strict=True))
        out.append(row)
    return pd.DataFrame(out)


def by_kind(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean IoU of the two pooling rules for each kind of prompt, at the cuts of `summary`: kind,
    method, miou, low, high, nouns."""
    folded = fold(rows)
    return _means(folded[~folded["method"].isin(BASELINES)], ["kind", "method"])


def sweep(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean IoU of every method at every cut: method, rule, tau, miou, low, high, nouns."""
    return _means(rows, ["method", "rule", "tau"])


def _means(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    return intervals.means(rows, by, "iou", **OVERLAP).rename(
        columns={"mean": "miou", "n": "nouns"}
    )


def on_drawn(
    pipe: Any, drawn: list[Scene], levels: Iterable[int], seed: int, batch: int = 16
) -> pd.DataFrame:
    """`overlaps` on drawn scenes, noised to each level and denoised one step with their captions.

    Parameters
    ----------
    pipe
        A Stable Diffusion of the toy world.
    drawn
        Scenes. Things that are named twice in different phrases, or hardly show, are left out.
    levels
        Time steps of the schedule, from 0 (hardly any noise) to 999.
    seed
        Seed of the noise that the scene is mixed with.

    Returns
    -------
    rows
        Of `overlaps`, with prompt, image and level.
    """
    denoised = Denoised(pipe)
    rows: list[dict[str, Any]] = []
    for start in range(0, len(drawn), batch):
        part = drawn[start : start + batch]
        for level in levels:
            runs = denoised.runs(part, range(seed + start, seed + start + len(part)), level)
            for index, (scene, run) in enumerate(zip(part, runs, strict=True), start):
                named = {"prompt": scene.caption, "image": index, "level": level}
                nouns = words(run.maps, claims.parse(scene.caption))
                found = overlaps(run.maps, nouns, exact(scene), seed + index)
                rows += [named | row for row in found]
    return pd.DataFrame(rows)
