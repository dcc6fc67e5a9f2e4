"""A pass is a call's own by thread and by nesting; any other is told to nobody."""

import copy
import threading

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.hooks import PyramidAttentionBroadcastConfig, apply_pyramid_attention_broadcast

import daamkit
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


def test_two_traced_pipelines_on_one_denoiser_in_two_threads(sd):
    pipes = [sd, beside(sd)]
    texts = ["a red cat", "two dogs and a car"]
    alone = []
    for pipe, text in zip(pipes, texts, strict=True):
        with daamkit.trace(pipe) as tracer:
            image = generate(pipe, text)
        alone.append((image, tracer.run.maps.pool()))
    found, gate = [None, None], threading.Barrier(2)

    def work(i):
        gate.wait()
        with daamkit.trace(pipes[i]) as tracer:
            image = generate(pipes[i], texts[i])
        found[i] = image, tracer.run.maps.pool()

    before = snapshot(sd)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own, other in zip(found, alone, strict=True):
        assert np.array_equal(own[0], other[0]) and torch.equal(own[1], other[1])
    assert snapshot(sd) == before


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
