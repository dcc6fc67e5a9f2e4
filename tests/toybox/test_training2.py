"""The training of world 2, from nothing to a folder that diffusers opens, at the size of a test."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, FluxPipeline
from safetensors.torch import load_file

from daamkit import resources
from daamkit.errors import DaamkitError
from daamkit.toybox import flux, oracle, pipeline, scenes, sprites
from daamkit.toybox.training import flux as training
from daamkit.toybox.training import latents, loop, unet
from daamkit.toybox.training import oracle as teacher
from daamkit.toybox.training.denoiser import FluxDenoiser, ids
from daamkit.toybox.training.muon import Muon

SMALL = 32  # scenes a shard


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    """A folder after two steps."""
    out = tmp_path_factory.mktemp("flux") / "flux"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latents, "SHARD", SMALL)
        patch.setattr(training, "READ", 400)
        training.main(["--out", str(out), "--samples", "32", "--grid", "0", "--shards", "2"])
    return out


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(latents, "SHARD", SMALL)


def test_the_noisiest_time_has_no_signal():
    """Else no drawing is dark: sampling begins without the mean that training saw there."""
    assert pipeline.scheduler().alphas_cumprod[-1] == 0


def test_what_is_trained_is_a_plain_flux_pipeline(trained, tmp_path):
    training.export(trained, tmp_path / "flux", 64)
    pipe = DiffusionPipeline.from_pretrained(tmp_path / "flux", dtype=torch.float32)
    assert type(pipe) is FluxPipeline
    pipe.set_progress_bar_config(disable=True)
    options = {"num_inference_steps": 2, "height": 128, "width": 128, "max_sequence_length": 32}
    images = [
        pipe("a red cat", generator=torch.manual_seed(0), **options | more).images[0]
        for more in ({}, {"negative_prompt": "", "true_cfg_scale": 3.0})
    ]
    assert images[0].size == (128, 128)
    assert not np.array_equal(*map(np.asarray, images))


def test_what_was_exported_early_is_gone_on_with(trained, tmp_path, monkeypatch):
    place = tmp_path / "data" / "toybox-flux"
    training.export(trained, place, 1_000_000)
    with monkeypatch.context() as patch:
        patch.setattr(resources, "_PACKAGE", tmp_path / "package")
        with pytest.raises(DaamkitError, match=r"seen \d+ of 1000000 samples.*--export"):
            flux.toybox_flux()
    seen = json.loads((place / pipeline.TRAINING).read_text())["seen"]
    again, whole = FluxDenoiser(trained), training.averaged(trained)[0]
    assert again.load_weights(place) == seen
    for own, given in ((again.transformer, whole.transformer), (again.t5, whole.text_encoder_2)):
        for one, other in zip(own.parameters(), given.parameters(), strict=True):
            assert torch.allclose(one, other, rtol=1e-3, atol=1e-4)  # float16
    out = ["--out", str(tmp_path / "on"), "--start", str(place), "--scenes", str(trained)]
    training.main([*out, "--samples", str(seen + 16), "--grid", "0", "--shards", "2"])
    state = torch.load(tmp_path / "on" / "denoiser.pt", weights_only=True)
    assert (state["seen"], state["steps"]) == (seen + 16, seen // 8 + 2)


def test_end_and_padding_of_the_text_tell_nothing(trained):
    model = FluxDenoiser(trained)
    own, _ = ids(model, ["a cat", "a red dog", ""], [""] * 3, 32)
    text = model.t5(input_ids=own).last_hidden_state
    quiet, told = model.quiet(own, text)
    special = (own == model.t5_tokenizer.pad_token_id) | (own == model.t5_tokenizer.eos_token_id)
    assert torch.equal(quiet[~special], text[~special])
    assert all(torch.allclose(row[-8:], quiet[2, -8:], atol=1e-6) for row in quiet)
    ends = quiet[own == model.t5_tokenizer.eos_token_id]
    assert torch.allclose(ends, ends[-1].expand_as(ends), atol=1e-6)
    assert told > 1e-4
    assert model.quiet(own[2:], text[2:])[1] < 1e-10


def test_that_they_tell_nothing_is_learned_from_the_start(trained, tmp_path, monkeypatch):
    quiet, asked = FluxDenoiser.quiet, []

    def kept(self, *given):
        found = quiet(self, *given)
        found[1].retain_grad()
        asked.append(found[1])
        return found

    monkeypatch.setattr(FluxDenoiser, "quiet", kept)
    out = shutil.copytree(trained, tmp_path / "flux")
    training.main(["--out", str(out), "--samples", "100000", "--hours", "0", "--resume"])
    assert [float(told.grad) for told in asked] == [1.0]


def test_any_sequence_length_is_taken(trained):
    pipe, seen = training.averaged(trained)
    assert seen >= 32
    pipe.set_progress_bar_config(disable=True)
    for length in (32, 77, 512):
        options = {"max_sequence_length": length, "num_inference_steps": 1}
        made = pipe("a cat", output_type="latent", **options).images
        assert made.shape == (1, 256, 16)


def test_training_goes_on_where_it_stopped(trained, capsys):
    before = torch.load(trained / "denoiser.pt", weights_only=True)
    training.main(["--out", str(trained), "--samples", "48", "--resume", "--grid", "0"])
    after = torch.load(trained / "denoiser.pt", weights_only=True)
    assert (before["seen"], after["seen"]) == (32, 48)
    assert (trained / "latents-001.safetensors").exists()  # the second shard was drawn for it
    assert "48/48" in capsys.readouterr().out
    moved = [not torch.equal(before["model"][k], after["model"][k]) for k in before["model"]]
    assert np.mean(moved) > 0.8  # words that did not come have not moved their vectors only


def test_an_earlier_run_is_not_overwritten(trained):
    with pytest.raises(SystemExit):
        training.main(["--out", str(trained), "--samples", "64"])


def test_packed_latents_are_those_of_the_pipeline():
    images = torch.randn(2, 4, 32, 32)
    theirs = FluxPipeline._pack_latents(images, 2, 4, 32, 32)
    assert torch.equal(training.packed(images), theirs)


def test_labels_of_places_say_what_lies_most_in_each():
    for scene in scenes.sample(20, 4, world=2):
        labels = latents.place_labels(scene)
        assert labels.shape == (16, 16)
        cells = scene.masks.reshape(-1, 16, 8, 16, 8).sum((2, 4))
        for thing, there in zip(scene.things, cells > 40, strict=True):
            assert set(labels[there]) <= {latents.NAMES.index(thing.name)}
        empty = (cells.sum(0) + scene.ground.reshape(16, 8, 16, 8).sum((1, 3))) == 0
        assert not labels[empty].any()


def test_a_place_tells_which_ninth_of_its_thing_it_is():
    labels = np.zeros((1, 16, 16), np.uint8)
    cat, car, grass = (latents.NAMES.index(name) for name in ("cat", "car", "grass"))
    labels[0, 12:] = grass
    labels[0, 1:7, 2:8], labels[0, 9:12, 0:3], labels[0, 2, 12] = cat, car, cat
    told = latents.answers(labels)[0].numpy()
    np.testing.assert_array_equal(told // latents.PARTS, labels[0])
    parts = told % latents.PARTS
    np.testing.assert_array_equal(parts[1:7:2, 2:8:2], np.arange(9).reshape(3, 3))
    np.testing.assert_array_equal(parts[9:12, 0:3], np.arange(9).reshape(3, 3))
    assert parts[2, 12] == 0 and not parts[12:].any()  # one place; no thing


def test_a_shard_is_drawn_once_and_is_of_the_training_split(trained):
    shard = latents.shard(trained, 0, latents.autoencoder())
    wanted = [
        scenes.draw(np.random.default_rng((0, 2, i)), None, 2, "training").caption
        for i in range(SMALL)
    ]
    assert shard.captions == wanted
    assert shard.latents.shape == (SMALL, 4, 32, 32)
    assert load_file(trained / "latents-000.safetensors")["labels"].shape == (SMALL, 16, 16)


def test_who_stands_where_is_shown_oftener():
    captions = [
        "a cat",
        "a cat above a dog",
        "a cat on the left and a dog on the right",
        "a leftie",
    ]
    shard = latents.Shard(torch.zeros(4, 4, 32, 32), torch.zeros(4, 16, 16), captions)
    assert shard.rows() == [0, 1, 2, 3]
    assert shard.rows(3) == [0, 1, 1, 1, 2, 2, 2, 3]


def test_the_tokenizer_keeps_words_and_spells_what_it_does_not_know():
    tokens = flux.learn_t5_tokenizer(["a red cat and a cat", "the umbrellas of a red cat"] * 40)
    assert tokens.tokenize("a red cat") == ["▁a", "▁red", "▁cat"]
    assert "".join(tokens.tokenize("Xylophone!")) == "▁Xylophone!"
    assert tokens.unk_token_id not in tokens("Xylophone (2)!").input_ids
    assert len(tokens.tokenize("umbrellas")) > 1


def test_the_unet_learns_from_the_same_shards(trained, tmp_path):
    unet.main(
        ["--out", str(tmp_path / "unet"), "--world", "2", "--samples", "16", "--grid", "0"]
        + ["--drawn", str(trained), "--shards", "1"]
    )
    pipe, seen = unet.averaged(tmp_path / "unet")
    assert seen == 16
    assert not (tmp_path / "unet" / "latents-000.safetensors").exists()
    pipe.set_progress_bar_config(disable=True)
    assert pipe("a tiger", num_inference_steps=1).images[0].size == (128, 128)


def test_the_unet_goes_on_from_exported_weights(trained, tmp_path, monkeypatch):
    given = ["--world", "2", "--grid", "0", "--drawn", str(trained), "--shards", "1"]
    first, second, data = tmp_path / "first", tmp_path / "second", tmp_path / "data" / "toybox-2"
    unet.main(["--out", str(first), "--samples", "16", *given, "--start", "data/toybox"])
    unet.main(["--out", str(first), "--samples", "64", "--world", "2", "--export", str(data)])
    unet.main(["--out", str(second), "--samples", "32", *given, "--start", str(data)])
    state = torch.load(second / "denoiser.pt", weights_only=True)
    assert (state["seen"], state["steps"]) == (32, 2)
    known = pipeline.toybox().unet.state_dict()
    for name, value in unet.averaged(first)[0].unet.state_dict().items():
        assert (value - known[name]).abs().max() < 0.02  # a step away from world 1's, no more
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "package")
    with pytest.raises(DaamkitError, match=r"toybox-2.*seen 16 of 64 samples.*--world 2"):
        pipeline.toybox_2()
    loop.tell_how_far(data, 64, 64)
    assert pipeline.toybox_2().unet.config.sample_size == pipeline.LATENT_SIDE


def test_a_checkpoint_of_another_optimizer_is_named(tmp_path):
    model = torch.nn.Linear(3, 2)
    loop.keep(tmp_path / "model.pt", model, torch.optim.AdamW(model.parameters()), seen=3)
    other = Muon([model.weight], [model.bias], 1e-3)
    with pytest.raises(DaamkitError, match="another model or optimizer.*--out"):
        loop.resume(tmp_path / "model.pt", model, other, "cpu")
    with pytest.raises(DaamkitError, match="another model or optimizer"):
        loop.resume(tmp_path / "model.pt", torch.nn.Linear(4, 2), other, "cpu")


def test_the_oracle_of_world_2_begins_with_what_that_of_world_1_knows():
    known, model = oracle.trained(1), oracle.Oracle(2)
    teacher.begin(model, 2, known, 1)
    image = torch.rand(1, 3, 128, 128)
    ours, theirs = model(image), known(image)
    names = [list(oracle.HEADS[world]["name"]) for world in (1, 2)]
    both = [names[1].index(name) for name in names[0]]
    torch.testing.assert_close(ours["name"][:, both], theirs["name"])
    for head in ("colour", "texture", "centre"):
        torch.testing.assert_close(ours[head], theirs[head])


def test_an_oracle_of_world_2_learns_and_reads(tmp_path):
    teacher.main(["--out", str(tmp_path), "--images", "16", "--world", "2"])
    model = oracle.Oracle(world=2)
    weights = load_file(tmp_path / "oracle-2.safetensors")
    model.load_state_dict({name: value.float() for name, value in weights.items()})
    frame = oracle.read_all([scenes.sample(1, 0, world=2)[0].image], model.eval())[0]
    assert "size" not in frame and {"name", "colour", "texture", "mask"} <= set(frame)


def test_labels_of_world_2_name_all_its_things():
    names = oracle.HEADS[2]["name"]
    assert set(sprites.EVERYTHING) < set(names)
    scene = next(s for s in scenes.sample(300, 5, world=2) if s.things[0].name == "teddy bear")
    maps = teacher.labels(scene, world=2)
    assert maps.shape == (5, 128, 128)
    assert names[int(maps[0][scene.masks[0]][0])] == "teddy bear"
    left, top, right, bottom = scene.things[0].box
    y, x = np.argwhere(scene.masks[0])[0]
    assert y + maps[-2][y, x] == (top + bottom) // 2
    assert x + maps[-1][y, x] == (left + right) // 2


def test_half_precision_is_for_machines_that_are_fast_at_it(monkeypatch):
    for capability, fast in (("AVX2", False), ("AVX512", True), ("DEFAULT", False)):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda said=capability: said)
        with loop.half("cpu"):
            assert torch.is_autocast_enabled("cpu") == fast
