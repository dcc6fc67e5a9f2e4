"""Looking at one site's attention while it runs, and at no other's."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from daamkit import compat
from daamkit.attention.audience import Audience
from daamkit.attention.columns import large
from daamkit.attention.families.family import Family
from daamkit.attention.sites import Layout, Site, dimensions
from daamkit.attention.taps import Attention, Tap, at_work
from daamkit.errors import DaamkitError


class Ended(Exception):
    """An extra pass has reached the last site that its taps need."""


class Spy:
    """Sees one site's attention while a tap wants it."""

    def __init__(self, audience: Audience, site: Site) -> None:
        self.audience, self.site = audience, site
        self.mode: _Watching | None = None
        self.looking = ExitStack()

    def before(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        """The site is about to run."""
        if self.audience.now is None:
            return
        taps = [tap for tap in self.audience.listeners() if tap.wants(self.site)]
        if taps:
            self.mode = _Watching(functools.partial(self.seen, taps))
            self.looking.enter_context(self.mode)

    def after(self, module: nn.Module, args: tuple, kwargs: dict, output: Any) -> None:
        """The site has run, or raised: then there is no output."""
        if not self.audience.active:
            return
        mode, now = self.close(), self.audience.now
        perturbed = now is not None and [*now.branches] == ["perturbed"]  # by attending to nothing
        if mode is not None and not mode.saw and output is not None and not perturbed:
            raise _did_not_attend(self.site, self.audience.family)
        if self.audience.extra is not None and output is not None:
            taps = self.audience.extra[0]
            if taps and all(tap.last(self.site) for tap in taps):
                raise Ended

    def close(self) -> _Watching | None:
        """Look no more; an interrupt (no `Exception`) leaves that to the end of the call."""
        self.looking.close()
        mode, self.mode = self.mode, None
        return mode

    def seen(
        self,
        taps: list[Tap],
        nth: int,
        fused: Callable[[], Tensor],
        given: inspect.BoundArguments,
    ) -> Tensor | None:
        """The kernel is called within the site. Its output, or None if another call is meant."""
        now = self.audience.now
        assert now is not None
        query, key, value, mask = (
            given.arguments[name] for name in ("query", "key", "value", "attn_mask")
        )
        layout = self.audience.family.layout(self.site, now, query.shape[2], key.shape[2], nth)
        if layout is None:
            return None
        rows = max(rows.stop for rows in now.branches.values())
        if len(query) > rows:
            raise DaamkitError(
                wanted=f"{rows} batch rows ({', '.join(now.branches)}) at {self.site.name}",
                got=f"{len(query)}",
                mend="daamkit does not know what these rows are; report the pipeline",
            )
        wanted = self.audience.family.keys(self.site, now, layout)
        _check(self.site, layout, query.shape[2], key.shape[2], wanted)
        self._check_kernel(query.shape[1], given)
        if self.site.name in now.attended:
            raise DaamkitError(
                wanted=f"attention of {self.site.name} once in a pass",
                got="a second time",
                mend="something lets layers run again: take it off",
            )
        now.attended.add(self.site.name)
        scale = given.arguments["scale"]
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        attention = Attention(self.site, now, query, key, scale, mask, value, layout)
        eager = any(tap.eager(self.site) for tap in taps)
        whole = eager or (self.site.kind == "cross" and not large(attention))
        told = None if whole else _statistic(given)
        if told is not None:
            output, attention.statistic = told
        else:
            output = attention.eager() if eager else fused()
        for tap in taps:
            with at_work(tap, now, self.site):
                tap.observe(attention)
        for tap in taps:
            with at_work(tap, now, self.site):
                output = tap.edit(attention, output)
        return output

    def _check_kernel(self, heads: int, given: inspect.BoundArguments) -> None:
        """Is all of the site's attention here, and is it the one that will be computed?"""
        if heads != self.site.heads:
            raise DaamkitError(
                wanted=f"{self.site.heads} heads at {self.site.name}",
                got=f"{heads}",
                mend="run the model on one device, which computes all heads together (no tensor or "
                "context parallelism)",
            )
        if given.arguments["is_causal"] and self.site.kind != "text":
            raise DaamkitError(
                wanted=f"attention of {self.site.name} to all its keys, but for a mask",
                got="a causal one, in which a place sees none that comes later",
                mend="pass the same as `attn_mask=` in the attention processor",
            )


def _statistic(given: inspect.BoundArguments) -> tuple[Tensor, Tensor] | None:
    """The kernel's output and log-sum-exp, where it tells both."""
    query, key, value, mask, dropout, causal, scale, grouped = given.arguments.values()
    if dropout or causal or grouped:
        return None
    return compat.with_statistic(query, key, value, mask, scale)


def _check(site: Site, layout: Layout, queries: int, keys: int, wanted: int | None) -> None:
    """Is the image there as large as was computed, and the text?"""
    cells = 1
    for side in layout.grid:
        cells *= side
    every = [layout.cells] if isinstance(layout.cells, slice) else layout.cells
    counts = [len(range(*own.indices(queries))) for own in every]
    found = next((count for count in counts if count != cells), cells)
    if site.kind != "text" and cells != found:
        raise DaamkitError(
            wanted=f"{cells} cells at {site.name}, a grid of {dimensions(layout.grid)}",
            got=f"{found}",
            mend="something merges or enlarges what this layer sees (token merging, a high-"
            "resolution fix): take it off",
        )
    beyond = [span for row in layout.text for span in row if span.start + span.length > keys]
    if beyond:
        raise DaamkitError(
            wanted=f"text of {beyond[0].encoder} up to key {beyond[0].start + beyond[0].length} "
            f"at {site.name}",
            got=f"{keys} keys",
            mend="daamkit does not know how this model lays out its text; report the pipeline",
        )
    if wanted is not None and keys != wanted:
        raise DaamkitError(
            wanted=f"{wanted} keys at {site.name}, as the denoiser's inputs have places",
            got=f"{keys}",
            mend="something puts keys of its own among the text's or the image's, or takes some "
            "away: take it off, or report the pipeline",
        )


def _sdpa(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
    enable_gqa: bool = False,
) -> None:  # fmt: skip
    """The arguments of `scaled_dot_product_attention`, which has no Python signature."""


class _Watching(TorchFunctionMode):
    """Calls back with each attention that runs while it is entered, until one was meant."""

    _signature = inspect.signature(_sdpa)

    def __init__(
        self,
        seen: Callable[[int, Callable[[], Tensor], inspect.BoundArguments], Tensor | None],
    ) -> None:
        super().__init__()
        self.callback, self.saw, self.nth = seen, False, 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        run = functools.partial(func, *args, **(kwargs or {}))
        if func is not F.scaled_dot_product_attention or self.saw:
            return run()
        given = self._signature.bind(*args, **(kwargs or {}))
        given.apply_defaults()
        output = self.callback(self.nth, run, given)
        self.nth, self.saw = self.nth + 1, output is not None
        return run() if output is None else output


_UNSEEN = ("Sliced", "XFormers", "XLA", "NPU", "Flash", "Sage", "Flex", "AddedKV")
_NATIVE = ("native", "_native_flash", "_native_efficient", "_native_cudnn", "_native_math")


def refuse_unseen(component: str, sites: Sequence[Site], family: Family) -> None:
    """Refuse a denoiser some of whose attention is known to go around the kernel.

    Raises
    ------
    DaamkitError
        If it does.
    """
    other: dict[str, list[Site]] = {}
    everywhere = False
    for site in sites:
        processor = getattr(site.module, "processor", None)
        name = type(processor).__name__
        if any(mark in name for mark in _UNSEEN) or name == "AttnProcessor":
            raise _unseen(site, name, family)
        backend, shared = compat.attention_backend(processor) or ("native", False)
        if backend not in _NATIVE:
            other.setdefault(backend, []).append(site)
            everywhere |= shared
    if not other:
        return
    found = [f"{name} at {own[0].name}" + _more(len(own) - 1) for name, own in other.items()]
    rest = len(sites) - sum(map(len, other.values()))
    raise DaamkitError(
        wanted="attention computed by torch's scaled_dot_product_attention",
        got=f"the backend {' and '.join(found)}{f'; {rest} are native' if rest else ''}"
        + (", chosen for the whole process by another model or setting" if everywhere else ""),
        mend=f"call `pipe.{component}.set_attention_backend('native')`, which sets it for all its "
        "layers and for the process",
    )


def _more(count: int) -> str:
    return f" and {count} more" if count else ""


def _did_not_attend(site: Site, family: Family) -> DaamkitError:
    for name, hook in compat.model_hooks(site.module).items():
        if compat.remembers(hook):
            return DaamkitError(
                wanted=f"attention of {site.name} in all passes",
                got=f"a cache of features ({name}), which skips it in some",
                mend="call the denoiser's `disable_cache()`",
            )
    return _unseen(site, type(getattr(site.module, "processor", site.module)).__name__, family)


def _unseen(site: Site, processor: str, family: Family) -> DaamkitError:
    return DaamkitError(
        wanted="attention computed by torch's scaled_dot_product_attention",
        got=f"{processor} at {site.name}",
        mend=family.observe_hint,
    )
