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
from contextlib import nullcontext

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import daamkit
from daamkit.attention.calls import Call
from daamkit.attention.hooks import attach
from daamkit.attention.sites import Site
from daamkit.attention.taps import Attention, Tap
from daamkit.measures.intervals import means
from daamkit.prompts import read
from daamkit.studies import drawing, prompts
from daamkit.toybox import claims, oracle
from daamkit.toybox.sprites import ANIMALS, COLOURS


class Silence(Tap):
    """Takes the prompts' colours, or their nouns, out of all cross-attention."""

    def __init__(self, words: str) -> None:
        self.words = words

    def wants(self, site: Site) -> bool:
        return site.kind == "cross"

    def start(self, call: Call) -> None:
        self.columns = []
        for prompt in read(call, "cond"):
            things = claims.read(prompt.text).things
            names = {t.colour if self.words == "colours" else t.name for t in things}
            silent = [word for word in prompt.words() if word.text in names]
            self.columns.append([column for word in silent for column in word.columns])

    def edit(self, attention: Attention, output: Tensor) -> Tensor:
        rows, shares = attention.branches["cond"], attention.probabilities("cond").clone()
        for image, columns in zip(shares, self.columns, strict=True):
            image[..., columns] = 0
        output = output.clone()
        output[rows] = shares / shares.sum(-1, keepdim=True) @ attention.value[rows]
        return output


def drawn(texts: Sequence[str], seed: int, words: str, steps: int) -> list[dict[str, object]]:
    """What came of a batch: a row a thing and measure."""
    seeds = [seed + i for i in range(len(texts))]
    with attach(PIPE, Silence(words)) if words != "none" else nullcontext():
        images = PIPE(
            list(texts),
            num_inference_steps=steps,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        ).images
    rows = []
    for text, seed, image in zip(texts, seeds, images, strict=True):
        case = prompts.Case("pair", claims.read(text), seed)
        rows += drawing.check(case, oracle.read(image))
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
