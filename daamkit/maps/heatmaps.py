"""The attention that a run kept, and the heat maps pooled from it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from daamkit.errors import DaamkitError
from daamkit.maps import frames, pooling
from daamkit.maps.concepts import named, of_concepts
from daamkit.maps.layers import Choice, Index, Layer, meant, select
from daamkit.maps.pooling import Pooling
from daamkit.maps.prompt import Prompt
from daamkit.maps.tokens import Special
from daamkit.maps.wordmap import WordMap, over_tokens
from daamkit.maps.words import Asked, Occurrence, Word


@dataclass(frozen=True, eq=False, repr=False)
class HeatMaps:
    """The cross-attention of one image or video, in one branch.

    Attributes
    ----------
    prompt
        The text, its words and tokens.
    layers
        What was kept, one entry for each site or group of sites.
    keep
        Which of "step", "site", "head" were kept apart.
    steps
        How many passes of the denoiser were summed, or kept apart.
    size
        (height, width) of the image.
    base
        Side of daam's square maps for this model: 64 or 96.
    rule
        The pooling used where none is asked for: "daam" or "paper".
    explicit_layers
        Whether the layers were chosen by name; then all of them are pooled, whatever the rule.
    image
        The image that the maps are of, if it is known; pictures of the maps show it.
    video
        All pictures of a video; those of `frames` are chosen from them.
    concepts
        The maps of concepts, as if they were the prompt's words; None where none were asked for.

    Notes
    -----
    "daam" (the package daam 0.2.0): every kept site and head is enlarged to `base`, clamped at 0
    and averaged. "paper" (the DAAM paper, arXiv 2210.04885): sites of every grid are enlarged to
    the image's size and summed over sites, heads and steps. Each rule leaves out the layers whose
    `left_out` names it: in a UNet both leave out the middle block; "daam" also leaves out the 8 x 8
    maps of a 512-pixel image.
    """

    prompt: Prompt
    layers: Mapping[str, Layer]
    keep: frozenset[str]
    steps: int
    size: tuple[int, int]
    base: int = 64
    rule: Pooling = "daam"
    explicit_layers: bool = False
    image: Image.Image | None = field(default=None, repr=False)
    concepts: HeatMaps | None = None
    video: tuple[Image.Image, ...] = field(default=(), repr=False)
    _pooled: dict[tuple, Tensor] = field(default_factory=dict, init=False, repr=False)

    def over(self, image: Image.Image | None, video: tuple[Image.Image, ...] = ()) -> HeatMaps:
        """The same maps, as those of this image or video, which their pictures then show."""
        same = self.image is image and self.video is video
        return self if same else replace(self, image=image, video=video)

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
            The word, and which of its occurrences, as in `Prompt.word`.
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

    def concept(self, text: str, *, rule: Pooling | None = None) -> WordMap:
        """The map of a concept of the trace, which the prompt need not have; see `of_concepts`."""
        maps = of_concepts(self, text)
        return maps.of(named(maps.prompt, text), rule=rule)

    def words(self, *, rule: Pooling | None = None) -> list[WordMap]:
        """The maps of all words, in the prompt's order."""
        return [self.of(word, rule=rule) for word in self.prompt.words()]

    def special(
        self, name: Special, encoder: str | None = None, *, rule: Pooling | None = None
    ) -> WordMap:
        """The map of "SOS", of "EOS", or of all "padding" together, as a sum."""
        word = self.prompt.special(name, encoder)
        values = self._pool(rule or self.rule, None)[..., list(word.columns), :, :].sum(-3)
        return WordMap(values, word, self.size, self.image, self.video)

    def tokens(self, columns: int | Iterable[int], *, rule: Pooling | None = None) -> WordMap:
        """The mean of the maps of any tokens, given as columns of the key axis."""
        chosen = tuple(columns) if isinstance(columns, Iterable) else (columns,)
        known = range(self.prompt.columns)
        if not chosen or not all(isinstance(each, Integral) and each in known for each in chosen):
            raise DaamkitError(
                wanted=f"columns from 0 to {known[-1]}", got=f"{chosen}",
                mend="`prompt.tokens` lists the tokens with their columns",
            )  # fmt: skip
        return self.of(Word(" ".join(map(str, chosen)), 0, 0, chosen), rule=rule)

    def of(self, word: Word, *, rule: Pooling | None = None) -> WordMap:
        """The map of a word that was found before in this prompt."""
        self.prompt.check(word)
        pooled = self._pool(rule or self.rule, None)
        return WordMap(over_tokens(pooled, word), word, self.size, self.image, self.video)

    def argmax(
        self,
        words: Asked | Iterable[Asked],
        occurrence: Occurrence | None = None,
        *,
        rule: Pooling | None = None,
    ) -> Int[np.ndarray, "*frames height width"]:
        """For each pixel, which of the words has the highest map: its index in `words`.

        Parameters
        ----------
        words
            One or more, each as in `word`.
        occurrence
            Which occurrence of each word that is given by its text.
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
    ) -> Float[Tensor, "*frames columns y x"]:
        """The global heat map: one map for each token.

        Parameters
        ----------
        rule
            "daam" or "paper" (see the class); default this object's.
        exact
            Rule "daam" clamps each head of each site by itself, which needs both to be kept. True
            asks for that, False merges heads before enlarging, None does what the kept maps allow
            (with `trace`'s defaults: exact).
        normalize
            Divide by the sum over the prompt's tokens at each place (daam's option).

        Raises
        ------
        DaamkitError
            If the rule is unknown or `exact` asks for what was not kept.
        """
        pooled = self._pool(rule or self.rule, exact)
        if normalize:
            text = pooled[..., self._text_columns, :, :].sum(-3, keepdim=True)
            return pooled / (text + 1e-6)
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
            layers = pooling.pooled(self.layers.values(), rule, self.explicit_layers)
            self._pooled[key] = (
                pooling.daam(layers, self.keep, self.steps, self.size, self.base, exact)
                if rule == "daam"
                else pooling.paper(layers, self.keep, self.size)
            )
        return self._pooled[key]

    @functools.cached_property
    def _text_columns(self) -> list[int]:
        return sorted({t.column for t in self.prompt.tokens if not t.special})

    @functools.cached_property
    def mass(self) -> Float[Tensor, " columns"]:
        """The share of all attention that each token receives.

        The mean probability over cells, heads and steps, then over sites. Sums to 1, or, where the
        image's cells attend to each other in the same softmax, to what they leave to the text.
        """
        return pooling.mass(self.layers.values(), self.steps)

    # -- how they are shown

    def _repr_html_(self) -> str:
        """What a notebook shows: the image and the maps of the words."""
        from daamkit.views import still

        return still.of_maps(self)

    def __repr__(self) -> str:
        height, width = self.size
        words = ", ".join(word.label for word in self.prompt.words())
        return f"HeatMaps({words}; {width}x{height}, {self.steps} passes, pooled as {self.rule!r})"

    # -- parts

    @functools.cached_property
    def frames(self) -> tuple[HeatMaps, ...]:
        """The maps of each frame of the video's latents; for an image, these maps alone."""
        return frames.of_maps(self)

    def select(
        self,
        *,
        steps: Index | None = None,
        sites: Choice | None = None,
        heads: Index | None = None,
    ) -> HeatMaps:
        """The maps of some steps, layers or heads, where these were kept apart.

        Parameters
        ----------
        steps, heads
            An index, a slice or several indices.
        sites
            A name, a part of one ("up_blocks.1"), several of these, or a function that tests a
            layer.

        Raises
        ------
        DaamkitError
            If that axis was not kept, or nothing is left.
        """
        layers, count = select(self.layers, self.keep, self.steps, steps, sites, heads)
        named = self.explicit_layers or sites is not None
        beside = self.concepts
        if beside is not None:  # not all layers have them
            known = meant(beside.layers, sites)
            beside = beside.select(steps=steps, sites=sites) if known else None
        return replace(self, layers=layers, steps=count, explicit_layers=named, concepts=beside)
