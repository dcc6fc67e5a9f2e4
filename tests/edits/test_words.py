"""Special tokens are meant in each text encoder that has them."""

import pytest
import torch

import daamkit
from daamkit.attention.hooks import attach
from daamkit.maps.words import WordError
from tests.edits.test_families import Outputs, close, doubled
from tests.families.checks import explicit
from tests.families.every import CASES, generate

PROMPT = "a red cat beside the blue car"


def drawn(name, pipe, *taps):
    with attach(pipe, *taps):
        return generate(CASES[name], pipe, PROMPT, num_inference_steps=1)


@pytest.mark.parametrize("name", ["sd3", "hunyuandit"])  # T5 has no start of text
def test_a_start_that_one_encoder_has_is_silenced_there(name):
    pipe, tap = doubled(CASES[name].build()), Outputs()
    drawn(name, pipe, daamkit.Silence("SOS"), tap)
    seen = [each for each in tap.seen.values() if each[0].site.reads_text]
    assert seen
    for attention, output in seen:
        rows = attention.branches["cond"]
        start = min(span.start for span in attention.layout.text[rows.start])
        shares = explicit(attention)[rows]
        shares[..., start] = 0
        shares = shares / shares.sum(-1, keepdim=True)
        close(output[rows], shares @ attention.every_value()[rows])


def test_what_one_encoder_has_is_exchanged_there():
    pipe = CASES["sd3"].build()
    edits = [daamkit.Exchange(word, "a red dog beside the blue car") for word in ("SOS", "cat")]
    start, word = (drawn("sd3", pipe, edit) for edit in edits)
    plain = drawn("sd3", pipe)
    assert torch.equal(start, plain)  # nothing is before it that it could have read
    assert not torch.equal(word, plain)


def test_what_none_has_is_told():
    pipe = CASES["hunyuanvideo"].build()  # ByT5 reads what is in quotes, of which there is none
    plain = drawn("hunyuanvideo", pipe)
    assert not torch.equal(drawn("hunyuanvideo", pipe, daamkit.Silence("template")), plain)
    with pytest.raises(WordError, match="token called 'EOS'; got template, padding"):
        drawn("hunyuanvideo", pipe, daamkit.Silence("EOS"))
    with pytest.raises(WordError, match="token called 'template'; got SOS, EOS, padding"):
        drawn("sd3", CASES["sd3"].build(), daamkit.Exchange("template", PROMPT))


def test_a_branch_that_opens_late_is_edited_there():
    """Its words are read in its first pass, of each call anew."""
    case, prompts = CASES["sd3"], ("a red cat", "two dogs and a cat")
    pipe, late = case.build(), {"num_inference_steps": 3, "skip_guidance_layers": [1]}

    def latents(prompt):
        return generate(case, pipe, prompt, **late, skip_layer_guidance_stop=1.0)  # starts at 0.01

    plain, alone = [latents(prompt) for prompt in prompts], []
    for prompt in prompts:
        with daamkit.edit(pipe, daamkit.Silence("cat", branch="perturbed")):
            alone.append(latents(prompt))
    with daamkit.edit(pipe, daamkit.Silence("cat", branch="perturbed")):
        both = [latents(prompt) for prompt in prompts]
    for before, own, again in zip(plain, alone, both, strict=True):
        assert not torch.equal(own, before) and torch.equal(own, again)
