"""Looking at one site's attention while it runs, and at no other's."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from daamkit.attention.sites import Site
from daamkit.attention.taps import Attention, Tap
from daamkit.errors import DaamkitError

if TYPE_CHECKING:
    from daamkit.attention.hooks import _Wiring as Wiring


class Ended(Exception):
    """An extra pass has reached the last site that its taps need."""


class Spy:
    """Sees one site's attention while a tap wants it."""

    def __init__(self, wiring: Wiring, site: Site) -> None:
        self.wiring, self.site = wiring, site
        self.mode: _Beside | None = None

    def before(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        if self.wiring.step is None:
            return
        taps = [tap for tap in self.wiring.listeners() if tap.wants(self.site)]
        if taps:
            self.mode = _Beside(functools.partial(self.seen, taps))
            self.mode.__enter__()

    def after(self, module: nn.Module, args: tuple, kwargs: dict, output: Any) -> None:
        mode = self.close()
        if mode is not None and not mode.saw and output is not None:  # no output: it raised
            raise _unseen(self.site, type(getattr(module, "processor", module)).__name__)
        if self.wiring.extra is not None and output is not None:
            taps = self.wiring.extra[0]
            if taps and all(tap.last(self.site) for tap in taps):
                raise Ended

    def close(self) -> _Beside | None:
        """Look no more; an interrupt (no `Exception`) leaves that to the end of the call."""
        mode, self.mode = self.mode, None
        if mode is not None:
            mode.__exit__(None, None, None)
        return mode

    def seen(
        self, taps: list[Tap], fused: Callable[[], Tensor], given: inspect.BoundArguments
    ) -> Tensor:
        step = self.wiring.step
        assert step is not None
        query, key, value, mask = (
            given.arguments[name] for name in ("query", "key", "value", "attn_mask")
        )
        rows = max(rows.stop for rows in step.branches.values())
        if len(query) > rows:
            raise DaamkitError(
                wanted=f"{rows} batch rows ({', '.join(step.branches)}) at {self.site.name}",
                got=f"{len(query)}",
                mend="daamkit does not know what these rows are; video models are not read yet",
            )
        scale = given.arguments["scale"]
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        attention = Attention(self.site, step, query, key, scale, mask, value)
        eager = any(tap.eager(self.site) for tap in taps)
        output = attention.eager() if eager else fused()
        for tap in taps:
            tap.observe(attention)
        for tap in taps:
            output = tap.edit(attention, output)
        return output


def _sdpa(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
    enable_gqa: bool = False,
) -> None:  # fmt: skip
    """The arguments of `scaled_dot_product_attention`, which has no Python signature."""


class _Beside(TorchFunctionMode):
    """Calls back with the first attention that runs while it is entered.

    A site of Stable Diffusion attends to its text first; an IP-Adapter's image keys come after.
    """

    _signature = inspect.signature(_sdpa)

    def __init__(
        self, seen: Callable[[Callable[[], Tensor], inspect.BoundArguments], Tensor]
    ) -> None:
        super().__init__()
        self.callback, self.saw = seen, False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        run = functools.partial(func, *args, **(kwargs or {}))
        if func is not F.scaled_dot_product_attention or self.saw:
            return run()
        self.saw = True
        given = self._signature.bind(*args, **(kwargs or {}))
        given.apply_defaults()
        return self.callback(run, given)


_UNSEEN = ("Sliced", "XFormers", "XLA", "NPU", "Flash", "Sage", "Flex", "AddedKV")


def refuse_processor(site: Site, denoiser: nn.Module) -> None:
    processor = type(getattr(site.module, "processor", None)).__name__
    if any(mark in processor for mark in _UNSEEN) or processor == "AttnProcessor":
        raise _unseen(site, processor)


def _unseen(site: Site, processor: str) -> DaamkitError:
    return DaamkitError(
        wanted="attention computed by torch's scaled_dot_product_attention",
        got=f"{processor} at {site.name}",
        mend="call `unet.set_attn_processor(AttnProcessor2_0())` "
        "(from diffusers.models.attention_processor), which also undoes attention slicing and "
        "xformers, and takes an IP-Adapter off",
    )
