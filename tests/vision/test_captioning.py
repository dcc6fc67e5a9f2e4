"""BLIP's captions: those of a small random one, word by word, and what is no BLIP."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
)

from daamkit import resources
from daamkit.errors import DaamkitError
from daamkit.vision import captioning

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]"]
WORDS = ["a", "picture", "of", "cat", "dog", "red", "blue", "and", "car", "the"]
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2,
         "num_hidden_layers": 2, "projection_dim": 16}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random BLIP of 16 words as `save_pretrained` leaves it."""
    place = tmp_path_factory.mktemp("blip")
    torch.manual_seed(3)
    tokens = BertTokenizer(vocab={word: i for i, word in enumerate(SPECIAL + WORDS)})
    text = SMALL | {
        "vocab_size": len(SPECIAL + WORDS), "encoder_hidden_size": 16, "pad_token_id": 0,
        "sep_token_id": 3, "bos_token_id": 5, "eos_token_id": 3, "initializer_range": 0.5,
    }  # fmt: skip
    vision = SMALL | {"image_size": 32, "patch_size": 8, "initializer_range": 0.5}
    model = BlipForConditionalGeneration(
        BlipConfig(text_config=text, vision_config=vision, initializer_range=0.5)
    )
    model.eval().save_pretrained(place)
    size = {"height": 32, "width": 32}
    BlipProcessor(BlipImageProcessor(size=size), tokens).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    plain = [np.full((40, 40, 3), value, np.uint8) for value in (0, 255)]
    noise = [rng.integers(0, 256, (40, 40, 3), dtype=np.uint8) for _ in range(3)]
    return [Image.fromarray(each) for each in (*plain, *noise)]


def likeliest(blip: captioning.Blip, picture: Image.Image) -> str:
    """The caption, the likeliest word after word, through the model's two halves."""
    pixels = blip.processor(images=picture, return_tensors="pt")["pixel_values"]
    seen = blip.model.vision_model(pixel_values=pixels)[0]
    ids = [SPECIAL.index("[DEC]"), *(len(SPECIAL) + WORDS.index(w) for w in ("a", "picture", "of"))]
    found: list[str] = []
    with torch.no_grad():
        while len(ids) < 12:
            said = blip.model.text_decoder(
                input_ids=torch.tensor([ids]), encoder_hidden_states=seen, use_cache=False
            )
            ids.append(int(said.logits[0, -1].argmax()))
            if ids[-1] == SPECIAL.index("[SEP]"):
                break
            found.append((SPECIAL + WORDS)[ids[-1]])
    return " ".join(word for word in found if word not in SPECIAL)


def test_a_caption_is_what_the_model_says_after_its_opening(folder, pictures) -> None:
    blip = captioning.captioner(str(folder))
    greedy = captioning.Blip(blip.model, blip.processor, beams=1, shortest=0, longest=12)
    found = greedy.captions(pictures)
    assert found == [likeliest(greedy, picture) for picture in pictures]
    assert len(set(found)) > 1


def test_a_caption_does_not_depend_on_its_batch(folder, pictures) -> None:
    blip = captioning.captioner(str(folder))
    found = blip.captions(pictures)
    assert found == [blip.captions([picture])[0] for picture in pictures]
    assert blip.captions([]) == []
    assert isinstance(blip, captioning.Captioner)


def test_what_is_no_blip_is_an_error(tmp_path) -> None:
    with pytest.raises(DaamkitError, match="hf download"):
        captioning.captioner(str(tmp_path))
    with pytest.raises(DaamkitError, match="kind 'clip'"):
        captioning.captioner(str(resources.path("clip")))
