"""The protocol of guidance: what methods are told, what they change, what they leave as it was."""

import inspect
import json

import diffusers
import jaxtyping
import pytest
import torch
from diffusers.utils import is_torchsde_available
from PIL import Image

import daamkit
from daamkit.attention.taps import Tap
from daamkit.errors import DaamkitError
from daamkit.guidance import denoising
from daamkit.guidance.denoising import Method, denoise, is_first_pass
from tests import tiny
from tests.attention.test_restoration import snapshot

PROMPT = "a red cat and a blue car"
KINDS = sorted(kind.__name__ for kind in tiny.sd().scheduler.compatibles)
if not is_torchsde_available():
    KINDS.remove("DPMSolverSDEScheduler")
OLD_NUMPY = "ignore:__array_wrap__:DeprecationWarning"  # what some of diffusers' schedulers do


def generate(pipe, prompt=PROMPT, seed=0, steps=3, side=16, **options):
    """Latents, from a seed."""
    size = {} if "image" in options else {"height": side, "width": side}
    options = {"num_inference_steps": steps, "output_type": "latent"} | size | options
    return pipe(prompt, generator=torch.Generator().manual_seed(seed), **options).images


def guided(pipe, *methods, **options):
    with daamkit.guide(pipe, *methods):
        return generate(pipe, **options)


def scheduled(kind: str, **config):
    pipe = tiny.sd()
    pipe.scheduler = getattr(diffusers, kind).from_config(pipe.scheduler.config, **config)
    return pipe


class Push(Method):
    """Moves what is denoised."""

    def __init__(self, by=0.5, at=None):
        self.by, self.at = by, at

    def before(self, now):
        return now.noisy + self.by if self.at in (None, now.index) else None


class Double(Method):
    """Doubles what is denoised."""

    def before(self, now):
        return 2 * now.noisy


class Damp(Method):
    """Makes the prediction smaller."""

    def after(self, now, prediction):
        return 0.5 * prediction


class Say(Method):
    """Predicts the same whatever is denoised."""

    def after(self, now, prediction):
        return torch.full_like(prediction, 0.1)


class Look(Method):
    """Lets the denoiser predict once more, and compares."""

    def __init__(self, branch="cond"):
        self.branch, self.given, self.passes = branch, [], []

    def before(self, now):
        def given(module, args, kwargs):
            self.given.append(dict(zip(("sample", "timestep"), args, strict=False)) | kwargs)

        with now.denoiser.register_forward_pre_hook(given, with_kwargs=True):
            again = denoise(now, now.noisy, branch=self.branch)
        self.passes.append((now, again))


# -- wrong use


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        ((), r"wanted a guidance method; got none"),
        ((Push,), r"wanted guidance methods; got <class .*Push'>.*Pass one that is made"),
        ((Tap(),), r"wanted guidance methods; got <daamkit.*Tap"),
        ((Damp(), None), r"wanted guidance methods; got None"),
    ],
)
def test_what_is_no_method(sd, monkeypatch, methods, words):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for users
    with pytest.raises(DaamkitError, match=words):
        daamkit.guide(sd, *methods)


def test_one_method_of_a_kind(sd):
    plain = generate(sd)
    before = snapshot(sd)
    with pytest.raises(DaamkitError, match="one Push at a time; got a second one"):
        daamkit.guide(sd, Push(), Push(0.1)).__enter__()
    outer = daamkit.guide(sd, Push())
    with outer:
        for inner in (daamkit.guide(sd, Damp(), Push(0.1)), outer):
            with pytest.raises(DaamkitError, match="one Push at a time"):
                inner.__enter__()
        one = generate(sd)
    assert torch.equal(one, guided(sd, Push())) and not torch.equal(one, plain)
    assert snapshot(sd) == before


def test_inference_mode(sd):
    class Steep(Push):
        gradient = True

    with torch.inference_mode(), pytest.raises(DaamkitError, match=r"autograd.*inference_mode"):
        guided(sd, Steep())
    with torch.inference_mode():
        needless = guided(sd, Push())
    with torch.no_grad():
        assert torch.equal(guided(sd, Steep()), needless)


def test_a_scheduler_that_a_method_does_not_serve():
    class Picky(Push):
        unsupported_schedulers = ("UniPCMultistepScheduler", "DDPMScheduler")

    pipe = scheduled("UniPCMultistepScheduler")
    before = snapshot(pipe)
    with pytest.raises(DaamkitError) as raised:
        guided(pipe, Picky())
    assert snapshot(pipe) == before
    said = str(raised.value)
    assert "Picky" in said and "got UniPCMultistepScheduler" in said
    offered = {kind for kind in KINDS if kind in said.split("one of")[1]}
    assert offered == set(KINDS) - set(Picky.unsupported_schedulers)


# -- schedulers


@pytest.mark.filterwarnings(OLD_NUMPY)
@pytest.mark.parametrize("kind", KINDS)
def test_extra_passes_change_nothing(kind):
    """Neither the image nor any random number, whatever the scheduler and its noise."""
    pipe, steps = scheduled(kind), 4 if kind == "PNDMScheduler" else 2
    plain = generate(pipe, steps=steps)
    state = torch.get_rng_state()
    look = Look()
    assert torch.equal(guided(pipe, look, steps=steps), plain)
    assert torch.equal(torch.get_rng_state(), state)
    numbers = {now.step for now, _ in look.passes}
    assert numbers == set(range(denoising.count(look.passes[0][0])))


def carried(kind: str, *passes: int, **config) -> list[float]:
    """How much of a move before one pass is there in the end, were the noise known for sure.

    It should be 1: without the noise, latents of any time differ by a factor that is known.
    """
    pipe = scheduled(kind, **config)
    times = []

    class Time(Method):
        def before(self, now):
            times.append(int(now.timestep))

    end = guided(pipe, Say(), Time(), steps=4)
    ends = [guided(pipe, Say(), Push(1e-2, at), steps=4) for at in passes]
    scheduler = pipe.scheduler
    preserving = float(scheduler.init_noise_sigma) == 1  # else latents grow as noise is added
    factors = [scheduler.alphas_cumprod[times[at]] ** 0.5 if preserving else 1.0 for at in passes]
    return [
        float((moved - end).mean() / 1e-2 * factor)
        for moved, factor in zip(ends, factors, strict=True)
    ]


EXACT = set(KINDS) - {
    *daamkit.AttendAndExcite.unsupported_schedulers,
    "EDMEulerScheduler",
    "PNDMScheduler",
}


@pytest.mark.filterwarnings(OLD_NUMPY)
@pytest.mark.parametrize("kind", sorted(EXACT - {"DPMSolverMultistepScheduler"}))
def test_a_move_is_carried_to_the_end(kind):
    passes = (0, 2)  # where the schedulers of second order open a step too
    assert carried(kind, *passes) == pytest.approx([1, 1], abs=1e-2)


def test_a_move_of_the_second_pass_of_a_step_is_lost():
    """Which is why methods ask `is_first_pass`."""
    seen = []

    class Note(Method):
        def before(self, now):
            seen.append((now.index, now.step, is_first_pass(now), denoising.count(now)))

    pipe = scheduled("HeunDiscreteScheduler")
    guided(pipe, Note())
    assert seen == [(0, 0, True, 3), (1, 0, False, 3), (2, 1, True, 3), (3, 1, False, 3)] + [
        (4, 2, True, 3)
    ]
    assert carried("HeunDiscreteScheduler", 1, 2) == pytest.approx([0, 1], abs=1e-2)


def test_moves_that_schedulers_lose_or_bend():
    """PNDM steps from its first sample twice, as it does under diffusers' own pipelines; DPM++
    takes a jump for a trend and goes beyond."""
    pndm = carried("PNDMScheduler", 0, 1, 2, skip_prk_steps=True)
    assert pndm == pytest.approx([1, 0, 1], abs=1e-2)
    beyond = carried("DPMSolverMultistepScheduler", 0, 1, 3)
    assert beyond == pytest.approx([1, 1.29, 1], abs=1e-2)


def test_the_schedulers_face():
    """Pipelines look for `eta` and `generator` in the signature of `step`."""
    signatures = []

    class Note(Method):
        def before(self, now):
            scheduler = now.call.pipe.scheduler
            signatures.append(inspect.signature(scheduler.step))
            assert type(scheduler).__name__ == "DDIMScheduler"
            assert isinstance(scheduler, diffusers.DDIMScheduler)

    pipe = tiny.sd()
    own = inspect.signature(pipe.scheduler.step)
    plain, noisy = generate(pipe), generate(pipe, eta=1.0)
    assert torch.equal(guided(pipe, Note(), eta=1.0), noisy)
    assert not torch.equal(plain, noisy)
    assert signatures == [own] * 3 and {"eta", "generator"} <= own.parameters.keys()


# -- what the extra pass is given


def image(side=16, mode="RGB"):
    return Image.new(mode, (side, side), "gray")


def inpainting():
    pipe = diffusers.StableDiffusionInpaintPipeline(
        **tiny.sd(in_channels=9).components, requires_safety_checker=False
    )
    return pipe, {"image": image(), "mask_image": image(mode="L"), "height": 16, "width": 16}


def image_to_image():
    parts = tiny.sd().components
    pipe = diffusers.StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False)
    return pipe, {"image": image(), "strength": 0.7, "steps": 4}


def control():
    parts = tiny.sd().components
    net = diffusers.ControlNetModel.from_unet(
        parts["unet"], conditioning_embedding_out_channels=(8, 16)
    )
    torch.nn.init.normal_(net.controlnet_mid_block.weight)
    pipe = diffusers.StableDiffusionControlNetPipeline(
        **parts, controlnet=net.eval(), requires_safety_checker=False
    )
    return pipe, {"image": image()}


def instructed():
    parts = tiny.sd(in_channels=8).components
    pipe = diffusers.StableDiffusionInstructPix2PixPipeline(**parts, requires_safety_checker=False)
    return pipe, {"image": image()}


LAYOUTS = {
    "one": lambda: (tiny.sd(), {}),
    "two prompts": lambda: (tiny.sd(), {"prompt": ["a cat", "a dog"]}),
    "two images": lambda: (tiny.sd(), {"num_images_per_prompt": 2}),
    "without guidance": lambda: (tiny.sd(), {"guidance_scale": 1.0}),
    "negative": lambda: (tiny.sd(), {"negative_prompt": "a dog"}),
    "wide": lambda: (tiny.sd(), {"height": 16, "width": 32}),
    "xl": lambda: (tiny.sdxl(), {"prompt_2": ["a dog", "a cat"], "prompt": ["a cat", "a car"]}),
    "inpainting": inpainting,
    "image to image": image_to_image,
    "control": control,
    "instructed": instructed,
}


@pytest.mark.parametrize(
    ("layout", "kind"),
    [
        *((layout, "EulerDiscreteScheduler") for layout in LAYOUTS),
        ("one", "HeunDiscreteScheduler"),
        ("one", "LMSDiscreteScheduler"),
        ("inpainting", "DDIMScheduler"),
    ],
)
def test_the_extra_pass_is_given_what_the_pipelines_own_pass_is(layout, kind):
    """Row for row, scaled as the scheduler scales; so it predicts the same."""
    pipe, options = LAYOUTS[layout]()
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = getattr(diffusers, kind).from_config(pipe.scheduler.config)
    options = {"steps": 2} | options
    look = Look()
    plain = generate(pipe, **options)
    assert torch.equal(guided(pipe, look, **options), plain)
    assert len(look.passes) == len(look.given) > 1
    for (step, again), given in zip(look.passes, look.given, strict=True):
        cond = step.branches["cond"]
        assert torch.equal(given["sample"], step.inputs["sample"][cond])
        assert torch.equal(
            given["encoder_hidden_states"], step.inputs["encoder_hidden_states"][cond]
        )
        for name, added in (given.get("added_cond_kwargs") or {}).items():
            assert torch.equal(added, step.inputs["added_cond_kwargs"][name][cond])
        assert torch.allclose(again, step.prediction_of("cond"), atol=1e-4)


def test_a_branch_without_the_text(sd):
    look = Look("negative")
    guided(sd, look, negative_prompt="a dog")
    for step, again in look.passes:
        assert torch.allclose(again, step.prediction_of("negative"), atol=1e-5)
        assert not torch.allclose(again, step.prediction_of("cond"), atol=1e-5)


# -- several contexts


def total(run) -> float:
    """All attention of a run: one for each query, head and pass."""
    return sum(float(layer.values.sum()) for layer in run.maps.layers.values())


@pytest.mark.parametrize("kind", ["DDIMScheduler", "HeunDiscreteScheduler"])
def test_guided_and_traced(kind):
    """In any order: the same image and maps; and a trace sees no extra pass."""
    pipe = scheduled(kind)
    methods = lambda: (Push(), Look(), Damp())  # noqa: E731
    alone = guided(pipe, *methods())
    runs = []
    with daamkit.guide(pipe, *methods()), daamkit.trace(pipe) as tracer:
        inside = generate(pipe)
    runs.append(tracer.run)
    with daamkit.trace(pipe) as tracer, daamkit.guide(pipe, *methods()):
        outside = generate(pipe)
    runs.append(tracer.run)
    assert torch.equal(inside, alone) and torch.equal(outside, alone)
    assert torch.equal(runs[0].maps.pool(), runs[1].maps.pool())
    with daamkit.trace(pipe) as tracer:
        plain = generate(pipe)
    assert not torch.equal(plain, alone)
    assert not torch.equal(runs[0].maps.pool(), tracer.run.maps.pool())
    for run in (*runs, tracer.run):
        assert run.maps.steps == len(run.record["timesteps"]) == tracer.run.maps.steps
        assert run.maps.mass.sum() == pytest.approx(1, abs=1e-5)
        assert total(run) == pytest.approx(total(tracer.run), rel=1e-5)  # each pass counts once


def test_traced_maps_are_those_of_what_was_denoised(sd):
    """A push before the first pass is as good as latents pushed beforehand."""
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    with daamkit.guide(sd, Push(0.5, at=0)), daamkit.trace(sd) as pushed:
        moved = generate(sd, latents=noise)
    with daamkit.trace(sd) as tracer:
        assert torch.equal(generate(sd, latents=noise + 0.5), moved)
    assert torch.equal(pushed.run.maps.pool(), tracer.run.maps.pool())


def test_methods_act_in_the_order_given(sd):
    one = guided(sd, Push(), Double(), Damp())
    with daamkit.guide(sd, Push()), daamkit.guide(sd, Double()), daamkit.guide(sd, Damp()):
        assert torch.equal(generate(sd), one)
    assert torch.equal(guided(sd, Damp(), Push(), Double()), one)  # one before, the other after
    assert not torch.equal(guided(sd, Double(), Push(), Damp()), one)


def test_what_only_looks_sees_what_methods_leave(sd):
    """In whatever order the contexts are nested."""
    found = []
    for order in (1, -1):
        tracer = daamkit.trace(sd, previews=True, concepts=["dog"])
        outer, inner = [tracer, daamkit.guide(sd, Push(), Damp())][::order]
        with outer, inner:
            generate(sd)
        found.append(tracer.run)
    one, other = found
    assert torch.equal(one.maps.concept("dog").values, other.maps.concept("dog").values)
    assert one.record["previews"] == other.record["previews"]
    with daamkit.trace(sd, previews=True) as plain:
        generate(sd)
    assert one.record["previews"] != plain.run.record["previews"]


def test_what_is_said_after_is_what_the_scheduler_is_given():
    pipe = scheduled("EulerDiscreteScheduler")
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    end = guided(pipe, Say(), latents=noise, steps=1)
    sigma = pipe.scheduler.init_noise_sigma
    start = noise * sigma
    assert torch.allclose(end, start - 0.1 * pipe.scheduler.sigmas[0], atol=1e-4)


def test_a_call_within_the_call_is_silent(sd):
    """Neither guided nor counted."""
    plain, alone, inner = generate(sd, "a dog"), guided(sd, Push()), []

    def again(pipe, step, time, tensors):
        if step == 2:
            inner.append(generate(pipe, "a dog"))
        return {}

    with daamkit.guide(sd, Push()), daamkit.trace(sd) as tracer:
        assert torch.equal(generate(sd, callback_on_step_end=again), alone)
    assert torch.equal(inner[0], plain) and len(tracer.runs) == 1


def test_another_pipeline_with_the_same_parts_is_not_guided(sd):
    other = diffusers.StableDiffusionPipeline(**sd.components, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    plain = generate(other)
    with daamkit.guide(sd, Push()):
        assert torch.equal(generate(other), plain)
        assert torch.equal(generate(sd), guided(other, Push()))


def test_a_guide_stays_what_it_was_made_with(sd):
    push = Push()
    guide = daamkit.guide(sd, push)
    one = guided(sd, Push())
    push.by = 3.0
    with guide:
        assert torch.equal(generate(sd), one)
    with guide:
        assert torch.equal(generate(sd), one)


# -- what came in goes out


class Failing(Method):
    """Raises at one of its calls."""

    def __init__(self, where, failure=RuntimeError):
        self.where, self.failure, self.failed = where, failure, []

    def maybe(self, where):
        if where == self.where:
            raise self.failure("stopped")

    def start(self, call):
        self.maybe("start")

    def before(self, now):
        self.maybe("before")
        with now.denoiser.mid_block.register_forward_hook(lambda *_: self.maybe("extra pass")):
            denoise(now, now.noisy)
        return now.noisy + 0.5

    def after(self, now, prediction):
        self.maybe("after")
        if self.where == "denoiser":
            now.denoiser.register_forward_pre_hook(lambda *_: self.maybe("denoiser"))
        return prediction

    def finish(self, call, images):
        self.maybe("finish")

    def fail(self, call):
        self.failed.append(True)


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["start", "before", "extra pass", "after", "finish"])
def test_after_an_exception_in_a_method(where, failure):
    pipe = tiny.sd()
    plain = generate(pipe)
    before = snapshot(pipe)
    method = Failing(where, failure)
    guide = daamkit.guide(pipe, method, Push())
    with guide, daamkit.trace(pipe) as tracer:
        with pytest.raises(failure, match="stopped"):
            generate(pipe)
        scheduler = type(pipe.scheduler)
    assert scheduler is diffusers.DDIMScheduler  # it is watched for as long as a call lasts
    assert snapshot(pipe) == before and method.failed == [True] and tracer.runs == []
    assert len(guide.table()) == 0
    assert torch.overrides._get_current_function_mode_stack() == []
    assert torch.equal(generate(pipe), plain)


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("place", ["denoiser", "scheduler", "callback"])
def test_after_an_exception_around_methods(place, failure):
    pipe = tiny.sd()
    plain = generate(pipe)
    before = snapshot(pipe)

    def stop(*args, **kwargs):
        raise failure("stopped")

    handle = None
    with daamkit.trace(pipe), daamkit.guide(pipe, Push(), Damp()):
        options = {}
        if place == "denoiser":
            handle = pipe.unet.mid_block.register_forward_hook(stop)
        elif place == "scheduler":
            pipe.scheduler._get_variance = stop
        else:
            options = {"callback_on_step_end": stop}
        with pytest.raises(failure, match="stopped"):
            generate(pipe, **options)
        if handle is not None:
            handle.remove()
        vars(pipe.scheduler).pop("_get_variance", None)
        again = generate(pipe)
    assert torch.equal(again, guided(pipe, Push(), Damp()))
    assert snapshot(pipe) == before
    assert torch.equal(generate(pipe), plain)


def test_after_an_interrupt_inside_attention(sd):
    """As a notebook's stop button sends it: torch must work on."""

    def stop(*_):
        raise KeyboardInterrupt

    attention = sd.unet.up_blocks[-1].attentions[0].transformer_blocks[0].attn2
    handle = attention.to_k.register_forward_hook(stop)
    try:
        with daamkit.trace(sd), pytest.raises(KeyboardInterrupt):
            generate(sd)
        left = torch.overrides._get_current_function_mode_stack()
        assert left == []
    finally:
        handle.remove()
        for mode in reversed(torch.overrides._get_current_function_mode_stack()):
            mode.__exit__(None, None, None)


@pytest.mark.parametrize("inner_first", [True, False])
def test_contexts_left_in_any_order(inner_first):
    pipe = tiny.sd()
    plain, pushed, damped = generate(pipe), guided(pipe, Push()), guided(pipe, Damp())
    before = snapshot(pipe)
    outer, inner = daamkit.guide(pipe, Push()), daamkit.guide(pipe, Damp())
    outer.__enter__()
    inner.__enter__()
    first, second, left = (inner, outer, pushed) if inner_first else (outer, inner, damped)
    first.__exit__(None, None, None)
    assert torch.equal(generate(pipe), left)
    second.__exit__(None, None, None)
    assert snapshot(pipe) == before
    assert torch.equal(generate(pipe), plain)


# -- what is noted


class Note(Method):
    """Notes a number for each image and step."""

    def before(self, now):
        for sample in range(now.call.samples):
            self.note(now, sample, number=10 * now.index + sample)


def test_numbers_are_noted_by_image_and_step(sd, tmp_path):
    guide = daamkit.guide(sd, Note(), Damp())
    assert list(guide.table().columns) == ["image", "method", "step"]
    with guide, daamkit.trace(sd) as tracer:
        generate(sd, ["a cat", "a dog"], steps=2)
        generate(sd, steps=2)
    expected = [(0, 0, 0), (0, 1, 10), (1, 0, 1), (1, 1, 11), (2, 0, 0), (2, 1, 10)]
    assert list(guide.table()[["image", "step", "number"]].itertuples(index=False)) == expected
    assert set(guide.table()["method"]) == {"Note"}
    for number, run in enumerate(tracer.runs):
        rows = [{"step": step, "number": n} for image, step, n in expected if image == number]
        noted = daamkit.open(run.save(tmp_path / str(number))).record["guidance"]
        assert noted == [
            {"method": "Note", "settings": {}, "steps": rows},
            {"method": "Damp", "settings": {}, "steps": []},
        ]
        assert json.dumps(noted) == json.dumps(run.record["guidance"])


def test_nested_guides_note_their_own(sd):
    with daamkit.guide(sd, Note()) as outer, daamkit.guide(sd, Damp()) as inner:
        generate(sd)
    assert len(outer.table()) == 3 and len(inner.table()) == 0
    with daamkit.trace(sd) as tracer:
        generate(sd)
    assert "guidance" not in tracer.run.record
