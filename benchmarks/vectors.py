"""Through whose vector does a colour come? Two words' vectors exchanged before an image is drawn.

    python benchmarks/vectors.py --prompts 60

"a red cat and a blue dog" on the toybox. The text encoder's vectors of both nouns are exchanged
(the dog's stands behind "red"), or those of both colour words, or nothing. Of the things that are
there: how many have the colour that the noun's own vector has read (the dog's blue), and how many
that of the colour's vector which now stands before it, with 95% intervals over prompts. A colour
that stays with the noun's vector is drawn from it, and the colour word's own vector is not needed;
one that changes with the colour word's comes from there. Words of one token each.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import daamkit
from daamkit.measures.intervals import means
from daamkit.prompts import tokenized
from daamkit.toybox import claims, oracle
from daamkit.toybox.sprites import ANIMALS, COLOURS

KINDS = ("nothing", "nouns", "colours")


def exchanged(vectors: Tensor, text: str, pipe: Any, kind: str) -> Tensor:
    """The prompt's vectors, (tokens, width), with those of two words in each other's place.

    Raises
    ------
    ValueError
        If the words are of different numbers of tokens.
    """
    if kind == "nothing":
        return vectors
    prompt, things = tokenized(pipe, text), claims.parse(text).things
    names = [thing.name if kind == "nouns" else thing.colour for thing in things]
    one, other = (list(prompt.word(name).columns) for name in names)
    if len(one) != len(other):
        raise ValueError(f"{names} have {len(one)} and {len(other)} tokens")
    changed = vectors.clone()
    changed[one + other] = vectors[other + one]
    return changed


def rows(text: str, image: Any, kind: str) -> list[dict[str, Any]]:
    """Of each thing: whether it is there, and in which of the two colours."""
    a, b = claims.parse(text).things
    reading = oracle.detections(image)
    out = []
    for thing, other in ((a, b), (b, a)):
        said = {"prompt": text, "exchanged": kind}
        seen = reading[reading["name"] == thing.name].sort_values("area", ascending=False)
        out.append(said | {"measure": "there", "value": float(len(seen) > 0)})
        if len(seen):
            colour = seen.iloc[0]["colour"]
            before = thing.colour if kind == "nothing" else other.colour
            told = {"its own vector's colour": thing.colour, "of the word before it": before}
            out += [
                said | {"measure": name, "value": float(colour == wanted)}
                for name, wanted in told.items()
            ]
    return out


def prompts(pipe: Any, n: int, seed: int = 0) -> list[str]:
    """n different prompts of two animals in two colours, words of one token each."""

    def short(words: Sequence[str]) -> list[str]:
        return [w for w in words if len(pipe.tokenizer(w, add_special_tokens=False).input_ids) == 1]

    rng, names, colours = np.random.default_rng(seed), short(ANIMALS), short([*COLOURS])
    found: dict[str, None] = {}
    while len(found) < n:
        (a, b), (c, d) = rng.choice(names, 2, False), rng.choice(colours, 2, False)
        found[f"a {c} {a} and a {d} {b}"] = None
    return list(found)


def measured(pipe: Any, texts: Sequence[str], steps: int, batch: int = 4) -> pd.DataFrame:
    """A row a thing, exchange and measure; every exchange draws from the same seeds."""
    found = []
    for kind in KINDS:
        for start in range(0, len(texts), batch):
            part = list(texts[start : start + batch])
            with torch.no_grad():
                vectors, empty = pipe.encode_prompt(part, pipe.device, 1, True)
            moved = [
                exchanged(own, text, pipe, kind) for own, text in zip(vectors, part, strict=True)
            ]
            seeds = range(start, start + len(part))
            images = pipe(
                prompt_embeds=torch.stack(moved),
                negative_prompt_embeds=empty,
                num_inference_steps=steps,
                generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            ).images
            for text, image in zip(part, images, strict=True):
                found += rows(text, image, kind)
    return pd.DataFrame(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--model", default="toybox")
    asked = parser.parse_args()
    pipe = daamkit.load(asked.model)
    pipe.set_progress_bar_config(disable=True)
    frame = measured(pipe, prompts(pipe, asked.prompts), asked.steps)
    print(means(frame, ["exchanged", "measure"], "value").round(3).to_string(index=False))
