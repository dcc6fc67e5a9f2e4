"""A pass is a call's own by thread and by nesting; any other is told to nobody."""

import copy
import sys
import threading
import time
from contextlib import ExitStack, nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPanoramaPipeline, StableDiffusionPipeline
from diffusers.hooks import PyramidAttentionBroadcastConfig, apply_pyramid_attention_broadcast
from diffusers.pipelines.stable_diffusion import StableDiffusionPipelineOutput
from torch.nn import functional as F

import daamkit
from daamkit.attention import modules
from daamkit.attention.families.encoder import Encoder
from daamkit.attention.readers import Reader
from daamkit.errors import DaamkitError
from tests import tiny
from tests.attention.test_restoration import snapshot
from tests.tiny import generate


def beside(pipe) -> StableDiffusionPipeline:
    """Another pipeline on the same models."""
    parts = {name: pipe.components[name] for name in ("vae", "text_encoder", "tokenizer", "unet")}
    other = StableDiffusionPipeline(
        **parts, scheduler=copy.deepcopy(pipe.scheduler), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    other.set_progress_bar_config(disable=True)
    return other


def in_a_thread(work):
    failures = []

    def run():
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return failures


@pytest.mark.parametrize("where", ["callback", "thread", "hook", "own pass"])
def test_what_is_not_the_pipelines_is_not_counted(sd, where):
    other = beside(sd)

    def draw():
        generate(other, "two dogs", steps=1, guidance_scale=1.0)

    def look():
        sd.unet(torch.zeros(1, 4, 32, 32), 1, torch.zeros(1, 77, 32))

    def each_step(pipe, step, time, tensors):
        match where:
            case "callback":
                draw()
            case "thread":
                assert in_a_thread(draw) == []
            case "own pass":
                look()
        return {}

    with daamkit.trace(sd) as alone:
        generate(sd)
    busy = []

    def nested(*_):
        if where == "hook" and not busy:
            busy.append(1)
            draw()
            busy.clear()

    handle = sd.vae.register_forward_pre_hook(nested)
    inner = sd.unet.mid_block.register_forward_pre_hook(nested)
    try:
        with daamkit.trace(sd) as tracer:
            image = generate(sd, callback_on_step_end=each_step)
    finally:
        handle.remove()
        inner.remove()
    assert np.array_equal(image, generate(sd))
    assert tracer.run.maps.steps == alone.run.maps.steps == 2
    assert torch.equal(tracer.run.maps.pool(), alone.run.maps.pool())


def test_another_pipelines_image_is_not_guided(sd):
    other, images = beside(sd), []
    plain = generate(other, "a dog", guidance_scale=1.0)

    def meanwhile(module, args):
        if not images and threading.current_thread() is threading.main_thread():
            images.append(None)
            draw = lambda: images.append(generate(other, "a dog", guidance_scale=1.0))  # noqa: E731
            assert in_a_thread(draw) == []

    handle = sd.unet.down_blocks[0].resnets[0].register_forward_pre_hook(meanwhile)
    try:
        with daamkit.guide(sd, daamkit.PerturbedAttentionGuidance()):
            generate(sd)
    finally:
        handle.remove()
    assert np.array_equal(images[1], plain)


@pytest.mark.parametrize("guided", [False, True])
def test_two_traced_pipelines_on_one_denoiser_in_two_threads(sd, guided, every_line):
    """As each alone, once; twenty times with `--every-line`."""
    pipes = [sd, beside(sd)]
    texts = ["a red cat", "two dogs and a car"]
    methods = [[daamkit.PerturbedAttentionGuidance()] if guided else [], []]

    def draw(i):
        guiding = daamkit.guide(pipes[i], *methods[i]) if methods[i] else nullcontext()
        with guiding, daamkit.trace(pipes[i]) as tracer:
            image = generate(pipes[i], texts[i])
        return image, tracer.run.maps.pool(), tracer.run.maps.steps

    alone = [draw(0), draw(1)]
    before = snapshot(sd)
    for _ in range(20 if every_line else 1):
        found, gate = [None, None], threading.Barrier(2)

        def work(i, found=found, gate=gate):
            gate.wait()
            found[i] = draw(i)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for own, other in zip(found, alone, strict=True):
            assert np.array_equal(own[0], other[0]) and torch.equal(own[1], other[1])
            assert own[2] == other[2]
        assert snapshot(sd) == before


def test_a_hook_that_another_thread_is_taking_off_does_nothing(sd):
    """Torch lists a module's hooks, then looks up which want arguments by name: another thread may
    take one off between the two."""
    module = sd.unet.mid_block.attentions[0].transformer_blocks[0].attn2
    for there in (sd.unet, module):
        with daamkit.trace(sd):
            before, after = [*there._forward_pre_hooks.values()], [*there._forward_hooks.values()]
        assert len(before) == len(after) == 1
        assert before[0](there, (1,)) is None
        assert after[0](there, (1,), 2) is None


def test_all_that_listen_to_a_module_are_told_though_one_raises():
    module, told = torch.nn.Linear(2, 2), []

    def fails(*_):
        raise KeyError("first")

    with ExitStack() as stack:
        modules.hook(stack, module, lambda m, args, kwargs: ((args[0] + 1,), kwargs), fails)
        modules.hook(stack, module, lambda m, args, kwargs: told.append(args[0]) or None)
        modules.hook(stack, module, lambda *_: None, lambda m, args, kwargs, out: told.append(out))
        with pytest.raises(KeyError, match="first"):
            module(torch.zeros(2))
    assert torch.equal(told[0], torch.ones(2))
    assert torch.equal(told[1], module(torch.ones(2)))
    assert not module._forward_hooks and not module._forward_pre_hooks


class Slow:
    """A tokenizer that tells how many threads were in it at once."""

    inside = most = 0

    def tokenize(self, text):
        Slow.inside += 1
        Slow.most = max(Slow.most, Slow.inside)
        time.sleep(0.03)
        Slow.inside -= 1
        return [text]

    def __call__(self, text):
        return {"input_ids": [len(self.tokenize(text))]}


def heard(tokenizer, stack):
    """As within a call."""
    audience = SimpleNamespace(active=False, call=None)
    Reader(audience, Encoder("text", tokenizer, None)).install(stack)


def test_a_shared_tokenizer_serves_one_thread_at_a_time():
    tokenizer = Slow()
    with ExitStack() as stack:
        heard(tokenizer, stack)
        verbs = [tokenizer, tokenizer.tokenize, tokenizer, tokenizer.tokenize]
        threads = [threading.Thread(target=verb, args=("a",)) for verb in verbs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert Slow.most == 1


def test_a_tokenizer_pads_while_another_thread_looks_for_tokens():
    """Pipelines look for a prompt's tokens before they encode it, which sets how is padded."""
    tokenizer, over, failures = tiny.tokenizer(), threading.Event(), []

    def look():
        while not over.is_set():
            tokenizer.tokenize("a red cat and two dogs")

    def pad():
        try:
            for _ in range(300):
                coded = tokenizer("a red cat", padding="max_length", max_length=77, truncation=True)
                assert len(coded.input_ids) == 77
        finally:
            over.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ExitStack() as stack:
            heard(tokenizer, stack)
            padding = threading.Thread(target=lambda: failures.extend(in_a_thread(pad)))
            padding.start()
            failures.extend(in_a_thread(look))
            padding.join()
    finally:
        sys.setswitchinterval(interval)
    assert failures == []


def test_one_pipeline_in_two_threads_is_refused(sd):
    failures = []

    def each_step(pipe, step, time, tensors):
        failures.extend(in_a_thread(lambda: generate(sd, "two dogs")))
        return {}

    with daamkit.trace(sd) as tracer:
        generate(sd, callback_on_step_end=each_step, steps=1)
    (error,) = failures
    assert isinstance(error, DaamkitError) and "second thread" in str(error)
    assert len(tracer.runs) == 1


def test_one_scheduler_in_two_threads_is_refused(sd):
    other, failures = beside(sd), []
    other.scheduler = sd.scheduler

    def draw():
        with daamkit.trace(other):
            generate(other, "two dogs")

    def each_step(pipe, step, time, tensors):
        failures.extend(in_a_thread(draw))
        return {}

    with daamkit.trace(sd):
        generate(sd, callback_on_step_end=each_step, steps=1)
    (error,) = failures
    assert isinstance(error, DaamkitError) and "at a time of a scheduler" in str(error)
    draw()


def test_contexts_entered_by_several_threads(sd):
    before, errors = snapshot(sd), []

    def work():
        for _ in range(20):
            errors.extend(
                in_a_thread(lambda: daamkit.trace(sd).__enter__().__exit__(None, None, None))
            )

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert snapshot(sd) == before


def test_more_passes_than_planned_are_refused():
    """A scheduler that steps several times for one time, as pipelines do that paint in views."""
    pipe = tiny.sd()
    own = pipe.unet.forward
    with daamkit.trace(pipe), pytest.raises(DaamkitError, match="1 passes, as the scheduler"):

        def twice(pipe, step, time, tensors):
            pipe._num_timesteps = 1
            return {}

        generate(pipe, callback_on_step_end=twice)
    assert pipe.unet.forward == own


def watching(pipe) -> list:
    """Each way to watch a pipeline."""
    methods = daamkit.PerturbedAttentionGuidance(), daamkit.SelfAttentionGuidance()
    edit = daamkit.edit(pipe, daamkit.Silence("cat"))
    return [daamkit.trace(pipe), edit, *(daamkit.guide(pipe, each) for each in methods)]


@pytest.mark.parametrize("sizes", [{}, {"view_batch_size": 2}])
def test_views_of_a_panorama_are_told(sizes):
    """Diffusers' own, which steps once for each view."""
    parts = tiny.sd(
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    ).components
    vae = AutoencoderKL(
        block_out_channels=(4,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=2,
    ).eval()  # 8 pixels a cell, as its views have it
    pipe = StableDiffusionPanoramaPipeline(**parts | {"vae": vae}, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    before = snapshot(pipe) | {"pipe": None}  # it notes its calls
    for context in watching(pipe):
        said = r"several passes \(views|batch rows in the denoiser's input"
        with pytest.raises(DaamkitError, match=said), context:
            generate(pipe, "a cat", steps=1, height=512, width=576, output_type="latent", **sizes)
        assert snapshot(pipe) | {"pipe": None} == before


class Halves(StableDiffusionPipeline):
    """Predicts each half of the picture by itself, then steps."""

    @torch.no_grad()
    def __call__(self, prompt, num_inference_steps=1, generator=None, output_type="latent"):
        self._guidance_scale = 1.0
        text, _ = self.encode_prompt(prompt, "cpu", 1, False)
        self.scheduler.set_timesteps(num_inference_steps)
        x = torch.randn(1, 4, 32, 32, generator=generator)
        for t in self.scheduler.timesteps:
            halves = [self.unet(half, t, encoder_hidden_states=text)[0] for half in x.chunk(2, 3)]
            x = self.scheduler.step(torch.cat(halves, 3), t, x)[0]
        return StableDiffusionPipelineOutput(images=x, nsfw_content_detected=None)


def test_several_passes_of_a_branch_in_a_step_are_told(sd):
    pipe = Halves(**sd.components, requires_safety_checker=False)
    generate(pipe, "a cat")
    wanted = r"one pass of each branch in a step.*got a second one of cond in step 0.*Halves"
    for context in watching(pipe):
        with pytest.raises(DaamkitError, match=wanted), context:
            generate(pipe, "a cat")


def doubled(pipe, step, time, tensors):
    """Latents of twice the sides after the first step."""
    return {"latents": F.interpolate(tensors["latents"], scale_factor=2.0 if step == 0 else 1.0)}


def test_latents_enlarged_midway_are_told_by_a_trace_and_guided_as_they_are(sd):
    options = {"prompt": "a cat", "callback_on_step_end": doubled}
    plain = generate(sd, **options)
    assert plain.shape == (1, 128, 128, 3)
    nothing = daamkit.SelfAttentionGuidance(threshold=float("inf"))
    with daamkit.guide(sd, nothing):
        assert np.allclose(generate(sd, **options), plain, atol=1e-4)
    with daamkit.guide(sd, daamkit.SelfAttentionGuidance()):
        assert not np.array_equal(generate(sd, **options), plain)
    wanted = r"passes on one grid, 32 x 32 as the first; got 64 x 64 in pass 1"
    for others in ([], [daamkit.guide(sd, nothing)]):
        with (
            pytest.raises(DaamkitError, match=wanted),
            daamkit.trace(sd, keep=()),
            others[0] if others else nullcontext(),
        ):
            generate(sd, **options)


def test_a_site_that_does_not_run_in_all_passes_is_told():
    pipe = tiny.sd()
    block, calls = pipe.unet.up_blocks[1], []
    own = block.forward

    def cached(*args, **kwargs):
        if len(calls) % 2 == 0:
            calls.append(own(*args, **kwargs))
        else:
            calls.append(calls[-1])
        return calls[-1]

    block.forward = cached
    wanted = r"attention of up_blocks.1.* in all 2 passes; got in 1"
    with pytest.raises(DaamkitError, match=wanted), daamkit.trace(pipe):
        generate(pipe)


def test_a_site_that_runs_twice_in_a_pass_is_told():
    pipe = tiny.sd()
    block = pipe.unet.mid_block
    own = block.forward
    block.forward = lambda *args, **kwargs: [own(*args, **kwargs) for _ in range(2)][1]
    wanted = r"attention of mid_block.* once in a pass; got a second time"
    with pytest.raises(DaamkitError, match=wanted), daamkit.trace(pipe):
        generate(pipe)


def test_a_cache_within_attention_is_named():
    pipe = tiny.sd()
    apply_pyramid_attention_broadcast(
        pipe.unet,
        PyramidAttentionBroadcastConfig(
            cross_attention_block_skip_range=2, current_timestep_callback=lambda: 500
        ),
    )
    wanted = r"in all passes; got a cache.*\(pyramid_attention_"
    with pytest.raises(DaamkitError, match=wanted), daamkit.trace(pipe):
        generate(pipe)


def test_a_site_on_another_grid_than_computed_is_told():
    from diffusers.models.attention_processor import AttnProcessor2_0

    class Merging(AttnProcessor2_0):
        """Half of the cells, as token merging has it."""

        def __call__(self, attn, hidden_states, encoder_hidden_states=None, **kwargs):
            half = super().__call__(attn, hidden_states[:, ::2], encoder_hidden_states, **kwargs)
            return half.repeat_interleave(2, dim=1)

    pipe = tiny.sd()
    pipe.unet.set_attn_processor(Merging())
    wanted = r"wanted 1024 cells at .*a grid of 32 x 32; got 512"
    with pytest.raises(DaamkitError, match=wanted), daamkit.trace(pipe):
        generate(pipe)


def test_copies_within_a_trace_are_plain(sd):
    own = type(sd)
    with daamkit.trace(sd):
        shallow, made, unet = copy.copy(sd), type(sd).from_pipe(sd), copy.deepcopy(sd.unet)
        assert type(shallow) is own and type(made) is own
    hooks = [m for m in unet.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert hooks == [] and "__deepcopy__" not in vars(unet)
    assert unet.conv_in.weight.data_ptr() != sd.unet.conv_in.weight.data_ptr()
    text = torch.zeros(1, 77, 32)
    noisy = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(unet(noisy, 1, text)[0], sd.unet(noisy, 1, text)[0])
