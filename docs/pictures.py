"""Make the pictures of README and docs; those of the inspector need Chromium.

python docs/pictures.py
python docs/pictures.py --inspector
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import textwrap
from contextlib import nullcontext
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

import daamkit
from daamkit import zoo
from daamkit.studies import prompts
from daamkit.toybox import oracle, scenes
from daamkit.toybox.worlds import WORLDS
from daamkit.views import plots

FOLDER = Path(__file__).with_name("images")
PROMPTS = [
    "a cat", "a red car", "a cat and a dog", "a frog and a red clock",
    "a blue apple and a yellow car", "an elephant on the grass", "a bear and a lion",
    "a green backpack and a purple balloon at night", "a pink bow",
    "a dog to the left of a monkey", "a turtle and a yellow bowl", "a rabbit in the snow",
    "a dog wearing a crown", "three apples", "a bear sitting on a red chair",
    "a lion above a blue balloon in the city",
]  # fmt: skip
PROMPTS_2 = [
    "a monkey rides an elephant", "a bear is sitting on a red chair",
    "a teddy bear to the left of a car", "a lion above a blue balloon", "four purple umbrellas",
    "a very small penguin in the snow", "a dog without a crown",
    "a horse, a traffic light and a cookie",
]  # fmt: skip
NEGLECTED = [(51, "monkey", "turtle"), (95, "mouse", "gray chair"), (89, "bear", "rabbit")]
TILE, GAP, LINE = 160, 10, 22


def sheet(pictures: list[tuple[Image.Image, str]], columns: int, lines: int = 1) -> Image.Image:
    """Captioned pictures in rows; a caption has so many lines."""
    rows, under = -(-len(pictures) // columns), LINE + 14 * (lines - 1)
    size = (columns * (TILE + GAP) + GAP, rows * (TILE + under + GAP) + GAP)
    page = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(11)
    for index, (picture, caption) in enumerate(pictures):
        x = GAP + index % columns * (TILE + GAP)
        y = GAP + index // columns * (TILE + under + GAP)
        page.paste(picture.resize((TILE, TILE), Image.Resampling.BICUBIC), (x, y))
        parts = textwrap.wrap(caption, 26) if lines > 1 else [caption]
        if len(parts) > lines:
            parts = [*parts[: lines - 1], " ".join(parts[lines - 1 :])]
        for line, part in enumerate(parts):
            while pen.textlength(part, font) > TILE:
                part = part.removesuffix("…")[:-1] + "…"
            centre = x + (TILE - pen.textlength(part, font)) / 2
            pen.text((centre, y + TILE + 4 + 14 * line), part, "#1b2230", font)
    return page


def draw(pipe: object, prompt: str, seed: int, *methods: object) -> daamkit.Run:
    """An image of 25 steps with its maps, guided or not."""
    guidance = daamkit.guide(pipe, *methods) if methods else nullcontext()
    with guidance, daamkit.trace(pipe, keep=("step", "site", "head")) as tracer:
        pipe(  # type: ignore[operator]
            prompt, num_inference_steps=25, generator=torch.Generator().manual_seed(seed)
        )
    return tracer.run


def explain(pipe: object) -> Image.Image:
    """The README's picture: an image and its content words."""
    run = draw(pipe, "a red cat next to a blue car", 0)
    words = [run.maps.word(word) for word in ("red", "cat", "blue", "car")]
    overlays = [(plots.overlay(run.image, word), word.word.text) for word in words]
    return sheet([(run.image, run.prompt), *overlays], 5)


def world_2() -> Image.Image:
    """Scenes of each kind of world 2, none chosen."""
    drawn = [
        (Image.fromarray(scene.image), scene.caption)
        for kind in WORLDS[2]
        for scene in scenes.sample(4 if kind in ("pair", "clause", "several") else 2, 5, kind, 2)
    ]
    return sheet(drawn, 8, lines=4)


def guided(pipe: object) -> Image.Image:
    """Prompts of which one thing is missing: without and with Attend-and-Excite, same seed."""
    tiles = []
    for seed, a, b in NEGLECTED:
        for name, methods in {
            "unguided": (),
            "guided": (daamkit.AttendAndExcite("nouns"),),
        }.items():
            run = draw(pipe, f"a {a} and a {b}", seed, *methods)
            words = [run.maps.word(thing.split()[-1]) for thing in (a, b)]
            overlays = [(plots.overlay(run.image, word), word.word.text) for word in words]
            tiles += [(run.image, name), *overlays]
    return sheet(tiles, 6)


def inspector(pipe: object) -> daamkit.Inspector:
    """The first of these prompts, without and with guidance."""
    seed, a, b = NEGLECTED[0]
    excite = daamkit.AttendAndExcite([a, b])
    runs = [draw(pipe, f"a {a} and a {b}", seed, *methods) for methods in ((), (excite,))]
    return daamkit.Inspector(*runs, names=["unguided", "with Attend-and-Excite"])


def inspected(made: daamkit.Inspector, scheme: str, width: int, height: int) -> Image.Image:
    """What its page shows, "light" or "dark", at twice the size where it is for a phone too."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]
            device_scale_factor=2 if width < 800 else 1,
        )
        page.goto(made.save(Path(folder) / "page.html").as_uri())
        page.wait_for_selector("html[data-ready]")
        page.wait_for_timeout(200)
        picture = page.screenshot(clip={"x": 0, "y": 0, "width": width, "height": height})
        browser.close()
    return Image.open(io.BytesIO(picture)).convert("RGB")


def samples(pipe: object) -> Image.Image:
    """What the toybox draws, one seed a prompt, none chosen."""
    generators = [torch.Generator().manual_seed(seed) for seed in range(len(PROMPTS))]
    images = pipe(PROMPTS, num_inference_steps=25, generator=generators).images  # type: ignore[operator]
    return sheet(list(zip(images, PROMPTS, strict=True)), 8)


def samples_2() -> Image.Image:
    """What the models of world 2 draw, a row each, one seed a prompt, none chosen."""
    tiles = []
    for name in ("toybox-2", "toybox-flux"):
        pipe = daamkit.load(name)
        generators = [torch.Generator().manual_seed(seed) for seed in range(len(PROMPTS_2))]
        call = zoo.arguments(pipe, PROMPTS_2, None)
        images = pipe(**call, num_inference_steps=25, generator=generators).images
        tiles += list(zip(images, PROMPTS_2, strict=True))
    return sheet(tiles, len(PROMPTS_2), lines=2)


def readings(pipe: object) -> Image.Image:
    """64 generated images of all kinds of prompts, with what the oracle reads in them."""
    cases = [case for case in prompts.drawn(range(3000, 3010)) if case.kind != "thing"][:60]
    cases += [case for case in prompts.drawn(range(3010, 3014)) if case.kind == "thing"]
    tiles = []
    for start in range(0, len(cases), 16):
        part = cases[start : start + 16]
        generators = [torch.Generator().manual_seed(case.seed) for case in part]
        images = pipe(  # type: ignore[operator]
            [case.prompt for case in part], num_inference_steps=25, generator=generators
        ).images
        for case, image, frame in zip(part, images, oracle.read_all(images), strict=True):
            tiles.append((plots.instances(image, frame), case.prompt))
    return sheet(tiles, 8)


def inspectors(pipe: object) -> None:
    """As it opens, and with both nouns pinned."""
    made = inspector(pipe)
    inspected(made, "light", 640, 530).save(FOLDER / "inspector.png", optimize=True)
    made.pins, made.pixel = ["monkey", "turtle"], (60, 60)
    inspected(made, "dark", 1120, 720).save(FOLDER / "inspector-dark.png", optimize=True)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inspector", action="store_true", help="only those of the inspector")
    if parser.parse_args().inspector:
        return inspectors(daamkit.load("toybox"))
    drawn = [(Image.fromarray(s.image), s.caption) for s in scenes.sample(24, seed=3)]
    sheet(drawn, 8).save(FOLDER / "scenes.png", optimize=True)
    world_2().save(FOLDER / "scenes2.png", optimize=True)
    samples_2().save(FOLDER / "samples2.png", optimize=True)
    pipe = daamkit.load("toybox")
    explain(pipe).save(FOLDER / "explain.png", optimize=True)
    guided(pipe).save(FOLDER / "guided.png", optimize=True)
    inspectors(pipe)
    samples(pipe).save(FOLDER / "samples.png", optimize=True)
    readings(pipe).save(FOLDER / "oracle.jpg", quality=88)


if __name__ == "__main__":
    main()
