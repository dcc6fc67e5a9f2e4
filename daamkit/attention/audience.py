"""Who is told of what: which taps hear of a call, a pass, a site; which passes are a call's own."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import nn

from daamkit.attention.calls import Call, Pass, number
from daamkit.attention.faces import locked
from daamkit.attention.families import rows
from daamkit.attention.families.family import Family, Reading
from daamkit.attention.schedulers import Watch, scaled
from daamkit.attention.sites import Site
from daamkit.attention.taps import Tap, at_work
from daamkit.attention.texts import Texts
from daamkit.errors import DaamkitError


class Audience:
    """The taps of a pipeline and what is under way on it.

    A pass is the call's own if it runs in the call's thread, is not run by a callback or by another
    pipeline, and does not run within another pass. No other is told to anybody.
    """

    def __init__(self, pipe: Any, family: Family) -> None:
        self.pipe, self.family = pipe, family
        self.sites: dict[int, tuple[Site, ...]] = {}  # by the denoiser's id
        self.groups: list[list[Tap]] = []  # the taps of each context
        self.extra: tuple[list[Tap], str] | None = None  # an extra pass's taps and branch
        self.told: list[Tap] = []  # the taps that were there when the call began
        self.call: Call | None = None
        self.thread: int | None = None  # whose call it is
        self.passes: list[Pass | None] = []  # under way: an extra one runs within another
        self.watch = Watch(self)
        self.turn: list[Pass] = []  # the passes since the scheduler's last step
        self.number = -1  # the sampler's step
        self.texts = Texts()

    # -- taps

    @property
    def taps(self) -> list[Tap]:
        """All taps attached."""
        return [tap for group in self.groups for tap in group]

    def listeners(self) -> list[Tap]:
        """The taps that are told of what happens now."""
        if self.extra is not None:
            return self.extra[0]
        attached = self.taps
        return [tap for tap in self.told if tap in attached]

    def guides(self) -> list[Tap]:
        """Those of them that are asked before and after a pass, last those that only look: they see
        what is denoised and said in the end, in whatever order contexts are nested."""
        return sorted((tap for tap in self.listeners() if tap.guides), key=lambda tap: tap.looks)

    @property
    def active(self) -> bool:
        """Whether a call is under way, in this thread."""
        return self.call is not None and self.thread == threading.get_ident()

    @property
    def now(self) -> Pass | None:
        """The pass under way in this thread; None outside the pipeline's call."""
        return self.passes[-1] if self.active and self.passes else None

    # -- the pipeline's call

    @locked()
    def claim(self, stack: ExitStack) -> bool:
        """Take the pipeline for this thread until the stack closes. Whether it was free.

        Raises
        ------
        DaamkitError
            If another thread has it, or its scheduler.
        """
        own, scheduler = threading.get_ident(), id(self.pipe.scheduler)
        other = _STEPPING.get(scheduler, self)
        for thing, thread in (("pipeline", self.thread), ("scheduler", other.thread)):
            if thread not in (None, own):
                raise DaamkitError(
                    wanted=f"one call at a time of a {thing} that is traced, guided or edited",
                    got="a call from a second thread while the first is under way",
                    mend="give each thread a pipeline and a scheduler of its own, `type(pipe)."
                    "from_pipe(pipe, scheduler=copy.deepcopy(pipe.scheduler))`; they may share the "
                    "models",
                )
        if self.thread is not None:
            return False
        for _ in range(2):  # an interrupt within the first leaves the rest to the second
            stack.callback(self.forget)
        self.thread = own
        _STEPPING.setdefault(scheduler, self)
        return True

    def forget(self) -> None:
        """The call is over."""
        self.call, self.extra, self.thread = None, None, None
        self.passes, self.told, self.turn, self.number = [], [], [], -1
        self.texts = Texts()
        self.watch.forget()
        for scheduler in [key for key, each in list(_STEPPING.items()) if each is self]:
            _STEPPING.pop(scheduler, None)

    def aside(self, run: Callable[[], Any]) -> Any:
        """Run what is not the pipeline's own work: a callback, a call within the call."""
        call = self.call
        try:
            self.call = None
            return run()
        finally:
            self.call = call

    # -- the denoiser's passes

    def begin(
        self, module: nn.Module, inputs: dict[str, Any], positional: tuple[str, ...]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """A denoiser is about to run. What it is to be given instead, or None.

        Parameters
        ----------
        module
            The denoiser that is about to run.
        inputs
            Its arguments by name.
        positional
            Which were given by position.
        """
        if not self.active:
            return None
        within = any(each is not None for each in self.passes)
        self.passes.append(None)
        if not self.listeners() or (self.extra is None and (within or not self._own_pass())):
            return None
        assert self.call is not None
        inputs = _own(inputs)
        reading = None
        if self.extra is None:
            earlier = [] if self.watch.stepped else self.turn
            reading = self.family.read(self.call, module, inputs, earlier)
            rows.require(reading, self.call.samples)
        now = self._main(reading, module, inputs) if reading else self._extra(module, inputs)
        now.positional = positional
        self.passes[-1] = now
        if reading is not None:
            checks = [] if now.call.first else now.call.checks
            now.call.first = dict.fromkeys(now.branches, now) | now.call.first
            for check in checks:
                check()
        for tap in self.listeners():
            with at_work(tap, now):
                tap.begin(now)
        if reading is None:
            return None
        self.turn.append(now)
        self.texts.hear(now)
        moved = self._move(now, reading)
        inputs = self._reworded(now)
        return now.arguments(_own(inputs)) if moved or inputs is not now.inputs else None

    def end(self, output: Any) -> None:
        """The denoiser has run, or raised: then there is no output."""
        if not self.active or not self.passes:
            return
        now = self.passes.pop()
        if now is not None and output is not None:
            now.prediction = self.family.predicted(now, output)

    def _main(self, reading: Reading, module: nn.Module, inputs: dict[str, Any]) -> Pass:
        assert self.call is not None
        self._turn(reading)
        index = len(self.call.times) - 1
        return Pass(
            self.call,
            index,
            reading.time,
            reading.branches,
            reading.grid,
            module,
            inputs,
            text=reading.text,
            sites=self.sites[id(module)],
            earlier=tuple(self.turn),
            number=self.number,
        )

    def _extra(self, module: nn.Module, inputs: dict[str, Any]) -> Pass:
        assert self.call is not None and self.extra is not None
        outer = next((each for each in reversed(self.passes) if each is not None), None)
        outer = outer or (self.turn[-1] if self.turn else None)
        assert outer is not None, "an extra pass before the first pass"
        branch = self.extra[1]
        count = len(_first(self.family, inputs))
        return Pass(
            self.call,
            outer.index,
            outer.time,
            {branch: slice(0, count)},
            outer.grid,
            module,
            inputs,
            text=outer.text,
            sites=self.sites[id(module)],
            number=outer.number,
        )

    def _turn(self, reading: Reading) -> None:
        """Is this another pass of the same step of the scheduler, or the first of the next?"""
        assert self.call is not None
        again = {name for each in self.turn for name in each.branches} & reading.branches.keys()
        if self.turn and not self.watch.stepped:
            if not again:
                return
            if _same(self.turn[0].time, reading.time):
                raise DaamkitError(
                    wanted="one pass of each branch in a step of the scheduler",
                    got=f"a second one of {', '.join(sorted(again))} in step {self.number}",
                    mend=f"{type(self.pipe).__name__} composes its image of several passes (views, "
                    "regions, its own guidance), which are not read yet",
                )
        if len(self.call.times) >= self.call.planned_passes():
            raise DaamkitError(
                wanted=f"{self.call.planned_passes()} passes, as the scheduler has planned",
                got="one more",
                mend=f"{type(self.pipe).__name__} composes its image of several passes (views, "
                "tiles, restarts), which are not read yet",
            )
        if getattr(self.call.pipe.scheduler, "state_in_first_order", True) or self.number < 0:
            self.number += 1
        self.turn, self.watch.stepped = [], False
        self.call.times.append(reading.time)

    def _own_pass(self) -> bool:
        """Whether no other pipeline stands between the call and this pass."""
        frame = inspect.currentframe()
        while frame is not None and frame.f_code.co_name != "run_call":
            if frame.f_code.co_varnames[:1] == ("self",):
                thing = frame.f_locals.get("self")
                if isinstance(thing, DiffusionPipeline) and thing is not self.pipe:
                    return False
            frame = frame.f_back
        return True

    def _move(self, now: Pass, reading: Reading) -> bool:
        """Before a pass: let taps move what is denoised. Whether any has."""
        own, *_ = reading.branches.values()  # all are given the same
        raw = reading.noisy if self.watch.unscaled is None else self.watch.unscaled
        now.noisy = now.start = raw if len(raw) == now.call.samples else raw[own]
        if now.earlier:  # moved once for all branches
            first = now.earlier[0]
            now.noisy, now.start, now.moved = first.noisy, first.start, first.moved
        else:
            for tap in self.guides():
                with at_work(tap, now):
                    moved = tap.before(now)
                if moved is not None:
                    now.noisy, now.moved = moved.detach(), True
        if now.moved:
            everywhere = torch.cat([now.noisy for _ in reading.branches])
            now.inputs = self.family.write(now.inputs, scaled(now, everywhere))
        return now.moved

    def _reworded(self, now: Pass) -> dict[str, Any]:
        """What the denoiser is given in this pass, and in no pass beside it."""
        inputs = now.inputs
        for tap in self.listeners():
            with at_work(tap, now):
                inputs = tap.reword(now, inputs)
        return inputs


_STEPPING: dict[int, Audience] = {}  # whose call it is that lets a scheduler step, by its id


def _own(value: Any) -> Any:
    """Containers of our own with the same tensors: models empty lists that they are given."""
    if type(value) is dict:
        return {name: _own(each) for name, each in value.items()}
    return [_own(each) for each in value] if type(value) is list else value


def _first(family: Family, inputs: dict[str, Any]) -> Any:
    return inputs[family.image]


def _same(a: Any, b: Any) -> bool:
    """Whether two times are one; on a GPU this waits for it."""
    return number(a) == number(b)
