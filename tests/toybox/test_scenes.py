from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daamkit.errors import DaamkitError
from daamkit.toybox import backgrounds, heldout, kinds, scenes, sprites
from daamkit.toybox.captions import BACKGROUND, NUMBERS, PLACES, PLURALS
from daamkit.toybox.scenes import SIDE, Scene

KINDS = ("single", "pair", "three", "verb", "count")


def fingerprint(scene: Scene) -> str:
    pixels = (scene.image.tobytes(), scene.masks.tobytes(), scene.ground.tobytes())
    said = repr((scene.words, scene.things, scene.place, scene.relation)).encode()
    return hashlib.sha256(b"".join((*pixels, said))).hexdigest()


def centroid(mask: np.ndarray) -> tuple[float, float]:
    """x and y."""
    y, x = np.nonzero(mask)
    return float(x.mean()), float(y.mean())


# -- sampling -------------------------------------------------------------------------------------


@settings(max_examples=10)
@given(
    seed=st.integers(0, 2**64),
    i=st.integers(0, 4),
    more=st.integers(1, 3),
    kind=st.none() | st.sampled_from(KINDS),
)
def test_the_ith_scene_depends_on_the_seed_and_i_alone(
    seed: int, i: int, more: int, kind: str | None
) -> None:
    first = scenes.sample(i + 1, seed, kind)[i]
    sprites.sprite.cache_clear()
    np.random.seed(more)  # noqa: NPY002
    assert fingerprint(scenes.sample(i + more, seed, kind)[i]) == fingerprint(first)


def test_scenes_of_a_seed_differ_from_one_another(drawn: list[Scene]) -> None:
    assert len({fingerprint(scene) for scene in drawn}) == len(drawn)


def test_a_seed_gives_the_scenes_that_the_shipped_model_was_trained_on() -> None:
    trained = [scenes.draw(np.random.default_rng((0, 2, i))) for i in (1, 4, 7)]
    assert [(scene.caption, [thing.box for thing in scene.things]) for scene in trained] == [
        ("an orange bowl and a small crown", [(74, 46, 120, 77), (16, 49, 46, 73)]),
        ("a blue rabbit wearing a bow", [(28, 33, 106, 111), (30, 75, 56, 97)]),
        (
            "a green turtle, a cat and big glasses",
            [(7, 65, 43, 87), (84, 43, 118, 76), (36, 63, 86, 83)],
        ),
    ]


def test_kinds_have_as_many_things_as_they_say() -> None:
    numbers = {kind: {len(s.things) for s in scenes.sample(60, 1, kind)} for kind in KINDS}
    assert numbers == {"single": {1}, "pair": {2}, "three": {3}, "verb": {2}, "count": {2, 3}}


def test_an_unknown_kind_is_an_error_that_names_the_kinds() -> None:
    with pytest.raises(DaamkitError, match=r"'crowd'.*single.*pair.*three.*verb.*count"):
        scenes.sample(1, 0, "crowd")


@pytest.mark.parametrize(
    ("n", "seed", "told"), [(0, 0, "n=0"), (-3, 0, "n=-3"), (1, -1, "seed=-1")]
)
def test_no_scenes_and_no_seed_are_errors(n: int, seed: int, told: str) -> None:
    with pytest.raises(DaamkitError, match=told):
        scenes.sample(n, seed)


# -- pixels ---------------------------------------------------------------------------------------


def test_images_and_masks_have_the_promised_shapes(drawn: list[Scene]) -> None:
    for scene in drawn:
        assert scene.image.shape == (SIDE, SIDE, 3)
        assert scene.masks.shape == (len(scene.things), SIDE, SIDE)
        assert scene.ground.shape == (SIDE, SIDE)
        assert scene.image.dtype == np.uint8
        assert scene.masks.dtype == scene.ground.dtype == np.bool_


def test_a_pixel_belongs_to_one_thing_or_the_ground_or_nothing(drawn: list[Scene]) -> None:
    for scene in drawn:
        assert (scene.masks.sum(0) + scene.ground).max() <= 1


def test_a_thing_lies_in_its_box_and_the_box_in_the_image(drawn: list[Scene]) -> None:
    for scene in drawn:
        for thing, mask in zip(scene.things, scene.masks, strict=True):
            left, top, right, bottom = thing.box
            assert 0 <= left < right <= SIDE
            assert 0 <= top < bottom <= SIDE
            assert mask.sum() == mask[top:bottom, left:right].sum()


@pytest.mark.parametrize("kind", [None, "verb"])
def test_no_thing_is_hidden(drawn: list[Scene], kind: str | None) -> None:
    for scene in drawn if kind is None else scenes.sample(500, 3, kind):
        for thing, mask in zip(scene.things, scene.masks, strict=True):
            assert mask.sum() >= 40, (scene.caption, thing)


def test_masks_are_where_the_things_are_painted() -> None:
    """A thing's pixels are those of its sprite, where nothing painted later covers it."""
    for scene in scenes.sample(50, 4, "pair"):
        for thing, mask in zip(scene.things, scene.masks, strict=True):
            left, top, right, bottom = thing.box
            pixels = max(right - left, bottom - top)
            sprite = sprites.sprite(thing.name, pixels, thing.colour, thing.texture)
            opaque = np.asarray(sprite)[..., 3] == 255
            seen = mask[top:bottom, left:right] & opaque
            painted = scene.image[top:bottom, left:right][seen].astype(int)
            difference = np.abs(painted - np.asarray(sprite)[..., :3][seen])
            assert np.quantile(difference.max(-1), 0.9) <= 2


# -- what is said is drawn ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "axis", "sign"),
    [("above", 1, 1), ("below", 1, -1), ("to the left of", 0, 1), ("to the right of", 0, -1)],
)
def test_a_thing_is_on_the_side_where_it_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch, link: str, axis: int, sign: int
) -> None:
    monkeypatch.setattr(kinds, "LINKS", {link: 1.0})
    for scene in scenes.sample(300, 5, "pair"):
        assert f" {link} " in scene.caption
        first, second = map(centroid, scene.masks)
        assert sign * (second[axis] - first[axis]) > 8, scene.caption


def test_verbs_are_acted_out() -> None:
    for scene in scenes.sample(300, 6, "verb"):
        animal_x, x = (centroid(mask)[0] for mask in scene.masks)
        (left, top, right, bottom), other = (thing.box for thing in scene.things)
        touch = left < other[2] and other[0] < right and top < other[3] and other[1] < bottom
        assert f" {scene.relation} " in scene.caption
        true = {
            "wearing": touch,
            "holding": touch and abs(x - animal_x) > 8,
            "sitting on": touch and other[3] > bottom,
            "chasing": animal_x - x > 30,
        }
        assert true[str(scene.relation)], scene.caption


def test_big_is_bigger_and_small_smaller_than_ordinary() -> None:
    long: dict[str | None, list[int]] = {None: [], "small": [], "big": []}
    for scene in scenes.sample(400, 7, "single"):
        left, top, right, bottom = scene.things[0].box
        long[scene.things[0].size].append(max(right - left, bottom - top))
    assert max(long["small"]) < min(long[None])
    assert max(long[None]) < min(long["big"])


# -- what words mention ---------------------------------------------------------------------------


def test_a_noun_mentions_the_things_it_names(drawn: list[Scene]) -> None:
    for scene in drawn:
        named: list[int] = []
        for word in scene.words:
            if word.pos == "NOUN" and word.things != (BACKGROUND,):
                named += word.things
                for thing in word.things:
                    one = scene.things[thing].name
                    many = PLURALS.get(one, one + "s")
                    assert word.text == (one if len(word.things) == 1 else many)
        assert named == [*range(len(scene.things))]


def test_an_adjective_mentions_its_nouns_things_and_is_true_of_them(drawn: list[Scene]) -> None:
    for scene in drawn:
        for word in scene.words:
            if word.pos == "ADJ":
                noun = scene.words[word.head]
                assert (scene.mask(word) == scene.mask(noun)).all()
                for thing in (scene.things[i] for i in word.things):
                    assert word.text in (thing.colour, thing.texture, thing.size)


def test_numbers_count_the_things(drawn: list[Scene]) -> None:
    numbers = [(s, word) for s in drawn for word in s.words if word.pos == "NUM"]
    assert {word.text for _, word in numbers} == {"two", "three"}
    for scene, word in numbers:
        assert word.text == NUMBERS[len(word.things)]
        assert word.things == scene.words[word.head].things
        assert all(scene.masks[thing].any() for thing in word.things)


def test_its_is_the_animals() -> None:
    words = [(s, w) for s in scenes.sample(200, 8, "verb") for w in s.words if w.text == "its"]
    assert len(words) > 20
    for scene, word in words:
        (owner,) = word.things
        assert scene.things[owner].name in sprites.ANIMALS
        assert (scene.mask(word) == scene.masks[owner]).all()


def test_a_places_noun_is_the_ground_that_no_thing_covers(drawn: list[Scene]) -> None:
    for scene in drawn:
        nouns = [
            word for word in scene.words if word.things == (BACKGROUND,) and word.pos == "NOUN"
        ]
        assert [word.text for word in nouns] == ([scene.place] if scene.place else [])
        assert scene.ground.any() == bool(nouns)
        for word in nouns:
            assert (scene.mask(word) == scene.ground).all()


def test_a_word_of_grammar_mentions_nothing() -> None:
    for scene in scenes.sample(50, 9, "pair"):
        for word in scene.words:
            if word.pos in ("ADP", "CCONJ", "VERB", "PUNCT") or word.text in ("left", "right"):
                assert not scene.mask(word).any()


def test_a_kind_without_a_scene_of_the_split_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heldout, "holds", lambda _: False)
    monkeypatch.setattr(scenes, "TRIES", 5)
    with pytest.raises(DaamkitError, match=r"held-out scene of the kind 'pair'.*none among 5"):
        scenes.say(np.random.default_rng(0), "pair", world=2, split="held-out")
    assert scenes.sample(1, 0, "pair", world=2, split="training")


# -- backgrounds ----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_the_ground_has_no_holes(place: str) -> None:
    for seed in range(20):
        _, ground = backgrounds.draw(np.random.default_rng(seed), place, SIDE)
        assert ground[-1].all()
        assert (ground[1:] >= ground[:-1]).all()


def test_an_unknown_place_has_no_background() -> None:
    with pytest.raises(DaamkitError, match=r"'moon'.*grass.*night"):
        backgrounds.draw(np.random.default_rng(0), "moon", SIDE)
