"""Names to pipelines, and what a person reads when there is none."""

import json

import pytest
import torch
from diffusers import (
    AutoPipelineForText2Image,
    CogVideoXDDIMScheduler,
    CogView3PlusPipeline,
    CogView3PlusTransformer2DModel,
    FluxPipeline,
    StableDiffusionPipeline,
)
from safetensors import safe_open

import daamkit
import daamkit.extend
from daamkit import resources, zoo
from daamkit.errors import DaamkitError
from daamkit.toybox import flux, pipeline
from tests import tiny
from tests.families import tiny_joint


def test_a_pipeline_is_returned_as_it_is(sd):
    assert daamkit.load(sd) is sd


def test_the_toybox_is_a_plain_stable_diffusion():
    pipe = daamkit.load("toybox")
    assert type(pipe) is StableDiffusionPipeline
    assert pipe.tokenizer.model_max_length == 77
    assert all(p.dtype == torch.float32 for p in pipe.unet.parameters())
    assert daamkit.load("toybox", dtype=torch.bfloat16).dtype == torch.bfloat16


def test_the_toybox_with_joint_attention(monkeypatch, tmp_path):
    tokenizer = pipeline.tokenizer(resources.path("toybox", "tokenizer"))
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "package")
    with pytest.raises(
        DaamkitError, match=r"toybox-flux; got no weights.*training\.flux.*--export"
    ):
        daamkit.load("toybox-flux")
    flux_of(tokenizer, tmp_path / "data" / "toybox-flux")
    pipe = daamkit.load("toybox-flux")
    assert type(pipe) is FluxPipeline and pipe.transformer.dtype == torch.float32
    assert daamkit.load("toybox-flux", dtype=torch.bfloat16).transformer.dtype == torch.bfloat16
    image = pipe("a cat", num_inference_steps=1, max_sequence_length=32, output_type="np").images
    assert image.shape == (1, 128, 128, 3)  # its own size, unasked


def flux_of(tokenizer, folder):
    """An untrained one, in half precision as it is exported."""
    captions = ["a red cat", "a dog"]
    t5_tokenizer = flux.learn_t5_tokenizer(captions)
    parts = flux.transformer(), flux.t5(t5_tokenizer), t5_tokenizer
    whole = (*parts, pipeline.text_encoder(tokenizer), tokenizer, pipeline.autoencoder())
    flux.assemble(*whole).to(torch.float16).save_pretrained(folder)


def test_a_folder_saved_in_half_precision_opens_in_one(tmp_path):
    tiny.sd().to(torch.float16).save_pretrained(tmp_path)
    pipe = daamkit.load(tmp_path, low_cpu_mem_usage=False)
    assert {pipe.unet.dtype, pipe.text_encoder.dtype, pipe.vae.dtype} == {torch.float32}
    tiny.generate(pipe, steps=1)


def test_the_weights_are_small_and_safe():
    files = [file for file in resources.path("toybox").parent.rglob("*") if file.is_file()]
    weights = [file for file in files if file.suffix == ".safetensors"]
    assert sum(file.stat().st_size for file in weights) <= 60e6
    for name in zoo.SHIPPED:
        suffixes = {file.suffix for file in files if resources.path(name) in file.parents}
        assert ".safetensors" in suffixes <= {".safetensors", ".json", ".txt"}
    others = {".bin", ".ckpt", ".h5", ".msgpack", ".npy", ".npz", ".onnx", ".pkl", ".pt", ".pth"}
    assert not others & {file.suffix for file in files if "parser" not in file.parts}


@pytest.mark.parametrize("name", ["toybox-2", "toybox-flux"])
def test_the_shipped_models_of_world_2_are_finished(name):
    told = json.loads(resources.path(name, pipeline.TRAINING).read_text("utf-8"))
    assert told["seen"] == told["samples"] > 0


@pytest.mark.parametrize("name", ["toyboks", "sd15", "./nowhere", "/a/b/c"])
def test_an_unknown_name_gives_the_list(name):
    with pytest.raises(DaamkitError, match=rf"wanted the name of a model; got '{name}'.*toybox"):
        daamkit.load(name)


def test_a_hub_id_while_offline_tells_how_to_fetch_it(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        DaamkitError, match=r"neither a copy on this machine.*`hf download somebody/some-model`"
    ):
        daamkit.load("somebody/some-model")


def test_a_folder_that_holds_no_pipeline(tmp_path):
    with pytest.raises(DaamkitError, match=r"pipeline in the folder.*save_pretrained"):
        daamkit.load(tmp_path)


def test_a_model_that_no_family_knows_is_refused_however_it_was_opened(tmp_path):
    """`AutoPipelineForText2Image` opens it."""
    tokenizer, encoder = tiny_joint.t5()
    transformer = CogView3PlusTransformer2DModel(
        in_channels=4, out_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=2,
        text_embed_dim=32, time_embed_dim=8, condition_dim=8, pos_embed_max_size=8, sample_size=8,
    )  # fmt: skip
    parts = tokenizer, encoder, tiny.autoencoder(), transformer, CogVideoXDDIMScheduler()
    CogView3PlusPipeline(*parts).save_pretrained(tmp_path)
    given = {"low_cpu_mem_usage": False}
    opened = AutoPipelineForText2Image.from_pretrained(tmp_path, **given)
    assert type(opened) is CogView3PlusPipeline
    with pytest.raises(DaamkitError) as refused:
        daamkit.load(tmp_path, **given)
    error = refused.value
    for looked_for in ("UNet2DConditionModel", "FluxTransformer2DModel", "WanTransformer3DModel"):
        assert looked_for in error.wanted
    assert error.got.startswith("CogView3PlusPipeline with ")
    assert "CogView3PlusTransformer2DModel as transformer" in error.got
    assert "daamkit.extend.families.register" in error.mend and "docs/extending.md" in error.mend
    assert callable(daamkit.extend.families.register)


@pytest.mark.parametrize("name", zoo.SHIPPED)
def test_the_shipped_text_encoders_are_named_as_every_transformers_reads_them(name) -> None:
    """5.0 draws weights of other names at random, and says so in a report alone."""
    with safe_open(resources.path(name, "text_encoder", "model.safetensors"), "pt") as file:
        assert all(key.startswith("text_model.") for key in file.keys())  # noqa: SIM118
        kept = file.get_tensor("text_model.embeddings.token_embedding.weight").float()
    loaded = daamkit.load(name).text_encoder.get_input_embeddings().weight
    assert torch.equal(loaded, kept)
