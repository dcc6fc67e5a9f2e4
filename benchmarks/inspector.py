"""How large the inspector's page is and how fast it answers, at Stable Diffusion 1.5's size.

    python benchmarks/inspector.py

The run has 12 words, 50 steps, 16 layers of 8 heads, 512 x 512 pixels; its maps are spots in noise,
its image is noise in colours, both harder to compress than real ones. Needs Chromium. A hover is
timed in the page: the script's time to draw it, and until it is drawn, with the wait for a frame.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from playwright.sync_api import sync_playwright

from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.layers import Layer
from daamkit.maps.prompt import Prompt
from daamkit.maps.run import Run
from daamkit.maps.tokens import Token
from daamkit.views.inspector import Inspector

PROMPT = "a photo of two red cats and one small blue car nearby"
GRIDS = {"down": (64, 64, 32, 32, 16, 16), "mid": (8,), "up": (16,) * 3 + (32,) * 3 + (64,) * 3}
HOVERS = """async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(() => done(performance.now())));
  const rows = [];
  for (const word of document.querySelectorAll(".word"))
    for (let i = 0; i < 3; i++) {
      await frame();
      const asked = performance.now();
      const before = frame();
      word.dispatchEvent(new PointerEvent("pointerenter"));
      const after = frame();
      const drawn = await after;
      rows.push([drawn - (await before), drawn - asked]);
    }
  return rows;
}"""


def make(steps: int, heads: int = 8) -> Run:
    """The run, of spots that wander with the steps."""
    rng = torch.Generator().manual_seed(0)
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
        for i, side in enumerate(grids):
            at = (torch.arange(side) + 0.5) / side
            far = (at[:, None] - centres[:, 0, None, None]) ** 2
            far = far + (at - centres[:, 1, None, None]) ** 2
            spot = torch.exp(-far / 0.02)  # (tokens, side, side)
            noise = torch.rand((steps, heads, *spot.shape), generator=rng)
            name = f"{stage}_blocks.{i}.attentions.0.transformer_blocks.0.attn2"
            layers[name] = Layer(name, (name,), stage, heads, 0.05 * spot + 0.02 * noise)
    maps = HeatMaps(prompt, layers, frozenset({"step", "site", "head"}), steps, (512, 512))
    pixels = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    image = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1.5))
    return Run(image, {"cond": maps})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50)
    asked = parser.parse_args()
    inspector = Inspector(make(asked.steps))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        file = inspector.save(Path(folder) / "page.html")
        print(f"{len(inspector.words)} words, {asked.steps} steps")
        print(f"page: {file.stat().st_size / 1e6:.2f} MB")
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready]")
        script, drawn = np.array(page.evaluate(HOVERS)).T
        for name, times in {"script": script, "until drawn": drawn}.items():
            print(f"hover, {name}: median {np.median(times):.1f} ms, most {times.max():.1f} ms")
        browser.close()


if __name__ == "__main__":
    main()
