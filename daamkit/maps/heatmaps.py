"""The attention that a run kept, and the heat maps pooled from it."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, SupportsIndex

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from daamkit.errors import DaamkitError
from daamkit.maps.wordmap import WordMap, enlarge, over_tokens
from daamkit.maps.words import Asked, Occurrence, Prompt, Special, Word

Pooling = Literal["daam", "paper"]
Index = SupportsIndex | slice | Iterable[SupportsIndex]


@dataclass(frozen=True, eq=False)
class Layer:
    """Attention of one site, or of several alike, summed over the axes that were not kept.

    Attributes
    ----------
    name, sites
        What it is called, and the sites it sums.
    group
        What its sites belong to, as the model's family has it: "down", "mid", "up" of a UNet.
    heads
        Heads summed or kept, over all its sites.
    values
        (step?, head?, column, y, x) float32; columns are tokens for cross-attention and, for
        self-attention, the cells looked at, row by row.
    order
        When it runs, among the layers of its model.
    left_out
        The pooling rules that leave it out, unless layers are chosen by name.
    """

    name: str
    sites: tuple[str, ...]
    group: str
    heads: int
    values: Float[Tensor, "*kept columns y x"]
    order: int = 0
    left_out: tuple[str, ...] = ()

    @property
    def grid(self) -> tuple[int, int]:
        """(height, width) in cells."""
        return self.values.shape[-2], self.values.shape[-1]


@dataclass(frozen=True, eq=False)
class HeatMaps:
    """Cross-attention of one image and one branch.

    Attributes
    ----------
    prompt
        The text, its words and tokens.
    layers
        What was kept, one entry a site or a group of sites.
    keep
        Which of "step", "site", "head" were kept apart.
    steps
        Passes of the denoiser summed, or kept.
    size
        (height, width) of the image.
    base
        Side of daam's square maps for this model: 64 or 96.
    rule
        The pooling used where none is asked for: "daam" or "paper".
    chosen
        Whether the layers were chosen by name; then all of them are pooled, whatever the rule.

    Notes
    -----
    "daam" (the package daam 0.2.0): every kept site and head is enlarged to `base`, clamped at 0
    and averaged. "paper" (the DAAM paper, arXiv 2210.04885): sites of every grid, enlarged to the
    image's size and summed over sites, heads and steps. Each leaves out what a layer's `left_out`
    says: of a UNet both the middle block; "daam" also the 8 x 8 maps of a 512-pixel image.
    """

    prompt: Prompt
    layers: Mapping[str, Layer]
    keep: frozenset[str]
    steps: int
    size: tuple[int, int]
    base: int = 64
    rule: Pooling = "daam"
    chosen: bool = False
    _pooled: dict[tuple, Tensor] = field(default_factory=dict, init=False, repr=False)

    # -- words

    def word(
        self,
        text: Asked,
        occurrence: Occurrence | None = None,
        *,
        rule: Pooling | None = None,
        encoder: str | None = None,
    ) -> WordMap:
        """The map of a word or phrase: the mean of its tokens' maps.

        Where several text encoders have read it at places of their own, the mean of their means.

        Parameters
        ----------
        text, occurrence
            As in `Prompt.word`.
        rule
            "daam" or "paper"; default this object's.
        encoder
            One text encoder, by component name ("text_encoder_3"), instead of the mean over all.

        Raises
        ------
        WordError
            If the prompt has no such word, or several.
        """
        return self.of(self.prompt.word(text, occurrence, encoder), rule=rule)

    def words(self, *, rule: Pooling | None = None) -> list[WordMap]:
        """The maps of all words, in the prompt's order."""
        return [self.of(word, rule=rule) for word in self.prompt.words()]

    def special(
        self, name: Special, encoder: str | None = None, *, rule: Pooling | None = None
    ) -> WordMap:
        """The map of "SOS", "EOS", or of all "padding" together, a sum."""
        word = self.prompt.special(name, encoder)
        values = self._pool(rule or self.rule, None)[list(word.columns)].sum(0)
        return WordMap(values, word, self.size)

    def tokens(self, columns: Iterable[int], *, rule: Pooling | None = None) -> WordMap:
        """The mean of the maps of any tokens, given as columns of the key axis."""
        chosen = tuple(columns)
        if not chosen or not all(0 <= column < self.prompt.columns for column in chosen):
            raise DaamkitError(
                wanted=f"columns from 0 to {self.prompt.columns - 1}",
                got=f"{chosen}",
                mend="`prompt.tokens` lists the tokens with their columns",
            )
        return self.of(Word(" ".join(map(str, chosen)), 0, 0, chosen), rule=rule)

    def of(self, word: Word, *, rule: Pooling | None = None) -> WordMap:
        """The map of a word found before, in this prompt."""
        self.prompt.check(word)
        pooled = self._pool(rule or self.rule, None)
        return WordMap(over_tokens(pooled, word), word, self.size)

    def argmax(
        self,
        words: Asked | Iterable[Asked],
        occurrence: Occurrence | None = None,
        *,
        rule: Pooling | None = None,
    ) -> Int[np.ndarray, "height width"]:
        """For each pixel, which of the words has the highest map: its index in `words`.

        Parameters
        ----------
        words
            Two or more, each as in `word`.
        occurrence
            Of each that is given by its text.
        rule
            "daam" or "paper"; default this object's.

        Raises
        ------
        WordError
            If the prompt has no such word, or several.
        DaamkitError
            If none is named, or a map is not finite.
        """
        found = self.prompt.each(words, occurrence)
        if not found:
            raise DaamkitError(wanted="words to choose from", got="none", mend="name some")
        maps = [self.of(word, rule=rule).expand(absolute=True) for word in found]
        return torch.stack(maps).argmax(0).cpu().numpy()

    # -- pooling

    def pool(
        self, rule: Pooling | None = None, *, exact: bool | None = None, normalize: bool = False
    ) -> Float[Tensor, "columns y x"]:
        """The global heat map: one map a token.

        Parameters
        ----------
        rule
            "daam" or "paper" (see the class); default this object's.
        exact
            Rule "daam" clamps each head of each site by itself, which needs them kept. True asks
            for that, False merges heads before the enlarging, None does what was kept allows (with
            `trace`'s defaults: exact).
        normalize
            Divide by the sum over the prompt's tokens at each place (daam's option).

        Raises
        ------
        DaamkitError
            If the rule is unknown or `exact` asks for what was not kept.
        """
        pooled = self._pool(rule or self.rule, exact)
        if normalize:
            return pooled / (pooled[self._text_columns].sum(0) + 1e-6)
        return pooled.clone()

    def _pool(self, rule: Pooling, exact: bool | None) -> Tensor:
        kept = {"site", "head"} <= self.keep
        if rule not in ("daam", "paper"):
            raise DaamkitError(
                wanted="the pooling rule 'daam' or 'paper'", got=repr(rule), mend="name one of them"
            )
        if exact and rule == "daam" and not kept:
            raise DaamkitError(
                wanted="heads and sites kept apart, as exact pooling needs",
                got=f"a trace that kept {sorted(self.keep) or 'sums only'}",
                mend="trace with `keep=('site', 'head')`, which is the default",
            )
        exact = kept if exact is None else exact
        key = (rule, exact)
        if key not in self._pooled:
            self._pooled[key] = self._daam(exact) if rule == "daam" else self._paper()
        return self._pooled[key]

    def _daam(self, exact: bool) -> Tensor:
        height, width = self.size
        side = (  # base x base for a square; the same area otherwise
            round(self.base * math.sqrt(height / width)),
            round(self.base * math.sqrt(width / height)),
        )
        total, keys = torch.zeros((), dtype=torch.float32, device="cpu"), 0
        for layer in self.layers.values():
            if not self.chosen and "daam" in layer.left_out:
                continue
            values = self._over_steps(layer)
            if "head" in self.keep:
                values = values if exact else values.sum(0, keepdim=True)
                total = total + enlarge(values, side).clamp(min=0).sum(0)
            else:
                total = total + enlarge(values, side).clamp(min=0)
            keys += layer.heads
        return total / self._some(keys)

    def _paper(self) -> Tensor:
        total, keys = torch.zeros((), dtype=torch.float32, device="cpu"), 0
        for layer in self.layers.values():
            if self.chosen or "paper" not in layer.left_out:
                values = self._over_steps(layer)
                values = values.sum(0) if "head" in self.keep else values
                total = total + enlarge(values, self.size)
                keys += layer.heads
        self._some(keys)
        return total.clamp(min=0)

    def _over_steps(self, layer: Layer) -> Tensor:
        return layer.values.sum(0) if "step" in self.keep else layer.values

    def _some(self, keys: int) -> int:
        if not keys:
            raise DaamkitError(
                wanted="layers that the rule does not leave out",
                got=f"{', '.join(self.layers) or 'no layers'}",
                mend="name the layers you want with `select(sites=...)`",
            )
        return keys

    @functools.cached_property
    def _text_columns(self) -> list[int]:
        return sorted({t.column for t in self.prompt.tokens if not t.special})

    @functools.cached_property
    def mass(self) -> Float[Tensor, " columns"]:
        """Share of all attention that each token receives.

        The mean probability over cells, heads and steps, then over sites. Sums to 1, or, where the
        image's cells attend to each other in the same softmax, to what they leave to the text.
        """
        total, sites = torch.zeros((), dtype=torch.float32, device="cpu"), 0
        for layer in self.layers.values():
            each = layer.heads / len(layer.sites)
            values = layer.values.flatten(0, -4).sum(0) if layer.values.ndim > 3 else layer.values
            total = total + values.double().mean((-1, -2)).cpu() / (each * self.steps)
            sites += len(layer.sites)
        return (total / sites).float()

    # -- parts

    def select(
        self,
        *,
        steps: Index | None = None,
        sites: str | Iterable[str] | Callable[[Layer], bool] | None = None,
        heads: Index | None = None,
    ) -> HeatMaps:
        """The maps of some steps, layers or heads, where they were kept.

        Parameters
        ----------
        steps, heads
            An index, a slice or several indices.
        sites
            A name, a part of one ("up_blocks.1"), several of these, or a test of a layer.

        Raises
        ------
        DaamkitError
            If that axis was not kept, or nothing is left.
        """
        layers, count = dict(self.layers), self.steps
        if sites is not None:
            names = [sites] if isinstance(sites, str) else sites
            chosen = names if callable(names) else functools.partial(_named, list(names))
            layers = {name: layer for name, layer in layers.items() if chosen(layer)}
            if not layers:
                raise DaamkitError(
                    wanted=f"layers named {sites}" if not callable(sites) else "some layers",
                    got="none",
                    mend=f"the layers are {', '.join(self.layers)}",
                )
        if steps is not None:
            layers = {name: self._take(layer, "step", steps) for name, layer in layers.items()}
            count = next(iter(layers.values())).values.shape[0]
        if heads is not None:
            layers = {name: self._take(layer, "head", heads) for name, layer in layers.items()}
        chosen_now = self.chosen or sites is not None
        return replace(self, layers=layers, steps=count, chosen=chosen_now)

    def _take(self, layer: Layer, axis: str, index: Index) -> Layer:
        if axis not in self.keep:
            raise DaamkitError(
                wanted=f"single {axis}s",
                got=f"a trace that kept {sorted(self.keep) or 'sums only'}",
                mend=f"trace with {axis!r} in `keep=`",
            )
        place = ["step", "head"].index(axis) if "step" in self.keep else 0
        length = layer.values.shape[place]
        try:
            wanted = range(length)[index] if isinstance(index, slice) else index
            single = wanted if isinstance(wanted, Iterable) else [wanted]
            chosen = [range(length)[operator.index(position)] for position in single]
        except IndexError:
            chosen = []
        if not chosen:
            raise DaamkitError(
                wanted=f"{axis}s from 0 to {length - 1}", got=f"{index}", mend="choose from these"
            )
        values = layer.values.index_select(place, torch.tensor(chosen, device=layer.values.device))
        heads = len(chosen) * len(layer.sites) if axis == "head" else layer.heads
        return replace(layer, values=values, heads=heads)


def _named(names: list[str], layer: Layer) -> bool:
    """Whether the names mean a layer: by its own name, or all the sites that it sums."""
    if any(name in layer.name for name in names):
        return True
    meant = [site for site in layer.sites if any(name in site for name in names)]
    if meant and len(meant) < len(layer.sites):
        raise DaamkitError(
            wanted=f"{', '.join(meant)} alone",
            got=f"the layer {layer.name!r}, which sums {len(layer.sites)} sites",
            mend="trace with 'site' in `keep=`",
        )
    return bool(meant)
