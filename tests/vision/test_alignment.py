"""CLIP similarities: the toybox's own model, and any other of the same class."""

import numpy as np
import pytest
import torch
from transformers import CLIPImageProcessor

from benchmarks import clip as benchmark
from daamkit.errors import DaamkitError
from daamkit.toybox import pipeline, scenes, tokenizer
from daamkit.toybox.training import clip as teacher
from daamkit.vision import alignment


def test_a_scenes_own_caption_is_the_nearest_of_64() -> None:
    assert benchmark.measure(groups=4, seed=9002)["right_caption"] >= 0.85


def test_similarities_are_cosines_in_the_order_asked() -> None:
    clip = alignment.clip()
    drawn = scenes.sample(3, seed=9004)
    images, texts = [scene.image for scene in drawn], [scene.caption for scene in drawn]
    scores = clip.similarity(images, texts[:2])
    assert scores.shape == (3, 2) and (np.abs(scores) <= 1 + 1e-6).all()
    assert clip.similarity(images[1:2], texts[:1])[0, 0] == pytest.approx(scores[1, 0], abs=1e-5)


def test_a_model_from_a_folder_is_the_same_as_through_transformers(tmp_path) -> None:
    torch.manual_seed(0)
    tokenizer.write(tmp_path / "build" / "tokenizer", captions=200)
    tokens = pipeline.tokenizer(tmp_path / "build" / "tokenizer")
    model = teacher.untrained(tokens).eval()
    model.save_pretrained(tmp_path / "model")
    tokens.save_pretrained(tmp_path / "model")
    CLIPImageProcessor(size={"shortest_edge": 128}, crop_size=128).save_pretrained(
        tmp_path / "model"
    )
    clip = alignment.clip(str(tmp_path / "model"))
    images = [scene.image for scene in scenes.sample(2, seed=1)]
    texts = ["a red cat", "two dogs"]
    with torch.no_grad():
        out = model(
            pixel_values=clip.processor(images=images, return_tensors="pt").pixel_values,
            **tokens(texts, padding="max_length", return_tensors="pt"),
        )
    expected = out.logits_per_image / model.logit_scale.exp()
    assert np.allclose(clip.similarity(images, texts), expected.detach().numpy(), atol=1e-5)


def test_a_model_that_is_not_there_is_an_error(tmp_path) -> None:
    with pytest.raises(DaamkitError, match="the CLIP"):
        alignment.clip(str(tmp_path))


def test_a_short_lesson_goes_on_and_exports(tmp_path) -> None:
    tokenizer.write(tmp_path / "tokenizer", captions=200)
    size = ["--out", str(tmp_path), "--images"]
    teacher.main([*size, str(teacher.BATCH)])
    teacher.main([*size, str(2 * teacher.BATCH)])
    assert torch.load(tmp_path / "clip.pt", weights_only=True)["seen"] == 2 * teacher.BATCH
    teacher.main(["--out", str(tmp_path), "--export", str(tmp_path / "clip")])
    assert len(alignment.clip(str(tmp_path / "clip")).texts(["a cat"])) == 1
