"""Learn which layers and heads to look at, from drawn scenes of seen compositions.

    python -m daamkit.studies.lessons toybox --out data/attribution/toybox.json

The study `attribution` measures what was learned on other scenes, and on generated images.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls
from torch.nn import functional as F

from daamkit import fingerprint, record, zoo
from daamkit.attention import families
from daamkit.attribution.learned import Head, Lesson, of_heads, of_layers
from daamkit.attribution.relevance import HeadRelevance
from daamkit.measures.ranking import average_precision
from daamkit.studies import localisation
from daamkit.studies.denoised import Denoised, exact
from daamkit.toybox import claims, scenes
from daamkit.toybox.captions import NUMBERS, PLACES
from daamkit.toybox.sprites import COLOURS, EVERYTHING, TEXTURES, THINGS

LEVELS = (200, 400, 600, 800)  # each scene at one of them, in turn
WORDS = {1: THINGS, 2: EVERYTHING}  # for things, in each world
SHARE = 0.1  # of the heads are kept
SEED = 900_000  # of the scenes; no study draws from here


def learn(
    pipe: Any, model: str, count: int, levels: Sequence[int] = LEVELS, world: int = 1
) -> Lesson:
    """What so many scenes of a world teach of a model.

    Layers: non-negative least squares of the masks on the layers' maps and a constant. Heads: the
    tenth with the highest mean average precision. Relevance: that of heads to words for things,
    where cells look at text alone.
    """
    words = {"thing": WORDS[world], "colour": COLOURS, "place": PLACES, "texture": TEXTURES,
             "number": NUMBERS.values()}  # fmt: skip
    asked = HeadRelevance({name: list(own) for name, own in words.items()})
    taps = () if families.share_a_softmax(pipe) else (asked,)
    denoised = Denoised(pipe)
    columns: dict[str, list[np.ndarray]] = defaultdict(list)
    masks, precision = list[np.ndarray](), defaultdict[Head, list[float]](list)
    for i, scene in enumerate(scenes.sample(count, SEED, world=world, split="training")):
        (run,) = denoised.runs([scene], [SEED + i], levels[i % len(levels)], taps)
        nouns = localisation.words(run.maps, claims.parse(scene.caption))
        for noun, mask in exact(scene).items():
            layers, heads = of_layers(run, nouns[noun]), of_heads(run, nouns[noun])
            height, width = next(iter(layers.values())).shape
            large = torch.from_numpy(mask).float()[None]
            small = F.adaptive_avg_pool2d(large, (height, width))[0].numpy()
            masks.append(small.ravel())
            for name, layer in layers.items():
                columns[name].append(layer.numpy().ravel())
            for name, each in heads.items():
                for head, values in enumerate(each.numpy()):
                    precision[name, head].append(average_precision(values, small > 0.5))
    told = {name: np.concatenate(each) for name, each in columns.items()}
    ones = np.ones_like(next(iter(told.values())))
    weights, _ = nnls(np.stack([*told.values(), ones, -ones], 1), np.concatenate(masks))
    best = sorted(precision, key=lambda head: -float(np.nanmean(precision[head])))
    return Lesson(
        model,
        fingerprint.model_facts(pipe)["fingerprint"],
        count,
        {name: round(float(w), 6) for name, w in zip(told, weights, strict=False)},
        best[: max(1, round(SHARE * len(best)))],
        relevance=asked.vector("thing") if asked.counts else {},
    )


def main(argv: list[str] | None = None) -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a toy model's name or folder")
    parser.add_argument("--scenes", type=int, default=400, help="how many to learn from")
    parser.add_argument("--world", type=int, default=1, choices=[1, 2], help="that they are of")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--also", nargs="*", default=[], help="fingerprints under other versions")
    asked = parser.parse_args(argv)
    found = learn(zoo.load(asked.model), Path(asked.model).name, asked.scenes, world=asked.world)
    record.write_learned(found, asked.out, asked.also)
    more = ", relevance" if found.relevance else ""
    print(f"{asked.out}: {len(found.layers)} layers, {len(found.heads)} heads{more}")


if __name__ == "__main__":
    main()
