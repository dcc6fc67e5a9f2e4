"""Do a toybox's text vectors tell who stands where? A linear reader (ridge regression) is asked.

    python benchmarks/sides.py --model toybox toybox-2

Prompts "a A to the left of a B" and the like, of things of world 1. From the vector at the last
token of the first thing, of the second, and at the text's end: on which side the first stands
(left or right, above or below), and along which axis. The reader learns from four fifths of the
first things and is asked of the others, in turn. Share right with a 95% interval over first things;
0.5 is chance. What is not linear it misses: this says what is easy to read there.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd
import torch

from daamkit import zoo
from daamkit.measures import intervals
from daamkit.studies.card import SIDES
from daamkit.toybox.sprites import THINGS

RIDGE = 30.0
FOLDS = 5
PLACES = ("first thing", "second thing", "end")
ASKED = {"left or right": (0, 1), "above or below": (2, 3)}


def prompts(n: int, seed: int) -> pd.DataFrame:
    """n prompts, each side in turn, with both things."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        first, second = (str(name) for name in rng.choice(THINGS, 2, replace=False))
        before = f"{_article(first)} {first}"
        text = f"{before} {SIDES[i % 4]} {_article(second)} {second}"
        rows.append({"text": text, "first": first, "side": i % 4, "ends": len(before)})
    return pd.DataFrame(rows)


def _article(name: str) -> str:
    return "an" if name[0] in "aeiou" else "a"


@torch.no_grad()
def vectors(pipe: Any, text: str, ends: int) -> np.ndarray:
    """(places, channels): those of `PLACES`, of the encoder that the image attends to."""
    flux = getattr(pipe, "text_encoder_2", None) is not None
    tokenizer, encoder = (
        (pipe.tokenizer_2, pipe.text_encoder_2) if flux else (pipe.tokenizer, pipe.text_encoder)
    )
    coded = tokenizer(text, return_offsets_mapping=True)
    words = [i for i, (start, end) in enumerate(coded.offset_mapping) if end > start]
    first = max(i for i in words if coded.offset_mapping[i][1] <= ends)
    states = encoder(torch.tensor([coded.input_ids])).last_hidden_state[0]
    return states[[first, words[-1], len(coded.input_ids) - 1]].numpy()


def right(given: np.ndarray, answer: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Whether each answer, 0 or 1, is read right by a reader that has not met its group."""
    found = np.zeros(len(answer))
    names = np.unique(groups)
    for fold in range(FOLDS):
        asked = np.isin(groups, names[fold::FOLDS])
        known = given[~asked]
        scaled = (given - known.mean(0)) / (known.std(0) + 1e-6)
        wanted = 2.0 * answer[~asked] - 1
        square = scaled[~asked].T @ scaled[~asked] + RIDGE * np.eye(given.shape[1])
        weights = np.linalg.solve(square, scaled[~asked].T @ (wanted - wanted.mean()))
        found[asked] = (scaled[asked] @ weights > 0) == (answer[asked] == 1)
    return found


def table(pipe: Any, n: int, seed: int) -> pd.DataFrame:
    """A row a place and question."""
    asked = prompts(n, seed)
    given = np.stack([vectors(pipe, row.text, row.ends) for row in asked.itertuples()], 1)
    side, groups = asked["side"].to_numpy(), asked["first"].to_numpy()
    rows = []
    for place, own in zip(PLACES, given, strict=True):
        questions = {name: (np.isin(side, two), side % 2) for name, two in ASKED.items()}
        questions["which axis"] = np.full(len(side), True), side // 2
        for question, (meant, answer) in questions.items():
            found = right(own[meant], answer[meant], groups[meant])
            told = intervals.mean(found, groups[meant].tolist(), kind="share")
            row = dict(zip(("right", "low", "high"), told, strict=True))
            rows.append({"place": place, "question": question} | row | {"n": len(found)})
    return pd.DataFrame(rows)


def main() -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="+", default=["toybox"])
    parser.add_argument("--prompts", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for name in asked.model:
        found = table(zoo.load(name), asked.prompts, asked.seed)
        print(f"\n{name}\n{found.to_string(index=False, float_format=lambda x: f'{x:.3f}')}")


if __name__ == "__main__":
    main()
