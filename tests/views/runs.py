"""Runs made by hand: a picture of colours and a map of one place for each word."""

import re

import numpy as np
import torch
from PIL import Image

from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.layers import Layer
from daamkit.maps.prompt import Prompt
from daamkit.maps.run import Run
from daamkit.maps.tokens import Token


def made(
    prompt: str = "a cat and a dog", seed: int | None = 0, *methods: str, side: int = 64
) -> Run:
    rng = np.random.default_rng([seed or 0, *map(len, methods)])
    spans = [match.span() for match in re.finditer(r"[\w<>/]+|[\U0001f300-\U0001faff]", prompt)]
    texts = [
        Token(i, "text_encoder", prompt[start:end], start, end)
        for i, (start, end) in enumerate(spans, 1)
    ]
    start = Token(0, "text_encoder", "", 0, 0, "SOS")
    end = Token(len(texts) + 1, "text_encoder", "", 0, 0, "EOS")
    tokens = (start, *texts, end)
    y, x = np.mgrid[:16, :16] / 16
    at = rng.random((len(tokens), 2, 1, 1))
    values = np.exp(-((y - at[:, 0]) ** 2 + (x - at[:, 1]) ** 2) / 0.03).astype(np.float32)
    layer = Layer("up", ("up",), "up", 1, torch.from_numpy(values))
    read = Prompt({"text_encoder": prompt}, tokens, {}, 77)
    maps = HeatMaps(read, {"up": layer}, frozenset(), 1, (side, side), base=16, rule="paper")
    colours = rng.integers(40, 216, (4, 4, 3), np.uint8)
    image = Image.fromarray(colours).resize((side, side), Image.Resampling.BICUBIC)
    record: dict = {"guidance": [{"method": method} for method in methods]}
    if seed is not None:
        record["seed"] = {"seed": seed, "fresh": True, "source": "generator"}
    return Run(image, {"cond": maps}, {}, record)
