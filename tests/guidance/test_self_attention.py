"""Self-Attention Guidance: its formulas one by one, then in all kinds of pipelines."""

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2DiscreteScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DModel,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

import daamkit
from daamkit.attention import columns
from daamkit.attention.calls import Call, Pass
from daamkit.attention.sites import Site
from daamkit.attention.taps import Attention
from daamkit.errors import DaamkitError
from daamkit.guidance import self_attention
from daamkit.guidance.attend_and_excite import AttendAndExcite
from daamkit.guidance.denoising import Method, guide
from daamkit.guidance.self_attention import STRATEGIES, SelfAttentionGuidance, blur, choose
from tests import tiny
from tests.attention.test_restoration import snapshot
from tests.tiny import generate

PAPER = {"kernel_size": 31, "sigma": 3.0}  # in pixels


def pixels(seed: int = 0, kind=DDIMPipeline, scheduler=None, **changes):
    """An unconditional pipeline in pixels, 16 x 16, self-attention at 8 x 8 and 16 x 16."""
    torch.manual_seed(seed)
    config = {
        "sample_size": 16,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": 8,
        "norm_num_groups": 8,
    }
    unet = UNet2DModel(**(config | changes)).eval()
    pipe = kind(unet=unet, scheduler=scheduler or DDIMScheduler())
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe, seed: int = 0, **options):
    options = {"num_inference_steps": 2, "output_type": "np", "batch_size": 2} | options
    return pipe(generator=torch.Generator().manual_seed(seed), **options).images


def plain(pipe, **options):
    """Latents of a small image."""
    return generate(pipe, **({"output_type": "latent", "height": 48, "width": 48} | options))


def guided(pipe, *methods, **options):
    """Latents, and what was noted."""
    with guide(pipe, *(methods or [SelfAttentionGuidance()])) as context:
        latents = plain(pipe, **options)
    return latents, context.table()


def within(pipe, *methods, **options):
    """As `guided`, for a pipeline in pixels."""
    with guide(pipe, *methods) as context:
        images = draw(pipe, **options)
    return images, context.table()


class Spy:
    """Counts a model's passes."""

    def __init__(self, model) -> None:
        self.inputs: list[dict] = []
        self.model = model

    def __enter__(self) -> "Spy":
        def note(model, args, kwargs) -> None:  # pipelines give the sample by position
            self.inputs.append(dict(zip(("sample", "timestep"), args, strict=False)) | kwargs)

        self.handle = self.model.register_forward_pre_hook(note, with_kwargs=True)
        return self

    def __exit__(self, *failure) -> None:
        self.handle.remove()


class Watch(Method):
    """Keeps the passes and what it is given after each."""

    def __init__(self) -> None:
        self.seen: list[tuple[Pass, torch.Tensor]] = []

    def after(self, now, prediction):
        self.seen.append((now, prediction.clone()))
        return prediction


# -- the formulas


def attention(query, key, mask=None) -> Attention:
    site = Site("mid_block.attentions.0", "self", "mid", 0, query.shape[1], torch.nn.Identity(), 1)
    step = Pass(Call(None, {}), 0, 0, {"cond": slice(0, len(query))}, (6, 8))
    return Attention(site, step, query, key, query.shape[-1] ** -0.5, mask)


@settings(max_examples=25)
@given(st.integers(0, 2**16), st.integers(1, 3), st.integers(1, 4))
def test_the_mask_is_where_columns_sum_to_more_than_the_mean(seed, samples, heads):
    draws = np.random.default_rng(seed)
    query, key = (draws.normal(size=(samples, heads, 12, 5)) for _ in range(2))
    scores = np.exp(query @ key.swapaxes(2, 3) / 5**0.5)
    received = (scores / scores.sum(-1, keepdims=True)).mean(1).sum(1)  # (samples, keys)
    method = SelfAttentionGuidance()
    method.observe(attention(torch.tensor(query), torch.tensor(key)))
    assert method._received.dtype == torch.float32
    assert np.allclose(method._received, received, atol=1e-5)
    clear = abs(received - 1) > 1e-4
    method._site = attention(torch.tensor(query), torch.tensor(key)).site
    step = Pass(Call(None, {}), 0, 0, {}, (6, 8))
    mask = method._mask(step, torch.zeros(samples, 6, 8)).flatten(1).numpy()
    assert (mask == (received > 1))[clear].all()


def test_the_mean_itself_is_not_masked():
    """Strictly more: where all cells are alike (1/8 is exact), nothing is blurred."""
    method = SelfAttentionGuidance()
    method.observe(attention(torch.zeros(1, 2, 8, 4), torch.randn(1, 2, 8, 4)))
    assert torch.equal(method._received, torch.ones(1, 8))
    assert not mask_of(method, method._received, (2, 4)).any()
    assert mask_of(SelfAttentionGuidance(threshold=0.999), method._received, (2, 4)).all()


def test_blocks_add_up(monkeypatch):
    """Maps too large to hold at once give the same sums."""
    query, key = torch.randn(2, 3, 40, 5), torch.randn(2, 3, 40, 5)
    whole, parts = SelfAttentionGuidance(), SelfAttentionGuidance()
    whole.observe(attention(query, key))
    blocks = Attention.blocks
    monkeypatch.setattr(Attention, "blocks", lambda self, branch: blocks(self, branch, 2**12))
    assert len(list(attention(query, key).blocks("cond"))) > 3
    parts.observe(attention(query, key))
    assert torch.allclose(whole._received, parts._received, atol=1e-5)


@settings(max_examples=25)
@given(st.integers(0, 2**16), st.sampled_from([(9, 1.0), (31, 3.0), (31, 9.0), (3, 0.5)]))
def test_the_blur_is_gaussian_and_mirrors(seed, how):
    size, sigma = how
    image = np.random.default_rng(seed).normal(size=(2, 3, 20, 17))
    wanted = gaussian_filter(
        image, (0, 0, sigma, sigma), mode="mirror", radius=(0, 0, *[size // 2] * 2)
    )
    assert np.allclose(blur(torch.tensor(image), size, sigma), wanted, atol=1e-6)


@settings(max_examples=25)
@given(st.floats(0, 3), st.integers(0, 2**16))
def test_both_ways_to_write_the_scale(scale, seed):
    """The paper's (1 + s) e - s d is e + s (e - d)."""
    draws = torch.Generator().manual_seed(seed)
    e, d = (torch.randn(4, 5, generator=draws, dtype=torch.float64) for _ in range(2))
    assert torch.allclose((1 + scale) * e - scale * d, e + scale * (e - d))


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize(
    "how", [PAPER, {"scale": 0.3, "threshold": 1.001, "sigma": 0.5, "kernel_size": 5}]
)
def test_a_step_as_the_paper_has_it(prediction, how):
    """Every formula written out again, for an unconditional model in pixels."""
    scheduler = DDIMScheduler(prediction_type=prediction, clip_sample=False)
    pipe, method = pixels(scheduler=scheduler), SelfAttentionGuidance(**how)
    layer, kept = pipe.unet.mid_block.attentions[0], {}
    hooks = [
        getattr(layer, name).register_forward_hook(
            lambda module, given, output, name=name: kept.setdefault(name, output)
        )
        for name in ("to_q", "to_k")
    ]
    noise = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    time = 999 - 999 % 500
    with torch.no_grad():
        said = pipe.unet(noise, time).sample
        for hook in hooks:
            hook.remove()
        query, key = (kept[name].unflatten(-1, (4, 8)).transpose(1, 2) for name in ("to_q", "to_k"))
        maps = (query @ key.transpose(2, 3) / 8**0.5).softmax(-1)
        mask = (maps.mean(1).sum(1) > method.threshold).float().view(2, 1, 8, 8)
        mask = mask.repeat_interleave(2, 2).repeat_interleave(2, 3)
        assert 0 < mask.mean() < 1
        alpha = scheduler.alphas_cumprod[time]
        a, b = alpha.sqrt(), (1 - alpha).sqrt()
        x0, eps = {
            "epsilon": ((noise - b * said) / a, said),
            "sample": (said, (noise - a * said) / b),
            "v_prediction": (a * noise - b * said, b * noise + a * said),
        }[prediction]
        x0 = x0.clamp(-1, 1)
        reach = method.kernel_size // 2
        soft = gaussian_filter(
            x0.numpy(), (0, 0, *[method.sigma] * 2), mode="mirror", radius=(0, 0, reach, reach)
        )
        degraded = torch.as_tensor(soft) * mask + x0 * (1 - mask)
        other = pipe.unet(a * degraded + b * eps, time).sample
        wanted = (1 + method.scale) * said - method.scale * other
    watch = Watch()
    with guide(pipe, method, watch), pytest.MonkeyPatch.context() as patch:
        patch.setattr("diffusers.pipelines.ddim.pipeline_ddim.randn_tensor", lambda *_, **__: noise)
        draw(pipe)
    step, prediction = watch.seen[0]
    assert float(step.time) == time and torch.equal(step.noisy, noise)
    assert torch.allclose(prediction, wanted, atol=1e-5)
    assert (prediction - said).norm() > 1e-3 * said.norm()


# -- settings


def test_scale_zero_is_not_there(sd):
    unguided = plain(sd)
    with Spy(sd.unet) as spy:
        latents, table = guided(sd, SelfAttentionGuidance(scale=0.0))
    assert torch.equal(latents, unguided) and len(spy.inputs) == 2
    assert table.empty


def test_a_step_costs_one_pass_of_half_the_batch(sd):
    with Spy(sd.unet) as spy:
        latents, table = guided(sd)
    assert [len(given["sample"]) for given in spy.inputs] == [2, 1, 2, 1]
    assert not torch.allclose(latents, plain(sd), atol=1e-2)
    assert list(table.columns) == ["image", "method", "step", "masked"]
    assert list(table["step"]) == [0, 1] and table["masked"].between(0.05, 0.95).all()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategies_mask_as_many_cells(sd, strategy):
    method = SelfAttentionGuidance(strategy=strategy)
    latents, table = guided(sd, method, steps=1)
    _, alone = guided(sd, steps=1)
    wanted = 1.0 if strategy == "global" else float(alone["masked"].iloc[0])
    near = 0.15 if strategy == "square" else 0  # 6 x 6 cells
    assert table["masked"].iloc[0] == pytest.approx(wanted, abs=near)
    again, _ = guided(sd, method, steps=1)
    assert torch.equal(latents, again)
    if strategy != "self-attention":
        assert not torch.allclose(latents, guided(sd, steps=1)[0], atol=1e-4)


def mask_of(method, received, grid=(6, 8), detail=None, index=0) -> np.ndarray:
    method._site = Site("mid", "self", "mid", 0, 1, torch.nn.Identity())
    method._received = torch.as_tensor(received, dtype=torch.float32)
    step = Pass(Call(None, {}), index, 0, {}, grid)
    detail = torch.zeros(len(received), *grid) if detail is None else detail
    return method._mask(step, detail).numpy()


@settings(max_examples=25)
@given(st.integers(0, 48), st.sampled_from([(6, 8), (8, 6), (2, 24), (48, 1)]))
def test_a_square_lies_in_the_middle(count, grid):
    received = [[2.0] * count + [0.0] * (48 - count)]
    (mask,) = mask_of(SelfAttentionGuidance(strategy="square"), received, grid)
    rows, columns = np.nonzero(mask)
    if count == 0:
        assert not mask.any()
        return
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert height * width == mask.sum()
    if max(height, width) < min(grid):
        assert height == width
    assert abs(height * width - count) <= max(height, width)
    for cells, side, size in ((rows, height, grid[0]), (columns, width, grid[1])):
        assert cells.min() == (size - side) // 2


@settings(max_examples=25)
@given(st.integers(0, 2**16))
def test_high_frequencies_are_masked_first(seed):
    detail = torch.rand(2, 12, 16, generator=torch.Generator().manual_seed(seed))
    received = np.random.default_rng(seed).uniform(0, 2, size=(2, 48))
    method = SelfAttentionGuidance(strategy="high-frequency")
    method._site = Site("mid", "self", "mid", 0, 1, torch.nn.Identity(), 1)
    method._received = torch.as_tensor(received, dtype=torch.float32)
    masks = method._mask(Pass(Call(None, {}), 0, 0, {}, (12, 16)), detail).numpy()
    pooled = detail.numpy().reshape(2, 6, 2, 8, 2).mean((2, 4))
    for mask, score, each in zip(masks, pooled, received, strict=True):
        assert mask.sum() == (each > 1).sum()
        if mask.any() and not mask.all():
            assert score[mask].min() >= score[~mask].max()


def test_random_masks_have_a_generator_of_their_own(sd):
    received = np.random.default_rng(0).uniform(0, 2, size=(2, 48))
    state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    masks = {
        (seed, index): mask_of(
            SelfAttentionGuidance(strategy="random", seed=seed), received, index=index
        )
        for seed in (0, 1)
        for index in (0, 1)
    }
    assert torch.equal(state[0], torch.get_rng_state())
    assert (state[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    for mask in masks.values():
        assert (mask.sum((1, 2)) == (received > 1).sum(1)).all()
    assert len({mask.tobytes() for mask in masks.values()}) == 4
    again = mask_of(SelfAttentionGuidance(strategy="random", seed=1), received, index=1)
    assert (again == masks[1, 1]).all()


def test_layers(sd, sdxl):
    block = "transformer_blocks.0.attn1"
    assert choose(sd, None).name == f"mid_block.attentions.0.{block}"
    assert choose(sd, "down_blocks.1").name == f"down_blocks.1.attentions.0.{block}"
    assert choose(sd, "up_blocks.1").name == f"up_blocks.1.attentions.1.{block}"  # the last
    assert choose(sd, "attn1").name == f"up_blocks.2.attentions.1.{block}"  # runs last of all
    assert choose(sdxl, "mid").name == f"mid_block.attentions.0.{block}"
    assert choose(sdxl, "mid_block").name.endswith("transformer_blocks.1.attn1")
    finer, table = guided(sd, SelfAttentionGuidance(layer="up_blocks.2"))
    cells = table["masked"] * 24 * 24
    assert np.allclose(cells, cells.round(), atol=1e-3) and (cells.round() % 16).any()
    assert not torch.equal(finer, guided(sd)[0])


def test_layers_that_are_not_there(sd):
    bare = pixels(mid_block_type=None)
    for run, pipe, layer in ((guided, sd, "attn2"), (within, bare, "mid"), (within, bare, "up.9")):
        with pytest.raises(DaamkitError, match=r"self-attention.*down_blocks\.1\.att.*layer="):
            run(pipe, SelfAttentionGuidance(layer=layer))


def test_a_model_without_a_middle_block_has_other_layers():
    pipe = pixels(mid_block_type=None)
    _, table = within(pipe, SelfAttentionGuidance(layer="up_blocks.0"))
    assert len(table) == 4


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"strategy": "dino"}, "'dino'.*[Cc]hoose"),
        ({"kernel_size": 8}, "odd kernel size"),
        ({"sigma": 0.0}, "positive sigma"),
    ],
)
def test_settings_that_make_no_sense(options, wrong):
    with pytest.raises(DaamkitError, match=wrong):
        SelfAttentionGuidance(**options)


def test_a_blur_wider_than_the_image(sd):
    with pytest.raises(DaamkitError, match="more than 32 cells.*got 24 x 24"):
        guided(sd, SelfAttentionGuidance(kernel_size=65))


def test_schedulers_whose_level_is_not_known():
    pipe = tiny.sd()
    pipe.scheduler = EDMEulerScheduler()
    with pytest.raises(DaamkitError, match="EDMEulerScheduler"):
        guided(pipe)


# -- pipelines


def test_an_image_does_not_depend_on_its_neighbours(sd):
    prompts = ["a red cat", "a blue car on a hill"]
    noise = torch.randn(2, 4, 24, 24, generator=torch.Generator().manual_seed(3))
    for strategy in ("self-attention", "random"):
        method = SelfAttentionGuidance(strategy=strategy)
        both, table = guided(sd, method, prompt=prompts, latents=noise)
        assert sorted(table["image"].unique()) == [0, 1]
        for k, prompt in enumerate(prompts):
            alone, _ = guided(sd, method, prompt=prompt, latents=noise[k : k + 1])
            assert torch.allclose(alone[0], both[k], atol=1e-4), strategy


def test_several_images_a_prompt(sd):
    latents, table = guided(sd, num_images_per_prompt=3, prompt=["a cat", "a dog"], steps=1)
    assert latents.shape[0] == 6 and len(table) == 6


@pytest.mark.parametrize("size", [(64, 96), (72, 40)])
def test_images_that_are_not_square(sd, size):
    height, width = size
    latents, table = guided(sd, height=height, width=width)
    assert latents.shape[-2:] == (height // 2, width // 2) and latents.isfinite().all()
    assert table["masked"].between(0.05, 0.95).all()


@pytest.mark.parametrize("scale", [5.0, 1.0])
def test_sdxl(sdxl, scale):
    latents, table = guided(sdxl, guidance_scale=scale)
    unguided = plain(sdxl, guidance_scale=scale)
    assert latents.isfinite().all() and not torch.allclose(latents, unguided, atol=1e-2)
    assert table["masked"].between(0.05, 0.95).all()


@pytest.mark.parametrize(
    "kind",
    [
        (EulerDiscreteScheduler, {}),
        (HeunDiscreteScheduler, {}),
        (KDPM2DiscreteScheduler, {}),
        (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    ],
)
@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # diffusers, numpy 2
def test_nothing_blurred_is_nothing_guided(kind):
    """No cell has a thousand times the mean: x0 is made noisy again as it was, in every stage."""
    pipe = tiny.sd()
    pipe.scheduler = kind[0].from_config(pipe.scheduler.config, **kind[1])
    unguided = plain(pipe)
    same, table = guided(pipe, SelfAttentionGuidance(threshold=1e3))
    assert (same - unguided).norm() < 1e-4 * unguided.norm()
    assert (table["masked"] == 0).all()
    other, _ = guided(pipe)
    assert (other - unguided).norm() > 1e-2 * unguided.norm()


def test_instruct_pix2pix():
    parts = tiny.sd(in_channels=8).components
    pipe = StableDiffusionInstructPix2PixPipeline(**parts, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    options = {"image": Image.new("RGB", (64, 64), "red"), "image_guidance_scale": 1.5}
    with Spy(pipe.unet) as spy:
        latents, _ = guided(pipe, **options)
    main, extra = spy.inputs[:2]
    assert (len(main["sample"]), len(extra["sample"])) == (3, 1)
    assert torch.equal(extra["encoder_hidden_states"], main["encoder_hidden_states"][2:])
    assert torch.equal(extra["sample"][:, 4:], main["sample"][2:, 4:])
    assert not torch.allclose(latents, plain(pipe, **options), atol=1e-2)


def test_inpainting():
    parts = tiny.sd(in_channels=9).components
    pipe = StableDiffusionInpaintPipeline(**parts, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    options = {"image": Image.new("RGB", (64, 64), "red"), "mask_image": mask}
    options |= {"height": 64, "width": 64, "strength": 1.0}
    with Spy(pipe.unet) as spy:
        latents, _ = guided(pipe, **options)
    main, extra = spy.inputs[:2]
    assert torch.equal(extra["sample"][:, 4:], main["sample"][:1, 4:])
    assert not torch.allclose(latents, plain(pipe, **options), atol=1e-2)


def test_guidance_rescale_and_negative_prompts(sd):
    with Spy(sd.unet) as spy:
        rescaled, _ = guided(sd, guidance_rescale=0.7, negative_prompt="a dog")
    main, extra = spy.inputs[:2]
    assert torch.equal(extra["encoder_hidden_states"], main["encoder_hidden_states"][:1])
    assert not torch.allclose(rescaled, guided(sd, negative_prompt="a dog")[0], atol=1e-3)


def test_an_empty_prompt(sd):
    for scale in (7.5, 1.0):
        latents, _ = guided(sd, prompt="", guidance_scale=scale, steps=1)
        assert latents.isfinite().all()


def test_pixels_without_text():
    pipe = pixels(kind=DDPMPipeline, scheduler=DDPMScheduler())
    unguided = draw(pipe)
    images, table = within(pipe, SelfAttentionGuidance(**PAPER))
    assert images.shape == unguided.shape and np.isfinite(images).all()
    assert abs(images - unguided).max() > 1e-2
    assert list(table["image"]) == [0, 0, 1, 1]


def test_a_learned_variance_stays():
    scheduler = DDPMScheduler(variance_type="learned_range", clip_sample=False)
    pipe = pixels(kind=DDPMPipeline, scheduler=scheduler, out_channels=6)
    before, after = Watch(), Later()
    with guide(pipe, before, SelfAttentionGuidance(), after):
        draw(pipe)
    for (_, said), (_, changed) in zip(before.seen, after.seen, strict=True):
        assert said.shape[1] == 6 and torch.equal(said[:, 3:], changed[:, 3:])
        assert not torch.allclose(said[:, :3], changed[:, :3], atol=1e-4)


class Later(Watch):
    """Another kind: one guide has one of each."""


@pytest.mark.parametrize(("clamp", "clamped"), [(None, True), (True, True), (False, False)])
def test_x0_is_clamped_in_pixels(monkeypatch, clamp, clamped):
    assert largest(monkeypatch, pixels(), clamp) is clamped


@pytest.mark.parametrize(("clamp", "clamped"), [(None, False), (True, True), (False, False)])
def test_x0_is_not_clamped_in_latents(monkeypatch, sd, clamp, clamped):
    assert largest(monkeypatch, sd, clamp) is clamped


def largest(monkeypatch, pipe, clamp) -> bool:
    """Whether what is blurred stays within -1 and 1."""
    sizes = []
    monkeypatch.setattr(
        self_attention, "blur", lambda x, *how: sizes.append(x.abs().max()) or blur(x, *how)
    )
    run = guided if hasattr(pipe, "vae") else within
    run(pipe, SelfAttentionGuidance(clamp=clamp))
    assert len(sizes) == 2
    return all(size <= 1 for size in sizes)


@pytest.mark.parametrize("exact", [False, True])
def test_bfloat16(exact):
    pipe = tiny.sd().to(torch.bfloat16)
    latents, table = guided(pipe, SelfAttentionGuidance(exact=exact))
    assert latents.dtype == torch.bfloat16 and latents.isfinite().all()
    assert table["masked"].between(0.05, 0.95).all()


# -- company


def test_traces_do_not_see_the_extra_passes(sd):
    with daamkit.trace(sd, keep=("step", "site")) as alone:
        generate(sd, steps=1)
    with guide(sd, SelfAttentionGuidance()), daamkit.trace(sd, keep=("step", "site")) as tracer:
        generate(sd, steps=1)
    assert torch.equal(alone.run.maps.pool(), tracer.run.maps.pool())  # the first step's are alike
    (entry,) = tracer.run.record["guidance"]
    assert entry["settings"]["scale"] == 0.75 and len(entry["steps"]) == 1


def test_beside_attend_and_excite(sd):
    excite = AttendAndExcite(["cat"], attn_res=(12, 12), thresholds={})
    both, table = guided(sd, excite, SelfAttentionGuidance())
    assert set(table["method"]) == {"AttendAndExcite", "SelfAttentionGuidance"}
    for alone in (guided(sd, excite)[0], guided(sd)[0]):
        assert not torch.allclose(both, alone, atol=1e-4)


@pytest.mark.parametrize("failing", [1, 2, 3])
@pytest.mark.parametrize("exact", [False, True])
def test_after_an_exception_everything_is_as_before(failing, exact):
    """In a pass of the pipeline or an extra one, and in the middle of the layer's attention."""
    pipe, passes = tiny.sd(), []
    latents, before = plain(pipe), state(pipe)
    layer = pipe.unet.mid_block.attentions[0].transformer_blocks[0].attn1

    def fail(module, *_):
        passes.append(module)
        if len(passes) == failing:
            raise RuntimeError("a pass failed")

    handle = layer.to_out[0].register_forward_pre_hook(fail)
    with (
        pytest.raises(RuntimeError, match="a pass failed"),
        guide(pipe, SelfAttentionGuidance(exact=exact)),
    ):
        plain(pipe)
    handle.remove()
    assert state(pipe) == before
    assert torch.overrides._get_current_function_mode_stack() == []
    assert torch.equal(plain(pipe), latents)


@pytest.mark.parametrize("where", ["received", "between"])
def test_out_of_memory_leaves_gradients_on(sd, monkeypatch, where):
    """The exception is kept, with all frames that it has gone through."""
    latents, before = plain(sd), snapshot(sd)

    def full(*_, **__):
        raise torch.OutOfMemoryError("no more memory")

    with monkeypatch.context() as patch:
        patch.setattr(columns, where, full)
        with pytest.raises(torch.OutOfMemoryError) as kept, guide(sd, SelfAttentionGuidance()):
            plain(sd)
    assert "SelfAttentionGuidance at mid_block" in kept.value.__notes__[0]
    assert torch.is_grad_enabled() and snapshot(sd) == before
    assert torch.overrides._get_current_function_mode_stack() == []
    assert torch.equal(plain(sd), latents)


def state(pipe) -> list:
    """Classes, hooks and processors."""
    modules = list(pipe.unet.modules())
    return [
        *(type(each) for each in (pipe, pipe.scheduler, *modules)),
        *(len(each._forward_hooks) + len(each._forward_pre_hooks) for each in modules),
        *(id(getattr(each, "processor", None)) for each in modules),
        set(vars(pipe.scheduler)),
    ]
