"""The toybox's noun maps lie on the right things: `benchmarks/localisation.py`, as CI runs it."""

import numpy as np

from benchmarks import localisation
from daamkit.toybox import scenes, sprites


def test_noun_maps_tell_two_things_apart(toybox):
    drawn = localisation.cases(60, seed=0)
    found = localisation.summary(localisation.measure(toybox, drawn, 0.4, num_inference_steps=25))
    assert found["prompts"] == 60
    assert found["difference"] >= 0.15, found
    assert found["interval"][0] > 0, found


def test_truths_of_a_drawn_image():
    image = np.full((128, 128, 3), 230, np.uint8)
    image[20:60, 20:60] = sprites.COLOURS["red"]
    image[70:90, 70:100] = sprites.COLOURS["blue"]
    red, blue = localisation.truths(image, ("red", "blue"))
    assert red.sum() == 40 * 40 and red[20:60, 20:60].all()
    assert blue.sum() == 20 * 30 and blue[70:90, 70:100].all()
    assert localisation.iou(red, red) == 1
    assert localisation.iou(red, np.zeros_like(red)) == 0


def test_truths_are_nearly_the_exact_masks_of_drawn_scenes():
    """Where masks are known, colour finds them: two things, far-apart colours, no place."""
    scores = []
    for scene in scenes.sample(400, seed=11, kind="pair"):
        colours = [thing.colour for thing in scene.things]
        if scene.place or not all(c in localisation.COLOURS for c in colours):
            continue
        one, two = (localisation.lab(np.array(sprites.COLOURS[c])) for c in colours)
        if np.linalg.norm(one - two) >= localisation.FAR:
            found = localisation.truths(scene.image, tuple(colours))
            scores += [localisation.iou(t, m) for t, m in zip(found, scene.masks, strict=True)]
    assert len(scores) > 40 and np.mean(scores) > 0.9


def test_cases_are_drawn_the_same_and_far_apart():
    drawn = localisation.cases(200, seed=5)
    assert drawn == localisation.cases(200, seed=5)
    for case in drawn:
        one, two = (localisation.lab(np.array(sprites.COLOURS[name])) for name in case.colours)
        assert np.linalg.norm(one - two) >= localisation.FAR
        assert case.nouns[0] != case.nouns[1]
