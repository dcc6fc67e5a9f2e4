"""Taps: what one is told while a pipeline runs, and what it may do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from daamkit.attention.calls import Call, Pass
from daamkit.attention.sites import Layout, Site, of_rows, places, within
from daamkit.errors import DaamkitError

Image = Float[Tensor, "samples *image"]  # what is denoised, as the scheduler has it
Output = Float[Tensor, "batch heads queries channels"]  # of a site
Mask = Shaped[Tensor, "#batch #heads #queries #keys"]  # added, or False where a key is not seen


class Attention:
    """One site at work: its queries and keys as the model has them, its probabilities on demand.

    Attributes
    ----------
    site, now
        The site, and the pass in which it runs.
    query, key
        (batch, heads, queries or keys, channels), after all norms, rotations and projections.
    scale
        What the products are multiplied with.
    mask
        Added to the products (or False where a key may not be seen), or None.
    layout
        Which queries are the image's cells, which keys which encoder's text.
    branches
        Batch rows by name: those of the pass, as far as this site has them.
    statistic
        (batch, heads, queries) log-sum-exp of each query's products, where the kernel has told it.
    """

    def __init__(
        self,
        site: Site,
        now: Pass,
        query: Float[Tensor, "batch heads queries channels"],
        key: Float[Tensor, "batch keyheads keys channels"],
        scale: float,
        mask: Mask | None = None,
        value: Float[Tensor, "batch keyheads keys channels"] | None = None,
        layout: Layout | None = None,
    ) -> None:
        self.site, self.now = site, now
        self.layout = layout or Layout(site.grid(now.grid), slice(0, query.shape[2]))
        self.query, self.key, self.scale, self.mask = query, key, scale, mask
        self._value = value
        self._parts: dict[str, Attention] = {}
        self.branches = {  # a processor may attend to the first branches alone
            name: rows for name, rows in now.branches.items() if rows.stop <= len(query)
        }
        self.statistic: Float[Tensor, "batch heads queries"] | None = None
        self._kept: dict[str, Tensor] = {}
        self._eager: Tensor | None = None

    def probabilities(
        self, branch: str, *, gradient: bool = False
    ) -> Float[Tensor, "samples heads queries keys"]:
        """softmax(scale * query @ key^T + mask) of a branch's rows, in float32.

        Computed beside the model's own fused attention, once for all taps that ask.

        Parameters
        ----------
        branch
            A name in `branches`, such as "cond".
        gradient
            Keep the graph back to the latents (where autograd is on). After `eager` these are the
            very probabilities that the model goes on with, in its own precision.
        """
        if gradient and self._eager is not None:
            return self._eager[self.branches[branch]]
        if gradient:
            return self.softmax(self.branches[branch], slice(None))
        if branch not in self._kept:
            with torch.no_grad():
                self._kept[branch] = self.softmax(self.branches[branch], slice(None))
        return self._kept[branch]

    def cells(
        self, branch: str, *, gradient: bool = False
    ) -> Float[Tensor, "samples heads cells keys"]:
        """`probabilities` of the image's cells alone, over all keys."""
        shares = self.probabilities(branch, gradient=gradient)
        return of_rows(shares, self.layout.cells_of(self.branches[branch]), 2)

    def text(
        self, branch: str, *, gradient: bool = False
    ) -> Float[Tensor, "samples heads cells places"]:
        """`cells`, over the keys that are text alone: place after place of the encoders' inputs.

        Where samples have texts of other lengths, each has its own keys first and zeros after.
        """
        shares = self.cells(branch, gradient=gradient)
        text = self.layout.text[self.branches[branch]]
        keys = [places(spans) for spans in text]
        if all(own == [*range(shares.shape[-1])] for own in keys):
            return shares
        longest = max(map(len, keys))
        rows = [shares[i, :, :, own] for i, own in enumerate(keys)]
        return torch.stack([F.pad(row, (0, longest - row.shape[-1])) for row in rows])

    @property
    def value(self) -> Float[Tensor, "batch keyheads keys channels"]:
        """As the model has it."""
        assert self._value is not None, "an attention made without values"
        return self._value

    @value.setter
    def value(self, value: Float[Tensor, "batch keyheads keys channels"]) -> None:
        self._value = value

    def every_key(self) -> Float[Tensor, "batch heads keys channels"]:
        """The keys of each head, where grouped queries share them."""
        return _of_each_head(self.key, self.query.shape[1])

    def every_value(self) -> Float[Tensor, "batch heads keys channels"]:
        """The values of each head, where grouped queries share them."""
        return _of_each_head(self.value, self.query.shape[1])

    def part(self, branch: str) -> Attention:
        """The attention of a branch's rows alone, always the same object: edits share it."""
        if branch not in self._parts:
            rows = self.branches[branch]
            own = Attention(
                self.site,
                self.now,
                self.query[rows],
                self.key[rows],
                self.scale,
                None if self.mask is None else self.every_mask()[rows],
                None if self._value is None else self._value[rows],
                self.layout.for_rows(rows),
            )
            own.branches = {branch: slice(0, rows.stop - rows.start)}
            self._parts[branch] = own
        return self._parts[branch]

    def fused(self) -> Output:
        """The attention's output as torch's fused kernel computes it, of what stands here."""
        return F.scaled_dot_product_attention(
            self.query,
            self.key,
            self.value,
            attn_mask=self.mask,
            scale=self.scale,
            enable_gqa=self.key.shape[1] != self.query.shape[1],
        )

    def every_mask(self) -> Mask:
        """The mask with a row for each row of the batch."""
        assert self.mask is not None
        return self.mask.expand(self.query.shape[0], *self.mask.shape[1:])

    def eager(self) -> Output:
        """The attention's output by way of its probabilities, rounding for rounding as diffusers'
        `AttnProcessor` has it, where fused attention would round differently."""
        query, key, value = (each.flatten(0, 1) for each in (self.query, self.key, self.value))
        mask = self.mask if self.mask is None else self.mask.expand(*self.query.shape[:2], -1, -1)
        mask = None if mask is None else mask.flatten(0, 1)
        module: Any = self.site.module
        if not all(hasattr(module, name) for name in ("get_attention_scores", "upcast_attention")):
            raise DaamkitError(
                wanted="attention rounded as diffusers' eager processor does",
                got=f"{type(module).__name__} at {self.site.name}, which has no such way",
                mend="leave `exact` off",
            )
        weights = module.get_attention_scores(query, key, mask)
        self._eager = weights.unflatten(0, self.query.shape[:2])
        return torch.bmm(weights, value).unflatten(0, self.query.shape[:2])

    def blocks(
        self, branch: str, bytes_at_once: int = 2**26
    ) -> Iterator[tuple[slice, Float[Tensor, "samples heads block keys"]]]:
        """`cells` a block of cells at a time, for maps too large to hold at once."""
        rows = self.branches[branch]
        row = (rows.stop - rows.start) * self.query.shape[1] * self.key.shape[2] * 4
        size = max(1, bytes_at_once // row)
        parts = self.layout.together(rows, self.query.shape[2])
        count = len(parts[0][1])
        for at in range(0, count, size):
            block = slice(at, min(at + size, count))
            with torch.no_grad():
                each = [self.softmax(own, within(cells, block)) for own, cells in parts]
            yield block, each[0] if len(each) == 1 else torch.cat(each)

    def softmax(
        self, rows: slice, queries: slice | Sequence[int]
    ) -> Float[Tensor, "rows heads queries keys"]:
        """`probabilities` of some queries of some batch rows, always computed."""
        with torch.autocast(self.query.device.type, enabled=False):
            return self._float_softmax(rows, queries)

    def _float_softmax(self, rows: slice, queries: slice | Sequence[int]) -> Tensor:
        query, key = self.query[rows, :, queries].float(), self.key[rows].float()
        key = _of_each_head(key, query.shape[1])
        scores = (query * self.scale) @ key.transpose(-1, -2)
        if self.mask is not None:
            mask = self.every_mask()[rows]
            mask = mask[..., queries, :] if mask.shape[-2] > 1 else mask
            if mask.dtype == torch.bool:
                scores = scores.masked_fill(~mask, -torch.inf)
            else:
                scores = scores + mask.float()
        shares = scores.softmax(-1)
        if self.mask is not None and mask.dtype == torch.bool:
            # a query that may see no key attends to nothing
            shares = shares.masked_fill(~mask.any(-1, keepdim=True), 0.0)
        return shares


def _of_each_head(shared: Tensor, heads: int) -> Tensor:
    """Keys or values for each head, where grouped queries share them."""
    count = shared.shape[1]
    return shared if count == heads else shared.repeat_interleave(heads // count, dim=1)


class Tap:
    """Listens to a pipeline while it is attached. Override what you need.

    A call runs as ``start``; for every pass ``begin``, ``before``, ``reword``, then ``observe`` and
    ``edit`` at each wanted site, then ``after``; at the end ``finish``, or ``fail`` if the call or
    any tap raised.
    """

    guides = False  # whether `before` and `after` are called; the scheduler is watched for them
    looks = False  # whether these change nothing: they are called after those that do

    def wants(self, site: Site) -> bool:
        """Whether to be told of this site."""
        return True

    def start(self, call: Call) -> None:
        """The pipeline was called."""

    def begin(self, now: Pass) -> None:
        """The denoiser is about to run."""

    def before(self, now: Pass) -> Image | None:
        """Move what is about to be denoised, ``now.noisy``: the new one, or None to leave it."""
        return None

    def reword(self, now: Pass, inputs: dict[str, Any]) -> dict[str, Any]:
        """Give the denoiser other text: its inputs in this pass, or a copy with others. Passes
        beside it have the prompt's own."""
        return inputs

    def after(self, now: Pass, prediction: Image) -> Image:
        """Change the prediction, (samples, channels, height, width), that the scheduler is given:
        after classifier-free guidance, which the pipeline has done by then."""
        return prediction

    def eager(self, site: Site) -> bool:
        """Whether a wanted site must compute its attention as diffusers' eager processor does."""
        return False

    def observe(self, attention: Attention) -> None:
        """A wanted site attends."""

    def edit(self, attention: Attention, output: Output) -> Output:
        """Replace a wanted site's attention output, (batch, heads, queries, channels)."""
        return output

    def last(self, site: Site) -> bool:
        """Whether the pass may end after this site. Heeded in extra passes only."""
        return False

    def finish(self, call: Call, images: Any) -> None:
        """The call has returned these images."""

    def fail(self, call: Call) -> None:
        """The call has raised."""


@contextmanager
def at_work(tap: Tap, now: Pass, site: Site | None = None) -> Iterator[None]:
    """Errors that a tap raises say, in a note, which tap it was, at which site, in which pass."""
    try:
        yield
    except Exception as error:
        place = "" if site is None else f" at {site.name}"
        error.add_note(f"raised by {type(tap).__name__}{place} in pass {now.index}")
        raise
