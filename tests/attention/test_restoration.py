"""Law 2: what came in goes out, whatever happens in between."""

import itertools
import re

import pytest
import torch
from torch.nn.modules import module as torch_module

import daamkit
from daamkit.attention import hooks
from daamkit.attention.taps import Tap
from tests import tiny
from tests.tiny import generate

HOOKS = [name for name in vars(torch.nn.Linear(1, 1)) if "hook" in name]


def snapshot(pipe) -> dict:
    """Everything a hook layer could have changed, object by object."""
    state: dict = {"class": type(pipe), "pipe": dict(vars(pipe))}
    scheduler = pipe.scheduler
    state["scheduler"] = (id(scheduler), type(scheduler), dict(scheduler.config))
    state["scheduler's own"] = {k: id(v) for k, v in vars(scheduler).items() if callable(v)}
    state["scheduler's names"] = set(vars(scheduler))
    state["scheduler's step"] = scheduler.step.__func__, scheduler.scale_model_input.__func__
    for part, model in pipe.components.items():
        if not isinstance(model, torch.nn.Module):
            continue
        for name, module in model.named_modules():
            key = f"{part}.{name}"
            state[key] = (type(module), id(module), module.training, tuple(vars(module)))
            state[key + " hooks"] = {hook: dict(getattr(module, hook) or {}) for hook in HOOKS}
            state[key + " forward"] = module.__dict__.get("forward")
            state[key + " processor"] = id(getattr(module, "processor", None))
        for name, parameter in model.named_parameters():
            state[f"{part}.{name}"] = (id(parameter), parameter.requires_grad, parameter.grad)
    return state


@pytest.fixture
def pipe():
    return tiny.sd()


class Failing(Tap):
    """Raises at one of its calls."""

    def __init__(self, where: str) -> None:
        self.where, self.failed = where, 0

    def _maybe(self, where: str) -> None:
        if where == self.where:
            raise RuntimeError("a tap failed")

    def start(self, call):
        self._maybe("start")

    def begin(self, now):
        self._maybe("begin")

    def observe(self, attention):
        self._maybe("observe")

    def edit(self, attention, output):
        self._maybe("edit")
        return output

    def finish(self, call, images):
        self._maybe("finish")

    def fail(self, call):
        self.failed += 1


def test_after_a_generation(pipe):
    generate(pipe)
    before = snapshot(pipe)
    with daamkit.trace(pipe, self_attention=True):
        generate(pipe)
    assert snapshot(pipe) == before


def test_after_nested_contexts_left_out_of_order(pipe):
    before = snapshot(pipe)
    contexts = [daamkit.trace(pipe) for _ in range(3)]
    for context in contexts:
        context.__enter__()
    for index in (1, 0, 2):
        contexts[index].__exit__(None, None, None)
    assert snapshot(pipe) == before


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_after_an_exception_in_the_pipeline(pipe, failure):
    def stop(pipe, step, time, tensors):
        raise failure("stopped")

    generate(pipe)
    before = snapshot(pipe)
    tracer = daamkit.trace(pipe)
    with pytest.raises(failure, match="stopped"), tracer:
        generate(pipe, callback_on_step_end=stop)
    assert snapshot(pipe) == before
    assert tracer.runs == []


def test_an_exception_inside_the_denoiser_leaves_no_mode_behind(pipe):
    handle = pipe.unet.mid_block.register_forward_hook(lambda *_: 1 / 0)
    with daamkit.trace(pipe) as tracer:
        with pytest.raises(ZeroDivisionError):
            generate(pipe)
        handle.remove()
        assert torch.overrides._get_current_function_mode_stack() == []
        generate(pipe)
    assert len(tracer.runs) == 1  # the failed call has left nothing in the sums
    with daamkit.trace(pipe) as alone:
        generate(pipe)
    assert torch.equal(alone.run.maps.pool(), tracer.run.maps.pool())


@pytest.mark.parametrize("where", ["start", "begin", "observe", "edit", "finish"])
def test_after_an_exception_in_a_tap(pipe, where):
    generate(pipe)
    before = snapshot(pipe)
    tap = Failing(where)
    with pytest.raises(RuntimeError, match="a tap failed") as raised, hooks.attach(pipe, tap):
        generate(pipe)
    at = {"begin": "", "observe": r" at \S+\.attn1", "edit": r" at \S+\.attn1"}.get(where)
    notes = getattr(raised.value, "__notes__", [])
    if at is None:
        assert notes == []  # no pass is under way
    else:
        assert len(notes) == 1 and re.fullmatch(rf"raised by Failing{at} in pass 0", notes[0])
    assert snapshot(pipe) == before
    assert tap.failed == 1
    assert torch.overrides._get_current_function_mode_stack() == []


def test_after_a_failure_at_every_installation(pipe, monkeypatch):
    """The k-th hook that is installed fails, for every k; so does the change of class."""
    before = snapshot(pipe)
    calls = itertools.count()
    fail_at = -1
    for kind in ("register_forward_pre_hook", "register_forward_hook"):
        original = getattr(torch_module.Module, kind)

        def install(self, *args, original=original, **kwargs):
            if next(calls) == fail_at:
                raise RuntimeError("no more hooks")
            return original(self, *args, **kwargs)

        monkeypatch.setattr(torch_module.Module, kind, install)
    with daamkit.trace(pipe):
        total = next(calls)
    assert total > 20
    for fail_at in range(total):  # noqa: B007 - read by install
        calls = itertools.count()
        with pytest.raises(RuntimeError, match="no more hooks"), daamkit.trace(pipe):
            pass
        assert snapshot(pipe) == before, f"installation {fail_at}"
    fail_at = -1
    with monkeypatch.context() as patch:
        patch.setattr(hooks.functools, "wraps", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError), daamkit.trace(pipe):
            pass
    assert snapshot(pipe) == before


def test_the_pipeline_keeps_its_face_while_traced(pipe):
    import inspect

    own = type(pipe)
    signature = inspect.signature(pipe.__call__)
    with daamkit.trace(pipe):
        assert isinstance(pipe, own)
        assert type(pipe).__name__ == own.__name__
        assert inspect.signature(pipe.__call__) == signature
        assert (
            pipe.components.keys()
            == own(**pipe.components, requires_safety_checker=False).components.keys()
        )
