"""Videos: maps with an axis of frames, two denoisers, texts in quotes."""

import dataclasses
import types

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from diffusers import (
    AdaptiveProjectedGuidance,
    ClassifierFreeGuidance,
    LayerSkipConfig,
    LTXImageToVideoPipeline,
    PerturbedAttentionGuidance,
    SkipLayerGuidance,
)
from diffusers.hooks import _helpers
from diffusers.models.transformers.transformer_hunyuan_video15 import (
    HunyuanVideo15AttnProcessor2_0,
    HunyuanVideo15TransformerBlock,
)
from diffusers.pipelines.wan import pipeline_wan_i2v
from PIL import Image

import daamkit
from daamkit import cli, plots
from daamkit.attention import hooks
from daamkit.attention.families.hunyuanvideo import quoted
from daamkit.errors import DaamkitError
from daamkit.views import still
from daamkit.views.png import data_uri
from tests.families import every, tiny_video
from tests.families.checks import Moving, Seen
from tests.families.every import CASES, generate


def traced(name, prompt="a red cat", trace=None, **options):
    pipe = CASES[name].build()
    with daamkit.trace(pipe, **(trace or {})) as tracer:
        generate(CASES[name], pipe, prompt, **options)
    return tracer.run


@pytest.fixture(scope="module")
def run():
    return traced("wan", output_type="np")


def test_a_word_has_a_map_for_each_frame(run):
    word = run.maps.word("cat")
    assert word.values.shape[0] == len(word.frames) == 3
    assert torch.equal(torch.stack([frame.values for frame in word.frames]), word.values)
    assert word.mask().shape == (3, 16, 48) and word.frames[1].mask().shape == (16, 48)
    top = word.expand(absolute=True).flatten(1).amax(1)
    assert word.mask().any((1, 2)).tolist() == (top >= 0.4 * top.max()).tolist()
    assert all(frame.mask().any() for frame in word.frames)
    height, width = word.peak()
    assert 0 <= height < 16 and 0 <= width < 48 and len(word.frames[0].frames) == 1


def test_a_run_of_a_video_is_a_run_for_each_frame(run):
    assert len(run.video) == 9 and len(run.frames) == 3 and run.image == run.video[0]
    assert [frame.image for frame in run.frames] == [run.video[i] for i in (0, 4, 8)]
    for at, frame in enumerate(run.frames):
        assert torch.equal(frame.maps.word("cat").values, run.maps.word("cat").values[at])
        assert frame.frames == (frame,) and len(frame.table()) == 3
    means = torch.stack([frame.maps.mass for frame in run.frames]).mean(0)
    assert torch.allclose(means, run.maps.mass, atol=1e-6)
    assert "3 frames" in repr(run) and "<img" in run._repr_html_()


def test_a_movie_of_a_video_has_each_frames_map_over_its_own_picture(run):
    movie = plots.animate(run, "cat")
    assert movie.text == "attention of cat over 3 frames" and len(movie) == 3
    words = [frame.maps.word("cat") for frame in run.frames]
    top = max(float(np.max(word)) for word in words)
    for shown, at, word in zip(movie.frames, (0, 4, 8), words, strict=True):
        assert shown == plots.overlay(run.video[at], word, vmax=top, side=384)
    assert movie.frames[0] != movie.frames[1]
    beside = plots.animate([run, run.frames[2]], "cat")  # an image stands still
    assert len(beside) == 3 and beside.frames[0].width == 2 * 384 + 8
    with pytest.raises(DaamkitError, match="'step' in `keep="):
        plots.animate(run.frames[0], "cat")


def test_each_frames_maps_know_their_own_picture(run):
    """However one comes to a frame: by the run, by its maps, by a word."""
    wanted = [run.video[i] for i in (0, 4, 8)]
    maps, word = run.maps, run.maps.word("cat")
    for each in (maps.frames, word.frames, maps.word("red").frames):
        assert all(one.image is own for one, own in zip(each, wanted, strict=True))
    latents = dataclasses.replace(run, image=None, video=())
    assert [frame.image for frame in latents.maps.word("cat").frames] == [None] * 3
    middle = plots.overlay(wanted[1], word.frames[1], side=384)
    assert still.of_word(word) == still.of_word(word.frames[1])
    assert data_uri(middle) in still.of_word(word)
    assert still.of_maps(maps) == still.of_maps(run.frames[1].maps) == still.html(run)


@pytest.mark.parametrize("plot", ["word", "grid", "heads", "overlay", "steps"])
def test_a_plot_of_one_picture_asks_for_a_frame(run, plot):
    draw = getattr(plots, plot)
    with pytest.raises(DaamkitError, match=r"a video, 3 frames. Draw one of `run.frames`"):
        draw(run, "cat")
    assert not plt.get_fignums()
    if plot in ("word", "grid", "overlay"):
        assert draw(run.frames[1], "cat") is not None
    plt.close("all")


def test_what_is_given_a_videos_map_or_exports_it_asks_for_a_frame(run, tmp_path):
    word = run.maps.word("cat")
    for draw in (word.plot, lambda: plots.overlay(run.image, word), lambda: run.export(tmp_path)):
        with pytest.raises(DaamkitError, match=r"`run.frames`"):
            draw()
    assert not any(tmp_path.iterdir()) and run.frames[2].export(tmp_path).is_dir()


def test_a_report_of_a_video_has_each_word_in_each_frame(tmp_path, capfd):
    tiny_video.build("wan").save_pretrained(tmp_path / "model")
    told = ["explain", "a red cat", "--model", str(tmp_path / "model"), "--steps", "1"]
    told += ["--height", "16", "--width", "48", "--out", str(tmp_path / "out")]
    assert cli.main(told) == 0, capfd.readouterr().err
    run = daamkit.open(tmp_path / "out" / "run")
    assert len(run.video) == 81 and len(run.frames) == 21
    names = {each.name for each in (tmp_path / "out" / "words").iterdir()}
    words = ("00-a", "01-red", "02-cat")
    assert names == {f"{word}-frame-{i}.png" for word in words for i in range(1, 22)}
    found = [[frame.maps.word(each) for frame in run.frames] for each in ("a", "red", "cat")]
    top = max(float(np.max(word)) for frames in found for word in frames)
    for at in (0, 7, 20):
        last = run.video[round(at * 80 / 20)]
        wanted = plots.overlay(last, found[2][at], threshold=0.4, vmax=top, side=384)
        with Image.open(tmp_path / "out" / "words" / f"02-cat-frame-{at + 1}.png") as drawn:
            assert drawn.tobytes() == wanted.tobytes()


def test_a_run_of_a_video_is_saved_with_its_frames(run, tmp_path):
    again = daamkit.open(run.save(tmp_path / "run"))
    assert [one.tobytes() for one in again.video] == [one.tobytes() for one in run.video]
    assert torch.equal(again.maps.word("cat").values, run.maps.word("cat").values)
    assert again.table().equals(run.table())
    again.save(tmp_path / "run")  # over itself
    (tmp_path / "run" / "frame-00003.png").unlink()
    with pytest.raises(DaamkitError, match="damaged"):
        daamkit.open(tmp_path / "run")


def test_relations_of_a_video_are_saved_with_its_frames(tmp_path):
    places = [(4, 4), (12, 30)]
    run = traced("wan", trace={"relations": {"image_to_image": places}}, output_type="np")
    again = daamkit.open(run.save(tmp_path / "run"))
    for place in places:
        paid = run.related["image_to_image"].of(place)
        assert paid.shape[0] == 3 and float(paid.sum()) == pytest.approx(1, abs=1e-5)
        assert torch.equal(again.related["image_to_image"].of(place), paid)
    one, other = (run.related["image_to_image"].of(place) for place in places)
    assert not torch.allclose(one, other)


def test_each_of_two_denoisers_is_read_where_it_runs():
    run = traced("wan22", trace={"keep": ("step", "site")})
    first, second = (run.maps.layers[f"{own}blocks.0.attn2"] for own in ("", "transformer_2."))
    assert (first.ran, second.ran) == ((0,), (1,))
    assert first.values[0].any() and not first.values[1].any()
    assert run.maps.mass.sum() == pytest.approx(1, abs=1e-5)
    last = run.maps.select(steps=1)
    assert all(name.startswith("transformer_2.") for name in last.layers)
    assert last.mass.sum() == pytest.approx(1, abs=1e-5)
    sums = traced("wan22", trace={"keep": ()})
    assert list(sums.maps.layers) == ["block 3x2x6", "transformer_2 block 3x2x6"]
    assert torch.allclose(sums.maps.mass, run.maps.mass, atol=1e-6)
    whole, parts = run.maps.word("cat").values, [run.maps.select(steps=i) for i in (0, 1)]
    assert torch.allclose(whole, sum(each.word("cat").values for each in parts), atol=1e-5)


def test_cells_that_look_at_all_frames_are_refused():
    with pytest.raises(DaamkitError, match="a video, whose cells look at the cells of all frames"):
        traced("ltx", trace={"self_attention": True})


def test_one_video_a_prompt_whatever_is_asked_for():
    run = traced("cogvideox", num_videos_per_prompt=2)
    assert run.maps.word("cat").values.shape[0] == 3


def test_what_is_in_quotes_is_read_twice():
    prompt = 'a cat and "a r\u00e9d fox" and \u201cthe dog\u201d and "a"'
    run = traced("hunyuanvideo", prompt)
    found = {name: run.maps.prompt.word("fox", encoder=name).columns for name in
             ("text_encoder", "text_encoder_2")}  # fmt: skip
    word = run.maps.prompt.word("fox")
    assert word.parts == tuple(found.values()) and len(found["text_encoder_2"]) == 3
    assert len(run.maps.prompt.word("r\u00e9d", encoder="text_encoder_2").columns) == 4  # bytes
    assert [each.text for each in run.maps.prompt.words("text_encoder_2")] == [
        "a", "r\u00e9d", "fox", "the", "dog", "a",
    ]  # fmt: skip
    with pytest.raises(
        DaamkitError, match="an encoder that is given 'a r\u00e9d foxthe doga' alone"
    ):
        run.maps.prompt.word("cat", encoder="text_encoder_2")
    assert len(run.maps.prompt.word("cat").columns) and not run.maps.prompt.word("cat").parts


@pytest.mark.parametrize("prompt", ['say "hi"', 'a "b" and "b" or \u201cc\u201d', "none", '""'])
def test_quotes_are_written_as_the_pipeline_writes_them(prompt):
    from diffusers.pipelines.hunyuan_video1_5.pipeline_hunyuan_video1_5 import extract_glyph_texts

    parts = quoted(prompt)
    assert ("".join(char for char, _ in parts) or None) == extract_glyph_texts(prompt)
    assert all(at is None or prompt[at] == char for char, at in parts)


def test_a_generation_goes_on_from_what_was_moved():
    """What is denoised is found in packed latents, in those with frames first and in others, and
    put back; of HunyuanVideo-1.5 and HiDream too."""
    for name in ("ltx", "cogvideox", "wan", "wan22", "hunyuanvideo", "hidream"):
        pipe, tap = every.CASES[name].build(), Moving()
        with hooks.attach(pipe, tap):
            moved = generate(CASES[name], pipe)
        sides = tap.image.shape[2:]
        cell = {"cogvideox": 2, "wan": 2, "wan22": 2, "hidream": 2}.get(name, 1)
        assert sides[-2:] == tuple(cell * side for side in tap.grid[-2:])
        assert sides[:-2] == tap.grid[:-2] and tap.image.shape[1] == 4
        assert torch.equal(generate(CASES[name], pipe, latents=tap.moved), moved)


@pytest.mark.parametrize("way", [
    daamkit.AttendAndExcite(["cat"]), daamkit.PerturbedAttentionGuidance(layers="block"),
])  # fmt: skip
def test_what_the_scheduler_has_in_another_form_is_traced_and_not_guided(way):
    """LTX's video that begins with a picture is stepped unpacked, without its first frame."""
    case, own = CASES["ltx"], CASES["ltx"].build()
    pipe = tiny_video.quiet(LTXImageToVideoPipeline(**own.components))
    given = {"image": Image.linear_gradient("L").convert("RGB").resize((64, 32))}
    plain = generate(case, pipe, **given)
    with daamkit.trace(pipe) as tracer:
        assert torch.equal(generate(case, pipe, **given), plain)
    assert tracer.run.maps.word("cat").values.shape[0] == 3
    wanted = r"is given what is denoised, \(1, 96, 4\); got LTXImageToVideoPipeline, which gives it"
    with pytest.raises(DaamkitError, match=wanted), daamkit.guide(pipe, way):
        generate(case, pipe, **given)


def guider(kind, monkeypatch):
    """One of diffusers', of which some skip layers, in all steps but the first."""
    skips = {"indices": [1], "fqn": "transformer_blocks"}
    scores = skips | {"skip_attention": False, "skip_attention_scores": True, "skip_ff": False}
    for registry, known, how in (  # diffusers knows how to skip other models' alone
        ("TransformerBlock", HunyuanVideo15TransformerBlock, (0, 1)),
        ("AttentionProcessor", HunyuanVideo15AttnProcessor2_0, (None,)),
    ):
        own = getattr(_helpers, f"{registry}Registry")
        monkeypatch.setattr(own, "_registry", {})
        own.register(known, getattr(_helpers, f"{registry}Metadata")(*how))
    return {
        "none": lambda: ClassifierFreeGuidance(guidance_scale=1.0),
        "off": lambda: ClassifierFreeGuidance(guidance_scale=6.0, enabled=False),
        "projected": lambda: AdaptiveProjectedGuidance(guidance_scale=6.0),
        "skips": lambda: SkipLayerGuidance(
            guidance_scale=6.0, skip_layer_guidance_start=0.0, skip_layer_guidance_stop=1.0,
            skip_layer_config=LayerSkipConfig(**skips),
        ),
        "perturbed": lambda: PerturbedAttentionGuidance(
            guidance_scale=6.0, perturbed_guidance_start=0.0, perturbed_guidance_stop=1.0,
            perturbed_guidance_config=LayerSkipConfig(**scores),
        ),
    }[kind]()  # fmt: skip


@pytest.mark.parametrize(("kind", "passes"), [
    ("none", ["cond"]), ("off", ["cond"]), ("projected", ["cond", "uncond"]),
    ("skips", ["cond", "uncond", "perturbed"]), ("perturbed", ["cond", "uncond", "perturbed"]),
])  # fmt: skip
def test_each_pass_of_a_guider_has_its_name(kind, passes, monkeypatch):
    case = CASES["hunyuanvideo"]
    pipe = case.build()
    pipe.guider = guider(kind, monkeypatch)
    plain, seen = generate(case, pipe), Seen()
    with hooks.attach(pipe, seen), daamkit.trace(pipe, branches=tuple(passes)) as tracer:
        assert torch.equal(generate(case, pipe), plain)
    told = [name for each in seen.passes for name in each.branches]
    assert told == [*(name for name in passes if name != "perturbed"), *passes]
    (text,) = {id(own.text[1]) for own in seen.passes if "cond" in own.branches}
    for own in seen.passes:
        assert (id(own.text[1]) == text) == ("uncond" not in own.branches)
    layers = {name: list(tracer.run.branch(name).layers) for name in passes}
    skipped = layers.pop("perturbed", ["transformer_blocks.0.attn"])
    assert skipped == ["transformer_blocks.0.attn"]  # the other attends to nothing
    assert all(len(own) == 2 for own in layers.values())


def pictured(pipe, monkeypatch, prompt, **options):
    """A video that begins with a picture."""
    plain = types.SimpleNamespace(fix_text=lambda text: text)
    monkeypatch.setattr(pipeline_wan_i2v, "ftfy", plain, raising=False)
    return pipe(
        image=Image.linear_gradient("L").convert("RGB").resize((48, 16)), prompt=prompt,
        height=16, width=48, num_frames=9, num_inference_steps=1, guidance_scale=1.0,
        output_type="latent", generator=torch.Generator().manual_seed(0), **options,
    ).frames  # fmt: skip


@pytest.mark.parametrize("name", ["wan", "wan22", "wan_i2v"])
def test_concepts_of_a_video_have_its_frames(name, monkeypatch):
    """The prompt's own word, there once more: of a share p it has p / (1 + p)."""
    asked = {"concepts": ["cat", "dog"], "keep": ("step", "site", "head")}
    if name == "wan_i2v":
        pipe = tiny_video.build(name)
        with daamkit.trace(pipe, **asked) as tracer:
            pictured(pipe, monkeypatch, "cat")
        maps = tracer.run.maps
    else:
        maps = traced(name, "cat", trace=asked).maps
    column = maps.prompt.word("cat").columns[0]
    assert maps.concepts.layers.keys() == maps.layers.keys()
    for layer, other in zip(maps.layers.values(), maps.concepts.layers.values(), strict=True):
        share, found = layer.values[..., column, :, :], other.values[..., 0, :, :]
        assert layer.frames == other.frames == 3 and layer.ran == other.ran
        assert torch.allclose(found, share / (1 + share), atol=1e-5)
        assert found.amax() > 0 and not torch.allclose(other.values[..., 1, :, :], found)
    assert maps.concept("cat").values.shape == maps.word("cat").values.shape


def test_words_vectors_are_exchanged_beside_a_picture_to_begin_with(monkeypatch):
    pipe = tiny_video.build("wan_i2v")
    with daamkit.edit(pipe, daamkit.Exchange("cat", "a red dog")):
        found = pictured(pipe, monkeypatch, "a red cat")
    own, other = (
        pipe.encode_prompt(text, None, False, max_sequence_length=512)[0]
        for text in ("a red cat", "a red dog")
    )
    own[:, 2] = other[:, 2]  # the third token
    assert torch.equal(found, pictured(pipe, monkeypatch, None, prompt_embeds=own))
    assert not torch.equal(found, pictured(pipe, monkeypatch, "a red cat"))


@pytest.mark.parametrize("places", [512, 510, 256])
def test_a_picture_to_begin_with_is_not_read_as_text(places, monkeypatch):
    """The model takes its last 512 places for the text's: the picture's last, if that has fewer."""
    pipe, seen = tiny_video.build("wan_i2v"), Seen()
    with hooks.attach(pipe, seen), daamkit.trace(pipe, keep=("site",)) as tracer:
        pictured(pipe, monkeypatch, "a red cat", max_sequence_length=places)
    maps = tracer.run.maps
    (cat,) = maps.prompt.word("cat").columns
    for name, layer in maps.layers.items():
        attention = seen.attentions[0, name]
        assert attention.key.shape[2] == 512
        shares = attention.probabilities("cond")[0].sum(0)
        own = shares[:, 512 - places + 2]  # the third token
        assert (layer.values[:, cat].flatten() - own).abs().max() < 1e-5
        text = layer.values.sum(1).flatten()
        assert (text - shares[:, 512 - places :].sum(-1)).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("name", "site"), [("wan", "blocks.0.attn2"), ("auraflow", "joint_transformer_blocks.0.attn")]
)
def test_keys_that_no_input_explains_are_refused(name, site):
    """One more place of the text in cross-attention; of the image where both are in one softmax."""
    pipe = CASES[name].build()

    def longer(module, args, kwargs):
        if name == "wan":
            return (args[0], torch.cat([args[1], args[1][:, :1]], 1), *args[2:]), kwargs
        own = kwargs["hidden_states"]
        return args, kwargs | {"hidden_states": torch.cat([own, own[:, :1]], 1)}

    pipe.transformer.get_submodule(site).register_forward_pre_hook(longer, with_kwargs=True)
    with pytest.raises(DaamkitError, match=rf"keys at {site}"), daamkit.trace(pipe):
        generate(CASES[name], pipe)
