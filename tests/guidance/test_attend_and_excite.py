"""Attend-and-Excite: its numbers from the paper's formulas, its passes counted, its limits."""

from types import SimpleNamespace

import diffusers
import numpy as np
import pytest
import torch
from diffusers.hooks import PyramidAttentionBroadcastConfig, apply_pyramid_attention_broadcast
from diffusers.models.attention_processor import AttnProcessor
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import daamkit
from daamkit import AttendAndExcite
from daamkit.attention.calls import Call, Pass
from daamkit.errors import DaamkitError
from daamkit.guidance import attend_and_excite
from daamkit.guidance.denoising import Method
from daamkit.guidance.descent import StepsWarning
from tests import tiny
from tests.families import every
from tests.guidance.test_denoising import generate

PROMPT = "a red cat and a blue car"
FEW = settings(max_examples=25, deadline=None)


def guided(pipe, *subjects, prompt=PROMPT, call=None, **options):
    """Latents and the table of losses."""
    method = AttendAndExcite(list(subjects) or ["cat", "car"], **options)
    with daamkit.guide(pipe, method) as guide:
        latents = generate(pipe, prompt, **(call or {}))
    return latents, guide.table()


# -- formulas, in loops, on maps that need no model

WEIGHTS = [[0.0449, 0.1221, 0.0449], [0.1221, 0.3319, 0.1221], [0.0449, 0.1221, 0.0449]]


def loss_of(maps, subjects, end=-1):
    """Equations 1 and 2 for (height, width, tokens), cell by cell."""
    text = (100 * maps[:, :, 1:end]).softmax(-1)
    height, width = maps.shape[:2]
    losses = []
    for columns in subjects:
        image = sum(text[:, :, column - 1] for column in columns)
        cells = []
        for y in range(height):
            for x in range(width):
                total = 0.0
                for dy in (-1, 0, 1):
                    for dx in (-1, 0, 1):
                        row, column = abs(y + dy), abs(x + dx)  # mirrored at the border
                        row = 2 * (height - 1) - row if row >= height else row
                        column = 2 * (width - 1) - column if column >= width else column
                        total = total + WEIGHTS[dy + 1][dx + 1] * image[row, column]
                cells.append(total)
        losses.append((1 - torch.stack(cells).max()).clamp(min=0))
    return max(losses)


UNET = tiny.unet()


def alone(noisy, subjects=((3,), (7,)), steps=10, at=0, maps=None, **options):
    """What a method makes of latents before one step, and what it notes, without a pipeline."""
    pipe = SimpleNamespace(
        tokenizer=tiny.tokenizer(),
        _num_timesteps=steps,
        scheduler=SimpleNamespace(order=1),
        unet=UNET,
    )
    call = Call(pipe, {"prompt": PROMPT})
    notes = AttendAndExcite(["cat"]).notes(call, 0)
    step = Pass(call, at, 0, {"cond": slice(0, 1)}, noisy.shape[-2:], UNET, noisy=noisy)
    method = AttendAndExcite(list(subjects), **options)
    method.read(call)
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(attend_and_excite, "attend", lambda step, z, sample, **_: maps(z))
        moved = method.before(step)
    return moved, notes.steps


def random_maps(seed, height, width):
    """Maps that depend on the latents."""
    mix = torch.randn(4, 12, generator=torch.Generator().manual_seed(seed))
    return lambda z: (torch.einsum("chw,ct->hwt", z[0], mix) / 4).softmax(-1)


def random_latents(seed, height, width):
    return torch.randn(1, 4, height, width, generator=torch.Generator().manual_seed(seed))


@FEW
@given(
    seed=st.integers(0, 99),
    height=st.integers(2, 5),
    width=st.integers(2, 5),
    subjects=st.lists(st.lists(st.integers(1, 7), min_size=1, max_size=3, unique=True), min_size=1),
    eot=st.booleans(),
    at=st.integers(0, 9),
)
def test_loss_and_move(seed, height, width, subjects, eot, at):
    """Any grid, subjects of several tokens; Stable Diffusion 2's slice ends at the text's end."""
    maps, z = random_maps(seed, height, width), random_latents(seed, height, width)
    subjects = [tuple(columns) for columns in subjects]
    moved, (noted,) = alone(
        z, subjects, at=at, maps=maps, normalize_eot=eot, thresholds={}, max_iter_to_alter=10
    )
    end = 8 if eot else -1  # SOS and seven words stand before
    assert noted["moved"] == pytest.approx((moved - z).norm().item(), rel=1e-4, abs=1e-6)
    leaf = z.clone().requires_grad_()
    loss = loss_of(maps(leaf), subjects, end)
    assert noted["loss"] == pytest.approx(loss.item(), abs=5e-4)
    assert noted["step"] == at and noted["iterations"] == 0
    if loss > 1e-3:
        (gradient,) = torch.autograd.grad(loss, leaf)
        size = 20 * (1 - 0.5 * at / 9) ** 0.5
        assert noted["gradient"] == pytest.approx(gradient.norm().item(), rel=5e-3, abs=1e-4)
        assert torch.allclose(moved, z - size * gradient, atol=5e-3 * size * gradient.abs().max())


@FEW
@given(
    seed=st.integers(0, 99),
    threshold=st.floats(0.05, 1.2),
    scale=st.floats(0.1, 5),
    at=st.sampled_from([2, 3]),
    most=st.integers(1, 6),
)
def test_refinement(seed, threshold, scale, at, most):
    """Down the loss until a step has been made from below the threshold, then once more."""
    z, losses = random_latents(seed, 4, 4), []
    maps = random_maps(seed, 4, 4)

    def descend(z):
        leaf = z.clone().requires_grad_()
        text = (100 * maps(leaf)[:, :, 1:-1]).softmax(-1)
        loss = max(1 - text[:, :, column - 1].max() for column in (3, 7))
        losses.append(loss.item())
        return z - scale * torch.autograd.grad(loss, leaf)[0]

    made, following = [z], descend(z)
    while losses[-1] > 1 - threshold and len(made) <= most:
        made.append(following)
        following = descend(following)
        if losses[-1] <= max(0, 1 - threshold) and len(made) <= most:
            made.append(following)
            following = descend(following)
            break
    moved, (noted,) = alone(
        z,
        at=at,
        maps=maps,
        smooth=False,
        scale_factor=scale,
        scale_range=(1, 1),
        thresholds={at: threshold},
        max_iter_to_alter=3,
        max_refinement_steps=most,
    )
    assert noted["iterations"] == len(made) - 1 <= most
    assert noted["loss"] == pytest.approx(losses[-1], abs=1e-5)
    assert torch.allclose(moved, following if at < 3 else made[-1], atol=1e-4)
    assert (noted["gradient"] > 0) == (at < 3 and losses[-1] > 0)


def test_weights_of_the_blur():
    """exp(-(x / 2 sigma)^2): wider than a Gaussian of that sigma, as in the original."""
    weights = torch.tensor(WEIGHTS)
    for y, x in ((2, 2), (1, 3)):
        maps = torch.zeros(5, 5, 12)
        maps[..., 5] = 0.5  # softmax at a scale of 100 makes it all of these cells
        maps[y, x, 3] = 1
        _, (noted,) = alone(torch.zeros(1, 4, 5, 5), [3], maps=lambda z, m=maps: m, scale_factor=0)
        assert noted["loss"] == pytest.approx(1 - WEIGHTS[1][1], abs=1e-4)
    assert weights.sum() == pytest.approx(1, abs=1e-3)
    method = AttendAndExcite([1])
    dot = torch.zeros(5, 5)
    dot[2, 2] = 1
    assert torch.allclose(method._blur(dot)[0, 0, 1:4, 1:4], weights, atol=5e-5)
    assert torch.equal(AttendAndExcite([1], smooth=False)._blur(dot)[0, 0], dot)


@pytest.mark.parametrize(("steps", "last", "refined"), [(50, 25, [0, 10, 20]), (10, 5, [0, 2, 4])])
@pytest.mark.parametrize("given", [{}, {"max_iter_to_alter": 25, "out_of": 50}])
def test_steps_counted_in_the_papers_fifty(steps, last, refined, given, monkeypatch):
    """By default, or as given."""
    wanted = {0: 1, 10: 1, 20: 1}
    monkeypatch.setattr(attend_and_excite, "THRESHOLDS", wanted)
    options = {"thresholds": wanted} | given if given else {}
    z, maps = random_latents(0, 4, 4), random_maps(0, 4, 4)
    moved, refinements = [], []
    for at in range(steps):
        made, noted = alone(z, steps=steps, at=at, maps=maps, max_refinement_steps=1, **options)
        moved += [at] * (made is not None)
        refinements += [at] * bool(noted and noted[0]["iterations"])
    assert moved == list(range(last)) and refinements == refined


# -- on a model


class Scores(AttnProcessor):
    """Remembers probabilities, by diffusers' own means."""

    def __init__(self, kept, name):
        self.kept, self.name = kept, name

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **kwargs):
        if encoder_hidden_states is not None:
            query = attn.head_to_batch_dim(attn.to_q(hidden_states))
            key = attn.head_to_batch_dim(attn.to_k(encoder_hidden_states))
            self.kept[self.name] = attn.get_attention_scores(query, key)
        return super().__call__(attn, hidden_states, encoder_hidden_states, **kwargs)


@pytest.mark.parametrize(
    ("side", "grid", "subjects", "eot"),
    [
        ((16, 24), (8, 12), [(3,), (7,)], False),
        ((24, 16), (6, 4), [(2, 3), (6, 7)], True),
    ],
)
def test_the_first_move_on_a_model(side, grid, subjects, eot):
    """Grids are (height, width); the reference takes its default for (width, height)."""
    pipe = tiny.sd()
    noise = torch.randn(1, 4, *side, generator=torch.Generator().manual_seed(0))
    text, _ = pipe.encode_prompt(PROMPT, "cpu", 1, False)
    kept, leaf = {}, noise.clone().requires_grad_()
    before = pipe.unet.attn_processors
    pipe.unet.set_attn_processor({name: Scores(kept, name) for name in before})
    pipe.scheduler.set_timesteps(3)
    pipe.unet(leaf, pipe.scheduler.timesteps[0], text)
    pipe.unet.set_attn_processor(before)
    cells = grid[0] * grid[1]
    maps = torch.cat([each for each in kept.values() if each.shape[1] == cells]).mean(0)
    loss = loss_of(maps.unflatten(0, grid), subjects, 8 if eot else -1)
    (gradient,) = torch.autograd.grad(loss, leaf)

    given = []
    watch = pipe.unet.conv_in.register_forward_pre_hook(
        lambda module, args: given.append(args[0]) if len(args[0]) == 2 else None
    )
    options = {"height": 2 * side[0], "width": 2 * side[1], "latents": noise}
    _, table = guided(
        pipe,
        *subjects,
        call=options,
        attn_res=grid,
        normalize_eot=eot,
        thresholds={},
        scale_factor=1e3,
        max_iter_to_alter=1,
    )
    watch.remove()
    assert table["loss"][0] == pytest.approx(loss.item(), abs=5e-4)
    assert table["gradient"][0] == pytest.approx(gradient.norm().item(), rel=5e-3)
    assert torch.allclose(given[0][:1], noise - 1e3 * gradient, atol=5e-3)
    assert not torch.allclose(given[0][:1], noise, atol=5e-2)


def test_what_was_scaled_stands_in_the_record(sd):
    with daamkit.guide(sd, AttendAndExcite(["cat"])), daamkit.trace(sd) as tracer:
        generate(sd, steps=10)
    used = tracer.run.record["guidance"][0]["settings"]
    assert (used["max_iter_to_alter"], used["out_of"]) == (5, 10)
    assert used["thresholds"] == {"0": 0.05, "2": 0.5, "4": 0.8}


@pytest.mark.parametrize(
    ("settings", "beyond"),
    [
        ({"max_iter_to_alter": 25}, "24"),
        ({"thresholds": {0: 0.05, 10: 0.5, 20: 0.8}}, "10, 20"),
        ({"max_iter_to_alter": 11, "thresholds": {}}, "10"),
    ],
)
def test_constants_of_another_number_of_steps_are_told(sd, settings, beyond):
    with pytest.warns(StepsWarning, match=f"of step {beyond}, and the call makes 10.*out_of=50"):
        guided(sd, call={"steps": 10}, scale_factor=0, **settings)
    guided(sd, call={"steps": 10}, scale_factor=0, **settings, out_of=50)  # no word


def test_of_two_thresholds_on_one_step_the_higher_counts(sd):
    for order in ({0: 0.8, 10: 0.05}, {10: 0.05, 0: 0.8}, {0: 0.05, 10: 0.8}):
        method = AttendAndExcite(["cat"], thresholds=order, out_of=50, scale_factor=0)
        with daamkit.guide(sd, method), daamkit.trace(sd) as tracer:
            generate(sd, steps=2)
        assert tracer.run.record["guidance"][0]["settings"]["thresholds"] == {"0": 0.8}


def test_a_single_step_is_guided(sd):
    _, table = guided(sd, call={"steps": 1}, scale_factor=1e3)
    assert len(table) == 1 and table["gradient"][0] > 0


def test_a_scale_of_nothing(sd):
    """Bit for bit the unguided image, thresholds or not; the losses are noted all the same."""
    plain = generate(sd)
    for thresholds in ({}, {0: 0.9, 1: 0.99}):
        latents, table = guided(sd, scale_factor=0, thresholds=thresholds, max_iter_to_alter=3)
        assert torch.equal(latents, plain)
        assert (table["loss"] > 0).all() and not table[["iterations", "gradient"]].any(axis=None)
        assert list(table["step"]) == [0, 1, 2]
    moved, _ = guided(sd, scale_factor=1e3)
    assert not torch.allclose(moved, plain, atol=1e-2)


def test_refinement_lowers_the_loss(sd, toybox):
    for pipe, scale, size in ((sd, 1e3, {}), (toybox, 20, {"side": 64})):
        options = {"attn_res": (8, 8), "call": size | {"steps": 1}, "scale_factor": scale}
        _, once = guided(pipe, "and", **options, thresholds={})
        _, often = guided(pipe, "and", **options, thresholds={0: 1}, max_refinement_steps=8)
        assert often["iterations"][0] == 8 and often["loss"][0] < once["loss"][0]


class Passes:
    """How often parts of a denoiser run, on how many rows, and whether its weights learn then."""

    def __init__(self, unet):
        self.rows, self.ended, self.late, self.learning = [], 0, [], []
        late = unet.up_blocks[-1].attentions[-1].transformer_blocks[0].attn2.to_out[0]
        self.handles = [
            unet.conv_in.register_forward_pre_hook(self.begin),
            late.register_forward_pre_hook(lambda _, args: self.late.append(len(args[0]))),
            unet.conv_out.register_forward_pre_hook(self.end),
        ]
        self.unet = unet

    def begin(self, module, args):
        self.rows.append(len(args[0]))
        self.learning.append(any(weight.requires_grad for weight in self.unet.parameters()))

    def end(self, module, args):
        self.ended += 1

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        for handle in self.handles:
            handle.remove()


def test_passes_and_weights(sd):
    """K iterations take K + 1 passes; none of these comes to its end, nor do weights learn then;
    after the last step that is guided there is none."""
    assert all(weight.requires_grad for weight in sd.unet.parameters())
    options = {"thresholds": {1: 0.9}, "max_iter_to_alter": 2, "max_refinement_steps": 3}
    with Passes(sd.unet) as passes:
        _, table = guided(sd, **options, call={"steps": 4})
    assert list(table["iterations"]) == [0, 3]
    assert passes.rows == [1, 2] + [1] * 4 + [2] + [2] + [2]
    assert passes.late == [2] * 4 and passes.ended == 4  # not in extra passes
    assert passes.learning == [rows == 2 for rows in passes.rows]
    assert all(weight.requires_grad for weight in sd.unet.parameters())


def test_weights_that_did_not_learn_do_not_afterwards():
    pipe = tiny.sd()
    pipe.unet.conv_in.requires_grad_(False)
    before = [weight.requires_grad for weight in pipe.unet.parameters()]
    guided(pipe, call={"steps": 1})
    pipe.unet.mid_block.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        guided(pipe, call={"steps": 1})
    assert [weight.requires_grad for weight in pipe.unet.parameters()] == before
    assert all(weight.grad is None for weight in pipe.unet.parameters())


def test_a_guided_step_walks_the_model_once(sd, monkeypatch):
    """However often it refines: each loss finds its sites and freezes the weights without."""
    own, walks = sd.unet.named_modules, []

    def counted(*args, **options):
        walks.append(None)
        return own(*args, **options)

    monkeypatch.setitem(vars(sd.unet), "named_modules", counted)
    guided(sd, max_iter_to_alter=0, thresholds={}, call={"steps": 1})
    beside = len(walks)
    options = {"max_iter_to_alter": 1, "thresholds": {0: 0.9999}, "max_refinement_steps": 2}
    _, table = guided(sd, **options, call={"steps": 1})
    assert list(table["iterations"]) == [2]
    assert len(walks) - 2 * beside == 1


# -- batches, pipelines, precisions


class See(Method):
    """What is denoised after all moves."""

    def __init__(self):
        self.steps = []

    def after(self, now, prediction):
        self.steps.append(now)
        return prediction


def moved(pipe, subjects, prompt, **call):
    """Latents after the first step's move."""
    see, refined = See(), {"thresholds": {0: 0.5}, "max_refinement_steps": 2}
    with daamkit.guide(pipe, AttendAndExcite(subjects, scale_factor=1e3, **refined), see):
        generate(pipe, prompt, steps=1, **call)
    return see.steps[0].noisy


def test_each_image_is_guided_alone(sd):
    """A batch moves as its images do; lists of subjects for each prompt; several images each."""
    noise = random_latents(0, 8, 8), random_latents(1, 8, 8)
    prompts, subjects = ["a cat and a car", "a red dog"], [["cat", "car"], ["dog", 2]]
    both = moved(sd, subjects, prompts, latents=torch.cat(noise))
    for row in range(2):
        one = moved(sd, subjects[row], prompts[row], latents=noise[row])
        assert torch.equal(both[row : row + 1], one)
        assert not torch.allclose(one, noise[row], atol=1e-2)
    twice = torch.cat([noise[0], noise[1], noise[1], noise[0]])
    four = moved(sd, subjects, prompts, latents=twice, num_images_per_prompt=2)
    assert torch.equal(four[[0, 2]], both)
    assert torch.equal(four[1:2], moved(sd, subjects[0], prompts[0], latents=noise[1]))
    swapped = moved(sd, subjects[::-1], prompts[::-1], latents=torch.cat(noise[::-1]))
    assert torch.equal(swapped.flip(0), both)


def test_what_the_other_branch_reads_moves_nothing(sd):
    noise = random_latents(0, 8, 8)
    plain = moved(sd, ["cat"], PROMPT, latents=noise)
    for call in ({"negative_prompt": "a cat"}, {"guidance_scale": 1.0}, {"guidance_scale": 3.0}):
        assert torch.equal(moved(sd, ["cat"], PROMPT, latents=noise, **call), plain)


def test_a_scheduler_that_scales():
    """In Euler's units, which are larger, latents of the same look are moved as far in theirs."""
    pipes = [tiny.sd(), tiny.sd()]
    pipes[1].scheduler = diffusers.EulerDiscreteScheduler.from_config(
        pipes[0].scheduler.config, timestep_spacing="leading"
    )
    rows = []
    for pipe in pipes:
        with daamkit.guide(pipe, AttendAndExcite(["cat"], thresholds={})) as guide:
            generate(pipe, latents=random_latents(0, 8, 8), steps=2)
        rows.append(guide.table().iloc[0])
    size = (float(pipes[1].scheduler.sigmas[0]) ** 2 + 1) ** 0.5
    assert size > 1.5 and size == pytest.approx(float(pipes[1].scheduler.init_noise_sigma))
    assert rows[0]["loss"] == pytest.approx(rows[1]["loss"], abs=1e-5)
    assert rows[0]["gradient"] == pytest.approx(rows[1]["gradient"], rel=1e-3)
    assert rows[0]["moved"] * size == pytest.approx(rows[1]["moved"], rel=1e-3)


def test_xl(sdxl):
    _, table = guided(sdxl, "cat", call={"side": 32}, attn_res=(8, 8), thresholds={0: 0.5})
    assert (table["loss"] > 0).all() and table["iterations"][0] == 20
    assert (table["gradient"] > 0).all()


@pytest.mark.parametrize("kind", ["Heun", "KDPM2"])
@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
def test_schedulers_of_second_order(kind):
    """A step is guided once, before its first pass."""
    pipe = tiny.sd()
    scheduler = getattr(diffusers, f"{kind}DiscreteScheduler")
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
    with Passes(pipe.unet) as passes:
        _, table = guided(pipe, call={"steps": 3}, thresholds={}, max_iter_to_alter=2)
    assert list(table["step"]) == [0, 1]
    assert passes.rows == [1, 2, 2] * 2 + [2]


def test_inpainting_and_image_to_image():
    picture, hole = Image.new("RGB", (16, 16), "gray"), Image.new("L", (16, 16), 255)
    parts = tiny.sd(in_channels=9).components
    inpaint = diffusers.StableDiffusionInpaintPipeline(**parts, requires_safety_checker=False)
    parts = tiny.sd().components
    image = diffusers.StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False)
    masked = {"mask_image": hole, "height": 16, "width": 16}
    for pipe, call in ((inpaint, masked), (image, {"strength": 0.75, "steps": 4})):
        pipe.set_progress_bar_config(disable=True)
        call = call | {"image": picture}
        plain = generate(pipe, PROMPT, **call)
        options = {"scale_factor": 1e3, "thresholds": {}, "max_iter_to_alter": 3}
        latents, table = guided(pipe, call=call, **options)
        assert latents.isfinite().all() and not torch.allclose(latents, plain, atol=1e-2)
        assert list(table["step"]) == [0, 1, 2] and (table["gradient"] > 0).all()
        assert torch.equal(guided(pipe, call=call, scale_factor=0)[0], plain)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("exact", [False, True])
def test_half_precisions(dtype, exact):
    pipe = tiny.sd().to(dtype)
    noise = torch.randn((1, 4, 32, 32), generator=torch.Generator().manual_seed(0)).to(dtype)
    settings = {"thresholds": {0: 0.5}, "max_refinement_steps": 2}  # one noise: torch draws another
    latents, table = guided(pipe, call={"latents": noise}, exact=exact, **settings)
    assert latents.dtype == dtype and latents.isfinite().all()
    assert np.isfinite(table[["loss", "gradient"]]).all(axis=None) and (table["gradient"] > 0).all()
    _, full = guided(tiny.sd(), call={"latents": noise.float()}, **settings)
    assert table["loss"][0] == pytest.approx(full["loss"][0], abs=1e-3)
    assert any(float(torch.tensor(loss).to(dtype)) != loss for loss in table["loss"])  # float32


def test_embeddings_with_their_text(sd):
    text, _ = sd.encode_prompt(PROMPT, "cpu", 1, False)
    _, negative = sd.encode_prompt(PROMPT, "cpu", 1, True)
    given = {"prompt": None, "prompt_embeds": text, "negative_prompt_embeds": negative}
    latents, _ = guided(sd, "cat", scale_factor=1e3)
    with daamkit.guide(sd, AttendAndExcite(["cat"], scale_factor=1e3, prompt=PROMPT)):
        assert torch.equal(generate(sd, **given), latents)
    with (
        pytest.raises(DaamkitError, match=r"text that `prompt_embeds` stand for.*`prompt='...'`"),
        daamkit.guide(sd, AttendAndExcite(["cat"])),
    ):
        generate(sd, **given)


# -- limits


def broken(pipe, where):
    module = pipe.unet.conv_in
    return module.register_forward_hook(lambda module, args, output: output * where)


@pytest.mark.parametrize("scale", [20, 0])
def test_a_loss_that_is_no_number(scale):
    pipe = tiny.sd()
    broken(pipe, torch.nan)
    with pytest.raises(DaamkitError, match=r"got nan at step 0 in float32.*torch\.bfloat16"):
        guided(pipe, scale_factor=scale)


def test_weights_too_large_for_half_precision():
    pipe = tiny.sd().to(torch.float16)
    with torch.no_grad():
        for weight in pipe.unet.down_blocks[0].parameters():
            weight.mul_(300)
    with pytest.raises(DaamkitError, match=r"got nan at step 0 in float16"):
        guided(pipe)


def test_a_gradient_that_is_no_number():
    """A loss may be finite where the way back from it is not."""
    pipe = tiny.sd()

    class Steep(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * torch.inf

    pipe.unet.conv_in.register_forward_hook(lambda module, args, output: Steep.apply(output))
    with pytest.raises(DaamkitError, match=r"a gradient.*got nan at step 0 in float32"):
        guided(pipe, max_iter_to_alter=1, thresholds={})


@pytest.mark.parametrize("kind", ["UniPCMultistep", "DPMSolverSinglestep", "SASolver"])
def test_schedulers_that_are_not_served(kind):
    pipe = tiny.sd()
    pipe.scheduler = getattr(diffusers, f"{kind}Scheduler").from_config(pipe.scheduler.config)
    words = rf"that AttendAndExcite works with; got {kind}Scheduler.*one of .*DDIMScheduler, .*PNDM"
    with pytest.raises(DaamkitError, match=words) as raised:
        guided(pipe)
    offered = str(raised.value).split("one of")[1]
    assert not any(name in offered for name in AttendAndExcite.unsupported_schedulers)


def test_grids_that_are_not_there(sd, sdxl):
    with pytest.raises(DaamkitError, match=r"grid of 7 x 7 cells; got grids of 2 x 2, 4 x 4, 8 x"):
        guided(sd, attn_res=(7, 7))
    with pytest.raises(DaamkitError, match=r"cross-attention on .* cells.*; got grids of 4 x 4.*"):
        guided(sdxl, "cat")
    with pytest.raises(DaamkitError, match=r"grid of 8 x 12 cells; got .*12 x 8"):
        guided(sd, call={"height": 48, "width": 32}, attn_res=(8, 12))


def test_grids_of_a_video_have_frames():
    case, excite = every.CASES["wan"], AttendAndExcite(["cat"], attn_res=(2, 6))
    pipe, told = case.build(), r"of 2 x 6 cells; got grids of 3 x 2 x 6\..*\(frames, height, width"
    with pytest.raises(DaamkitError, match=told), daamkit.guide(pipe, excite):
        every.generate(case, pipe)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kernel_size": 4}, r"odd kernel size and positive sigma; got 4 and 0.5"),
        ({"sigma": 0.0}, r"positive sigma; got 3 and 0.0"),
        ({"scale_range": (1.0, -0.5)}, r"from 0 on; got \(1.0, -0.5\)"),
        ({"scale_range": (1.0, float("nan"))}, r"from 0 on; got \(1.0, nan\)"),
    ],
)
def test_settings_that_make_no_sense(settings, words):
    with pytest.raises(DaamkitError, match=words):
        AttendAndExcite(["cat"], **settings)


def test_maps_too_small_to_blur(sd):
    small = {"height": 16, "width": 8}
    with pytest.raises(
        DaamkitError, match=r"more than 1 cells a side for a blur 3 cells wide; got 2 x 1\."
    ):
        guided(sd, call=small, attn_res=(2, 1))
    assert guided(sd, call=small, attn_res=(2, 1), smooth=False)[1]["loss"].notna().all()


def test_pipelines_that_take_no_extra_pass():
    """Said before torch says it in its way."""
    parts = tiny.sd().components
    pag = diffusers.StableDiffusionPAGPipeline(**parts, requires_safety_checker=False)
    pag.set_progress_bar_config(disable=True)
    with pytest.raises(DaamkitError, match=r"got StableDiffusionPAGPipeline.*PerturbedAttention"):
        guided(pag)
    checkpointed = tiny.sd()
    checkpointed.unet.enable_gradient_checkpointing()
    with pytest.raises(DaamkitError, match=r"AttendAndExcite.*disable_gradient_checkpointing"):
        guided(checkpointed)
    casting = tiny.sd()
    casting.unet.enable_layerwise_casting(
        storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32
    )
    with pytest.raises(DaamkitError, match=r"AttendAndExcite.*without `enable_layerwise_casting`"):
        guided(casting)
    with daamkit.trace(casting) as tracer:  # nothing goes back through the layers here
        image = generate(casting)
    assert np.array_equal(image, generate(casting)) and len(tracer.runs) == 1
    offloaded = tiny.sd()
    offloaded.unet.enable_group_offload("cpu", "cpu", offload_type="leaf_level")
    with pytest.raises(DaamkitError, match=r"AttendAndExcite.*offloading in groups"):
        guided(offloaded)
    caching = tiny.sd()
    apply_pyramid_attention_broadcast(
        caching.unet,
        PyramidAttentionBroadcastConfig(
            cross_attention_block_skip_range=2, current_timestep_callback=lambda: 500
        ),
    )
    with pytest.raises(DaamkitError, match=r"computed whole.*cache of features \(pyramid"):
        guided(caching)


def test_the_texts_end_as_a_subject(sd, sdxl):
    """It is a token like others, unless it is left out."""
    assert guided(sd, 8)[1]["loss"].notna().all()
    with pytest.raises(DaamkitError, match=r"before token 8.*; got 8, which `normalize_eot`"):
        guided(sd, 8, normalize_eot=True)
    longer = {"prompt_2": "a red dog and a blue car and a cat", "side": 32}
    options = {"attn_res": (8, 8), "normalize_eot": True, "thresholds": {}}
    assert guided(sdxl, "cat", prompt="a dog", call=longer, **options)[1]["loss"].notna().all()


def test_inference_mode(sd):
    with torch.inference_mode(), pytest.raises(DaamkitError, match="autograd.*AttendAndExcite"):
        guided(sd)


# -- what is noted


def test_losses_are_saved_with_the_run(sd, tmp_path):
    method = AttendAndExcite(
        ["cat", ("a", 1)], thresholds={1: 0.5}, max_refinement_steps=2, max_iter_to_alter=3
    )
    with daamkit.guide(sd, method) as guide, daamkit.trace(sd) as tracer:
        generate(sd, PROMPT, num_images_per_prompt=2)
    table = guide.table()
    assert list(table.columns[:6]) == ["image", "method", "step", "loss", "iterations", "gradient"]
    assert list(table["iterations"]) == [0, 2, 0] * 2
    for image, run in enumerate(tracer.runs):
        (noted,) = daamkit.open(run.save(tmp_path / str(image))).record["guidance"]
        assert noted["method"] == "AttendAndExcite"
        own = table[table["image"] == image].drop(columns=["image", "method"])
        assert noted["steps"] == own.to_dict("records")
        assert noted["settings"]["subjects"] == ["cat", ["a", 1]]
        assert noted["settings"]["thresholds"] == {"1": 0.5}
        assert run.maps.steps == 3 and run.maps.mass.sum() == pytest.approx(1, abs=1e-5)
