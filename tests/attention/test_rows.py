"""Law 5: batch rows have names, from the pipeline's call."""

import copy

import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline, StableDiffusionPAGPipeline
from PIL import Image

import daamkit
from daamkit.attention import hooks
from daamkit.attention.calls import Call
from daamkit.attention.taps import Tap
from daamkit.errors import DaamkitError
from tests import tiny
from tests.tiny import generate


class Branches(Tap):
    def __init__(self) -> None:
        self.passes = []

    def begin(self, now):
        self.passes.append(now)


def branches(pipe, **options) -> dict[str, slice]:
    tap = Branches()
    with hooks.attach(pipe, tap):
        generate(pipe, **options)
    assert all(step.branches == tap.passes[0].branches for step in tap.passes)
    assert [step.index for step in tap.passes] == list(range(len(tap.passes)))
    return tap.passes[0].branches


def test_guided_and_not(sd):
    assert branches(sd) == {"uncond": slice(0, 1), "cond": slice(1, 2)}
    assert branches(sd, guidance_scale=1.0) == {"cond": slice(0, 1)}
    assert branches(sd, negative_prompt="a dog") == {"negative": slice(0, 1), "cond": slice(1, 2)}


def test_batches_and_several_images(sd):
    two = {"prompt": ["a cat", "a dog"], "num_images_per_prompt": 3}
    assert branches(sd, **two) == {"uncond": slice(0, 6), "cond": slice(6, 12)}
    assert branches(sd, **two, guidance_scale=0.0) == {"cond": slice(0, 6)}


def test_three_branches_of_instruct_pix2pix():
    parts = tiny.sd(in_channels=8).components
    pipe = StableDiffusionInstructPix2PixPipeline(**parts, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    found = branches(pipe, image=Image.new("RGB", (64, 64)), image_guidance_scale=1.5)
    assert found == {"cond": slice(0, 1), "image": slice(1, 2), "uncond": slice(2, 3)}
    with daamkit.trace(pipe, branches=("cond", "image", "negative")) as tracer:
        generate(pipe, image=Image.new("RGB", (64, 64)), negative_prompt="two dogs")
    assert tracer.run.branch("image").prompt.text == "two dogs"
    assert tracer.run.branch("negative").prompt.text == "two dogs"


def test_guidance_that_ends_early_changes_the_rows(sd):
    tap = Branches()

    def unguide(pipe, step, time, tensors):
        pipe._guidance_scale = 0.0
        return {"prompt_embeds": tensors["prompt_embeds"][-1:]}

    kept = {"branches": ("cond", "uncond"), "keep": ("step", "site")}
    with hooks.attach(sd, tap), daamkit.trace(sd, **kept) as tracer:
        generate(
            sd, callback_on_step_end=unguide, callback_on_step_end_tensor_inputs=["prompt_embeds"]
        )
    assert [list(step.branches) for step in tap.passes] == [["uncond", "cond"], ["cond"]]
    assert tracer.run.maps.mass.sum() == pytest.approx(1, abs=1e-5)
    assert tracer.run.branch("uncond").mass.sum() == pytest.approx(1, abs=1e-5)
    assert (tracer.run.maps.steps, tracer.run.branch("uncond").steps) == (2, 1)
    part = tracer.run.branch("uncond").select(steps=slice(None))
    assert part.steps == 1 and part.mass.sum() == pytest.approx(1, abs=1e-5)


def test_rows_that_do_not_fit_the_call_are_refused(sd):
    call = Call(sd, {"prompt": ["a", "b"], "guidance_scale": 7.5})
    sd._guidance_scale = 7.5
    with pytest.raises(DaamkitError, match="wanted 4 batch rows.*got 3"):
        call.branches(3)


def test_extra_passes_are_silent_and_end_early(sd):
    """Law 3: only the tap that runs them sees them."""

    class Guide(Tap):
        def __init__(self) -> None:
            self.inside, self.sites, self.ended = False, [], 0

        def begin(self, now):
            if self.inside:
                assert now.branches == {"cond": slice(0, 1)}
                return
            self.inside = True
            noisy = torch.zeros(1, 4, 32, 32)
            text = torch.zeros(1, 77, 32)
            try:
                with hooks.extra_passes(sd, self):
                    sd.unet(noisy, now.timestep, text)
            except hooks.Ended:
                self.ended += 1
            self.inside = False

        def observe(self, attention):
            if self.inside:
                self.sites.append(attention.site.name)

        def last(self, site):
            return site.name.startswith("mid_block") and site.kind == "cross"

    with daamkit.trace(sd) as plain:
        generate(sd)
    guide = Guide()
    with daamkit.trace(sd) as tracer, hooks.attach(sd, guide):
        generate(sd)
    assert guide.ended == 2
    assert guide.sites[-1].startswith("mid_block") and not any("up" in s for s in guide.sites)
    assert tracer.run.record["timesteps"] == plain.run.record["timesteps"]
    assert torch.equal(tracer.run.maps.pool(), plain.run.maps.pool())


def test_a_denoiser_called_outside_the_pipeline_is_silent(sd):
    with daamkit.trace(sd) as tracer:
        sd.unet(torch.zeros(1, 4, 32, 32), 1, torch.zeros(1, 77, 32))
    assert tracer.runs == []


def test_maps_of_a_batch_are_those_of_its_members(sd):
    prompts = ["a red cat and a blue car", "two dogs"]
    noise = torch.randn(4, 4, 32, 32, generator=torch.Generator().manual_seed(3))
    with daamkit.trace(sd, branches=("cond", "uncond")) as together:
        generate(sd, prompt=prompts, num_images_per_prompt=2, latents=noise)
    for index, run in enumerate(together.runs):
        with daamkit.trace(sd, branches=("cond", "uncond")) as alone:
            generate(sd, prompt=prompts[index // 2], latents=noise[index : index + 1])
        assert run.prompt == alone.run.prompt
        for branch in ("cond", "uncond"):
            ours, theirs = run.branch(branch).pool(), alone.run.branch(branch).pool()
            assert ours.shape == theirs.shape
            assert torch.allclose(ours, theirs, atol=1e-4)


def test_without_guidance_all_heads_count(sd):
    """The reference drops half of them."""
    with daamkit.trace(sd) as tracer:
        generate(sd, guidance_scale=1.0)
    assert tracer.run.maps.mass.sum() == pytest.approx(1, abs=1e-5)
    for layer in tracer.run.maps.layers.values():
        each = layer.values.sum(1) / tracer.run.maps.steps  # over tokens: 1 at each cell and head
        assert torch.allclose(each, torch.ones(()), atol=1e-5)


def test_a_traced_pipeline_is_not_copied(sd):
    with daamkit.trace(sd), pytest.raises(DaamkitError, match="copy it before|Copy it before"):
        copy.deepcopy(sd)
    copy.deepcopy(sd)


def test_perturbed_rows_of_pag():
    parts = tiny.sd().components
    pipe = StableDiffusionPAGPipeline(
        **parts, requires_safety_checker=False, pag_applied_layers=["mid"]
    )
    pipe.set_progress_bar_config(disable=True)
    names = ("cond", "uncond", "perturbed")
    with daamkit.trace(pipe, branches=names, self_attention=True) as tracer:
        generate(pipe)
    run = tracer.run
    assert [run.branch(name).prompt.text for name in names][1] == ""
    for name in names:
        assert run.branch(name).mass.sum() == pytest.approx(1, abs=1e-5)
    middle = [any("mid" in n for n in run.self_attention[name].layers) for name in names]
    assert middle == [True, True, False]  # there the perturbed rows attend to nothing


def test_a_call_within_a_call_is_silent(sd):
    other = copy.deepcopy(sd.scheduler)

    def inner(pipe, step, time, tensors):
        if step == 0:
            outer, pipe.scheduler = pipe.scheduler, other
            pipe("two dogs", num_inference_steps=1, output_type="latent")
            pipe.scheduler, pipe._num_timesteps = outer, 2
        return {}

    with daamkit.trace(sd) as tracer:
        generate(sd, "a cat", callback_on_step_end=inner)
    assert [run.prompt for run in tracer.runs] == ["a cat"]
    assert len(tracer.run.record["timesteps"]) == 2
    assert tracer.run.maps.mass.sum() == pytest.approx(1, abs=1e-5)


def test_a_copy_of_a_traced_pipeline_is_not_traced(sd):
    with daamkit.trace(sd):
        other = type(sd).__mro__[1](**copy.copy(sd.components), requires_safety_checker=False)
        other.set_progress_bar_config(disable=True)
        with daamkit.trace(other) as tracer:
            generate(other)
    assert len(tracer.runs) == 1
