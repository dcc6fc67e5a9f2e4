"""Vectors are exchanged for those of words that stand at the same places, in every text encoder.

"horse" is a token of the toy CLIP and six of the small T5; "fox" three, and one.
"""

import pytest
import torch

import daamkit
from daamkit.attention.hooks import attach
from daamkit.errors import DaamkitError
from tests import tiny
from tests.families import tiny_joint

PROMPT = "a cat and a dog"
CALL = {"num_inference_steps": 1, "height": 32, "width": 48, "output_type": "latent"}


def drawn(pipe, *edits, prompt=PROMPT):
    more = {"max_sequence_length": 24} if hasattr(pipe, "transformer") else {}
    with attach(pipe, *edits):
        return pipe(prompt, generator=torch.Generator().manual_seed(0), **CALL, **more).images


MAKES = {"sd": tiny.sd, "flux": tiny_joint.flux1, "sd3": tiny_joint.sd3}


@pytest.mark.parametrize(
    ("model", "noun", "encoder"),
    [
        ("sd", "horse", ""),
        ("sd", "fox", "text_encoder"),
        ("flux", "horse", "text_encoder_2"),
        ("flux", "fox", ""),  # what CLIP pools is not exchanged
        ("sd3", "horse", "text_encoder_3"),
        ("sd3", "fox", "text_encoder"),
        ("sd3", "car", ""),
    ],
)
def test_words_at_other_places_are_refused(model, noun, encoder):
    pipe = MAKES[model]()
    source = PROMPT.replace("cat", noun)
    for word in ("cat", "dog"):  # the one in whose place it stands, and one after it
        if encoder:
            with pytest.raises(DaamkitError, match=f"got {encoder}, which reads word \\d at"):
                drawn(pipe, daamkit.Exchange(word, source))
        else:
            assert not torch.equal(drawn(pipe, daamkit.Exchange(word, source)), drawn(pipe))


@pytest.mark.parametrize(
    ("words", "source", "fits"),
    [
        ("cat", "a dog", True),  # what comes after does not matter
        ("dog", "a cat and a", False),
        ("dog", "a red and a car", True),
        ("dog", "a big red cat, a dog", False),  # another number of words before it
        ("and", "a cat a dog", True),
        ("EOS", "a dog and a cat", True),
        ("EOS", "a dog and two cats more", False),
        ("padding", "a dog", False),
        (["cat", "dog"], "a fox and a cat", False),
        ("and a dog", "a cat and two birds", False),  # the last is three tokens
        ("and a dog", "a car on two balls", False),
        ("and a dog", "a car in the snow", True),
        ([], "a", True),
    ],
)
def test_as_many_words_and_tokens_before(sd, words, source, fits):
    if fits:
        drawn(sd, daamkit.Exchange(words, source))
        return
    with pytest.raises(DaamkitError, match="as many words and tokens before these"):
        drawn(sd, daamkit.Exchange(words, source))
