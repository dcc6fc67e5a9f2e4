"""How good the toybox is: what it draws, where its maps lie, how its pictures look as a set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from daamkit import zoo
from daamkit.measures import quality
from daamkit.studies import drawing, localisation
from daamkit.studies.prompts import PromptCase
from daamkit.toybox import oracle, scenes
from daamkit.tracing.trace import trace

LEVELS = (100, 300, 500, 700, 900)


def evaluate(
    pipe: Any,
    cases: Sequence[PromptCase],
    seed: int,
    scenes_drawn: int = 100,
    pictures: int = 0,
    batch: int = 12,
    guidance: float | None = None,
    **options: Any,
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """All that is measured of the toybox, as tables with intervals, and the record of how.

    Parameters
    ----------
    pipe
        A pipeline of the toy world.
    cases
        Prompts, each with the seed it is drawn with.
    seed
        Of the drawn scenes and their noise.
    scenes_drawn
        How many scenes to noise and denoise; 0 leaves them out.
    pictures
        How many images to take for FID, precision and recall; 0 leaves them out.
    batch
        Images at a time.
    guidance
        The scale; None: the model's own (`zoo.arguments`).
    options
        Further arguments of the pipeline's call.

    Returns
    -------
    tables
        "drawing" (`drawing.summary`); "localisation", "localisation_by_kind" and "sweep" (of
        `localisation`, if two prompts or more name two things); "localisation_drawn" (the same on
        drawn scenes, for each level of noise); "quality" (`sets`).
    record
        Of the model, the scheduler, the options and the versions; all cases with their seeds.
    """
    drawn, overlaps, record = generate(pipe, cases, batch, guidance, **options)
    record["cases"] = [(case.kind, case.prompt, case.seed) for case in cases]
    record |= {"scenes_drawn": scenes_drawn, "scenes_seed": seed, "levels": LEVELS}
    tables = {"drawing": drawing.summary(drawn)}
    if len(overlaps) and overlaps["prompt"].nunique() > 1:  # one to choose the cut on, one to use
        tables["localisation"] = localisation.summary(overlaps)
        tables["localisation_by_kind"] = localisation.by_kind(overlaps)
        tables["sweep"] = localisation.sweep(overlaps)
    if scenes_drawn > 1:
        rows = localisation.on_drawn(
            pipe, scenes.sample(scenes_drawn, seed, "pair"), LEVELS, seed, batch
        )
        tables["localisation_drawn"] = pd.concat(
            [
                localisation.summary(part).assign(level=level)
                for level, part in rows.groupby("level")
            ],
            ignore_index=True,
        )
    if pictures:
        tables["quality"] = sets(pipe, pictures, seed, batch, guidance, **options)
    return tables, record


def generate(
    pipe: Any,
    cases: Sequence[PromptCase],
    batch: int = 12,
    guidance: float | None = None,
    **options: Any,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Draw each case, read the image back, and measure.

    Parameters
    ----------
    pipe
        A pipeline of the toy world.
    cases
        Prompts, each with the seed it is drawn with.
    batch
        Images at a time; each has a generator of its own, so that they do not depend on it.
    guidance
        The scale; None: the model's own.
    options
        Further arguments of the pipeline's call.

    Returns
    -------
    drawn
        What `drawing.check` says of each image.
    overlaps
        Rows of `localisation.overlaps` for prompts that name two things or more.
    record
        Of the model, the scheduler, the options and the versions.
    """
    drawn: list[dict[str, Any]] = []
    overlaps: list[dict[str, Any]] = []
    record: dict[str, Any] = {}
    for start in tqdm(range(0, len(cases), batch), "reading images", disable=None):
        part = cases[start : start + batch]
        generators = [torch.Generator().manual_seed(case.seed) for case in part]
        call = zoo.arguments(pipe, [case.prompt for case in part], guidance)
        with trace(pipe) as tracer:
            pipe(**call, generator=generators, **options)
        readings = oracle.read_all([run.image for run in tracer.runs if run.image is not None])
        for index, (case, run, reading) in enumerate(
            zip(part, tracer.runs, readings, strict=True), start
        ):
            drawn += drawing.check(case, reading)
            if len(case.claims.things) > 1:
                masks = localisation.truths(case, reading)
                named = {"prompt": case.prompt, "kind": case.kind, "image": index}
                nouns = localisation.words(run.maps, case.claims)
                rows = localisation.overlaps(run.maps, nouns, masks, index)
                overlaps += [named | row for row in rows]
        if not record:
            record = {k: v for k, v in tracer.runs[0].record.items() if k not in ("seed", "sample")}
            record["arguments"] = {k: v for k, v in record["arguments"].items() if k != "prompt"}
    return pd.DataFrame(drawn), pd.DataFrame(overlaps), record


def sets(
    pipe: Any,
    n: int,
    seed: int,
    batch: int = 12,
    guidance: float | None = None,
    **options: Any,
) -> pd.DataFrame:
    """FID, precision and recall of n generated images against n drawn ones, in oracle features.

    The captions are those of drawn scenes; compared is with other scenes. A second row, "drawn",
    holds other n drawn scenes against the same: what a perfect generator would reach, for FID of n
    is not 0. Intervals are over images, the scenes that they are held against being given
    (`quality.interval`).
    """
    captions = [scene.caption for scene in scenes.sample(n, seed)]
    images: list[Any] = []
    for start in tqdm(range(0, n, batch), "drawing pictures", disable=None):
        part = captions[start : start + batch]
        generators = [torch.Generator().manual_seed(seed + start + i) for i in range(len(part))]
        call = zoo.arguments(pipe, part, guidance)
        images += pipe(**call, generator=generators, **options).images
    real = oracle.features([scene.image for scene in scenes.sample(n, seed + 1)])
    rows = []
    for name, pictures in {
        "generated": images,
        "drawn": [scene.image for scene in scenes.sample(n, seed + 2)],
    }.items():
        found = oracle.features(pictures)
        parts = (found, *(found[half] for half in quality.halves(n, seed)))
        told = np.array([(quality.fid(real, p), *quality.precision_recall(real, p)) for p in parts])
        fid, precision, recall = told.T
        row: dict[str, Any] = {"set": name, "n": n} | quality.interval("fid", fid)
        row |= quality.interval("precision", precision, share_of=n)
        rows.append(row | quality.interval("recall", recall, share_of=n))
    return pd.DataFrame(rows)
