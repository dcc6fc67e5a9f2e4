"""How often do 95% intervals hold the truth? Simulated cases like those of the studies.

    python benchmarks/coverage.py --times 300
    python benchmarks/coverage.py --times 300 --only AUROC alpha

Each row is a case with a known truth, drawn anew so many times: how often a percentile bootstrap
over clusters (Efron 1979) holds it, how often the interval that daamkit tells does, and the median
width of both. `docs/statistics.md` has the table. A share of 0.95 is what both promise; of 300
times it is known within 0.025.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit, logit

from daamkit.measures import calibration, intervals, quality
from daamkit.measures.agreement import alpha
from daamkit.measures.regression import logistic

Interval = tuple[float, float]
DRAWS = 500  # of each bootstrap


@dataclass(frozen=True)
class Case:
    """What is drawn, the truth, and both intervals of what was drawn."""

    estimator: str
    name: str
    draw: Callable[[np.random.Generator], tuple[Any, ...]]
    truth: float
    before: Callable[..., Interval]
    after: Callable[..., Interval]
    slow: int = 1  # so many times fewer


# -- what is drawn: values and their clusters


def shares(
    rng: np.random.Generator, clusters: int, each: int, share: float, alike: float
) -> tuple[np.ndarray, np.ndarray]:
    """Values 0 and 1, correlated by `alike` within a cluster."""
    odds = np.full(clusters, share)
    if alike:
        ends = np.array([share, 1 - share]) * (1 - alike) / alike
        odds = rng.beta(*ends, clusters)
    values = rng.random((clusters, each)) < odds[:, None]
    return values.astype(float).ravel(), np.repeat(np.arange(clusters), each)


def changed(rng: np.random.Generator, n: int, better: float, worse: float) -> tuple[Any, ...]:
    """Shares before and after."""
    lot = rng.random(n)
    before = np.where(lot < better, 0.0, 1.0)
    return before, np.where((lot >= better) & (lot < better + worse), 0.0, 1.0), np.arange(n)


def ious(rng: np.random.Generator, clusters: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Overlaps of maps with their things, alike within a prompt."""
    own = rng.normal(1.2, 0.3, (clusters, 1))
    values = expit(own + rng.normal(0, 0.8, (clusters, each)))
    return values.ravel(), np.repeat(np.arange(clusters), each)


def overlaps(rng: np.random.Generator, clusters: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Overlaps of two words' maps: most pairs share nothing, a few look-alikes much."""
    own = rng.choice([0.0, 0.02, 0.4, 0.67], clusters, p=[0.3, 0.4, 0.2, 0.1])[:, None]
    values = own + rng.exponential(0.02, (clusters, each))
    return values.ravel(), np.repeat(np.arange(clusters), each)


def rare(rng: np.random.Generator, pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Overlaps of two words' maps: next to nothing, of one pair in ten 0.8."""
    values = 0.8 * (rng.random(pairs) < 0.1) + rng.exponential(0.02, pairs)
    return values, np.arange(pairs)


def moves(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    """Two long-tailed measures of the same images."""
    common = rng.normal(0, 0.7, n)
    return (
        np.exp(common + rng.normal(0, 0.5, n)),
        np.exp(rng.normal(0, 0.5, n) + common),
        np.arange(n),
    )


def two_groups(rng: np.random.Generator, kin: int, others: int, draw: Any) -> tuple[Any, ...]:
    """The same measure of pairs of two kinds."""
    return *draw[0](rng, clusters=kin), *draw[1](rng, clusters=others)


def outcomes(rng: np.random.Generator, kin: int, others: int) -> tuple[Any, ...]:
    """Both things there, less often for kin and for overlapping maps."""
    clusters = np.r_[np.repeat(np.arange(kin), 20), kin + np.repeat(np.arange(others), 8)]
    related = clusters < kin
    own = rng.choice([0.0, 0.02, 0.4, 0.67], kin + others, p=[0.3, 0.4, 0.2, 0.1])
    overlap = own[clusters] + rng.exponential(0.05, len(clusters))
    odds = 2.3 + rng.normal(0, 0.5, kin + others)[clusters] - 0.5 * related - 2 * overlap
    return related, overlap, rng.random(len(clusters)) < expit(odds), clusters


def pictures(rng: np.random.Generator, n: int, wide: float) -> tuple[np.ndarray, ...]:
    """Features of generated pictures, and of real ones."""
    return rng.normal(0, wide, (n, 6)), np.random.default_rng(54).normal(0, 1, (300, 6))


def chances(
    rng: np.random.Generator, clusters: int, each: int, slope: float, middle: float = 2.5
) -> tuple[np.ndarray, ...]:
    """Probabilities that are said and what happened: right where `slope` is 1, too bold below."""
    said = rng.normal(middle, 3, (clusters, each))
    lot = np.sqrt(0.3) * rng.normal(size=(clusters, 1)) + np.sqrt(0.7) * rng.normal(size=said.shape)
    happened = stats.norm.cdf(lot) < expit(slope * said)
    return expit(said).ravel(), happened.ravel(), np.repeat(np.arange(clusters), each)


def apart(
    rng: np.random.Generator, clusters: int, each: int, far: float, share: float
) -> tuple[np.ndarray, ...]:
    """A score of things that are there, and of the others, which lies `far` below."""
    happened = shares(rng, clusters, each, share, 0.2)[0] > 0
    own, each_own = rng.normal(size=(clusters, 1)), rng.normal(size=(clusters, each))
    score = (np.sqrt(0.3) * own + np.sqrt(0.7) * each_own).ravel() + far * happened
    return score, happened, np.repeat(np.arange(clusters), each)


def answers(
    rng: np.random.Generator, units: int, raters: int, alike: float, yes: float | None = None
) -> tuple[np.ndarray]:
    """What raters say, (units, raters): one of five, or yes and no, of which they guess some."""
    if yes is None:
        own = np.sqrt(alike) * rng.normal(size=(units, 1))
        said = 3 + 1.2 * (own + np.sqrt(1 - alike) * rng.normal(size=(units, raters)))
        return (said.round().clip(1, 5),)
    true, guess = rng.random((units, 1)) < yes, rng.random((units, raters)) < yes
    return (np.where(rng.random((units, raters)) < alike, true, guess).astype(float),)


def sets(rng: np.random.Generator, many: int, deviation: float) -> tuple[np.ndarray, ...]:
    """A measure of each of some sets of pictures."""
    return rng.normal(0.65, deviation, many), np.arange(many)


# -- intervals as they were


def percentile(values: np.ndarray, clusters: np.ndarray, seed: int = 0) -> Interval:
    return _ends(_drawn(values, clusters, seed))


def percentile_of_gain(before: np.ndarray, after: np.ndarray, clusters: np.ndarray) -> Interval:
    return percentile(after - before, clusters)


def percentile_of_ratio(above: np.ndarray, below: np.ndarray, clusters: np.ndarray) -> Interval:
    return _ends(_drawn(above, clusters, 0) / _drawn(below, clusters, 0))


def percentile_of_difference(
    a: np.ndarray, of_a: np.ndarray, b: np.ndarray, of_b: np.ndarray
) -> Interval:
    return _ends(_drawn(a, of_a, 0) - _drawn(b, of_b, 1))


def percentile_of_odds(
    related: np.ndarray, overlap: np.ndarray, both: np.ndarray, clusters: np.ndarray
) -> Interval:
    rng, found = np.random.default_rng(0), []
    members = [np.flatnonzero(clusters == cluster) for cluster in np.unique(clusters)]
    for _ in range(200):
        rows = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        told = {"kin": related[rows], "overlap": overlap[rows]}
        table = logistic(told, both[rows], rows.tolist(), draws=0)
        found.append(float(table["odds_ratio"][0]))
    return _ends(np.array([each for each in found if not np.isnan(each)]))


def percentile_of(
    said: np.ndarray, happened: np.ndarray, clusters: np.ndarray, measure: str
) -> Interval:
    """Of a measure of `calibration`; draws that have none are left out."""
    rng, found = np.random.default_rng(0), []
    members = [np.flatnonzero(clusters == cluster) for cluster in np.unique(clusters)]
    for _ in range(200):
        rows = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        found.append(getattr(calibration, measure)(said[rows], happened[rows]))
    return _ends(np.array([each for each in found if not np.isnan(each)]))


def percentile_of_alpha(said: np.ndarray) -> Interval:
    drawn = said[np.random.default_rng(0).integers(0, len(said), (DRAWS, len(said)))]
    found = alpha_of(drawn)
    return _ends(found[~np.isnan(found)])


def alpha_of(said: np.ndarray) -> np.ndarray:
    """Krippendorff's, where nobody's answer is missing: squared differences are twice a variance.
    Those of yes and no are nominal ones."""
    within = said.var(-1, ddof=1).mean(-1)
    every = said.reshape(*said.shape[:-2], -1).var(-1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(every > 0, 1 - within / every, np.nan)


def _drawn(values: np.ndarray, clusters: np.ndarray, seed: int) -> np.ndarray:
    sums, counts = np.bincount(clusters, values), np.bincount(clusters)
    drawn = np.random.default_rng(seed).integers(0, len(sums), (DRAWS, len(sums)))
    return sums[drawn].sum(1) / counts[drawn].sum(1)


def _ends(values: np.ndarray) -> Interval:
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


# -- intervals as they are


def own(values: np.ndarray, clusters: np.ndarray, **options: Any) -> Interval:
    return intervals.mean(values, clusters.tolist(), draws=DRAWS, **options)[1:]


def own_of_gain(before: np.ndarray, after: np.ndarray, clusters: np.ndarray) -> Interval:
    return intervals.gain(after, before, clusters.tolist(), draws=DRAWS)[1:]


def own_of_ratio(above: np.ndarray, below: np.ndarray, clusters: np.ndarray) -> Interval:
    return intervals.ratio(above, below, clusters.tolist(), draws=DRAWS)[1:]


def own_of_difference(a: np.ndarray, of_a: np.ndarray, b: np.ndarray, of_b: np.ndarray) -> Interval:
    return intervals.difference(a, b, of_a.tolist(), of_b.tolist(), draws=DRAWS)[1:3]


def own_of_odds(
    related: np.ndarray, overlap: np.ndarray, both: np.ndarray, clusters: np.ndarray
) -> Interval:
    table = logistic({"kin": related, "overlap": overlap}, both, clusters.tolist(), draws=200)
    return float(table["low"][0]), float(table["high"][0])


def own_of(said: np.ndarray, happened: np.ndarray, clusters: np.ndarray, measure: str) -> Interval:
    return calibration.INTERVALS[measure](said, happened, clusters.tolist())[1:]


def own_of_alpha(said: np.ndarray) -> Interval:
    units, raters = np.indices(said.shape)
    columns = {"unit": units.ravel(), "rater": raters.ravel(), "said": said.ravel()}
    found = alpha(pd.DataFrame(columns), ["unit"], "said", "interval", draws=DRAWS)
    return found["low"], found["high"]


def of_set(
    generated: np.ndarray, real: np.ndarray, measure: Callable[..., float], share: bool
) -> Interval:
    """By halves; a share's no narrower than that of so many pictures."""
    parts = [generated, *(generated[half] for half in quality.halves(len(generated), draws=40))]
    found = np.array([measure(real, part) for part in parts])
    _, low, high = quality.interval("", found, share_of=len(generated) * share).values()
    return low, high


def precision(real: np.ndarray, generated: np.ndarray) -> float:
    return quality.precision_recall(real[:60], generated)[0]


def recall(real: np.ndarray, generated: np.ndarray) -> float:
    return quality.precision_recall(real[:60], generated)[1]


def cases() -> Iterator[Case]:
    """All that is simulated, a truth by formula or by many draws."""
    for n, share in ((100, 0.99), (100, 0.95), (40, 0.9), (11, 0.9), (100, 0.5)):
        draw = partial(shares, clusters=n, each=1, share=share, alike=0)
        yield Case("share", f"{share:g} of {n}", draw, share, percentile, own)
    for clusters, each, share, alike in (
        (11, 20, 0.85, 0.1), (11, 20, 0.85, 0.3), (24, 4, 0.98, 0.3), (100, 2, 0.95, 0.3),
    ):  # fmt: skip
        draw = partial(shares, clusters=clusters, each=each, share=share, alike=alike)
        name = f"{share:g}, {clusters} x {each}, correlation {alike:g}"
        yield Case("share", name, draw, share, percentile, own)
    for n, better, worse in ((52, 0.02, 0.0), (52, 0.06, 0.02), (216, 0.07, 0.005)):
        draw = partial(changed, n=n, better=better, worse=worse)
        name = f"{better:g} better, {worse:g} worse, of {n}"
        yield Case("gain of a share", name, draw, better - worse, percentile_of_gain, own_of_gain)
    number = partial(own, kind="number", within=(0, 1))
    for clusters, each in ((12, 2), (100, 2)):
        draw = partial(ious, clusters=clusters, each=each)
        yield Case(
            "mean IoU", f"{clusters} prompts x {each}", draw, _truth(draw), percentile, number
        )
    for clusters, each in ((11, 20), (28, 8)):
        draw = partial(overlaps, clusters=clusters, each=each)
        name = f"overlap of {clusters} pairs x {each}"
        yield Case("mean IoU", name, draw, 0.175, percentile, number)
    draw = partial(rare, pairs=12)
    yield Case("mean IoU", "overlap of 12 pairs, of one in ten 0.8", draw, 0.1, percentile, number)
    for n in (40, 200):
        draw = partial(moves, n=n)
        yield Case("ratio", f"{n} pairs", draw, 1.0, percentile_of_ratio, own_of_ratio)
    fewer, more = (partial(shares, share=p, alike=0.2) for p in (0.85, 0.93))
    for name, (one, other), truth in (
        ("shares", (fewer, more), 0.85 - 0.93),
        ("overlaps", (overlaps, overlaps), 0.0),
    ):
        draws = partial(one, each=20), partial(other, each=8)
        draw = partial(two_groups, kin=11, others=28, draw=draws)
        intervals_of = percentile_of_difference, own_of_difference
        yield Case("difference", f"{name}, 11 and 28 pairs", draw, truth, *intervals_of)
    yield from _of_probabilities()
    for units, raters, alike, yes in ((20, 3, 0.9, 0.3), (40, 2, 0.97, 0.3), (30, 3, 0.7, None)):
        draw = partial(answers, units=units, raters=raters, alike=alike, yes=yes)
        truth = float(alpha_of(draw(np.random.default_rng(99), units=50_000)[0]))
        name = f"{truth:.2f}, {units} units x {raters}"
        yield Case("alpha", name, draw, truth, percentile_of_alpha, own_of_alpha)
    draw = partial(sets, many=4, deviation=0.05)
    yield Case("mean of sets", "4 sets", draw, 0.65, percentile, number)
    draw = partial(outcomes, kin=11, others=28)
    rng = np.random.default_rng(99)
    many = [np.concatenate(each) for each in zip(*(draw(rng) for _ in range(300)), strict=True)]
    told = {"kin": many[0], "overlap": many[1]}
    truth = float(logistic(told, many[2], many[3].tolist(), draws=0)["odds_ratio"][0])
    yield Case("odds ratio", "11 and 28 pairs", draw, truth, percentile_of_odds, own_of_odds, 10)
    for measure in (quality.fid, precision, recall):
        draw = partial(pictures, n=60, wide=0.6)
        truth = float(np.mean([measure(*draw(rng)[::-1]) for _ in range(1000)]))
        share = measure is not quality.fid
        halves, own_of_set = (partial(of_set, measure=measure, share=s) for s in (False, share))
        yield Case(
            f"{measure.__name__} (halves)", "60 pictures", draw, truth, halves, own_of_set, 5
        )


def _of_probabilities() -> Iterator[Case]:
    """AUROC, Brier score and calibration error."""
    for clusters, far, share in ((30, 3, 0.8), (100, 2, 0.8), (100, 4, 0.8), (200, 3, 0.95)):
        draw = partial(apart, clusters=clusters, each=3, far=far, share=share)
        truth = calibration.auroc(*draw(np.random.default_rng(99), clusters=50_000)[:2])
        name = f"{truth:.3f}, {clusters} x 3, {share:g} there"
        intervals_of = (partial(each, measure="auroc") for each in (percentile_of, own_of))
        yield Case("AUROC", name, draw, truth, *intervals_of)
    for measure, name in (("brier", "Brier score"), ("error", "calibration error")):
        for clusters, slope, middle in ((30, 1, 2.5), (100, 0.5, 2.5), (30, 0.6, 8)):
            draw = partial(chances, clusters=clusters, each=3, slope=slope, middle=middle)
            said, happened, _ = draw(np.random.default_rng(99), clusters=50_000)
            truth = calibration.brier(said, happened) if measure == "brier" else _gap(said, slope)
            title = f"{truth:.3f}, {clusters} x 3"
            intervals_of = (partial(each, measure=measure) for each in (percentile_of, own_of))
            yield Case(name, title, draw, truth, *intervals_of)


def _gap(said: np.ndarray, slope: float) -> float:
    """The calibration error of endlessly many cases: what is true of each stands for it."""
    said = np.sort(said)
    parts = np.array_split(said - expit(slope * logit(said)), calibration.BINS)
    return float(sum(abs(part.sum()) for part in parts) / len(said))


def _truth(draw: Any) -> float:
    rng = np.random.default_rng(99)
    return float(np.mean(np.concatenate([draw(rng)[0] for _ in range(4000)])))


def covered(case: Case, times: int, seed: int = 0) -> dict[str, Any]:
    """A row of the table."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[Interval]] = {"before": [], "after": []}
    for _ in range(max(times // case.slow, 1)):
        values = case.draw(rng)
        for when in found:
            found[when].append(getattr(case, when)(*values))
    row: dict[str, Any] = {"estimator": case.estimator, "case": case.name}
    for when, ends in found.items():
        low, high = np.array(ends).T
        row[when] = float(((low <= case.truth) & (case.truth <= high)).mean())
        row[f"width {when}"] = float(np.median(high - low))
    return row


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=300, help="draws of each case")
    parser.add_argument("--only", nargs="*", help="estimators, by the first column; default all")
    asked = parser.parse_args()
    known = [case for case in cases() if not asked.only or case.estimator in asked.only]
    rows = [covered(case, asked.times) for case in known]
    print(pd.DataFrame(rows).round(3).to_string(index=False))
