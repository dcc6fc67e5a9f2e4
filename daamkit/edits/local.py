"""Exchange words' vectors for some of the picture's cells alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from daamkit import prompts
from daamkit.attention.calls import Call, Pass
from daamkit.attention.families.rows import selected
from daamkit.attention.hooks import extra_passes
from daamkit.attention.sites import Layout, Site, Span
from daamkit.attention.taps import Attention, Tap
from daamkit.edits import part
from daamkit.edits.edit import Edit, Output
from daamkit.edits.exchange import Exchange
from daamkit.edits.order import Field
from daamkit.edits.part import Part
from daamkit.edits.words import columns, of_each
from daamkit.prompts import Read

Keys = list[list[int]]  # of each row


@dataclass(eq=False)
class LocalExchange(Exchange):
    """An `Exchange` that some cells see, and nothing else does.

    An extra pass of each step has the other vectors everywhere. In the call's own, cells of the
    part attend to the words' keys and values of that pass in the place of the words' own, at every
    site; all other cells, and other text, attend as before. Where text is the same in all layers, a
    part that is everything is the `Exchange`.

    Parameters
    ----------
    where
        (height, width), or one for each image: the part of the picture, of any size, as for
        `Silence`.

    Raises
    ------
    DaamkitError
        As an `Exchange` does, or if there are not as many parts as images, or after an edit that
        has exchanged values, which those of the pass beside would undo.
    """

    where: Part = field(kw_only=True)
    _texts: list[tuple[Read, set[int]]] = field(default_factory=list, init=False, repr=False)
    _beside: _Beside | None = field(default=None, init=False, repr=False)

    undoes: ClassVar[Set[Field]] = frozenset({"value"})

    def start(self, call: Call) -> None:
        super().start(call)
        self._texts = []

    def wants(self, site: Site) -> bool:
        """Wherever cells attend to text."""
        return Edit.wants(self, site)

    def reword(self, now: Pass, inputs: dict[str, Any]) -> dict[str, Any]:
        """The inputs as they are, once the other text has had a pass of its own."""
        changed = super().reword(now, inputs)
        if changed is inputs:
            return inputs
        self._texts = self._texts or self._meant(now)
        own = now.branches[self.branch]
        other = copy.copy(now)
        other.inputs = changed
        args, kwargs = other.arguments(selected(other, range(own.start, own.stop)))
        self._beside = _Beside(self._keys)
        with extra_passes(now.call.pipe, self._beside, branch=self.branch), torch.no_grad():
            now.denoiser(*args, **kwargs)
        return inputs

    def change(self, attention: Attention, output: Output) -> Output:
        """The same attention, in which both kinds of cells have their own keys of the words."""
        assert self._beside is not None
        own, key, value = self._beside.kept[attention.site.name]
        every, cells = self._keys(attention.layout), part.queries(self.where, attention)
        longest, keys = max(map(len, own)), attention.key.shape[2]
        if not longest or not cells.any():
            return output
        hidden = cells.new_zeros(*cells.shape, keys + longest)
        for row, chosen in enumerate(every):
            hidden[row, :, chosen] = cells[row, :, None]
            hidden[row, :, keys:] = ~cells[row, :, None]
            hidden[row, :, keys + len(own[row]) :] = True
        text = attention.layout.text
        if attention.mask is not None:
            mask = attention.mask.expand(*attention.mask.shape[:3], keys)
            alike = [_alike(*row) for row in zip(text, own, every, strict=True)]
            attention.mask = torch.cat([mask.expand(len(own), -1, -1, -1), _seen(mask, alike)], 3)
        attention.key = torch.cat([attention.key, key.to(attention.key)], 2)
        attention.value = torch.cat([attention.value, value.to(attention.value)], 2)
        attention.mask = part.without(attention.mask, hidden[:, None])
        rows = (_with(*row, keys) for row in zip(text, own, strict=True))
        attention.layout = replace(attention.layout, text=tuple(rows))
        return attention.fused()

    def finish(self, call: Call, images: Any) -> None:
        """As of an `Exchange`."""
        super().finish(call, images)
        self.fail(call)

    def fail(self, call: Call) -> None:
        """What the last pass beside has kept is let go, too."""
        super().fail(call)
        self._texts, self._beside = [], None

    def settings(self) -> dict[str, Any]:
        """The part as its share of the picture."""
        return super().settings() | {"where": part.share(self.where)}

    def _meant(self, now: Pass) -> list[tuple[Read, set[int]]]:
        """Each image's text, and which columns of it are exchanged."""
        read = prompts.texts(now.call, self.branch, self.prompt, self.prompt)
        part.require(self.where, len(read))
        images = now.call.images_per_prompt
        words = of_each(self.words, len(read) // images, images)
        return [
            (text, {c for word in own for c in columns(text.prompt, word, self.occurrence)})
            for text, own in zip(read, words, strict=True)
        ]

    def _keys(self, layout: Layout) -> Keys:
        """Of each row, a site's keys of the words."""
        rows = zip(layout.text, self._texts, strict=True)
        return [text.keys(spans, chosen) for spans, (text, chosen) in rows]


class _Beside(Tap):
    """The words' keys in the pass beside, by site: which they are, and they and their values,
    (rows, heads, places, channels), with zeros after those of the row."""

    def __init__(self, keys: Callable[[Layout], Keys]) -> None:
        self.keys, self.kept = keys, dict[str, tuple[Keys, Tensor, Tensor]]()

    def wants(self, site: Site) -> bool:
        return site.reads_text

    def observe(self, attention: Attention) -> None:
        own = self.keys(attention.layout)
        both = _of_keys(attention.key, own), _of_keys(attention.value, own)
        self.kept[attention.site.name] = own, *both


def _of_keys(values: Tensor, own: Keys) -> Tensor:
    """Of each row its own keys, and zeros up to as many as the longest has."""
    longest = max(map(len, own))
    rows = [values[row][:, keys] for row, keys in enumerate(own)]
    return torch.stack([F.pad(row, (0, 0, 0, longest - row.shape[1])) for row in rows])


def _alike(spans: Sequence[Span], own: list[int], every: list[int]) -> Keys:
    """For each of some keys, all that stand for the same tokens: those that were put in, too."""
    tokens = {key: _tokens(spans, key) for key in every}
    return [[key for key in every if tokens[key] == tokens[each]] for each in own]


def _seen(mask: Tensor, alike: Sequence[Keys]) -> Tensor:
    """The mask of each row's keys: seen where one of those that are alike is."""
    longest = max(map(len, alike))
    rows = [
        torch.cat([row[..., :0], *(row[..., keys].amax(-1, keepdim=True) for keys in own)], -1)
        for row, own in zip(mask.expand(len(alike), *mask.shape[1:]), alike, strict=True)
    ]
    return torch.stack([F.pad(row, (0, longest - row.shape[-1])) for row in rows])


def _with(spans: Sequence[Span], own: list[int], start: int) -> tuple[Span, ...]:
    """A row's text, of which some keys stand once more from a key on."""
    again = (
        Span(encoder, start + at, 1, first)
        for at, key in enumerate(own)
        for encoder, first in sorted(_tokens(spans, key))
    )
    return (*spans, *again)


def _tokens(spans: Sequence[Span], key: int) -> set[tuple[str, int]]:
    """Which places of which encoders' inputs a key stands for."""
    return {
        (span.encoder, span.first + key - span.start)
        for span in spans
        if 0 <= key - span.start < span.length
    }
