"""Through which word does a colour come? Prompts with some words' cross-attention silenced.

    python benchmarks/silence.py --prompts 60

"a red cat and a blue dog" on the toybox: as it is; with the colour words' tokens out of every
cross-attention of the conditional rows (the other tokens' shares scaled up to 1); and with the
nouns' out. Of the things asked for: how many are there, and how many of these in their colour, with
95% intervals over prompts. SynGen moves latents until a colour's map lies on its noun's; where
colours are right without any map of theirs, that has nothing to mend.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

import daamkit
from daamkit.maps.words import Word
from daamkit.measures.intervals import means
from daamkit.prompts import tokenized
from daamkit.studies import drawing, prompts
from daamkit.toybox import claims, oracle
from daamkit.toybox.sprites import ANIMALS, COLOURS


def silent(text: str, words: str) -> list[Word]:
    """A prompt's colours or nouns."""
    things = claims.parse(text).things
    names = {thing.colour if words == "colours" else thing.name for thing in things}
    return [word for word in tokenized(PIPE, text).words() if word.text in names]


def drawn(texts: Sequence[str], seed: int, words: str, steps: int) -> list[dict[str, object]]:
    """What came of a batch: a row a thing and measure."""
    seeds = [seed + i for i in range(len(texts))]
    each = [] if words == "none" else [silent(text, words) for text in texts]
    with daamkit.edit(PIPE, daamkit.Silence(each)):
        images = PIPE(
            list(texts),
            num_inference_steps=steps,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        ).images
    rows = []
    for text, seed, image in zip(texts, seeds, images, strict=True):
        case = prompts.PromptCase("pair", claims.parse(text), seed)
        rows += drawing.check(case, oracle.detections(image))
    return [{"silent": words} | row for row in rows if row["measure"] in ("present", "colour")]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--steps", type=int, default=25)
    asked = parser.parse_args()
    PIPE = daamkit.load("toybox")
    PIPE.set_progress_bar_config(disable=True)
    rng, texts, rows = np.random.default_rng(0), [], []
    for _ in range(asked.prompts):
        (a, b), (c, d) = rng.choice(ANIMALS, 2, False), rng.choice(list(COLOURS), 2, False)
        texts.append(f"a {c} {a} and a {d} {b}")
    for words in ("none", "colours", "nouns"):
        for start in range(0, len(texts), 4):
            rows += drawn(texts[start : start + 4], start, words, asked.steps)
    print(means(pd.DataFrame(rows), ["silent", "measure"], "value").round(3).to_string(index=False))
