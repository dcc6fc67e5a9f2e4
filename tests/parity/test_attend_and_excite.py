"""Latents equal to those of diffusers' deprecated Attend-and-Excite pipeline, bit for bit.

The schedulers are built as `StableDiffusionPipeline` would mend them, which that pipeline does not.
"""

import diffusers
import pytest
import torch
from diffusers import StableDiffusionAttendAndExcitePipeline, StableDiffusionPipeline

import daamkit

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")  # the reference's

SCHEDULERS = {
    "DDIM": {"steps_offset": 1, "clip_sample": False},
    "PNDM": {"steps_offset": 1, "skip_prk_steps": True},
    "DPMSolverMultistep": {"steps_offset": 1},
}
PROMPT = "a red cat and a blue car"
SUBJECTS = {"sd": [3, 7], "toybox": [4, 5]}  # in the toybox "and" and "a" are neglected
SCALES = {"sd": 500.0, "toybox": 20.0}  # the untrained model's attention hardly depends on latents
THRESHOLDS = {"sd": {0: 0.016, 2: 0.05}, "toybox": {0: 0.5, 2: 0.8}}


def scheduled(pipe, kind: str):
    scheduler = getattr(diffusers, f"{kind}Scheduler")
    return scheduler.from_config(pipe.scheduler.config, **SCHEDULERS[kind])


def noise(seed: int, rows: int = 1, height: int = 16, width: int = 16) -> torch.Tensor:
    return torch.randn(rows, 4, height, width, generator=torch.Generator().manual_seed(seed))


def both(pipe, kind, subjects, prompt=PROMPT, seed=0, exact=True, size=(16, 16), **options):
    """The reference's latents, ours, and our table."""
    settings = {
        name: options.pop(name)
        for name in ("thresholds", "max_iter_to_alter", "scale_factor", "attn_res")
        if name in options
    }
    pixels = [side * pipe.vae_scale_factor for side in size]
    options = {
        "num_inference_steps": 4,
        "height": pixels[0],
        "width": pixels[1],
        "output_type": "latent",
    } | options
    rows = 1 if isinstance(prompt, str) else len(prompt)
    rows *= options.get("num_images_per_prompt", 1)
    parts = pipe.components | {"scheduler": scheduled(pipe, kind)}
    del parts["image_encoder"]
    reference = StableDiffusionAttendAndExcitePipeline(**parts, requires_safety_checker=False)
    reference.set_progress_bar_config(disable=True)
    processors = pipe.unet.attn_processors
    theirs = reference(
        prompt, token_indices=subjects, latents=noise(seed, rows, *size), **settings, **options
    ).images
    assert pipe.unet.attn_processors == processors
    own = StableDiffusionPipeline(
        **parts, image_encoder=None, requires_safety_checker=False
    )
    own.set_progress_bar_config(disable=True)
    method = daamkit.AttendAndExcite(subjects, exact=exact, **settings)
    with daamkit.guide(own, method) as guide:
        ours = own(prompt, latents=noise(seed, rows, *size), **options).images
    return theirs, ours, guide.table()


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Norm of the difference over norm."""
    return float((ours - theirs).norm() / theirs.norm())


@pytest.fixture(params=["sd", "toybox"])
def model(request):
    return request.param, request.getfixturevalue(request.param)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", SCHEDULERS)
def test_moves(model, kind, seed, parity_seed, record_property):
    name, pipe = model
    options = {"attn_res": (8, 8), "thresholds": {}, "scale_factor": SCALES[name]}
    seed += parity_seed
    theirs, ours, table = both(
        pipe, kind, SUBJECTS[name], seed=seed, max_iter_to_alter=3, **options
    )
    assert (table["loss"] > 0).all() and (table["gradient"] > 0).all() and len(table) == 3
    assert torch.equal(ours, theirs)
    _, fast, _ = both(
        pipe, kind, SUBJECTS[name], seed=seed, exact=False, max_iter_to_alter=3, **options
    )
    record_property("fast", difference(fast, theirs))
    assert difference(fast, theirs) < 1e-3
    _, plain, _ = both(pipe, kind, SUBJECTS[name], seed=seed, **options | {"scale_factor": 0})
    assert difference(plain, theirs) > 0.01  # guidance has done something


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", SCHEDULERS)
def test_refinement(model, kind, seed, parity_seed, record_property):
    """One step is refined where moves follow, one where none does."""
    name, pipe = model
    options = {
        "attn_res": (8, 8),
        "thresholds": THRESHOLDS[name],
        "scale_factor": SCALES[name],
        "max_iter_to_alter": 2,
        "seed": seed + parity_seed,
    }
    theirs, ours, table = both(pipe, kind, SUBJECTS[name], **options)
    print(table.to_string())
    assert torch.equal(ours, theirs)
    _, fast, _ = both(pipe, kind, SUBJECTS[name], exact=False, **options)
    record_property("fast", difference(fast, theirs))
    print(difference(fast, theirs))
