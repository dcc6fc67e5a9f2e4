from __future__ import annotations

import numpy as np
import pytest

from daamkit.errors import DaamkitError
from daamkit.toybox import sprites


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of sRGB from 0 to 255, under daylight (D65)."""
    light = np.where(rgb / 255 <= 0.04045, rgb / 3294.6, ((rgb / 255 + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0178, 0.1095, 0.8730]]
    x, y, z = np.cbrt(np.maximum(np.array(to_xyz) @ light, 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def inside(name: str, **look: str) -> np.ndarray:
    pixels = np.asarray(sprites.sprite(name, 60, **look))
    return pixels[pixels[..., 3] > 127][:, :3].astype(float)


@pytest.mark.parametrize("colour", sprites.COLOURS)
def test_a_tinted_thing_looks_like_its_colour_more_than_like_another(colour: str) -> None:
    named = {name: lab(np.array(rgb, float)) for name, rgb in sprites.COLOURS.items()}
    wrong = []
    for thing in sprites.THINGS:
        mean = lab(inside(thing, colour=colour).mean(0))
        nearest = min(named, key=lambda name: float(np.linalg.norm(named[name] - mean)))
        if nearest != colour:
            wrong.append((thing, nearest))
    # light and shade leave the white balloon and apple light gray, the orange balloon brownish
    assert len(wrong) <= 2, wrong


@pytest.mark.parametrize("texture", sprites.TEXTURES)
@pytest.mark.parametrize("thing", sprites.THINGS)
def test_a_pattern_shows_on_every_thing_and_keeps_its_outline(thing: str, texture: str) -> None:
    plain, laid = (np.asarray(sprites.sprite(thing, 60, texture=t)) for t in (None, texture))
    assert (plain[..., 3] == laid[..., 3]).all()
    solid = plain[..., 3] > 127
    changed = np.abs(plain[solid].astype(int) - laid[solid]).max(-1) > 40
    assert 0.15 < changed.mean() < 0.75


@pytest.mark.parametrize("thing", sprites.THINGS)
def test_a_sprite_is_as_long_as_asked_and_solid(thing: str) -> None:
    image = sprites.sprite(thing, 40)
    assert max(image.size) == 40
    assert (np.asarray(image)[..., 3] > 127).sum() > 150


def test_only_beings_have_a_head_to_wear_things_on() -> None:
    assert set(sprites.HEADS) == set(sprites.BEINGS)


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        ({"name": "unicorn"}, "elephant"),
        ({"name": "cat", "colour": "teal"}, "purple"),
        ({"name": "cat", "texture": "furry"}, "striped"),
    ],
)
def test_what_cannot_be_drawn_is_an_error_that_names_what_can(
    asked: dict[str, str], known: str
) -> None:
    with pytest.raises(DaamkitError, match=known):
        sprites.sprite(pixels=40, **asked)
