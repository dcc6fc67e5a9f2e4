"""Pictures of what was read."""

import numpy as np
import pandas as pd
from PIL import Image

from daamkit.toybox import oracle, scenes
from daamkit.views import palettes, plots


def test_instances_are_outlined_where_they_are() -> None:
    scene = scenes.sample(1, seed=7)[0]
    image = Image.fromarray(scene.image)
    frame = oracle.read(image)
    page = plots.instances(image, frame, scale=3)
    assert page.size == (384, 384)
    plain = np.asarray(image.resize(page.size, Image.Resampling.BICUBIC), int)
    changed = (np.asarray(page, int) != plain).any(-1)
    outside = np.ones((128, 128), bool)
    for row in frame[frame["kind"] == "thing"].itertuples():
        edge = row.mask & ~np.roll(row.mask, 1, axis=0)
        assert changed[np.kron(edge, np.ones((3, 3), bool))].mean() > 0.3
        label = slice(row.bottom - 8, row.bottom + 12)
        outside[row.top : row.bottom, row.left : row.right] = False
        outside[label] = False
    assert not changed[np.kron(outside, np.ones((3, 3), bool))].any()


def test_nothing_read_is_the_image_itself() -> None:
    image = Image.new("RGB", (32, 32), "white")
    empty = pd.DataFrame(columns=["kind", "name", "colour", "left", "bottom", "mask"])
    assert np.array_equal(np.asarray(plots.instances(image, empty, scale=1)), np.asarray(image))


def test_neighbouring_colours_differ() -> None:
    colours = palettes.distinct(7)
    assert len(set(colours[:5])) == 5 and colours[5] == colours[0]
