"""Which prompts are asked, of which kinds, with which seeds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from daamkit.errors import DaamkitError
from daamkit.toybox import claims, scenes
from daamkit.toybox.captions import PLACES
from daamkit.toybox.claims import Claims
from daamkit.toybox.sprites import ANIMALS, COLOURS, FAMILIES, OBJECTS, THINGS

SIDES = ("above", "below", "to the left of", "to the right of", "next to")
PLAIN = ("glasses", "crown", "bow")  # with an animal they have no colour in the benchmark
KINDS = (
    "thing", "coloured", "place", "relation", "cohyponyms", "unrelated",
    "animals", "animal_object", "objects",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A prompt, what it asks for, its kind, and the seed of its image."""

    kind: str
    claims: Claims
    seed: int

    @property
    def prompt(self) -> str:
        """The text."""
        return self.claims.prompt


def benchmark(seed: int = 0) -> dict[str, list[str]]:
    """The 276 prompts of Attend-and-Excite (arXiv 2301.13826) by kind.

    66 "a A and a B", 144 "a A with a O" or "a A and a c O", 66 "a c O and a d P". The article is
    always "a"; the paper drew the colours at random, and so does `seed`.
    """
    rng = np.random.default_rng(seed)

    def colour() -> str:
        return str(rng.choice(list(COLOURS)))

    return {
        "animals": [f"a {a} and a {b}" for a, b in combinations(ANIMALS, 2)],
        "animal_object": [
            f"a {a} with a {o}" if o in PLAIN else f"a {a} and a {colour()} {o}"
            for a, o in product(ANIMALS, OBJECTS)
        ],
        "objects": [f"a {colour()} {a} and a {colour()} {b}" for a, b in combinations(OBJECTS, 2)],
    }


def drawn(seeds: Iterable[int]) -> list[Case]:
    """A prompt of each of `KINDS` for each seed; which one, the seed says too.

    "cohyponyms" are "a A and a B" of one of `sprites.FAMILIES`, "unrelated" such of none.
    """
    known, cases = benchmark(), []
    kin = [pair for family in FAMILIES for pair in combinations(family, 2)]
    others = [pair for pair in combinations(THINGS, 2) if pair not in kin]
    for seed in seeds:
        rng = np.random.default_rng((seed, 276))
        a, b = (str(name) for name in rng.choice(THINGS, 2, replace=False))
        colour, place = str(rng.choice(list(COLOURS))), str(rng.choice(list(PLACES)))
        texts = {
            "thing": article(a),
            "coloured": article(f"{colour} {a}"),
            "place": f"{article(a)} {' '.join((*PLACES[place], place))}",
            "relation": f"{article(a)} {rng.choice(SIDES)} {article(b)}",
        }
        for kind, pairs in {"cohyponyms": kin, "unrelated": others}.items():
            texts[kind] = " and ".join(
                article(str(name)) for name in rng.permuted(rng.choice(pairs))
            )
        texts |= {kind: str(rng.choice(prompts)) for kind, prompts in known.items()}
        cases += [Case(kind, claims.read(texts[kind]), seed) for kind in KINDS]
    return cases


def article(phrase: str) -> str:
    """With "a" or "an" in front."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def from_file(file: Path, seeds: Iterable[int]) -> list[Case]:
    """Each prompt of a file (see `read`) with each seed; their kind is "file".

    Raises
    ------
    DaamkitError
        If the file is missing or empty, or a prompt has words that the toy world lacks.
    """
    asked = [claims.read(text) for text in read(file)]
    return [Case("file", each, seed) for seed in seeds for each in asked]


def texts(source: str | Path | None, n: int, seed: int) -> list[str]:
    """n different prompts, fewer if there are no more.

    Parameters
    ----------
    source
        A file of prompts (`read`), of which n are drawn; None: captions of the toy world.
    n, seed
        How many, and which.
    """
    rng = np.random.default_rng((seed, 40))
    if source is not None:
        known = list(dict.fromkeys(read(Path(source))))
        return [known[i] for i in rng.permutation(len(known))[:n]]
    found: dict[str, None] = {}
    while len(found) < n:
        found[scenes.draw(rng).caption] = None
    return list(found)


def read(file: Path) -> list[str]:
    """The prompts of a file.

    Parameters
    ----------
    file
        A text file with a prompt a line; a table (.csv, .tsv, .jsonl, .parquet) with a column
        "prompt"; COCO's captions (.json), or the folder with COCO's ``annotations`` in it, whose
        validation captions are taken.

    Raises
    ------
    DaamkitError
        If it is missing, empty, of another kind, or a table without that column.
    """
    if file.is_dir():
        known = sorted([*file.glob("captions_*.json"), *file.glob("annotations/captions_*.json")])
        if not known:
            raise DaamkitError(
                wanted=f"COCO's captions in the folder {file}",
                got="no annotations/captions_*.json",
                mend="name the folder that COCO's annotations were unpacked in, or a file",
            )
        file = next((each for each in known if "val" in each.name), known[0])
    try:
        found = _read(file)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        pa.ArrowException,
    ) as error:
        raise DaamkitError(
            wanted=f"a file of prompts, {file}",
            got=_what(error),
            mend="give a prompt a line in UTF-8, or a table with a column 'prompt'",
        ) from error
    found = [" ".join(text.split()) for text in found]
    if not any(found):
        raise DaamkitError(
            wanted=f"prompts in {file}", got="an empty file", mend="write a prompt a line"
        )
    for text in found:
        if text and not any(character.isalnum() for character in text):
            raise DaamkitError(
                wanted=f"prompts with words in {file}", got=repr(text), mend="leave that line out"
            )
    return [text for text in found if text]


def _what(error: Exception) -> str:
    """Why a file could not be read."""
    if isinstance(error, FileNotFoundError):
        return "No such file"
    if isinstance(error, KeyError | TypeError | AttributeError):
        return "no captions in COCO's way"
    return getattr(error, "strerror", None) or str(error).splitlines()[0]


def _read(file: Path) -> list[str]:
    if file.suffix == ".json":
        entries = json.loads(file.read_bytes())["annotations"]
        return [" ".join(entry["caption"].split()) for entry in entries]
    if file.suffix not in _TABLES:
        return file.read_text(encoding="utf-8-sig").splitlines()
    try:
        table = _TABLES[file.suffix](file)
    except pd.errors.EmptyDataError:
        return []
    if not len(table.columns):
        return []
    if not isinstance(table.index, pd.RangeIndex) and file.suffix in (".csv", ".tsv"):
        raise ValueError("more fields than columns: put quotes around prompts with commas")
    if "prompt" not in table:
        raise DaamkitError(
            wanted=f"a column 'prompt' in {file}",
            got=f"{', '.join(map(repr, table.columns)) or 'no column'}",
            mend="name the column with the prompts 'prompt'",
        )
    return table["prompt"].dropna().astype(str).tolist()


_TABLES = {
    ".csv": partial(pd.read_csv, dtype=str, keep_default_na=False),
    ".tsv": partial(pd.read_csv, sep="\t", dtype=str, keep_default_na=False),
    ".jsonl": partial(pd.read_json, lines=True, dtype=False),
    ".parquet": pd.read_parquet,
}


def span(text: str) -> range:
    """Seeds from "A:B", A included, B not.

    >>> span("100:103")
    range(100, 103)

    Raises
    ------
    DaamkitError
        If it is not two whole numbers, or A is not below B.
    """
    start, _, stop = text.partition(":")
    if not (start.isdecimal() and stop.isdecimal() and int(start) < int(stop)):
        raise DaamkitError(
            wanted="seeds as A:B, with A below B", got=repr(text), mend="write 1000:1100, say"
        )
    return range(int(start), int(stop))
