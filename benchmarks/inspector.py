"""What the inspector costs: to make, to send, and each gesture in the browser.

    python benchmarks/inspector.py

Making it is timed at Stable Diffusion 1.5's size: 12 words, 50 steps, 16 layers of 8 heads,
512 x 512 pixels; the parser is opened before. Gestures are timed in a page of two runs of
1024 x 1024 pixels, 12 words, with previews: the script's time until they are drawn. Maps are spots
in noise, images are noise in colours, both harder to compress than real ones. Needs Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from playwright.sync_api import Page, sync_playwright

from daamkit.language import parsing
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.layers import Layer
from daamkit.maps.prompt import Prompt
from daamkit.maps.run import Run
from daamkit.maps.tokens import Token
from daamkit.views.inspector import Inspector
from daamkit.views.png import data_uri

PROMPT = "a photo of two red cats and one small blue car nearby"
GRIDS = {"down": (64, 64, 32, 32, 16, 16), "mid": (8,), "up": (16,) * 3 + (32,) * 3 + (64,) * 3}
GESTURES = Path(__file__).with_name("gestures.js").read_text(encoding="utf-8")


def make(steps: int, heads: int = 8, side: int = 512, seed: int = 0, previews: bool = False) -> Run:
    """A run of an image of `side` pixels a side, with a spot for each word."""
    rng = torch.Generator().manual_seed(seed)
    texts = PROMPT.split()
    tokens = [Token(0, "text_encoder", "", 0, 0, "SOS")]
    for i, text in enumerate(texts):
        start = len(" ".join(texts[:i])) + bool(i)
        tokens.append(Token(i + 1, "text_encoder", text, start, start + len(text)))
    tokens.append(Token(len(texts) + 1, "text_encoder", "", 0, 0, "EOS"))
    prompt = Prompt({"text_encoder": PROMPT}, tuple(tokens), {}, 77)
    centres = torch.rand((len(tokens), 2), generator=rng)
    layers = {}
    for stage, grids in GRIDS.items():
        for i, cells in enumerate(grids):
            at = (torch.arange(cells) + 0.5) / cells
            far = (at[:, None] - centres[:, 0, None, None]) ** 2
            far = far + (at - centres[:, 1, None, None]) ** 2
            spot = torch.exp(-far / 0.02)  # (tokens, cells, cells)
            noise = torch.rand((steps, heads, *spot.shape), generator=rng)
            name = f"{stage}_blocks.{i}.attentions.0.transformer_blocks.0.attn2"
            layers[name] = Layer(name, (name,), stage, heads, 0.05 * spot + 0.02 * noise)
    maps = HeatMaps(prompt, layers, frozenset({"step", "site", "head"}), steps, (side, side))
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    image = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1.5))
    meant = image.resize((128, 128))
    record = {"previews": [data_uri(meant.rotate(step)) for step in range(steps * previews)]}
    return Run(image, {"cond": maps}, record=record)


def gestures(page: Page, times: int = 11) -> dict[str, list[float]]:
    """Milliseconds of script that each gesture takes, until it is drawn.

    They are the main thread's own (its CPU's time), so that what else the machine does is not in.
    """
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable", {"timeDomain": "threadTicks"})

    def script() -> float:
        metrics = client.send("Performance.getMetrics")["metrics"]
        return 1000 * next(row["value"] for row in metrics if row["name"] == "ScriptDuration")

    found: dict[str, list[float]] = {}
    for name in page.evaluate(GESTURES):
        page.evaluate("(name) => gestures[name].begin()", name)
        for i in range(times):
            before = script()
            page.evaluate("([name, i]) => gestures[name].make(i)", [name, i])
            found.setdefault(name, []).append(script() - before)
        page.evaluate("(name) => gestures[name].end()", name)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50)
    asked = parser.parse_args()
    parsing.parse(PROMPT)
    run = make(asked.steps)
    start = time.perf_counter()
    inspector = Inspector(run)
    print(f"{len(inspector.words)} words, {asked.steps} steps: {time.perf_counter() - start:.1f} s")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        file = inspector.save(Path(folder) / "page.html")
        print(f"page: {file.stat().st_size / 1e6:.2f} MB")
        del run, inspector
        pair = [make(8, 4, 1024, seed, previews=True) for seed in (0, 1)]
        large = Inspector(pair, names=["one", "other"])
        large.save(file)
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready]")
        for name, times in gestures(page).items():
            print(f"{name}: median {np.median(times):.1f} ms, most {max(times):.1f} ms")
        browser.close()


if __name__ == "__main__":
    main()
