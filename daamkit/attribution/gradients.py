"""Gradient times attention: the attention that guidance rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit.attention.calls import Call, Pass
from daamkit.attention.freezing import frozen
from daamkit.attention.sites import Site, of_rows, places
from daamkit.attention.taps import Attention, Output, Tap
from daamkit.attribution.method import Again
from daamkit.guidance.denoising import denoise
from daamkit.maps.prompt import Prompt
from daamkit.maps.run import Run
from daamkit.maps.tokens import Token
from daamkit.maps.wordmap import WordMap, enlarge, over_tokens
from daamkit.maps.words import Word
from daamkit.prompts import by_place


@dataclass(frozen=True)
class GradientAttention:
    """Draws the image again and asks, in each step, on which attention the prediction rests.

    With A the attention of a site and y = |e_c - e_u|^2 / 2, half the squared length of what
    classifier-free guidance goes along (of e_c, where no e_u comes in the same pass), a cell's
    relevance for a token is the mean over heads of the positive part of A dy/dA (equation 5 of
    Chefer et al. 2021, arXiv 2103.15679), summed over sites and steps. Its unit is that of y.
    """

    def maps(self, run: Run, words: Sequence[Word], again: Again) -> list[WordMap]:
        """One more generation, with a pass of gradients in each of its steps."""
        tap = Relevance(run.maps.size)
        again(tap)
        found = [over_tokens(tap.total[-1], _placed(run, word, tap.texts[-1])) for word in words]
        return [
            WordMap(values, word, run.maps.size, run.image)
            for values, word in zip(found, words, strict=True)
        ]


class Relevance(Tap):
    """Adds up the relevance of each token for each place.

    Attributes
    ----------
    total
        (samples, places of text, y, x), at a quarter of the image's sides: enlarged from each
        site's own grid.
    texts
        Of each image, its tokens numbered by these places.
    """

    texts: list[Prompt]

    guides = looks = True  # `before` is called, with what is denoised

    def __init__(self, size: tuple[int, int]) -> None:
        self.side = (max(1, size[0] // 4), max(1, size[1] // 4))
        self.total: Float[Tensor, "samples places y x"] | Float[Tensor, ""]

    def wants(self, site: Site) -> bool:
        return False

    def start(self, call: Call) -> None:
        self.total = torch.zeros((), dtype=torch.float32, device="cpu")
        self.texts = []

    def before(self, now: Pass) -> None:
        """One pass with a graph, one without."""
        self.texts = self.texts or by_place(now.call, "cond")
        kept = Kept()
        with torch.enable_grad(), frozen(now.denoiser):
            said = denoise(now, now.noisy, kept)
        assert said is not None  # nothing ends this pass
        rest = None
        if now.call.without in now.branches:
            with torch.no_grad():
                rest = denoise(now, now.noisy, branch=now.call.without)
        with torch.enable_grad():
            away = said if rest is None else said - rest
            length = away.float().square().sum() / 2
        gradients = torch.autograd.grad(length, [weights for _, weights in kept.weights])
        for (attention, weights), gradient in zip(kept.weights, gradients, strict=True):
            positive = (weights.detach() * gradient).clamp(min=0).mean(1)
            self.total = self.total + enlarge(_of_text(attention, positive), self.side).cpu()


class Kept(Tap):
    """Has each site that reads text compute its output from probabilities in the graph."""

    def __init__(self) -> None:
        self.weights: list[tuple[Attention, Float[Tensor, "rows heads queries keys"]]] = []

    def wants(self, site: Site) -> bool:
        return site.reads_text

    def edit(self, attention: Attention, output: Output) -> Output:
        """The same output, up to rounding."""
        weights = attention.softmax(slice(None), slice(None))
        if not weights.requires_grad:
            weights.requires_grad_()
        self.weights.append((attention, weights))
        value = attention.every_value()
        return weights.to(value.dtype) @ value


def _placed(run: Run, word: Word, prompt: Prompt) -> Word:
    """A word whose columns are places, in which neither padding nor template is one."""

    def places(columns: Sequence[int]) -> tuple[int, ...]:
        own = {_named(token) for token in run.maps.prompt.tokens if token.column in columns}
        return tuple(dict.fromkeys(t.column for t in prompt.tokens if _named(t) in own))

    parts = tuple(places(part) for part in word.parts)
    return replace(word, columns=places(word.columns), parts=parts)


def _named(token: Token) -> tuple[str, int, int, str, str | None]:
    return token.encoder, token.start, token.end, token.text, token.special


def _of_text(
    attention: Attention, shares: Float[Tensor, "rows queries keys"]
) -> Float[Tensor, "rows places y x"]:
    """What cells pay to the text, place after place, on the site's grid."""
    layout = attention.layout
    paid = of_rows(shares, layout.cells_of(slice(0, len(shares))), 1)
    paid = of_rows(paid, [places(text) for text in layout.text], 2)
    return paid.mT.unflatten(-1, layout.grid)
