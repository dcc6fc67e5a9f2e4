"""Do the toybox's maps lie on the right things? Colour tells.

    python benchmarks/localisation.py --json

Prompts "a {colour} {thing} and a {colour} {thing}" with two colours that are far apart. In each
image the foreground is what differs from the colours of the image's border, and the truth of a noun
is the foreground nearer to its colour than to the other one. Reported is the mean IoU of the nouns'
masks (tau * max) with their truth, and the same with the two nouns' maps exchanged: if the maps do
not tell the things apart, both are alike. A thing that was not drawn counts as 0 in both.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import daamkit
from daamkit.toybox import sprites

# White and gray are left out: the toybox's plain backgrounds have them.
COLOURS = [name for name in sprites.COLOURS if name not in ("white", "gray")]
FAR, NEAR = 60.0, 12.0  # CIELAB distances: of two colours that are far apart; of one and the same


@dataclass(frozen=True)
class Case:
    """A prompt, its two nouns and their colours."""

    prompt: str
    nouns: tuple[str, str]
    colours: tuple[str, str]


def lab(rgb: np.ndarray) -> np.ndarray:
    """sRGB from 0 to 255 to CIELAB (D65); the last axis holds the channels."""
    linear = np.asarray(rgb, np.float64) / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = linear @ np.array(matrix).T / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def cases(n: int, seed: int) -> list[Case]:
    """Draw prompts."""
    places = {name: lab(np.array(sprites.COLOURS[name])) for name in COLOURS}
    pairs = [
        pair
        for pair in itertools.permutations(COLOURS, 2)
        if np.linalg.norm(places[pair[0]] - places[pair[1]]) >= FAR
    ]
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(n):
        first, second = (str(name) for name in rng.choice(sprites.THINGS, 2, replace=False))
        one, two = pairs[rng.integers(len(pairs))]
        phrases = [_article(f"{one} {first}"), _article(f"{two} {second}")]
        drawn.append(Case(" and ".join(phrases), (first, second), (one, two)))
    return drawn


def _article(phrase: str) -> str:
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def truths(image: np.ndarray, colours: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """The foreground of each colour, (height, width) bool."""
    pixels = lab(image)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    alike = np.linalg.norm(border[:, None] - border, axis=-1) <= NEAR
    border = border[alike.mean(1) >= 0.02]  # a thing may touch the border at a pixel or two
    border = np.unique(border.round(), axis=0)
    apart = np.linalg.norm(pixels[..., None, :] - border, axis=-1).min(-1) > NEAR
    named = lab(np.array([sprites.COLOURS[name] for name in colours]))
    nearest = np.linalg.norm(pixels[..., None, :] - named, axis=-1).argmin(-1)
    return apart & (nearest == 0), apart & (nearest == 1)


def iou(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union; 0 where there is nothing to find."""
    return float((mask & truth).sum() / (mask | truth).sum()) if found(truth) else 0.0


def found(truth: np.ndarray) -> bool:
    """Whether a thing was drawn at all."""
    return truth.sum() >= 30


def measure(
    pipe: Any, drawn: list[Case], tau: float, batch: int = 10, **options: Any
) -> np.ndarray:
    """(cases, 3): mean IoU of a case's two nouns with their own truth, the same exchanged, and how
    many of the two were drawn."""
    scores = []
    for start in range(0, len(drawn), batch):
        part = drawn[start : start + batch]
        generators = [torch.Generator().manual_seed(start + i) for i in range(len(part))]
        with daamkit.trace(pipe) as tracer:
            pipe([case.prompt for case in part], generator=generators, **options)
        for case, run in zip(part, tracer.runs, strict=True):
            image = np.asarray(run.image)
            first, second = truths(image, case.colours)
            a, b = (run.maps.word(noun).mask(tau) for noun in case.nouns)
            own = (iou(a, first) + iou(b, second)) / 2
            exchanged = (iou(b, first) + iou(a, second)) / 2
            scores.append((own, exchanged, int(found(first)) + int(found(second))))
    return np.array(scores)


def summary(scores: np.ndarray, draws: int = 10_000) -> dict[str, Any]:
    """Means, and the difference with its 95% bootstrap interval over prompts."""
    difference = scores[:, 0] - scores[:, 1]
    rng = np.random.default_rng(0)
    means = rng.choice(difference, (draws, len(difference))).mean(1)
    return {
        "prompts": len(scores),
        "drawn": round(float(scores[:, 2].mean() / 2), 4),
        "miou": round(float(scores[:, 0].mean()), 4),
        "miou_exchanged": round(float(scores[:, 1].mean()), 4),
        "difference": round(float(difference.mean()), 4),
        "interval": [round(float(x), 4) for x in np.quantile(means, (0.025, 0.975))],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object and no more")
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tau", type=float, default=0.4)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, default=7.5)
    asked = parser.parse_args()
    pipe = daamkit.load("toybox")
    pipe.set_progress_bar_config(disable=asked.json)
    options = {"num_inference_steps": asked.steps, "guidance_scale": asked.guidance}
    scores = measure(pipe, cases(asked.prompts, asked.seed), asked.tau, **options)
    print(json.dumps(vars(asked) | summary(scores), indent=None if asked.json else 1))


if __name__ == "__main__":
    main()
