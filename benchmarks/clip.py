"""Does the small CLIP know which caption is a scene's own? Out of 64, on scenes it has not seen.

    python benchmarks/clip.py --json

Drawn scenes with different captions in groups of 64: the share whose own caption is the most
similar of the 64, and the share of captions whose own picture is. A 95% interval over groups.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from daamkit.measures.intervals import mean
from daamkit.toybox import scenes
from daamkit.vision import alignment


def measure(groups: int, seed: int, model: str = "toybox", of: int = 64) -> dict[str, object]:
    """Shares of pictures and of captions that find their own."""
    clip = alignment.clip(model)
    unique = {scene.caption: scene for scene in scenes.sample(groups * of * 5 // 4, seed)}
    captions = list(unique)[: groups * of]
    images = clip.images([unique[caption].image for caption in captions]).numpy()
    texts = clip.texts(captions).numpy()
    right, back, group = [], [], []
    for start in range(0, len(captions), of):
        scores = images[start : start + of] @ texts[start : start + of].T
        own = np.arange(len(scores))
        right += list(scores.argmax(1) == own)
        back += list(scores.argmax(0) == own)
        group += [start] * len(scores)
    found, low, high = mean(np.array(right, float), group)
    return {
        "pictures": len(captions),
        "of": of,
        "right_caption": found,
        "interval": [low, high],
        "right_picture": float(np.mean(back)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object and no more")
    parser.add_argument("--groups", type=int, default=16)
    parser.add_argument("--seed", type=int, default=9001)
    parser.add_argument("--model", default="toybox", help="toybox, a folder, or a Hub id")
    asked = parser.parse_args()
    result = measure(asked.groups, asked.seed, asked.model)
    print(json.dumps(result, indent=None if asked.json else 1))


if __name__ == "__main__":
    main()
