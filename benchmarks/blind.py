"""Does the oracle see what the eye sees? 140 generated images and a blind reading of them.

    python benchmarks/blind.py --compare --json
    python benchmarks/blind.py --draw build/blind     # images to read, without their prompts

data/oracle/blind.csv holds one line a thing that a reader saw, before any oracle had read the
images: the image's number, the name and the colour ("own" for a thing as it comes). The images lie
in data/oracle/blind.webp, side by side. A thing agrees if the oracle has an instance of that name
and colour in that image, none counted twice. What the reader could not name ("unclear": two things
grown into one) is left out.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

import daamkit
from daamkit import resources
from daamkit.studies import prompts
from daamkit.toybox import oracle
from daamkit.toybox.scenes import SIDE

SEEDS, COLUMNS, PAGE = range(2000, 2020), 14, 20


def draw(folder: Path) -> None:
    """All images on one sheet, and pages of 20 with numbers to read them from."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = prompts.drawn(SEEDS)
    order = np.random.default_rng(0).permutation(len(cases))  # kinds in no order
    cases = [cases[i] for i in order]
    pipe = daamkit.load("toybox")
    sheet = Image.new("RGB", (COLUMNS * SIDE, -(-len(cases) // COLUMNS) * SIDE))
    for start in range(0, len(cases), PAGE):
        part = cases[start : start + PAGE]
        generators = [torch.Generator().manual_seed(case.seed) for case in part]
        images = pipe(
            [case.prompt for case in part], generator=generators, num_inference_steps=25
        ).images
        page = Image.new("RGB", (5 * 256, 4 * 256), "white")
        pen = ImageDraw.Draw(page)
        for i, image in enumerate(images):
            number = start + i
            sheet.paste(image, (number % COLUMNS * SIDE, number // COLUMNS * SIDE))
            place = (i % 5 * 256, i // 5 * 256)
            page.paste(image.resize((248, 248), Image.Resampling.BICUBIC), place)
            pen.text((place[0] + 4, place[1] + 2), str(number), "red", font_size=16)
        page.save(folder / f"page-{start:03d}.png")
    sheet.save(folder / "blind.webp", lossless=True)


def images() -> list[np.ndarray]:
    """The images that were read, by number."""
    with Image.open(resources.path("oracle", "blind.webp")) as file:
        sheet = np.asarray(file.convert("RGB"))
    rows = len(sheet) // SIDE
    return [
        sheet[y * SIDE : (y + 1) * SIDE, x * SIDE : (x + 1) * SIDE]
        for y in range(rows)
        for x in range(COLUMNS)
    ]


def compare() -> dict[str, object]:
    """Shares of the reader's things that the oracle confirms, and what it sees beside them."""
    with resources.path("oracle", "blind.csv").open(newline="") as file:
        seen = [(int(row["image"]), row["name"], row["colour"]) for row in csv.DictReader(file)]
    unclear = sum(name == "unclear" for _, name, _ in seen)
    seen = [row for row in seen if row[1] != "unclear"]
    readings = oracle.read_all(images())
    read = Counter(
        (number, row.name, row.colour)
        for number, reading in enumerate(readings)
        for row in reading[reading["kind"] == "thing"].itertuples()
    )
    reader = Counter(seen)
    both = reader & read
    names = Counter((number, name) for number, name, _ in seen)
    read_names = Counter()
    for (number, name, _), count in read.items():
        read_names[number, name] += count
    return {
        "things": len(seen),
        "unclear": unclear,
        "agree": both.total() / len(seen),
        "name_agrees": (names & read_names).total() / len(seen),
        "oracle_only": (read_names - names).total(),
        "not_confirmed": [
            f"{n}: {colour} {name}" for n, name, colour in (reader - read).elements()
        ],
        "instead": [f"{n}: {colour} {name}" for n, name, colour in (read - reader).elements()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--draw", type=Path, help="folder for the images")
    what.add_argument("--compare", action="store_true")
    parser.add_argument("--json", action="store_true", help="print one JSON object and no more")
    asked = parser.parse_args()
    if asked.draw:
        draw(asked.draw)
    else:
        print(json.dumps(compare(), indent=None if asked.json else 1))


if __name__ == "__main__":
    main()
