"""From a pipeline's call to runs."""

import copy

import diffusers
import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    StableDiffusionControlNetPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionXLImg2ImgPipeline,
)
from diffusers.models.attention_processor import (
    AttnProcessor,
    AttnProcessor2_0,
    SlicedAttnProcessor,
)
from PIL import Image

import daamkit
from daamkit.errors import DaamkitError
from tests import tiny
from tests.tiny import generate


def traced(pipe, *args, trace=None, **options):
    with daamkit.trace(pipe, **(trace or {})) as tracer:
        generate(pipe, *args, **options)
    return tracer.runs


def test_runs_accumulate_over_calls(sd):
    with daamkit.trace(sd) as tracer:
        generate(sd, "a cat")
        generate(sd, ["a dog", "two dogs"], num_images_per_prompt=2)
    assert [run.prompt for run in tracer.runs] == ["a cat"] + 2 * ["a dog"] + 2 * ["two dogs"]


def test_run_before_any_generation(sd):
    with daamkit.trace(sd) as tracer, pytest.raises(DaamkitError, match="no finished generation"):
        _ = tracer.run
    with pytest.raises(LookupError, match="Call the traced pipeline"):
        _ = tracer.run


def test_run_where_there_are_several(sd):
    with daamkit.trace(sd) as tracer:
        generate(sd, ["a cat", "a dog"])
    with pytest.raises(DaamkitError, match=r"got 2 images.*tracer\.runs\[0\].*tracer\.runs\[1\]"):
        _ = tracer.run


def test_an_empty_prompt_is_traced_and_has_no_words(sd):
    (run,) = traced(sd, "")
    assert len(run.table()) == 0 and run.maps.special("padding").values.sum() > 0
    with pytest.raises(DaamkitError, match=r"word 'cat'; got an empty prompt"):
        run.maps.word("cat")
    assert "no words" in run._repr_html_()


def test_a_long_prompt_is_traced_up_to_its_cut(sd):
    (run,) = traced(sd, "a cat and " * 30 + "a dog")
    assert len(run.maps.words()) == 75
    with pytest.raises(DaamkitError, match="limit of 77 tokens"):
        run.maps.word("dog")


def test_negative_prompts_have_maps(sd):
    (run,) = traced(
        sd, "a cat", negative_prompt="a red dog", trace={"branches": ("cond", "negative")}
    )
    assert run.branch("negative").word("dog").mask().shape == (64, 64)
    assert run.branch("negative").prompt.text == "a red dog"
    (same,) = traced(
        sd, "a cat", negative_prompt="a red dog", trace={"branches": ("cond", "uncond")}
    )
    assert set(same.branches) == {"cond", "negative"}


def test_a_branch_that_the_call_has_not(sd):
    with pytest.raises(DaamkitError, match=r"branch 'negative'; got .*branches uncond, cond"):
        traced(sd, "a cat", trace={"branches": ("negative",)})
    with pytest.raises(DaamkitError, match=r"branch 'uncond'; got .*branches cond"):
        traced(sd, "a cat", guidance_scale=1.0, trace={"branches": ("uncond",)})


def embeddings(pipe, text: str) -> torch.Tensor:
    ids = pipe.tokenizer(text, padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        return pipe.text_encoder(ids).last_hidden_state


def test_prompt_embeddings_with_their_text(sd):
    (plain,) = traced(sd, "a red cat")
    given = {"prompt": None, "prompt_embeds": embeddings(sd, "a red cat")}
    (run,) = traced(sd, **given, trace={"prompt": "a red cat"})
    assert torch.allclose(run.maps.word("cat").values, plain.maps.word("cat").values, atol=1e-4)
    with pytest.raises(DaamkitError, match=r"text that `prompt_embeds` stand for.*prompt='...'"):
        traced(sd, **given)
    with pytest.raises(DaamkitError, match=r"wanted 1 texts in `prompt=` of the trace; got 2"):
        traced(sd, **given, trace={"prompt": ["a", "b"]})


@pytest.mark.parametrize("kind", ["pil", "np", "pt"])
def test_every_kind_of_image(sd, kind):
    (run,) = traced(sd, "a cat", output_type=kind)
    assert run.image.size == (64, 64)


def test_latents_have_no_image_but_maps(sd, tmp_path):
    (run,) = traced(sd, "a cat", output_type="latent")
    assert run.image is None and run.maps.word("cat").mask().shape == (64, 64)
    assert daamkit.open(run.save(tmp_path / "run")).image is None
    assert "latents only" in run._repr_html_()


def test_tuples_are_read_too(sd):
    with daamkit.trace(sd) as tracer:
        sd("a cat", num_inference_steps=1, return_dict=False)
    assert tracer.run.image is not None


def test_both_encoders_of_xl(sdxl):
    (run,) = traced(sdxl, "a red cat", prompt_2="a big dog and a cat")
    prompt = run.maps.prompt
    assert prompt.texts == {"text_encoder": "a red cat", "text_encoder_2": "a big dog and a cat"}
    assert prompt.word("cat").columns == (3,)
    assert prompt.word("cat", encoder="text_encoder_2").columns == (6,)
    assert run.maps.mass.sum() == pytest.approx(1, abs=1e-5)
    (same,) = traced(sdxl, "a red cat")
    assert set(same.tokens()["encoder"]) == {"text_encoder", "text_encoder_2"}


def test_only_some_sites(sd):
    (run,) = traced(sd, "a cat", trace={"sites": "up_blocks.1"})
    assert all(name.startswith("up_blocks.1") for name in run.maps.layers)
    with pytest.raises(DaamkitError, match=r"sites named nowhere; got none"):
        traced(sd, "a cat", trace={"sites": ["nowhere"]})


def test_the_record_makes_the_image_again(sd):
    (run,) = traced(sd, "a cat", seed=7, steps=3, guidance_scale=4.0, output_type="pil")
    record = run.record
    assert record["seed"] == {"seed": 7, "fresh": True, "source": "generator"}
    assert record["scheduler"]["class"] == "DDIMScheduler" and record["dtype"] == "float32"
    assert record["arguments"]["guidance_scale"] == 4.0 and len(record["timesteps"]) == 3
    assert set(record["versions"]) >= {"daamkit", "torch", "diffusers", "transformers", "python"}
    arguments = {
        key: value
        for key, value in record["arguments"].items()
        if key in ("prompt", "num_inference_steps", "guidance_scale")
    }
    again = sd(**arguments, generator=torch.Generator().manual_seed(record["seed"]["seed"]))
    assert again.images[0].tobytes() == run.image.tobytes()


def test_a_used_generator_is_recorded_as_such(sd):
    generator = torch.Generator().manual_seed(1)
    torch.randn(1, generator=generator)
    with daamkit.trace(sd) as tracer:
        sd("a cat", num_inference_steps=1, generator=generator)
        sd("a cat", num_inference_steps=1, generator=[torch.Generator().manual_seed(5)])
    first, second = (run.record["seed"] for run in tracer.runs)
    assert not first["fresh"] and second == {
        "seed": 5,
        "fresh": True,
        "source": "generator of the image",
    }


@pytest.mark.parametrize("processor", [AttnProcessor(), SlicedAttnProcessor(2)])
def test_attention_that_cannot_be_observed(processor):
    pipe = tiny.sd()
    pipe.unet.set_attn_processor(processor)
    with (
        pytest.raises(
            DaamkitError,
            match=rf"{type(processor).__name__} at .*AttnProcessor2_0.*disable_attention_slicing",
        ),
        daamkit.trace(pipe),
    ):
        pass


def test_a_processor_that_goes_around_the_kernel_is_told_when_it_runs():
    class Own(AttnProcessor):
        pass

    pipe = tiny.sd()
    pipe.unet.set_attn_processor(Own())
    with pytest.raises(DaamkitError, match=r"scaled_dot_product_attention; got Own at"):
        traced(pipe, "a cat")


def test_an_object_that_is_no_pipeline():
    with pytest.raises(
        DaamkitError, match=r"pipeline of a family.*UNet2DConditionModel.*got AutoencoderKL"
    ):
        daamkit.trace(AutoencoderKL()).__enter__()


def test_a_call_that_the_pipeline_refuses_is_refused_by_it(sd):
    with daamkit.trace(sd) as tracer, pytest.raises(ValueError, match="Provide either"):
        sd()
    assert tracer.runs == []


def test_a_lora_loaded_inside_the_context_does_not_blind_it(sd):
    """peft wraps the projections; sites and hooks stay."""
    pipe = copy.deepcopy(sd)
    with daamkit.trace(pipe) as tracer:
        for module in pipe.unet.modules():
            if hasattr(module, "to_q"):
                module.to_q = torch.nn.Sequential(module.to_q, torch.nn.Identity())
        generate(pipe, "a cat")
    assert tracer.run.maps.mass.sum() == pytest.approx(1, abs=1e-5)


def test_text_that_negative_embeddings_stand_for(sd):
    given = {
        "prompt": None,
        "prompt_embeds": embeddings(sd, "a red cat"),
        "negative_prompt_embeds": embeddings(sd, "two dogs"),
    }
    asked = {"prompt": "a red cat", "branches": ("cond", "negative")}
    with pytest.raises(DaamkitError, match=r"`negative_prompt_embeds` stand for.*negative_prompt="):
        traced(sd, **given, trace=asked)
    (run,) = traced(sd, **given, trace={**asked, "negative_prompt": "two dogs"})
    assert run.branch("negative").word("dogs").values.sum() > 0


@pytest.mark.parametrize("tokens", [4, 154])
def test_embeddings_of_another_length_are_refused(sd, tokens):
    given = {"prompt": None, "prompt_embeds": torch.randn(1, tokens, 32)}
    with pytest.raises(DaamkitError, match=rf"text of 77 tokens.*got {tokens} keys at"):
        traced(sd, **given, guidance_scale=1.0, trace={"prompt": "a red cat"})


def test_one_branch_by_its_name_and_none(sd):
    (run,) = traced(sd, "a cat", trace={"branches": "uncond"})
    assert set(run.branches) == {"uncond"}
    with pytest.raises(DaamkitError, match="a branch to trace; got none"):
        daamkit.trace(sd, branches=())


def test_a_prompt_list_with_a_list_of_negatives(sd):
    runs = traced(
        sd, ["a cat", "a dog"], negative_prompt=["a car", ""], trace={"branches": ("negative",)}
    )
    assert [run.branch("negative").prompt.text for run in runs] == ["a car", ""]


@pytest.mark.parametrize("name", ["HeunDiscreteScheduler", "PNDMScheduler"])
def test_schedulers_that_make_more_passes_than_steps(name):
    pipe = tiny.sd()
    pipe.scheduler = getattr(diffusers, name).from_config(pipe.scheduler.config)
    (run,) = traced(pipe, "a cat", steps=4, trace={"keep": ("step", "site", "head")})
    passes = len(run.record["timesteps"])
    assert passes == run.maps.steps > 4
    assert run.maps.mass.sum() == pytest.approx(1, abs=1e-5)
    each = [run.maps.select(steps=i).mass.sum() for i in range(passes)]
    assert each == pytest.approx([1] * passes, abs=1e-5)


def test_image_to_image_of_xl_and_its_refiner(sdxl):
    picture = Image.new("RGB", (64, 64), "gray")
    parts = {key: value for key, value in sdxl.components.items() if value is not None}
    pipe = StableDiffusionXLImg2ImgPipeline(**parts, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    (run,) = traced(pipe, "a cat", image=picture, strength=0.6, steps=4)
    assert run.maps.word("cat").mask().shape == (64, 64)


def test_what_xl_reads_without_a_negative_prompt(sdxl):
    (run,) = traced(sdxl, "a cat", negative_prompt_2="a dog", trace={"branches": ("uncond",)})
    assert set(run.branch("uncond").prompt.texts.values()) == {""}


def test_control_nets(sd):
    pipe = StableDiffusionControlNetPipeline(
        **sd.components,
        controlnet=ControlNetModel.from_unet(
            sd.unet, conditioning_embedding_out_channels=(8, 16)
        ).eval(),
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    (run,) = traced(pipe, "a cat", image=Image.new("RGB", (64, 64)))
    assert run.maps.mass.sum() == pytest.approx(1, abs=1e-5)


def test_an_adapted_processor_attends_to_its_text_first():
    """An IP-Adapter's image keys come after the text's, in the same site."""
    pipe = tiny.sd()
    plain, *_ = traced(pipe, "a cat", steps=1)

    class Adapted(AttnProcessor2_0):
        def __call__(self, attn, hidden_states, encoder_hidden_states=None, **kwargs):
            output = super().__call__(attn, hidden_states, encoder_hidden_states, **kwargs)
            if encoder_hidden_states is not None:
                image = torch.ones(len(hidden_states), 4, encoder_hidden_states.shape[-1])
                output = output + 0.0 * super().__call__(attn, hidden_states, image)
            return output

    pipe.unet.set_attn_processor(Adapted())
    adapted, *_ = traced(pipe, "a cat", steps=1)
    assert torch.equal(plain.maps.pool(), adapted.maps.pool())


def test_an_image_that_is_generated_in_part_is_refused(sd):
    pipe = StableDiffusionInpaintPipeline(**sd.components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    picture = Image.new("RGB", (128, 128))
    with pytest.raises(DaamkitError, match="padding_mask_crop"):
        traced(pipe, "a cat", image=picture, mask_image=picture.convert("L"), padding_mask_crop=4)


def test_a_denoiser_exchanged_inside_the_context_is_told():
    pipe, other = tiny.sd(), tiny.unet().eval()
    with daamkit.trace(pipe), pytest.raises(DaamkitError, match="the same unet in all steps"):
        own, pipe.unet = pipe.unet, other
        try:
            generate(pipe, "a cat")
        finally:
            pipe.unet = own


def test_a_pipeline_without_a_tokenizer(sd):
    pipe = tiny.sd()
    given = embeddings(pipe, "a cat")
    pipe.tokenizer = None
    with pytest.raises(DaamkitError, match=r"pipeline with a tokenizer"):
        traced(
            pipe, prompt=None, prompt_embeds=given, guidance_scale=1.0, trace={"prompt": "a cat"}
        )


def test_too_few_generators_are_refused_by_the_pipeline(sd):
    with pytest.raises(ValueError, match="generators"), daamkit.trace(sd):
        sd(["a cat", "a dog"], generator=[torch.Generator()])


def test_numpy_numbers_are_recorded_as_numbers(sd):
    (run,) = traced(sd, "a cat", guidance_scale=np.float32(4), eta=np.float64(0.5))
    arguments = run.record["arguments"]
    assert (arguments["guidance_scale"], arguments["eta"]) == (4.0, 0.5)


def test_the_revision_of_a_model_from_the_hubs_cache(tmp_path):
    place = tmp_path / "models--somebody--some-model" / "snapshots" / "abc123"
    tiny.sd().save_pretrained(place)
    pipe = daamkit.load(place, low_cpu_mem_usage=False)
    pipe.set_progress_bar_config(disable=True)
    (run,) = traced(pipe, "a cat")
    model = run.record["model"]
    assert (model["name"], model["revision"]) == ("somebody/some-model", "abc123")
    with torch.no_grad():
        pipe.unet.conv_in.weight += 1
    (other,) = traced(pipe, "a cat")
    assert len(model["fingerprint"]) == 16 != other.record["model"]["fingerprint"]


def test_what_was_seen_so_far(sd):
    """After each step, the maps of the steps until then; they stay as they are."""
    found = []

    def step(pipe, index, time, tensors):
        found.extend(tracer.so_far())
        return tensors

    with daamkit.trace(sd, keep=("step", "site", "head")) as tracer:
        assert tracer.so_far() == []
        generate(sd, "a cat", steps=3, callback_on_step_end=step)
        assert tracer.so_far() == []
    assert [run.maps.steps for run in found] == [1, 2, 3] and len(tracer.runs) == 1
    for run in found:
        truth = tracer.run.maps.select(steps=range(run.maps.steps))
        assert torch.equal(run.maps.pool(), truth.pool())
