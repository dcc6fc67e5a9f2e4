"""The only code that touches a model or a pipeline: it lets taps listen, and leaves no trace.

While any tap is attached to a pipeline, these are installed, and taken off with the last:

- hooks on the denoisers and their attention sites. While a wanted site runs, a `TorchFunctionMode`
  sees the arguments of `scaled_dot_product_attention`; the fused kernel itself runs as ever;
- the pipeline object's class becomes a subclass of its own class whose ``__call__`` tells taps the
  arguments and the images (see `faces`);

and for as long as a call lasts: in the same way the scheduler, which tells when it steps, and the
tokenizers; hooks on the text encoders, which tell what they read; and callbacks, whose own work is
not the pipeline's.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from daamkit.attention import calls, families
from daamkit.attention.audience import Audience
from daamkit.attention.calls import Call
from daamkit.attention.compiled import run_as_written
from daamkit.attention.faces import Undo, locked, wear
from daamkit.attention.modules import hook
from daamkit.attention.readers import Reader
from daamkit.attention.spies import Ended as Ended
from daamkit.attention.spies import Spy, refuse_unseen
from daamkit.attention.taps import Tap
from daamkit.errors import DaamkitError


class attach(ExitStack):  # noqa: N801 - used like a function: `with attach(pipe, tap)`
    """Let taps listen to a pipeline until the context ends. Contexts nest in any order.

    Raises
    ------
    DaamkitError
        If the pipeline's attention cannot be observed.
    """

    def __init__(self, pipe: Any, *taps: Tap) -> None:
        super().__init__()
        self.pipe, self._taps = pipe, list(taps)

    def __enter__(self):  # type: ignore[no-untyped-def]
        self._check()
        try:
            _listen(self, self.pipe, self._taps)
            return self
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        """Refuse to listen, before anything is installed."""


def flat(given: Iterable[Any]) -> list[Any]:
    """What was given one by one, in lists, or both."""
    return [each for some in given for each in (some if isinstance(some, list | tuple) else [some])]


def attached(pipe: Any) -> list[Tap]:
    """The taps that listen to a pipeline now."""
    wiring = _WIRED.get(id(pipe))
    return [] if wiring is None else wiring.audience.taps


@contextmanager
def extra_passes(pipe: Any, *taps: Tap, branch: str = "cond") -> Iterator[None]:
    """Passes of the denoiser inside are seen by these taps alone, and are not counted.

    All their batch rows are one branch. A pass ends after the first site that is the last one for
    all taps; the denoiser's call then raises `Ended`, which the caller catches.
    """
    audience = _WIRED[id(pipe)].audience
    before = audience.extra
    try:
        audience.extra = (list(taps), branch)
        yield
    finally:
        audience.extra = before


class _Wiring:
    """All that is installed on one pipeline."""

    def __init__(self, pipe: Any) -> None:
        self.family = families.family_of(pipe)
        self.audience = Audience(pipe, self.family)
        self.spies: list[Spy] = []
        self.parts: dict[str, nn.Module] = {}  # the denoisers that are watched
        self.scheduler: Any = None  # of the call under way
        self.stack = ExitStack()

    def install(self, pipe: Any) -> None:
        """On the pipeline, its denoisers and their sites."""
        for component, denoiser in self.family.denoisers(pipe).items():
            run_as_written(self.stack, component, denoiser, self)
        self.parts = found = families.denoisers(pipe)
        for component, sites in families.sites(pipe).items():
            denoiser = found[component]
            refuse_unseen(component, [site for site in sites if site.observable], self.family)
            self.audience.sites[id(denoiser)] = tuple(sites)
            hook(self.stack, denoiser, self._before_pass(denoiser), self._after_pass)
            for site in sites:
                if site.observable:
                    spy = Spy(self.audience, site)
                    self.spies.append(spy)
                    hook(self.stack, site.module, spy.before, spy.after)
        wear(self.stack, pipe, _pipeline_verbs, self)

    def remove(self) -> None:
        """Take all of it off."""
        self.stack.close()

    # -- the pipeline's call

    def run_call(self, call: Call, run: Callable[[], Any]) -> Any:
        """Run the pipeline and tell the taps; a call within a call is silent."""
        stack = Undo()
        return stack(self._run_call)(stack, call, run)

    def _run_call(self, stack: ExitStack, call: Call, run: Callable[[], Any]) -> Any:
        audience = self.audience
        if not audience.claim(stack):
            return audience.aside(run)
        for _ in range(2):  # an interrupt within the first leaves the rest to the second
            stack.callback(self._close_spies)
        audience.call, audience.told = call, audience.taps
        try:
            self.scheduler = call.pipe.scheduler
            audience.watch.install(self.scheduler, stack)
            for encoder in self.family.encoders(call.pipe):
                Reader(audience, encoder).install(stack)
            for tap in audience.listeners():
                tap.start(call)
            output = run()
            images = self.family.images(output)
            call.changed_text = audience.texts.changed()
            self._check_parts(call)
            for tap in audience.listeners():
                tap.finish(call, images)
            return output
        except BaseException:
            for tap in audience.listeners():
                tap.fail(call)
            raise

    def _check_parts(self, call: Call) -> None:
        """Refuse a call that has gone on with parts that nobody watched.

        Raises
        ------
        DaamkitError
            If its denoiser or its scheduler is another than when it began.
        """
        watched = {id(part) for part in (*self.parts.values(), self.scheduler)}
        now = families.denoisers(call.pipe) | {"scheduler": call.pipe.scheduler}
        other = [name for name, part in now.items() if id(part) not in watched]
        if other:
            raise DaamkitError(
                wanted=f"the same {' and '.join(other)} in all steps of a call",
                got="another, exchanged within the context (by a callback?)",
                mend="exchange it before the context",
            )

    def _close_spies(self) -> None:
        for spy in self.spies:
            spy.close()

    # -- the denoiser's passes

    def _before_pass(self, denoiser: nn.Module) -> Callable[..., Any]:
        signature = inspect.signature(type(denoiser).forward)
        names = list(signature.parameters)[1:]

        def before(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Any:
            if not self.audience.active:
                return None
            inputs = signature.bind_partial(module, *args, **kwargs).arguments
            inputs.pop("self", None)
            return self.audience.begin(module, dict(inputs), tuple(names[: len(args)]))

        return before

    def _after_pass(self, module: nn.Module, args: tuple, kwargs: dict, output: Any) -> None:
        self.audience.end(output)


_WIRED: dict[int, _Wiring] = {}  # by the pipeline's id, as long as a tap is attached


@locked()
def _listen(stack: ExitStack, pipe: Any, taps: list[Tap]) -> None:
    """Attach taps until the stack closes; the first installs all that is needed."""
    group = list(taps)
    for _ in range(2):  # an interrupt within the first undoing leaves the rest to the second
        stack.callback(_leave, pipe, group)
    wiring = _WIRED.get(id(pipe))
    if wiring is None:
        wiring = _WIRED[id(pipe)] = _Wiring(pipe)
        wiring.install(pipe)
    wiring.audience.groups.append(group)


@locked()
def _leave(pipe: Any, group: list[Tap]) -> None:
    """Undo `_listen`; nothing happens where it is undone already."""
    wiring = _WIRED.get(id(pipe))
    if wiring is None:
        return
    audience = wiring.audience
    audience.groups = [other for other in audience.groups if other is not group]
    if not audience.groups:
        wiring.remove()
        wiring.remove()  # what an interrupt has left of the first
        _WIRED.pop(id(pipe), None)


def _pipeline_verbs(own: Any, listeners: list[_Wiring]) -> dict[str, Any]:
    signature = inspect.signature(own.__call__)
    names = list(signature.parameters)[1:]

    @functools.wraps(own.__call__)
    def call(pipe: Any, *args: Any, **kwargs: Any) -> Any:
        wiring = listeners[0]
        read = calls.bind(pipe, signature, args, kwargs, wiring.family)
        stack = Undo()

        def run_all(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            given = list(zip(names, args, strict=False)) + list(kwargs.items())
            given = [
                (n, _aside(wiring.audience, v, stack) if "callback" in n else v) for n, v in given
            ]
            args = (*(value for _, value in given[: len(args)]), *args[len(names) :])
            kwargs = dict(given[len(names[: len(args)]) :])
            return wiring.run_call(read, functools.partial(own.__call__, pipe, *args, **kwargs))

        return stack(run_all)(args, kwargs)

    return {"__call__": call, "__deepcopy__": _refuse_copy}


def _aside(audience: Audience, callback: Any, stack: ExitStack) -> Any:
    """A callback whose own passes of the denoiser are not taken for the pipeline's."""
    if inspect.isroutine(callback) or isinstance(callback, functools.partial):

        @functools.wraps(callback)
        def call(*args: Any, **kwargs: Any) -> Any:
            return audience.aside(functools.partial(callback, *args, **kwargs))

        return call
    if callable(callback) and not isinstance(callback, nn.Module | type):
        wear(stack, callback, _callback_verbs, audience)
    return callback


def _callback_verbs(own: Any, listeners: list[Audience]) -> dict[str, Any]:
    def call(callback: Any, *args: Any, **kwargs: Any) -> Any:
        run = functools.partial(own.__call__, callback, *args, **kwargs)
        return listeners[-1].aside(run) if listeners[-1].active else run()

    return {"__call__": call}


def _refuse_copy(pipe: Any, memo: Any) -> Any:
    raise DaamkitError(
        wanted="to copy a pipeline",
        got="one that is being traced or guided, whose hooks would be copied with it",
        mend="copy it before the context or after it",
    )
