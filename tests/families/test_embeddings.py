"""Embeddings in a prompt's place: words stand where the prompt's would, or are refused."""

import pytest
import torch
from PIL import Image

import daamkit
from daamkit.errors import DaamkitError
from tests.families import every, tiny_cross, tiny_joint

pytestmark = pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning")

TEXT = 'a red cat and "fox"'


def encoded(name, pipe, text, **options):
    """A call's embeddings of a text, as its pipeline makes them."""
    more = {"max_sequence_length": 24} | options
    with torch.no_grad():
        if name == "hunyuanvideo":
            made = pipe.encode_prompt(text)
            names = "prompt_embeds prompt_embeds_mask prompt_embeds_2 prompt_embeds_mask_2"
            nothing = pipe.encode_prompt("")
            given = dict(zip(names.split(), made, strict=True))
            given |= {f"negative_{own}": part for own, part in zip(given, nothing, strict=True)}
        elif name == "qwenimage":
            embeds, mask = pipe.encode_prompt(text, **more)
            given = {"prompt_embeds": embeds, "prompt_embeds_mask": mask}
        elif name == "zimage":
            embeds, _ = pipe.encode_prompt(text, do_classifier_free_guidance=False)
            given = {"prompt_embeds": embeds}
        elif name == "chroma":
            embeds, _, mask, *negative = pipe.encode_prompt(text, negative_prompt="", **more)
            given = {"prompt_embeds": embeds, "prompt_attention_mask": mask}
            given["negative_prompt_embeds"], _, given["negative_prompt_attention_mask"] = negative
        else:
            names = ("prompt_embeds", "prompt_attention_mask")
            names += tuple(f"negative_{own}" for own in names)
            given = dict(zip(names, pipe.encode_prompt(text, **more), strict=True))
    return {"prompt": None} | given


MASKED = ["qwenimage", "zimage", "chroma", "auraflow", "hunyuanvideo"]


def run_of(name, pipe, prompt, told=None, **given):
    with daamkit.trace(pipe, prompt=told) as tracer:
        every.generate(every.CASES[name], pipe, prompt, **every.CASES[name].alone | given)
    return tracer.run.maps


@pytest.mark.parametrize("name", MASKED)
def test_a_words_map_is_the_prompts(name):
    """Chroma's mask leaves a place of padding, AuraFlow's has each place once for each channel;
    Qwen-Image and Z-Image have no padding at all."""
    pipe = every.CASES[name].build()
    plain = run_of(name, pipe, TEXT)
    given = encoded(name, pipe, TEXT)
    maps = run_of(name, pipe, given.pop("prompt"), TEXT, **given)
    for word in ("red", "cat", "fox"):
        one, other = (each.word(word).values for each in (maps, plain))
        assert torch.allclose(one, other, atol=1e-5)
    assert not torch.allclose(maps.word("red").values, maps.word("cat").values, atol=1e-4)


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize("told", ["a cat", f"{TEXT} and a small blue dog"])
def test_a_text_of_another_length_is_refused(name, told):
    pipe = every.CASES[name].build()
    if name == "qwenimage":
        pipe.tokenizer.model_max_length = 131_072  # as the real one says
    given = encoded(name, pipe, TEXT)
    with pytest.raises(DaamkitError, match="a text of .* tokens for text_encoder, as `prompt_"):
        run_of(name, pipe, given.pop("prompt"), told, **given)


@pytest.mark.parametrize("name", ["qwenimage", "chroma", "auraflow"])
def test_of_several_texts_each_has_its_own_length(name):
    pipe, texts = every.CASES[name].build(), [TEXT, "a dog"]
    given, count = encoded(name, pipe, texts), 1 if name == "chroma" else 2  # it repeats none
    case = every.CASES[name]
    more = case.alone | {"num_images_per_prompt": count}
    with daamkit.trace(pipe, prompt=texts) as tracer:
        every.generate(case, pipe, given.pop("prompt"), range(2 * count), **more | given)
    assert [run.prompt for run in tracer.runs] == [each for each in texts for _ in range(count)]
    with daamkit.trace(pipe) as plain:
        every.generate(case, pipe, texts, range(2 * count), **more)
    for run, other in zip(tracer.runs, plain.runs, strict=True):
        assert torch.allclose(run.maps.mass, other.maps.mass, atol=1e-5)


@tiny_joint.of_pictures
def test_pictures_in_embeddings_are_not_taken_for_words(kind, pictures, monkeypatch):
    """Their places stand before the prompt's, and nothing tells how many."""
    pipe = tiny_joint.qwen_edit(kind, monkeypatch)
    pipe.tokenizer.model_max_length = 131_072  # as the real one says
    seen, image = [Image.new("RGB", (64, 48), "red")] * pictures, Image.new("RGB", (32, 48), "red")
    with torch.no_grad():
        embeds, mask = pipe.encode_prompt("a red cat", image=seen)
    given = {"image": [image] * pictures, "prompt_embeds": embeds, "prompt_embeds_mask": mask}
    with (
        pytest.raises(DaamkitError, match=r"as `prompt_embeds` has places.*pictures in the call"),
        daamkit.trace(pipe, prompt="a red cat"),
    ):
        tiny_joint.generate(pipe, None, output_type="latent", **given)


def sd3_given(pipe, text="a red cat", clip=77, **options):
    """A call's embeddings, whose first text has `clip` places."""
    with torch.no_grad():
        embeds, _, pooled, _ = pipe.encode_prompt(text, text, text, **options)
    middle = torch.zeros(1, clip - 77, embeds.shape[2])
    return {
        "prompt_embeds": torch.cat([embeds[:, :77], middle, embeds[:, 77:]], 1),
        "pooled_prompt_embeds": pooled,
        "guidance_scale": 1.0,
    }


def test_where_the_second_of_two_texts_begins_is_known_or_refused():
    """CLIP's part may be longer than CLIP itself, in pieces: then T5's stands further on."""
    pipe, short = tiny_joint.sd3(), {"max_sequence_length": 32}
    with daamkit.trace(pipe) as tracer:
        tiny_joint.generate(pipe, "a red cat", guidance_scale=1.0, **short)
    given = sd3_given(pipe, **short)
    with daamkit.trace(pipe, prompt="a red cat") as own:
        tiny_joint.generate(pipe, None, **given, **short)
    for encoder in ("text_encoder", "text_encoder_3"):
        one, other = (each.run.maps.word("cat", encoder=encoder) for each in (own, tracer))
        assert torch.allclose(one.values, other.values, atol=1e-5)
    longer = sd3_given(pipe, clip=154, **short)
    wanted = r"77 of text_encoder and \d+ of text_encoder_3; got (109|186)\."
    for wrong in (given, longer | short):
        with pytest.raises(DaamkitError, match=wanted), daamkit.trace(pipe, prompt="a red cat"):
            tiny_joint.generate(pipe, None, **wrong)


def test_embeddings_of_a_text_whose_encoder_is_not_loaded():
    """T5's places are a text's, unless zeros stand there."""
    pipe, short = tiny_joint.sd3(), {"max_sequence_length": 32}
    given = sd3_given(pipe, **short)
    with daamkit.trace(pipe, prompt="a red cat") as plain:
        tiny_joint.generate(pipe, None, **given, **short)
    pipe.text_encoder_3 = None
    with daamkit.trace(pipe, prompt="a red cat") as tracer:
        tiny_joint.generate(pipe, None, **given, **short)
        tiny_joint.generate(pipe, None, **sd3_given(pipe, **short), **short)
    maps, without = (run.maps for run in tracer.runs)
    assert maps.prompt == plain.run.maps.prompt and len(maps.prompt.word("cat").parts) == 2
    assert torch.equal(maps.word("cat").values, plain.run.maps.word("cat").values)
    assert list(without.prompt.texts) == ["text_encoder", "text_encoder_2"]


def test_what_an_image_prior_puts_after_a_text_is_no_padding():
    """As FLUX Redux does."""
    pipe, short = tiny_joint.flux1(), {"max_sequence_length": 24}
    with torch.no_grad():
        embeds, pooled, _ = pipe.encode_prompt("a red cat", None, **short)
    after = torch.randn(1, 9, embeds.shape[2], generator=torch.Generator().manual_seed(0))
    given = {"prompt_embeds": torch.cat([embeds, after], 1), "pooled_prompt_embeds": pooled}
    found = []
    for told in (24, 33):
        with daamkit.trace(pipe, prompt="a red cat") as tracer:
            tiny_joint.generate(pipe, None, max_sequence_length=told, **given)
        found.append(tracer.run.maps)
    text, both = found
    (padding,) = text.prompt.special("padding").columns
    assert text.prompt == both.prompt and text.mass[padding] < 0.9 * both.mass[padding]
    rest = torch.arange(len(text.mass)) != padding
    assert torch.allclose(text.mass[rest], both.mass[rest], atol=1e-6)


def test_a_text_of_two_branches_is_read_in_each_ones_own_places():
    """CogView4 fills up each branch's texts to its longest."""
    pipe = tiny_cross.build("cogview4")
    long = "a red cat beside the blue car and a dog under a tree and a fox and the car " * 2
    given = {"prompt": ["a red cat", long], "negative_prompt": ["a dog", "a red cat"]}
    with daamkit.trace(pipe, branches=("cond", "uncond")) as tracer:
        tiny_cross.generate(pipe, "cogview4", **given)
    first, second = tracer.runs
    negative = second.branch("negative")
    assert (first.prompt, negative.prompt.text, second.prompt) == ("a red cat", "a red cat", long)
    swapped = {"prompt": given["negative_prompt"], "negative_prompt": given["prompt"]}
    with daamkit.trace(pipe, branches=("cond", "uncond")) as back:
        tiny_cross.generate(pipe, "cogview4", **swapped)
    for one, other in (
        (back.runs[1].maps, negative),
        (first.maps, back.runs[0].branch("negative")),
    ):
        assert one.prompt == other.prompt


def test_a_prompt_that_the_encoder_itself_rewrites(monkeypatch):
    """FLUX.2 [dev] may let its text encoder write a longer one: that is what the denoiser reads."""
    pipe = tiny_joint.flux2()
    written = "a small fox next to a glowing lantern"

    def upsample(prompt, **options):
        said = [{"role": "user", "content": f"More of: {prompt}"}]
        ids = pipe.tokenizer.apply_chat_template(
            said, return_dict=True, return_tensors="pt", padding="max_length", max_length=600,
            add_generation_prompt=True,
        )  # fmt: skip
        pipe.text_encoder.generate(**ids, max_new_tokens=2, use_cache=True)
        return [written]

    monkeypatch.setattr(pipe, "upsample_prompt", upsample)
    call = {"max_sequence_length": 512, "text_encoder_out_layers": (1, 2, 3)}
    with daamkit.trace(pipe) as tracer:
        tiny_joint.generate(pipe, "a red cat", caption_upsample_temperature=0.2, **call)
    with daamkit.trace(pipe) as plain:
        tiny_joint.generate(pipe, written, **call)
    assert tracer.run.prompt == written
    assert torch.equal(tracer.run.maps.word("fox").values, plain.run.maps.word("fox").values)
