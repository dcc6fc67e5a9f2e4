"""Which prompts are asked, of which kinds, with which seeds."""

from __future__ import annotations

import csv
import io
import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from daamkit import files
from daamkit.errors import DaamkitError
from daamkit.toybox import claims, heldout, scenes
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


SEVERAL = {  # groups of prompts: how many things, and whether each has a colour
    f"{word}{end}": (many, bool(end))
    for word, many in (("two", 2), ("three", 3), ("four", 4))
    for end in ("", " coloured")
}


def several(group: str, n: int, seed: int) -> list[str]:
    """n different prompts of a group of `SEVERAL`: "a A, a B and a C", things and colours drawn at
    random, none twice in a prompt."""
    many, coloured = SEVERAL[group]
    rng = np.random.default_rng((seed, 277, many, coloured))
    found: dict[str, None] = {}
    while len(found) < n:
        names = rng.choice(THINGS, many, replace=False)
        colours = rng.choice(list(COLOURS), many, replace=False) if coloured else [""] * many
        *first, last = (
            phrase if name == "glasses" else article(phrase)
            for name, colour in zip(names, colours, strict=True)
            for phrase in [f"{colour} {name}".strip()]
        )
        found[f"{', '.join(first)} and {last}"] = None
    return list(found)


def held_out(asked: Claims) -> bool:
    """Whether a prompt names things together, or in a colour or a role, as no training caption
    does (`toybox.heldout`)."""
    names = [thing.name for thing in asked.things]
    looks = [(thing.colour, thing.name) for thing in asked.things if thing.colour]
    related = zip(asked.things, asked.things[1:], strict=False)
    events = [(str(b.relation), a.name, b.name) for a, b in related]
    return heldout.is_held_out(names, looks, events)


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


class FewerWarning(UserWarning):
    """A file with fewer prompts than were asked for."""


def texts(source: str | Path | None, n: int, seed: int, split: str = "any") -> list[str]:
    """n different prompts; where a file has fewer, all of them, and a warning.

    Parameters
    ----------
    source
        A file of prompts (`read`), of which n are drawn; None: captions of the toy world.
    n, seed
        How many, and which.
    split
        Which captions: "held-out" ones hold a composition that no training caption holds
        (`scenes.sample`).
    """
    rng = np.random.default_rng((seed, 40))
    if source is not None:
        known = list(dict.fromkeys(read(Path(source))))
        if len(known) < n:
            warnings.warn(
                f"{source} has {len(known)} different prompts, fewer than the {n} asked for",
                FewerWarning,
                stacklevel=2,
            )
        return [known[i] for i in rng.permutation(len(known))[:n]]
    found: dict[str, None] = {}
    while len(found) < n:
        found[scenes.draw(rng, split=split).caption] = None
    return list(found)


def read(file: Path) -> list[str]:
    """The prompts of a file, which is read as what its name ends in, in capitals or not.

    Parameters
    ----------
    file
        A text file with a prompt a line (.txt, .prompts, .md, no ending); a table (.csv, .tsv,
        .jsonl, .parquet) with one column "prompt" of text; COCO's captions (.json), or the folder
        with COCO's ``annotations`` in it, whose validation captions are taken.

    Raises
    ------
    DaamkitError
        If it is missing, no file, empty, of another kind, or something in it is no prompt.
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
        reader = _READERS.get(file.suffix.lower())
        if reader is None:
            raise ValueError(f"a name that ends in {file.suffix!r}, not {', '.join(_READERS)}")
        found = reader(file)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        csv.Error,
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
    return getattr(error, "strerror", None) or (str(error).splitlines() or [repr(error)])[0]


# -- readers, by what a name ends in


def _lines(file: Path) -> list[str]:
    text = files.text(file, encoding="utf-8-sig")
    if "\0" in text:
        raise ValueError("a file of bytes, not of text")
    return text.splitlines()


def _captions(file: Path) -> list[str]:
    """COCO's."""
    entries = files.plain(files.content(file, 2 * files.MOST))["annotations"]
    return [_prompt(entry["caption"], i) for i, entry in enumerate(entries)]


def _separated(file: Path, mark: str) -> list[str]:
    """A column of a table with one separator."""
    text = files.text(file, encoding="utf-8-sig")
    table = [
        (row, number)
        for number, row in enumerate(csv.reader(io.StringIO(text), delimiter=mark, strict=True), 1)
        if row
    ]
    if not table:
        return []
    names = table[0][0]
    place = _column(names, file)
    for row, number in table[1:]:
        if len(row) != len(names):
            raise ValueError(
                f"{len(row)} fields in row {number} under {len(names)} names: put quotes around "
                "prompts with commas"
            )
    return [row[place] for row, _ in table[1:]]


def _objects(file: Path) -> list[str]:
    """The field of an object a line; other lines may lack it, or have null."""
    rows = []
    for number, line in enumerate(files.text(file, encoding="utf-8-sig").split("\n"), 1):
        if line.strip():
            row = files.plain(line)
            if not isinstance(row, dict):
                raise ValueError(f"no object in line {number}")
            rows.append((row, number))
    if rows:
        _column(list(dict.fromkeys(name for row, _ in rows for name in row)), file)
    said = [(row.get("prompt"), number) for row, number in rows]
    return [_prompt(text, number) for text, number in said if text is not None]


def _parquet(file: Path) -> list[str]:
    import pyarrow.parquet as pq

    table = pq.ParquetFile(pa.BufferReader(files.content(file, 2 * files.MOST)))
    names = table.schema_arrow.names
    if not names:
        return []
    place = _column(names, file)
    kind = table.schema_arrow.field(place).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise ValueError(f"a column 'prompt' of {kind}, not of text")
    groups = [table.metadata.row_group(i) for i in range(table.metadata.num_row_groups)]
    if table.metadata.num_rows > files.ENTRIES or sum(g.total_byte_size for g in groups) > 2**28:
        raise ValueError(f"more than {files.ENTRIES:,} rows or {2**28:,} bytes")
    found: list[Any] = table.read(columns=["prompt"]).column(0).to_pylist()
    return [text for text in found if text is not None]


def _prompt(value: Any, place: int) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{json.dumps(value)[:60]}, which is no text, in place {place}")
    return value


def _column(names: Sequence[str], file: Path) -> int:
    """Where the prompts are."""
    many = list(names).count("prompt")
    if many != 1:
        raise DaamkitError(
            wanted=f"{'one' if many else 'a'} column 'prompt' in {file}",
            got=f"{', '.join(map(repr, names)) or 'no column'}",
            mend="name the column with the prompts 'prompt', and no other",
        )
    return list(names).index("prompt")


_READERS: dict[str, Callable[[Path], list[str]]] = {
    **dict.fromkeys(("", ".txt", ".prompts", ".md"), _lines),
    ".csv": partial(_separated, mark=","),
    ".tsv": partial(_separated, mark="\t"),
    ".jsonl": _objects,
    ".parquet": _parquet,
    ".json": _captions,
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
