"""Does the oracle see what the eye sees? 140 generated images and a blind reading of them.

    python benchmarks/blind.py --compare --json
    python benchmarks/blind.py --compare --model toybox-2
    python benchmarks/blind.py --draw build/blind     # images to read, without their prompts

data/oracle/blind.csv holds one line a thing that a reader saw, before any oracle had read the
images: the image's number, the name and the colour ("own" for a thing as it comes). The images lie
in data/oracle/blind.webp, side by side. A thing agrees if the oracle has an instance of that name
and colour in that image, none counted twice; the interval is 95% over images. What the reader could
not name ("unclear": two things grown into one) is left out.

Of the models of world 2 it is `blind-MODEL`, and every second image, those of odd numbers, is
guided by Attend-and-Excite: an oracle that learned from drawn scenes could be misled by what
guidance does to a picture. They are told apart.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

import daamkit
from daamkit import resources, zoo
from daamkit.measures import intervals
from daamkit.studies import card, methods, prompts
from daamkit.toybox import oracle
from daamkit.toybox.scenes import SIDE

NUMBER, COLUMNS, PAGE, STEPS = 140, 14, 20, 25


def asked(model: str) -> list[prompts.PromptCase]:
    """The prompts with their seeds, kinds in no order."""
    if zoo.SHIPPED[model] == 1:
        cases = prompts.drawn(range(2000, 2020))
    else:
        cases = [case for _, case in card.asked(range(2000, 2010))]
    return [cases[i] for i in np.random.default_rng(0).permutation(len(cases))][:NUMBER]


def guided(model: str, number: int) -> bool:
    """Whether an image is guided."""
    return zoo.SHIPPED[model] == 2 and number % 2 == 1


def drawn(model: str) -> list[Image.Image]:
    """The images, one after the other."""
    pipe, made = daamkit.load(model), []
    for number, case in enumerate(asked(model)):
        guidance: AbstractContextManager[Any] = nullcontext()
        if guided(model, number):
            spans = [(thing.start, thing.end) for thing in case.claims.things]
            columns = methods.subject_columns(pipe, {"prompt": case.prompt, "spans": spans})
            guidance = daamkit.guide(pipe, *methods.named("attend_and_excite", columns))
        with guidance:
            made += pipe(
                **daamkit.arguments(pipe, [case.prompt]),
                generator=[torch.Generator().manual_seed(case.seed)],
                num_inference_steps=STEPS,
            ).images
    return made


def draw(folder: Path, model: str) -> None:
    """All images on one sheet, and pages of 20 with numbers to read them from."""
    folder.mkdir(parents=True, exist_ok=True)
    sheet = Image.new("RGB", (COLUMNS * SIDE, -(-NUMBER // COLUMNS) * SIDE))
    made = drawn(model)
    for number, image in enumerate(made):
        sheet.paste(image, (number % COLUMNS * SIDE, number // COLUMNS * SIDE))
    for start in range(0, NUMBER, PAGE):
        page = Image.new("RGB", (5 * 256, 4 * 256), "white")
        pen = ImageDraw.Draw(page)
        for i, image in enumerate(made[start : start + PAGE]):
            place = (i % 5 * 256, i // 5 * 256)
            page.paste(image.resize((248, 248), Image.Resampling.BICUBIC), place)
            pen.text((place[0] + 4, place[1] + 2), str(start + i), "red", font_size=16)
        page.save(folder / f"page-{start:03d}.png")
    sheet.save(folder / f"{_called(model)}.webp", lossless=True)


def _called(model: str) -> str:
    return "blind" if model == "toybox" else f"blind-{model}"


def images(model: str) -> list[np.ndarray]:
    """The images that were read, by number."""
    with Image.open(resources.path("oracle", f"{_called(model)}.webp")) as file:
        sheet = np.asarray(file.convert("RGB"))
    rows = len(sheet) // SIDE
    return [
        sheet[y * SIDE : (y + 1) * SIDE, x * SIDE : (x + 1) * SIDE]
        for y in range(rows)
        for x in range(COLUMNS)
    ]


def compare(model: str = "toybox") -> dict[str, Any]:
    """Shares of the reader's things that the oracle confirms, and what it sees beside them; where
    images are guided, once more of these and of the others."""
    file = resources.path("oracle", f"{_called(model)}.csv")
    with file.open(newline="", encoding="utf-8") as lines:
        seen = [(int(row["image"]), row["name"], row["colour"]) for row in csv.DictReader(lines)]
    readings = oracle.read_all(images(model), oracle.trained(zoo.SHIPPED[model]))
    read = Counter(
        (number, row.name, row.colour)
        for number, reading in enumerate(readings)
        for row in reading[reading["kind"] == "thing"].itertuples()
    )
    found = _compared(seen, read)
    for name, own in {"guided": True, "unguided": False}.items() if zoo.SHIPPED[model] == 2 else ():
        part = _compared(
            [each for each in seen if guided(model, each[0]) == own],
            Counter({each: n for each, n in read.items() if guided(model, each[0]) == own}),
        )
        found[name] = {key: value for key, value in part.items() if not isinstance(value, list)}
    return found


def _compared(seen: list[tuple[int, str, str]], read: Counter) -> dict[str, Any]:
    unclear = sum(name == "unclear" for _, name, _ in seen)
    seen = [row for row in seen if row[1] != "unclear"]
    reader = Counter(seen)
    names = Counter((number, name) for number, name, _ in seen)
    read_names = Counter()
    for (number, name, _), count in read.items():
        read_names[number, name] += count
    values = [float(i < read[each]) for each, n in reader.items() for i in range(n)]
    clusters = [each[0] for each, n in reader.items() for _ in range(n)]
    agree, low, high = intervals.mean(values, clusters, kind="share")
    return {
        "things": len(seen),
        "unclear": unclear,
        "agree": agree,
        "interval": (low, high),
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
    parser.add_argument("--model", default="toybox", choices=[*zoo.SHIPPED])
    parser.add_argument("--json", action="store_true", help="print one JSON object and no more")
    told = parser.parse_args()
    if told.draw:
        draw(told.draw, told.model)
    else:
        print(json.dumps(compare(told.model), indent=None if told.json else 1))


if __name__ == "__main__":
    main()
