"""What the text encoders read is observed; what others put into a pass is there in extra ones."""

import numpy as np
import pytest
import torch
from diffusers import (
    StableDiffusionAdapterPipeline,
    StableDiffusionGLIGENPipeline,
    StableDiffusionPipeline,
    T2IAdapter,
)
from diffusers.models.attention_processor import AttnProcessor2_0
from PIL import Image

import daamkit
from daamkit.errors import DaamkitError
from tests import tiny
from tests.tiny import generate


def rewriting(rewrite, sd) -> StableDiffusionPipeline:
    """A pipeline that encodes another text than it was given."""

    class Rewriting(StableDiffusionPipeline):
        def encode_prompt(self, prompt, *args, **kwargs):
            one = isinstance(prompt, str)
            prompt = rewrite(prompt) if one else [rewrite(text) for text in prompt]
            return super().encode_prompt(prompt, *args, **kwargs)

    pipe = Rewriting(**sd.components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_a_prefix_and_stripped_marks_shift_no_word(sd):
    pipe = rewriting(lambda text: "big two " + text.replace("[", "").replace("]", ""), sd)
    with daamkit.trace(pipe) as tracer:
        generate(pipe, ["a [red] cat", "a [blue] car and a dog"])
    with daamkit.trace(sd) as plain:
        generate(sd, ["big two a red cat", "big two a blue car and a dog"])
    for run, other, word in zip(tracer.runs, plain.runs, ["cat", "car"], strict=True):
        assert run.prompt == other.prompt
        assert torch.equal(run.maps.word(word).values, other.maps.word(word).values)


def test_guidance_reads_what_the_encoder_reads(sd):
    pipe = rewriting(lambda text: text.removeprefix("((( "), sd)
    with daamkit.guide(pipe, daamkit.AttendAndExcite(["cat"])) as guided:
        image = generate(pipe, "((( a red cat")
    with daamkit.guide(sd, daamkit.AttendAndExcite(["cat"])) as plain:
        assert np.array_equal(image, generate(sd, "a red cat"))
    assert guided.table().equals(plain.table())


def test_ids_that_no_text_explains_are_refused_and_named(sd):
    class Shuffled(StableDiffusionPipeline):
        def encode_prompt(self, prompt, device, count, guided, *_, **__):
            ids = self.tokenizer(prompt, padding="max_length", return_tensors="pt").input_ids
            ids[:, 1:4] = ids[:, 1:4].flip(1)
            return self.text_encoder(ids)[0], torch.zeros(1, 77, 32)

    pipe = Shuffled(**sd.components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    with (
        pytest.raises(DaamkitError, match=r"read 'a red cat', the prompt; got 'cat red a'"),
        daamkit.trace(pipe),
    ):
        generate(pipe, "a red cat")


def test_a_call_in_which_no_encoder_ran_is_refused(sd):
    class Cached(StableDiffusionPipeline):
        def encode_prompt(self, *_, **__):
            return torch.zeros(1, 77, 32), torch.zeros(1, 77, 32)

    pipe = Cached(**sd.components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    with (
        pytest.raises(DaamkitError, match=r"tokens that text_encoder reads of 'a red cat'"),
        daamkit.trace(pipe),
    ):
        generate(pipe, "a red cat")


@pytest.mark.parametrize("told", ["a (red:1.4) cat", "a red++ cat"])
def test_weights_in_the_text_of_embeddings_are_refused(sd, told):
    embeds = sd.encode_prompt("a red cat", "cpu", 1, False)[0]
    with (
        pytest.raises(DaamkitError, match=r"words that the embeddings stand for; got '.*(1.4|\+)"),
        daamkit.trace(sd, prompt=told),
    ):
        generate(sd, None, prompt_embeds=embeds, guidance_scale=1.0)


@pytest.mark.parametrize("context", [
    daamkit.trace, lambda pipe: daamkit.guide(pipe, daamkit.AttendAndExcite(["cat"])),
])  # fmt: skip
def test_text_exchanged_in_between_is_refused(sd, context):
    late, none = sd.encode_prompt("a blue car next to a red cat", "cpu", 1, True)

    def switch(pipe, step, time, tensors):
        return {"prompt_embeds": torch.cat([none, late])}

    exchange = {
        "callback_on_step_end": switch,
        "callback_on_step_end_tensor_inputs": ["prompt_embeds"],
    }
    with (
        pytest.raises(DaamkitError, match="embeddings that were exchanged in between"),
        context(sd),
    ):
        generate(sd, "a red cat", **exchange)
    switch = lambda pipe, step, time, tensors: dict(tensors)  # noqa: E731 - the same text again
    with context(sd):
        generate(sd, "a red cat", **exchange | {"callback_on_step_end": switch})


@pytest.mark.parametrize("how", ["written", "behind", "inference"])
def test_text_written_over_in_between_is_refused(sd, how):
    late, none = sd.encode_prompt("a blue car next to a red cat", "cpu", 1, True)

    def write(pipe, step, time, tensors):
        own = tensors["prompt_embeds"]
        (own.data if how == "behind" else own).copy_(torch.cat([none, late]))
        return {}

    told = pytest.raises(DaamkitError, match="embeddings that were exchanged in between")
    with told, torch.inference_mode(how == "inference"), daamkit.trace(sd):
        generate(
            sd, "a red cat", callback_on_step_end=write,
            callback_on_step_end_tensor_inputs=["prompt_embeds"],
        )  # fmt: skip


def test_an_adapters_residuals_are_there_in_extra_passes():
    """The UNet empties the list that it is given; with nothing masked, the extra pass is the main
    one."""
    parts = tiny.sd().components
    torch.manual_seed(0)
    adapter = T2IAdapter(in_channels=3, channels=[16, 32, 32], num_res_blocks=1, downscale_factor=2)
    pipe = StableDiffusionAdapterPipeline(
        **{name: part for name, part in parts.items() if name != "image_encoder"},
        adapter=adapter.eval(), requires_safety_checker=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    sketch = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    options = {
        "image": sketch, "height": 64, "width": 64, "adapter_conditioning_scale": 5.0,
        "output_type": "latent",
    }  # fmt: skip
    plain = generate(pipe, "a red cat", **options)
    with daamkit.guide(pipe, daamkit.SelfAttentionGuidance(threshold=float("inf"))):
        guided = generate(pipe, "a red cat", **options)
    assert torch.allclose(plain, guided, rtol=1e-4, atol=1e-4)
    without = generate(pipe, "a red cat", **options | {"adapter_conditioning_scale": 0.0})
    assert not torch.allclose(plain, without, rtol=1e-2, atol=1e-2)


def test_grounding_is_no_self_attention_and_its_boxes_are_there_in_extra_passes():
    parts = tiny.sd(attention_type="gated").components
    parts.pop("image_encoder")
    pipe = StableDiffusionGLIGENPipeline(**parts, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    options = {
        "gligen_phrases": ["a cat"], "gligen_boxes": [[0.1, 0.1, 0.5, 0.5]],
        "gligen_scheduled_sampling_beta": 1.0, "height": 64, "width": 64,
    }  # fmt: skip
    plain = generate(pipe, "a red cat", **options)
    with daamkit.trace(pipe, self_attention=True) as tracer:
        assert np.array_equal(plain, generate(pipe, "a red cat", **options))
    assert not any("fuser" in name for name in tracer.run.self_attention["cond"].layers)
    with daamkit.guide(pipe, daamkit.SelfAttentionGuidance(threshold=float("inf"))):
        assert np.allclose(plain, generate(pipe, "a red cat", **options), atol=1e-4)
    with daamkit.guide(pipe, daamkit.AttendAndExcite(["cat"], scale_factor=0.0)):
        assert np.array_equal(plain, generate(pipe, "a red cat", **options))


class Masked(AttnProcessor2_0):
    """Weighs what attention says by numbers that the caller gave: each region's, or each row's."""

    def __call__(self, attn, hidden_states, *args, numbers=None, of=None, **kwargs):
        said = super().__call__(attn, hidden_states, *args, **kwargs)
        weights = (of or {}).get("rows", numbers)
        if of is not None:  # a row's
            return said * weights.view(-1, 1, 1)
        return said * weights.sum() if numbers is not None else said


def masked(kind: type = StableDiffusionPipeline):
    pipe = kind(**tiny.sd().components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    pipe.unet.set_attn_processor(Masked())
    return pipe


NOTHING = daamkit.SelfAttentionGuidance(threshold=float("inf"))


def test_what_attention_is_given_may_be_as_long_as_the_batch_by_chance():
    """Two regions, and two rows: nobody knows whose they are, unless it is said."""
    pipe, two = masked(), torch.tensor([0.4, 0.9])
    given = {"cross_attention_kwargs": {"numbers": two}}
    plain = generate(pipe, "a cat", **given)
    with daamkit.trace(pipe), daamkit.edit(pipe, daamkit.Silence("cat")):
        generate(pipe, "a cat", **given)  # all of the batch
    wanted = r"cross_attention_kwargs\['numbers'\] .*as long as the batch, 2, for a pass of 1 row\."
    with daamkit.guide(pipe, NOTHING), pytest.raises(DaamkitError, match=wanted):
        generate(pipe, "a cat", **given)
    three = {"cross_attention_kwargs": {"numbers": torch.tensor([0.4, 0.5, 0.4])}}
    with daamkit.guide(pipe, NOTHING):
        shared = {"cross_attention_kwargs": {"numbers": two[None]}}
        assert np.allclose(plain, generate(pipe, "a cat", **shared), atol=1e-4)
        assert np.allclose(plain, generate(pipe, "a cat", **three), atol=1e-4)


def test_rows_that_a_pipeline_gives_attention_are_those_of_the_extra_pass():
    class Giving(StableDiffusionPipeline):
        """Each row its own number, put into what the caller gave."""

        def prepare_extra_step_kwargs(self, *args, **kwargs):
            self.cross_attention_kwargs["of"] = {"rows": torch.tensor([0.4, 1.3])}
            return super().prepare_extra_step_kwargs(*args, **kwargs)

    pipe = masked(Giving)
    plain = generate(pipe, "a cat", cross_attention_kwargs={})
    with daamkit.guide(pipe, NOTHING):
        assert np.allclose(plain, generate(pipe, "a cat", cross_attention_kwargs={}), atol=1e-4)


def test_an_inversion_of_several_vectors():
    """In another case diffusers puts only the first vector there, which is refused."""
    pipe, read = tiny.sd(), []
    pipe.load_textual_inversion({"<thing>": torch.randn(3, 32)})

    def note(module, args, kwargs):
        read.extend((*args, *kwargs.values())[0].tolist())

    handle = pipe.text_encoder.register_forward_pre_hook(note, with_kwargs=True)
    with daamkit.trace(pipe) as tracer:
        generate(pipe, "a <thing> and a cat")
    handle.remove()
    said = pipe.tokenizer.convert_ids_to_tokens(read[0])
    assert said[2:5] == ["<thing>", "<thing>_1", "<thing>_2"] and said[7] == "cat</w>"
    assert tracer.run.maps.word("cat").word.columns == (7,)
    assert tracer.run.maps.word("<thing>").word.columns == (2, 3, 4)
    wanted = r"text_encoder to read 'a <THING> and a cat', the prompt; got 'a <thing> ?and a cat'"
    with pytest.raises(DaamkitError, match=wanted), daamkit.trace(pipe):
        generate(pipe, "a <THING> and a cat")


def test_inputs_given_by_position_stay_there(sd):
    """Other people's hooks read them so, in extra passes too."""
    seen = []

    def note(module, args, kwargs):
        seen.append((len(args), "sample" in kwargs))

    handle = sd.unet.register_forward_pre_hook(note, with_kwargs=True)
    try:
        with daamkit.guide(sd, daamkit.PerturbedAttentionGuidance()):
            generate(sd, "a red cat")
    finally:
        handle.remove()
    assert len(seen) == 4 and set(seen) == {(2, False)}
