"""The only code that touches a model or a pipeline: it lets taps listen, and leaves no trace.

Three things are installed while any tap is attached to a pipeline, and taken off with the last:

- hooks on the denoiser and its attention sites. While a wanted site runs, a `TorchFunctionMode`
  sees the arguments of `scaled_dot_product_attention`; the fused kernel itself runs as ever;
- the pipeline object's class becomes a subclass of its own class whose ``__call__`` tells taps the
  arguments and the images. (Python looks ``__call__`` up on the class: a function set on the
  instance would have no effect.);
- in the same way the scheduler, for as long as a call lasts and where a tap guides: it is told what
  the denoiser was given and what taps have made of its prediction.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from daamkit import compat
from daamkit.attention import calls, sites
from daamkit.attention.calls import Call, Pass
from daamkit.attention.spies import Ended as Ended
from daamkit.attention.spies import Spy, refuse_processor
from daamkit.attention.taps import Tap
from daamkit.errors import DaamkitError


@contextmanager
def attach(pipe: Any, *taps: Tap) -> Iterator[None]:
    """Let taps listen to a pipeline until the context ends. Contexts nest in any order.

    Raises
    ------
    DaamkitError
        If the pipeline's attention cannot be observed.
    """
    wiring = _WIRED.get(id(pipe)) or _Wiring(pipe)
    _WIRED[id(pipe)] = wiring
    group = list(taps)
    wiring.groups.append(group)
    try:
        yield
    finally:
        wiring.groups = [other for other in wiring.groups if other is not group]
        if not wiring.groups:
            del _WIRED[id(pipe)]
            wiring.remove()


def attached(pipe: Any) -> list[Tap]:
    """The taps that listen to a pipeline now."""
    wiring = _WIRED.get(id(pipe))
    return [] if wiring is None else wiring.taps


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Gradients inside pass through a model and stop at none of its parameters."""
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    try:
        for weight in learning:
            weight.requires_grad_(False)
        yield
    finally:
        for weight in learning:
            weight.requires_grad_(True)


@contextmanager
def extra_passes(pipe: Any, *taps: Tap, branch: str = "cond") -> Iterator[None]:
    """Passes of the denoiser inside are seen by these taps alone, and are not counted.

    All their batch rows are one branch. A pass ends after the first site that is the last one for
    all taps; the denoiser's call then raises `Ended`, which the caller catches.
    """
    wiring = _WIRED[id(pipe)]
    before = wiring.extra
    wiring.extra = (list(taps), branch)
    try:
        yield
    finally:
        wiring.extra = before


class _Wiring:
    """All that is installed on one pipeline."""

    def __init__(self, pipe: Any) -> None:
        self.groups: list[list[Tap]] = []  # the taps of each context
        self.extra: tuple[list[Tap], str] | None = None  # an extra pass's taps and branch
        self.told: list[Tap] = []  # the taps that were there when the call began
        self.call: Call | None = None
        self.steps: list[Pass | None] = []  # the passes under way: an extra one runs within another
        self.spies: list[Spy] = []
        self.unscaled: Tensor | None = None  # what the scheduler was last asked to scale
        self.latest: Pass | None = None  # the last pass that was not an extra one
        with ExitStack() as stack:
            for denoiser in sites.denoisers(pipe).values():
                _refuse_compiled(denoiser)
                _install(stack, denoiser, self._before_pass(denoiser), self._after_pass)
                for site in sites.find(denoiser):
                    refuse_processor(site, denoiser)
                    spy = Spy(self, site)
                    self.spies.append(spy)
                    _install(stack, site.module, spy.before, spy.after)
            self._swap_class(pipe, stack)
            self.remove = stack.pop_all().close

    @property
    def step(self) -> Pass | None:
        """The pass under way; None outside the pipeline's call."""
        return self.steps[-1] if self.steps else None

    def listeners(self) -> list[Tap]:
        """The taps that are told of what happens now."""
        if self.extra is not None:
            return self.extra[0]
        attached = self.taps
        return [tap for tap in self.told if tap in attached]

    @property
    def taps(self) -> list[Tap]:
        """All taps attached."""
        return [tap for group in self.groups for tap in group]

    # -- the pipeline's call

    def _swap_class(self, pipe: Any, stack: ExitStack) -> None:
        own = type(pipe)
        signature = inspect.signature(own.__call__)

        @functools.wraps(own.__call__)
        def call(pipe: Any, *args: Any, **kwargs: Any) -> Any:
            run = functools.partial(own.__call__, pipe, *args, **kwargs)
            return self.run_call(calls.read(pipe, signature, args, kwargs), run)

        _swap(stack, pipe, {"__call__": call, "__deepcopy__": _refuse_copy})

    def run_call(self, call: Call, run: Callable[[], Any]) -> Any:
        """Run the pipeline and tell the taps; a call within a call is silent."""
        if self.call is not None:
            outer, self.call = self.call, None
            try:
                return run()
            finally:
                self.call = outer
        self.call, self.told = call, self.taps
        with ExitStack() as stack:
            stack.callback(self._forget)
            try:
                if any(tap.guides for tap in self.told):
                    self._watch_scheduler(call.pipe.scheduler, stack)
                for tap in self.listeners():
                    tap.start(call)
                output = run()
                images = _images(output)
                for tap in self.listeners():
                    tap.finish(call, images)
            except BaseException:
                for tap in self.listeners():
                    tap.fail(call)
                raise
        return output

    def _forget(self) -> None:
        for spy in self.spies:
            spy.close()
        self.call, self.steps, self.told, self.unscaled, self.latest = None, [], [], None, None

    # -- the scheduler

    def _watch_scheduler(self, scheduler: Any, stack: ExitStack) -> None:
        own = type(scheduler)
        signature = inspect.signature(own.step)

        @functools.wraps(own.step)  # pipelines look for `eta` and `generator` in its signature
        def step(scheduler: Any, *args: Any, **kwargs: Any) -> Any:
            given = signature.bind(scheduler, *args, **kwargs)
            if self.extra is None and self.latest is not None:
                self._guide(self.latest, given.arguments)
            return own.step(*given.args, **given.kwargs)

        @functools.wraps(getattr(own, "scale_model_input", step))
        def scale(scheduler: Any, sample: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            if self.extra is None and not self.steps:
                self.unscaled = sample
            return own.scale_model_input(scheduler, sample, *args, **kwargs)

        scales = {"scale_model_input": scale} if hasattr(own, "scale_model_input") else {}
        _swap(stack, scheduler, {"step": step} | scales)

    def _guide(self, latest: Pass, given: dict[str, Any]) -> None:
        """Before the scheduler's step: what was really denoised, and what is made of it."""
        if latest.moved:
            given["sample"] = latest.noisy
        else:
            latest.noisy = given["sample"]
        for tap in self.listeners():
            if tap.guides:
                given["model_output"] = tap.after(latest, given["model_output"])
        self.unscaled = self.latest = None

    def _move(self, step: Pass) -> bool:
        """Before a pass: let taps move what is denoised. Whether any has."""
        noisy, inputs, samples = step.inputs["sample"], step.inputs, step.call.samples
        raw = noisy if self.unscaled is None else self.unscaled
        step.noisy = raw[:samples]
        for tap in self.listeners():
            if tap.guides and (moved := tap.before(step)) is not None:
                step.noisy, step.moved = moved.detach(), True
        if step.moved:
            rows = torch.cat([step.noisy] * (len(noisy) // samples))
            inputs["sample"] = scaled(step, rows, noisy)
        return step.moved

    # -- the denoiser's passes

    def _before_pass(self, denoiser: nn.Module) -> Callable[..., None]:
        signature = inspect.signature(type(denoiser).forward)

        def before(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Any:
            self.steps.append(None)
            if self.call is None or not self.listeners():
                return None
            inputs = signature.bind_partial(module, *args, **kwargs).arguments
            inputs.pop("self")
            noisy: Tensor = inputs["sample"]
            time = inputs["timestep"]
            if self.extra is None:
                branches = self.call.branches(len(noisy))
                self.call.times.append(time)
            else:
                branches = {self.extra[1]: slice(0, len(noisy))}
            height, width = noisy.shape[-2:]
            index = len(self.call.times) - 1
            step = Pass(self.call, index, time, branches, (height, width), module, inputs)
            self.steps[-1] = step
            for tap in self.listeners():
                tap.begin(step)
            if self.extra is not None:
                return None
            self.latest = step
            return ((), inputs) if self._move(step) else None

        return before

    def _after_pass(self, module: nn.Module, args: tuple, kwargs: dict, output: Any) -> None:
        for step in self.steps[-1:]:
            if step is not None and output is not None:
                step.prediction = output[0]
        del self.steps[-1:]


_WIRED: dict[int, _Wiring] = {}  # by the pipeline's id, as long as a tap is attached


def scaled(step: Pass, noisy: Tensor, sample: Tensor) -> Tensor:
    """The denoiser's input for what is to be denoised: scaled as the scheduler does, with those
    channels of an earlier input beside it that an inpainting or editing model has.

    Parameters
    ----------
    step
        In which pass.
    noisy
        (rows, channels, height, width), as the scheduler has it.
    sample
        (rows, channels or more, height, width): the earlier input.
    """
    scheduler, channels = step.call.pipe.scheduler, noisy.shape[1]
    if hasattr(scheduler, "scale_model_input"):
        noisy = scheduler.scale_model_input(noisy, step.time)
    beside = sample[:, channels:]
    return torch.cat([noisy, beside], 1) if beside.shape[1] else noisy


def _swap(stack: ExitStack, thing: Any, verbs: dict[str, Any]) -> None:
    """Make a thing's class a subclass of its own with other verbs, until the stack closes."""
    own = type(thing)
    names = {name: getattr(own, name) for name in ("__module__", "__qualname__", "__doc__")}
    stack.callback(object.__setattr__, thing, "__class__", own)
    object.__setattr__(thing, "__class__", type(own.__name__, (own,), names | verbs))


def _install(
    stack: ExitStack, module: nn.Module, before: Callable[..., None], after: Callable[..., None]
) -> None:
    """Hooks around a module's forward; the second runs after an exception too."""
    stack.callback(module.register_forward_pre_hook(before, with_kwargs=True).remove)
    handle = module.register_forward_hook(after, with_kwargs=True, always_call=True)
    stack.callback(handle.remove)


def _refuse_compiled(denoiser: nn.Module) -> None:
    for name, module in denoiser.named_modules():
        if compat.is_compiled(module):
            raise DaamkitError(
                wanted="a denoiser whose attention can be observed",
                got=f"a compiled one ({name or type(denoiser).__name__}): hooks added after "
                "torch.compile are ignored",
                mend="load the pipeline without torch.compile for tracing and guidance",
            )


def _refuse_copy(pipe: Any, memo: Any) -> Any:
    raise DaamkitError(
        wanted="to copy a pipeline",
        got="one that is being traced or guided, whose hooks would be copied with it",
        mend="copy it before the context or after it",
    )


def _images(output: Any) -> Any:
    """What a pipeline's call has made."""
    if isinstance(output, tuple):
        return output[0]
    if not hasattr(output, "images"):
        raise DaamkitError(
            wanted="a pipeline that returns images",
            got=type(output).__name__,
            mend="other kinds of pipelines are not read yet",
        )
    return output.images
