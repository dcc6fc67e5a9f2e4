"""An image of a batch is as if it were alone, also where its text is filled up to the longest."""

import pytest
import torch

import daamkit
from tests.families import tiny_joint

PROMPTS = ["a red cat", "a dog on the grass"]
CALL = {"height": 48, "width": 32, "num_inference_steps": 2, "output_type": "latent"}


@pytest.fixture(scope="module")
def qwen():
    return tiny_joint.qwen()


def drawn(pipe, prompts, first=0):
    generators = [torch.Generator().manual_seed(first + i) for i in range(len(prompts))]
    return pipe(**CALL, prompt=prompts, generator=generators)[0]


def in_contexts(pipe, context, *asked):
    """Latents of the batch, and of each prompt by itself, each in a context of what is asked."""
    with context(*asked):
        both = drawn(pipe, PROMPTS)
    for number, prompt in enumerate(PROMPTS):
        with context(*(each[number : number + 1] for each in asked)):
            yield both[number], drawn(pipe, [prompt], number)[0]


def test_the_plain_batch(qwen):
    for each, alone in in_contexts(qwen, lambda: daamkit.edit(qwen, daamkit.Silence([]))):
        torch.testing.assert_close(each, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", [daamkit.AttendAndExcite, daamkit.DivideAndBind])
def test_methods_see_no_padding(qwen, method):
    def guided(words):
        return daamkit.guide(qwen, method(words))

    plain = drawn(qwen, PROMPTS)
    for number, (each, alone) in enumerate(in_contexts(qwen, guided, [["cat"], ["dog"]])):
        torch.testing.assert_close(each, alone, atol=2e-3, rtol=2e-3)
        assert (each - plain[number]).abs().max() > 0.1


@pytest.mark.parametrize("edit", [daamkit.KnockOut, daamkit.KnockOutSelf])
def test_a_mean_is_of_the_image(qwen, edit):
    def edited():
        return daamkit.edit(qwen, edit(by="mean", heads=[0]))

    for each, alone in in_contexts(qwen, edited):
        torch.testing.assert_close(each, alone, atol=1e-4, rtol=1e-4)


def test_prompts_of_several_lengths_exchange(qwen):
    def edited(words, sources):
        return daamkit.edit(qwen, daamkit.Exchange(words, sources))

    asked = [["cat"], ["dog"]], ["a red dog", "a cat on the grass"]
    plain = drawn(qwen, PROMPTS)
    for number, (each, alone) in enumerate(in_contexts(qwen, edited, *asked)):
        torch.testing.assert_close(each, alone, atol=1e-4, rtol=1e-4)
        assert (each - plain[number]).abs().max() > 1e-3


def test_sd3_reads_three_texts():
    pipe = tiny_joint.sd3()
    call = {"prompt": "a cat", "prompt_2": "a cat", "prompt_3": "a dog", "max_sequence_length": 24}

    def draw():
        options = CALL | call | {"num_inference_steps": 1, "guidance_scale": 1.0}
        pipe(**options, generator=torch.Generator().manual_seed(0))

    cat, dog = daamkit.attribute(pipe, draw, "cat", "dog", method="text_to_image")
    (alone,) = daamkit.attribute(pipe, draw, "dog", method="text_to_image")
    torch.testing.assert_close(dog.values, alone.values)
    assert (cat.values - dog.values).abs().max() > 0.1 * dog.values.max()
    shares = daamkit.attribute(pipe, draw, "cat", "dog", method="share")
    assert all(0 < each.values.max() <= 1 for each in shares)
