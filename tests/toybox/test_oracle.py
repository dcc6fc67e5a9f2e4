"""The oracle reads drawn scenes nearly as they are, and generated ones as the eye does."""

import numpy as np
import pytest
import torch
from PIL import Image

import daamkit
from benchmarks import blind
from daamkit.errors import DaamkitError
from daamkit.studies import reading
from daamkit.toybox import oracle, scenes
from daamkit.toybox.oracle import LOOKS, NAMES
from daamkit.toybox.training import oracle as teacher


@pytest.fixture(scope="module")
def some() -> list[scenes.Scene]:
    return scenes.sample(150, seed=9002)  # seen in no training


def test_drawn_scenes_are_read_as_they_are(some) -> None:
    table, facts = reading.measure(some)
    result = table[table["of"] == "all"].set_index("measure")["mean"]
    assert facts["miou"] > 0.95
    assert result["colour"] > 0.98
    assert result["name"] > 0.98


def test_drawn_scenes_of_world_2_are_read_as_they_are() -> None:
    table, facts = reading.measure(scenes.sample(150, 9002, world=2), oracle.trained(2))
    result = table[table["of"] == "all"].set_index("measure")["mean"]
    assert facts["miou"] >= 0.93
    assert result["colour"] >= 0.98
    assert result["name"] >= 0.98


@pytest.mark.parametrize("model", ["toybox", "toybox-2", "toybox-flux"])
def test_generated_things_are_read_as_the_eye_reads_them(model) -> None:
    result = blind.compare(model)
    assert result["things"] >= 200
    assert result["agree"] >= 0.95
    if model != "toybox":
        assert result["guided"]["agree"] >= 0.95
        parts = [result["guided"]["things"], result["unguided"]["things"]]
        assert sum(parts) == result["things"] and min(parts) > 100


@pytest.mark.parametrize("model", ["toybox-2", "toybox-flux"])
def test_a_shipped_model_draws_what_it_is_told(model) -> None:
    pipe, n = daamkit.load(model), 12
    pipe.set_progress_bar_config(disable=True)
    images = pipe(
        **daamkit.arguments(pipe, ["a red car"] * n),
        generator=[torch.Generator().manual_seed(seed) for seed in range(n)],
        num_inference_steps=10,
    ).images
    for seen in oracle.read_all(images, oracle.trained(2)):
        assert ("car", "red") in zip(seen["name"], seen["colour"], strict=True)


def test_the_frame_is_what_it_says(some) -> None:
    scene = next(s for s in some if s.place and len(s.things) == 2)
    frame = oracle.detections(Image.fromarray(scene.image))
    assert list(frame["kind"]) == ["thing"] * (len(frame) - 1) + ["place"]
    assert frame["name"].iloc[-1] == scene.place
    left = frame.loc[frame["kind"] == "thing", "left"]
    assert list(left) == sorted(left)
    for row in frame.itertuples():
        assert row.mask.shape == (128, 128) and row.mask.dtype == bool
        assert row.area == row.mask.sum() >= oracle.SMALLEST
        ys, xs = np.nonzero(row.mask)
        assert (row.left, row.right) == (xs.min(), xs.max() + 1)
        assert (row.top, row.bottom) == (ys.min(), ys.max() + 1)
        assert 0 < row.confidence <= 1
        assert row.kind == "place" or row.colour in LOOKS["colour"]
    masks = np.stack(list(frame["mask"]))
    assert masks.sum(0).max() == 1  # a pixel is of one thing


def test_three_of_a_kind_are_three() -> None:
    drawn = [s for s in scenes.sample(60, seed=9003, kind="count") if len(s.things) == 3]
    counts = [
        (oracle.detections(scene.image)["kind"] == "thing").sum() == len(scene.things)
        for scene in drawn
    ]
    assert np.mean(counts) > 0.9


def test_one_by_one_or_together_is_the_same(some) -> None:
    images = [scene.image for scene in some[:5]]
    for image, together in zip(images, oracle.read_all(images, batch=2), strict=True):
        alone = oracle.detections(image)
        assert alone.drop(columns=["mask", "confidence"]).equals(
            together.drop(columns=["mask", "confidence"])
        )
    assert oracle.read_all([]) == []


def test_nothing_is_seen_on_an_empty_wall() -> None:
    frame = oracle.detections(np.full((128, 128, 3), 225, np.uint8))
    assert len(frame) == 0 and "mask" in frame


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((128, 128), np.uint8), "RGB"),
        (np.zeros((128, 128, 4), np.uint8), "RGB"),
        (np.zeros((128, 128, 3), np.float32), "8 bits"),
        (np.zeros((120, 128, 3), np.uint8), "multiples of 16"),
    ],
)
def test_other_pictures_are_errors(image: np.ndarray, says: str) -> None:
    with pytest.raises(DaamkitError, match=says):
        oracle.detections(image)


def test_images_of_two_sizes_are_an_error_and_none_are_none() -> None:
    with pytest.raises(DaamkitError, match="64 x 64 and 128 x 128"):
        oracle.read_all([np.zeros((n, n, 3), np.uint8) for n in (128, 64)])
    assert oracle.features([]).shape == (0, 128)


def test_defaults_of_torch_that_a_script_has_set_do_not_matter(some) -> None:
    images, wanted = [some[0].image], oracle.features([some[0].image])
    torch.set_default_dtype(torch.bfloat16)
    oracle.trained.cache_clear()
    try:
        with torch.device("meta"):  # as `torch.set_default_device` has it
            assert np.array_equal(oracle.features(images), wanted)
    finally:
        torch.set_default_dtype(torch.float32)
        oracle.trained.cache_clear()


def test_labels_are_the_scene(some) -> None:
    for scene in some[:20]:
        maps = teacher.labels(scene)
        for thing, mask in zip(scene.things, scene.masks, strict=True):
            assert (maps[0][mask] == NAMES.index(thing.name)).all()
            assert (maps[1][mask] == LOOKS["colour"].index(thing.colour or "own")).all()
            ys, xs = np.nonzero(mask)
            y, x = ys + maps[-2][mask], xs + maps[-1][mask]
            left, top, right, bottom = thing.box
            assert (y == (top + bottom) // 2).all() and (x == (left + right) // 2).all()
        if scene.place:
            assert (maps[0][scene.ground] == NAMES.index(scene.place)).all()


def test_a_short_lesson_goes_on_where_it_stopped(tmp_path) -> None:
    from daamkit.toybox import pipeline
    from daamkit.toybox.training import autoencoder

    torch.manual_seed(0)
    autoencoder.write_tensors(
        pipeline.autoencoder().state_dict(), tmp_path / "autoencoder.safetensors"
    )
    teacher.main(["--out", str(tmp_path), "--images", "16"])
    assert (tmp_path / "oracle.safetensors").exists()
    first = torch.load(tmp_path / "oracle.pt", weights_only=True)
    assert first["seen"] == 16
    (tmp_path / "oracle.safetensors").unlink()
    teacher.main(["--out", str(tmp_path), "--images", "24"])
    assert torch.load(tmp_path / "oracle.pt", weights_only=True)["seen"] == 24
