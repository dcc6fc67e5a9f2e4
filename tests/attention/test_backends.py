"""Attention backends of diffusers: torch's own are seen, others are refused before a step."""

import pytest
import torch
from diffusers.models.attention_dispatch import AttentionBackendName, attention_backend
from diffusers.models.attention_processor import XFormersAttnProcessor

import daamkit
from daamkit import compat
from daamkit.errors import DaamkitError
from tests import tiny
from tests.families import tiny_cross, tiny_joint

pytestmark = pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning")
SEEN = ["native", "_native_math", "_native_flash", "_native_efficient", "_native_cudnn"]
UNSEEN = [each.value for each in AttentionBackendName if each.value not in SEEN]
SHORT = {"max_sequence_length": 32, "num_inference_steps": 1, "output_type": "latent"}


@pytest.fixture(scope="module")
def flux():
    return tiny_joint.flux1()


@pytest.fixture
def native(flux):
    yield
    flux.transformer.set_attention_backend("native")


@pytest.mark.parametrize("backend", ["native", "_native_math", "_native_flash"])
def test_torchs_own_are_seen(flux, native, backend):
    flux.transformer.set_attention_backend(backend)
    plain = tiny_joint.generate(flux, **SHORT)
    with daamkit.trace(flux) as tracer:
        assert torch.equal(tiny_joint.generate(flux, **SHORT), plain)
    assert tracer.run.maps.word("cat").values.max() > 0


def test_one_that_is_not_seen_is_refused_until_it_is_set_back(flux, native):
    flux.transformer.set_attention_backend("flex")
    told = r"flex at transformer_blocks.0.attn and 4 more.*pipe.transformer.set_attention_backend"
    with pytest.raises(DaamkitError, match=told), daamkit.trace(flux):
        pass
    flux.transformer.set_attention_backend("native")
    with daamkit.trace(flux):
        pass


@pytest.mark.parametrize("backend", UNSEEN)
def test_each_that_is_not_seen_is_refused_by_name(flux, native, backend):
    """Be it installed or not, and of one layer alone."""
    assert {"flex", "sage", "flash", "xformers"} <= {*UNSEEN}
    processor = flux.transformer.transformer_blocks[1].attn.processor
    processor._attention_backend = AttentionBackendName(backend)
    told = rf"got the backend {backend} at transformer_blocks.1.attn; 4 are native"
    with pytest.raises(DaamkitError, match=told), daamkit.trace(flux):
        pass


@pytest.mark.parametrize("backend", SEEN)
def test_each_of_torchs_own_is_let_in(flux, native, backend):
    """None runs here: some want a GPU."""
    for module in flux.transformer.modules():
        if hasattr(module, "processor"):
            module.processor._attention_backend = AttentionBackendName(backend)
    with daamkit.trace(flux):
        pass


def test_one_that_another_pipeline_has_left_behind(flux, native):
    flux.transformer.set_attention_backend("flex")
    flux.transformer.reset_attention_backend()  # which leaves the process's
    other = tiny_cross.build("zimage")
    with pytest.raises(DaamkitError, match="for the whole process"), daamkit.trace(other):
        pass
    sd3 = tiny_joint.sd3()  # whose processors have no choice
    with daamkit.trace(sd3):
        pass


def test_a_processor_of_xformers_is_refused_by_name():
    pipe = tiny.sd()
    site = "mid_block.attentions.0.transformer_blocks.0.attn1"
    pipe.unet.get_submodule(site).set_processor(XFormersAttnProcessor())
    told = f"got XFormersAttnProcessor at {site}"
    with pytest.raises(DaamkitError, match=told), daamkit.trace(pipe):
        pass


def test_diffusers_keeps_the_backend_of_a_processor_and_of_the_process(flux, native):
    processor = flux.transformer.transformer_blocks[0].attn.processor
    flux.transformer.set_attention_backend("native")
    assert compat.attention_backend(processor) == ("native", False)
    flux.transformer.reset_attention_backend()
    with attention_backend("flex"):
        assert compat.attention_backend(processor) == ("flex", True)
    assert compat.attention_backend(object()) is None
