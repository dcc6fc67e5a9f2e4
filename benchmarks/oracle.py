"""How well does the oracle read scenes that it has not seen? Their masks and looks are known.

    python benchmarks/oracle.py --json

Pixels: IoU of each class (nothing, the things, the places' grounds) over all scenes together, and
their mean. Things: how many have an instance that covers them (IoU above 0.5), and of these how
many have the right name, colour ("own" included), pattern and size; and how many instances cover
nothing.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter

import numpy as np

from daamkit.toybox import oracle, scenes
from daamkit.toybox.scenes import Scene
from daamkit.toybox.training.oracle import labels


def measure(drawn: list[Scene]) -> dict[str, float]:
    """All that the docstring of this file names."""
    n = len(oracle.NAMES)
    confusion, counts = np.zeros((n, n), int), Counter()
    readings = oracle.read_all([scene.image for scene in drawn])
    for scene, reading in zip(drawn, readings, strict=True):
        read = np.zeros(scene.ground.shape, int)
        for row in reading.itertuples():
            read[row.mask] = oracle.NAMES.index(row.name)
        np.add.at(confusion, (labels(scene)[0], read), 1)
        instances = list(reading[reading["kind"] == "thing"].itertuples())
        counts["instances"] += len(instances)
        for thing, mask in zip(scene.things, scene.masks, strict=True):
            if mask.sum() < oracle.SMALLEST:
                continue
            counts["things"] += 1
            for row in instances:
                if (row.mask & mask).sum() > 0.5 * (row.mask | mask).sum():
                    counts["found"] += 1
                    counts["name"] += row.name == thing.name
                    counts["colour"] += row.colour == (thing.colour or "own")
                    counts["texture"] += row.texture == (thing.texture or "plain")
                    counts["size"] += row.size == (thing.size or "ordinary")
    both = np.diag(confusion)
    either = confusion.sum(0) + confusion.sum(1) - both
    iou = np.where(either, both / either.clip(1), np.nan)
    shares = {
        name: counts[name] / counts["found"] for name in ("name", "colour", "texture", "size")
    }
    return {
        "scenes": len(drawn),
        "miou": float(np.nanmean(iou)),
        "worst": {oracle.NAMES[i] or "nothing": round(float(iou[i]), 3) for i in iou.argsort()[:5]},
        "things": counts["things"],
        "found": counts["found"] / counts["things"],
        **shares,
        "false": 1 - counts["found"] / counts["instances"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object and no more")
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=9001)
    asked = parser.parse_args()
    result = measure(scenes.sample(asked.scenes, asked.seed))
    print(json.dumps(result, indent=None if asked.json else 1))


if __name__ == "__main__":
    main()
