"""Exchanged vectors: the same as a call with these embeddings."""

import numpy as np
import pytest
import torch
from diffusers import HeunDiscreteScheduler

import daamkit
from daamkit.attention.hooks import attach
from daamkit.errors import DaamkitError
from daamkit.maps.words import WordError
from tests import tiny
from tests.edits.outputs import Outputs
from tests.families import tiny_joint
from tests.tiny import generate

PROMPT, SOURCE = "a red cat and a blue car", "a red dog and a green car"


def exchanged(pipe, *edits, prompt=PROMPT, **options):
    with daamkit.edit(pipe, *edits):
        return generate(pipe, prompt, **options)


def embedded(pipe, places, prompt=PROMPT, source=SOURCE):
    """The prompt's embeddings, with those of the other in some places."""
    own, other = (pipe.encode_prompt(text, "cpu", 1, True) for text in (prompt, source))
    embeds = own[0].clone()
    embeds[:, places] = other[0][:, places]
    return {"prompt_embeds": embeds, "negative_prompt_embeds": own[1]}


@pytest.mark.parametrize(
    ("words", "places"),
    [
        ("cat", [3]),
        (["cat", "blue"], [3, 6]),
        ("EOS", [8]),
        ("padding", [*range(9, 77)]),
        ([], []),
    ],
)
def test_it_is_the_call_with_these_embeddings(sd, words, places):
    found = exchanged(sd, daamkit.Exchange(words, SOURCE))
    wanted = generate(sd, None, **embedded(sd, places))
    assert np.array_equal(found, wanted)
    assert np.array_equal(found, generate(sd, PROMPT)) == (not places)


def test_each_prompt_of_a_batch_has_its_own_places(sd):
    prompts = ["a red cat", "a cat and a dog"]
    both = exchanged(sd, daamkit.Exchange("cat", "a dog dog"), prompt=prompts)
    for image, prompt, place in zip(both, prompts, [3, 2], strict=True):
        given = embedded(sd, [place], prompt, "a dog dog")
        two = {name: torch.cat([each, each]) for name, each in given.items()}
        alone = generate(sd, None, **two)[prompts.index(prompt)]
        assert image == pytest.approx(alone, abs=1e-5)


def test_each_prompt_of_a_batch_has_words_and_a_source_of_its_own(sd):
    prompts, words = ["a red cat", "a cat and a dog"], [["red", "EOS"], []]
    edit = daamkit.Exchange(words, ["a blue dog", "a dog and a cat"])
    both = exchanged(sd, edit, prompt=prompts)
    given = embedded(sd, [2, 4], prompts[0], "a blue dog")
    two = {name: torch.cat([each, each]) for name, each in given.items()}
    assert both[0] == pytest.approx(generate(sd, None, **two)[0], abs=1e-5)
    assert np.array_equal(both[1], generate(sd, prompts)[1])


def test_sources_are_of_prompts_and_one_is_of_all(sd):
    """However many images of each."""
    prompts, sources = ["a red cat", "a cat and a dog"], ["a red dog", "a car and a dog"]
    two = {"prompt": prompts, "num_images_per_prompt": 2, "steps": 1}
    found = exchanged(sd, daamkit.Exchange([["cat"], ["cat"]], sources), **two)
    for number, source in enumerate(sources):
        words = [["cat"] if at == number else [] for at in range(2)]
        one = exchanged(sd, daamkit.Exchange(words, [source, source]), **two)
        own = slice(2 * number, 2 * number + 2)
        assert np.array_equal(found[own], one[own])
        assert not np.array_equal(found[own], generate(sd, **two)[own])
    alone = exchanged(sd, daamkit.Exchange("cat", ["a dog dog"]), **two)
    assert np.array_equal(alone, exchanged(sd, daamkit.Exchange("cat", "a dog dog"), **two))


def test_some_steps_alone(sd):
    every, first, all_three = (
        exchanged(sd, daamkit.Exchange("cat", SOURCE, steps=steps), steps=3)
        for steps in (None, 0, range(3))
    )
    assert np.array_equal(all_three, every)
    assert not np.array_equal(first, every)
    assert not np.array_equal(first, generate(sd, PROMPT, steps=3))
    never = exchanged(sd, daamkit.Exchange("cat", SOURCE, steps=[]), steps=3)
    assert np.array_equal(never, generate(sd, PROMPT, steps=3))


def test_steps_are_the_samplers_whatever_their_passes():
    """Of two passes a step: by the keys, which are of the text alone."""
    pipe, plain, tap = tiny.sd(), Outputs(), Outputs()
    pipe.scheduler = HeunDiscreteScheduler.from_config(pipe.scheduler.config)
    for edits, own in (([], plain), ([daamkit.Exchange("cat", SOURCE, steps=[1])], tap)):
        with attach(pipe, *edits, own):
            generate(pipe, PROMPT, steps=3)
    other = {
        at[0]: not torch.equal(own.key, plain.seen[at][0].key) for at, (own, _) in tap.seen.items()
    }
    assert other == {0: False, 1: False, 2: True, 3: True, 4: False}


def test_a_trace_knows_the_prompts_words_and_the_record_the_edit(sd):
    with daamkit.edit(sd, daamkit.Exchange("cat", SOURCE)), daamkit.trace(sd) as tracer:
        generate(sd, PROMPT)
    assert [word.text for word in tracer.run.maps.prompt.words()] == PROMPT.split()
    (noted,) = tracer.run.record["edits"]
    assert noted["edit"] == "Exchange" and noted["settings"]["source"] == SOURCE
    with daamkit.trace(sd) as plain:
        generate(sd, PROMPT)
    assert not torch.equal(tracer.run.maps.word("cat").values, plain.run.maps.word("cat").values)


def test_guidance_sees_the_prompts_own_text(sd):
    """An extra pass has the prompt's vectors: what is noted before the first step is the same."""
    method = daamkit.AttendAndExcite(["cat", "car"], max_iter_to_alter=1, thresholds={})
    with daamkit.guide(sd, method) as plain:
        generate(sd, PROMPT)
    with daamkit.edit(sd, daamkit.Exchange("cat", SOURCE)), daamkit.guide(sd, method) as edited:
        generate(sd, PROMPT)
    assert plain.table()["loss"].tolist() == edited.table()["loss"].tolist()


def test_two_encoders_and_a_transformer(sdxl):
    found = exchanged(sdxl, daamkit.Exchange("cat", SOURCE))
    own, other = (sdxl.encode_prompt(text) for text in (PROMPT, SOURCE))
    embeds = own[0].clone()
    embeds[:, 3] = other[0][:, 3]
    names = ("negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    given = {"prompt_embeds": embeds} | dict(zip(names, own[1:], strict=True))
    assert np.array_equal(found, generate(sdxl, None, **given))


@pytest.mark.parametrize("words", ["pooled", ["cat", "pooled"]])
def test_pooled_text_of_a_unet(sdxl, words):
    found = exchanged(sdxl, daamkit.Exchange(words, SOURCE))
    own, other = (sdxl.encode_prompt(text) for text in (PROMPT, SOURCE))
    embeds = own[0].clone()
    if words != "pooled":
        embeds[:, 3] = other[0][:, 3]
    names = ("negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    given = dict(zip(names, (own[1], other[2], own[3]), strict=True))
    assert np.array_equal(found, generate(sdxl, None, prompt_embeds=embeds, **given))
    assert not np.array_equal(found, exchanged(sdxl, daamkit.Exchange("cat", SOURCE)))


def test_pooled_text_of_a_joint_model():
    pipe = tiny_joint.toybox_flux()
    options = {"num_inference_steps": 2, "max_sequence_length": 32, "output_type": "latent"}

    def made(**given):
        return pipe(**given, **options, generator=torch.Generator().manual_seed(0)).images

    with daamkit.edit(pipe, daamkit.Exchange("pooled", SOURCE)):
        found = made(prompt=PROMPT)
    with torch.no_grad():
        own, other = (pipe.encode_prompt(text, text, max_sequence_length=32)
                      for text in (PROMPT, SOURCE))  # fmt: skip
    assert torch.equal(found, made(prompt_embeds=own[0], pooled_prompt_embeds=other[1]))
    assert not torch.equal(found, made(prompt=PROMPT))


def test_of_stable_diffusion_3_the_word_stands_in_two_texts():
    pipe = tiny_joint.quiet(tiny_joint.sd3())
    options = {"num_inference_steps": 2, "height": 32, "width": 48, "guidance_scale": 3.0}
    options |= {"output_type": "latent", "max_sequence_length": 24}

    def made(**given):
        return pipe(**given, **options, generator=torch.Generator().manual_seed(0)).images

    with daamkit.edit(pipe, daamkit.Exchange("cat", SOURCE)):
        found = made(prompt=PROMPT)
    texts = {"do_classifier_free_guidance": True, "max_sequence_length": 24}
    with torch.no_grad():
        own, other = (pipe.encode_prompt(text, text, text, **texts) for text in (PROMPT, SOURCE))
    embeds = own[0].clone()
    with daamkit.trace(pipe) as tracer:
        made(prompt=PROMPT)
    columns = tracer.run.maps.prompt.word("cat").columns
    assert len(columns) >= 2
    differ = (own[0] != other[0]).any(-1)[0]
    t5 = len(pipe.tokenizer_3(PROMPT.split(" and ")[0]).input_ids) - 2  # before "cat", its end
    places = [3, 77 + t5]
    assert differ[places].all()
    embeds[:, places] = other[0][:, places]
    names = ("negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    given = {"prompt_embeds": embeds} | dict(zip(names, own[1:], strict=True))
    assert torch.equal(found, made(**given))


def test_what_cannot_be_exchanged(sd):
    with pytest.raises(DaamkitError, match="layers='up'"):
        exchanged(sd, daamkit.Exchange("cat", SOURCE, layers="up"))
    with pytest.raises(WordError, match="'bird'"):
        exchanged(sd, daamkit.Exchange("bird", SOURCE))
    with pytest.raises(DaamkitError, match="the branch 'image'"):
        exchanged(sd, daamkit.Exchange("cat", SOURCE, branch="image"))
    with pytest.raises(DaamkitError, match="a model that is given pooled text"):
        exchanged(sd, daamkit.Exchange("pooled", SOURCE))
    for prompts, sources, images in ((1, 2, 1), (1, 2, 2), (4, 2, 1), (2, 0, 1)):
        told = f"another prompt for each of {prompts} prompts; got {sources}"
        with pytest.raises(DaamkitError, match=told):
            exchanged(
                sd,
                daamkit.Exchange("cat", [SOURCE] * sources),
                prompt=[PROMPT] * prompts,
                num_images_per_prompt=images,
            )
    with pytest.raises(DaamkitError, match="a list of words for each of 1 prompts; got 2"):
        exchanged(sd, daamkit.Exchange([["cat"], ["red"]], SOURCE))
    pipe = tiny_joint.quiet(tiny_joint.qwen())
    options = {"num_inference_steps": 2, "height": 32, "width": 48}
    with (
        pytest.raises(DaamkitError, match="a prompt with as many tokens"),
        daamkit.edit(pipe, daamkit.Exchange("cat", "a cat with a great many words after it")),
    ):
        pipe("a cat", **options)
    again = generate(sd, PROMPT)
    assert np.array_equal(again, generate(sd, PROMPT))
