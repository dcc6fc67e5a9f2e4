"""Perturbed-Attention Guidance, and what Smoothed Energy Guidance shares with it."""

import functools

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    StableDiffusionPAGPipeline,
    UNet2DModel,
)

import daamkit
from daamkit.attention import families
from daamkit.edits.layers import meant
from daamkit.errors import DaamkitError
from daamkit.guidance.denoising import Method
from daamkit.guidance.perturbed import PerturbedAttentionGuidance
from daamkit.guidance.smoothed import SmoothedEnergyGuidance
from tests import tiny
from tests.attention.test_restoration import snapshot

METHODS = [PerturbedAttentionGuidance(), SmoothedEnergyGuidance(sigma=1.5)]
both = pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)


def generate(pipe, **options) -> torch.Tensor:
    """Latents: all that guidance moves, without the time it takes to decode them."""
    return tiny.generate(pipe, **{"output_type": "latent"} | options)


def guided(pipe, *methods, **options) -> torch.Tensor:
    with daamkit.guide(pipe, *methods):
        return generate(pipe, **options)


class Watch(Method):
    """Keeps the predictions that it is shown."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def after(self, now, prediction):
        self.seen.append(prediction)
        return prediction


class Last(Watch):
    pass


@pytest.mark.parametrize(
    ("layers", "guidance_scale"), [("mid", 7.5), ("mid", 1.0), (["mid", "up_blocks.1"], 7.5)]
)
def test_it_is_diffusers_own(layers, guidance_scale):
    options = {"guidance_scale": guidance_scale}
    parts = {**tiny.sd().components, "requires_safety_checker": False}
    pipe = StableDiffusionPAGPipeline(**parts, pag_applied_layers=layers)
    pipe.set_progress_bar_config(disable=True)
    theirs = generate(pipe, pag_scale=3.0, **options)
    method = PerturbedAttentionGuidance(scale=3.0, layers=layers)
    own = tiny.sd()
    ours, plain = guided(own, method, **options), generate(own, **options)
    assert (ours - theirs).norm() < 1e-4 * theirs.norm()
    assert (ours - theirs).norm() < 1e-3 * (plain - theirs).norm()  # and it does something


def test_the_output_is_the_values_in_the_extra_pass_alone(sd):
    (site,) = meant(families.find(sd.unet), "mid")
    values, outputs = [], []
    hooks = [
        site.module.to_v.register_forward_hook(lambda _m, _i, output: values.append(output)),
        site.module.to_out[0].register_forward_hook(lambda _m, given, _o: outputs.append(given[0])),
    ]
    guided(sd, PerturbedAttentionGuidance(), steps=1)
    for hook in hooks:
        hook.remove()
    assert [len(each) for each in values] == [2, 1]  # uncond and cond; then cond once more
    assert not torch.allclose(values[0], outputs[0])
    assert torch.equal(values[1], outputs[1])


@both
def test_what_is_noted_is_the_norm_of_what_is_added(sd, method):
    first, last = Watch(), Last()
    with daamkit.guide(sd, first, method, last) as guide:
        generate(sd, steps=1, num_images_per_prompt=2)
    added = (last.seen[0] - first.seen[0]) / method.scale
    noted = guide.table().query("method == @kind", local_dict={"kind": type(method).__name__})
    np.testing.assert_allclose(noted["distance"], added.flatten(1).norm(dim=1), rtol=1e-4)
    assert set(noted["image"]) == {0, 1}


@both
def test_scale_0_is_unguided_bit_for_bit(sd, method):
    plain = generate(sd)
    with daamkit.guide(sd, type(method)(scale=0.0)) as guide:
        assert torch.equal(generate(sd), plain)
    assert (guide.table()["distance"] > 0).all()
    assert not torch.equal(guided(sd, method), plain)


@both
def test_a_trace_holds_the_main_passes_only(sd, method):
    with daamkit.trace(sd, keep=("step", "site")) as plain:
        generate(sd)
    with (
        daamkit.guide(sd, type(method)(scale=0.0)),
        daamkit.trace(sd, keep=("step", "site")) as tracer,
    ):
        generate(sd)
    assert torch.equal(tracer.run.maps.pool(), plain.run.maps.pool())
    with daamkit.trace(sd) as tracer, daamkit.guide(sd, method):
        generate(sd)
    assert tracer.run.record["timesteps"] == plain.run.record["timesteps"]
    (entry,) = tracer.run.record["guidance"]
    assert [step["step"] for step in entry["steps"]] == [0, 1]
    assert entry["settings"]["layers"] == "mid"


@both
def test_a_batch_is_its_images_one_by_one(sd, method):
    prompts = ["a red cat", "two dogs on a table"]
    seeds = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    with daamkit.guide(sd, method):
        batch = sd(prompts, generator=seeds, num_inference_steps=2, output_type="latent").images
    for image, prompt, seed in zip(batch, prompts, (1, 2), strict=True):
        single = guided(sd, method, prompt=prompt, seed=seed)[0]
        torch.testing.assert_close(image, single, atol=1e-4, rtol=1e-4)


@both
def test_with_scaled_samples_two_passes_a_step_and_two_text_encoders(sdxl, method):
    for scheduler in (EulerDiscreteScheduler, HeunDiscreteScheduler):
        pipe = tiny.sdxl()
        pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
        with daamkit.guide(pipe, method) as guide:
            moved = generate(pipe, steps=2)
        assert moved.isfinite().all() and not torch.equal(moved, generate(pipe))
        passes = 2 * 2 - 1 if scheduler is HeunDiscreteScheduler else 2
        assert len(guide.table()) == passes
    everywhere = type(method)(layers=["down", "up"])
    with pytest.raises(DaamkitError, match=r"'mid_block.attentions.1'; got none there"):
        guided(sdxl, type(method)(layers=["mid", "mid_block.attentions.1"]))
    assert not torch.equal(guided(sdxl, everywhere), guided(sdxl, method))


@both
def test_without_any_text_and_with_a_learned_variance(method):
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=16,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=8,
        out_channels=6,
    ).eval()
    pipe = DDPMPipeline(unet, DDPMScheduler(variance_type="learned_range"))
    pipe.set_progress_bar_config(disable=True)

    def draw() -> np.ndarray:
        seed = torch.Generator().manual_seed(0)
        return pipe(batch_size=2, generator=seed, num_inference_steps=2, output_type="np").images

    plain = draw()
    first, last = Watch(), Last()
    with daamkit.guide(pipe, first, method, last) as guide:
        moved = draw()
    assert torch.equal(first.seen[0][:, 3:], last.seen[0][:, 3:])
    assert not torch.equal(first.seen[0][:, :3], last.seen[0][:, :3])
    assert not np.array_equal(moved, plain)
    assert len(guide.table()) == 4


@both
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_after_an_exception_all_is_as_before(sd, method, failure):
    class Broken(type(method)):
        def perturbation(self):
            edit = super().perturbation()

            def change(attention, output):
                raise failure("within a pass")

            edit.change = change
            return edit

    def stop(*_):
        raise failure("between two")

    generate(sd)
    before = snapshot(sd)
    with pytest.raises(failure, match="between"), daamkit.guide(sd, method):
        generate(sd, callback_on_step_end=stop)
    assert snapshot(sd) == before
    if failure is RuntimeError:
        with pytest.raises(failure, match="within"), daamkit.guide(sd, Broken()):
            generate(sd)
    assert snapshot(sd) == before
    assert torch.overrides._get_current_function_mode_stack() == []


def test_layers_are_found_by_stage_and_by_part_of_name(sd):
    find = functools.partial(meant, families.find(sd.unet))
    names = [site.name for site in find(["down", "mid", "up"])]
    assert names and all(name.endswith("attn1") for name in names)
    assert [site.name for site in find("mid")] == [n for n in names if n.startswith("mid_block")]
    assert find("up") == find("up_blocks") == find(["up", "up_blocks.1"])
    assert {site.level for site in find("up_blocks.2")} == {0}


@both
@pytest.mark.parametrize("layers", ["nowhere", "attn2", "", [], ["mid", "nowhere"]])
def test_layers_that_are_not_there(sd, method, layers):
    with pytest.raises(DaamkitError, match="mid_block.attentions.0.transformer_blocks.0.attn1"):
        guided(sd, type(method)(layers=layers))


@both
def test_a_model_without_self_attention_there(method):
    pipe = tiny.sd(mid_block_type="UNetMidBlock2D")
    with pytest.raises(DaamkitError, match="'mid'.*has it in down_blocks.0"):
        guided(pipe, method)
    assert isinstance(pipe.scheduler, DDIMScheduler)


def test_both_together(sd):
    one, other = (guided(sd, method, steps=1) for method in METHODS)
    plain = generate(sd, steps=1)
    together = guided(sd, *METHODS, steps=1)
    torch.testing.assert_close(together - plain, one - plain + other - plain, atol=1e-4, rtol=1e-3)


def test_rows_that_a_pipeline_perturbs_in_one_batch_are_not_taken_alone():
    """Its layers split each batch in three."""
    parts = {**tiny.sd().components, "requires_safety_checker": False}
    pipe = StableDiffusionPAGPipeline(**parts, pag_applied_layers="mid")
    pipe.set_progress_bar_config(disable=True)
    with pytest.raises(DaamkitError, match="the rows of uncond, cond, perturbed together"):
        guided(pipe, PerturbedAttentionGuidance(), pag_scale=3.0, steps=1)
    with pytest.raises(DaamkitError, match="together"), daamkit.trace(pipe, concepts=["dog"]):
        generate(pipe, pag_scale=3.0, steps=1)
