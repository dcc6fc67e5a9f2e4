"""SynGen: modifiers attend where their nouns do (Rassin et al. 2023, arXiv 2306.08877)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit import prompts
from daamkit.attention.calls import Call, Pass
from daamkit.attention.freezing import frozen
from daamkit.attention.sites import Grid
from daamkit.attention.taps import Image
from daamkit.errors import DaamkitError
from daamkit.guidance import pairs
from daamkit.guidance.aggregation import attend
from daamkit.guidance.denoising import Method, count, is_first_pass
from daamkit.guidance.descent import (
    IGNORES_MOVED_SAMPLE,
    check,
    descend,
    guided_steps,
    leaf,
    tell_unmade,
)
from daamkit.guidance.pairs import Pairs, Sets
from daamkit.guidance.subjects import Columns


@dataclass(eq=False)
class SynGen(Method):
    """Before a step, move the latents until modifiers attend where their nouns do.

    D(p, q) is half of KL(p, q) + KL(q, p), where maps are distributions over cells. The loss is the
    sum, over all pairs of a noun n and a modifier m, of D(m, n) less the mean over o of (D(n, o) +
    D(m, o)) / 2, where o are the tokens of the prompt's other words: neither the noun nor any of
    its modifiers (section 3.2). Defaults are the paper's.

    Parameters
    ----------
    pairs
        Nouns with their modifiers, [("cat", ["red", "big"]), ("car", ["blue"])], or such a list for
        each prompt; for what a noun or modifier may be, see `subjects.find`. None: those that the
        parser finds, see `language.binding`. A word of several tokens attends where any of them
        does: its map is the sum of theirs.
    scale_factor
        Size of a move. With 0 the image is the unguided one and the losses are still noted.
    max_iter_to_alter
        How many steps are guided, by one move each. None: the paper's 25 of 50, scaled to the
        call's own steps.
    out_of
        The number of steps out of which a given `max_iter_to_alter` is counted; None: the call's
        own.
    attn_res
        (height, width) of the maps in cells, for a video (frames, height, width). None: for a UNet
        a quarter of the latents' grid on each side, for other models all of it.
    prompt
        The text that `prompt_embeds` stand for.
    parser
        The spaCy pipeline that parses; see `language.parsing.spacy_pipeline`.
    unbound
        What to do with a call whose prompts have no pair at all: "refuse" it, or "leave" its images
        as they are.

    Raises
    ------
    DaamkitError
        When the pipeline is called: if no prompt has a pair, a word is missing or cut off, the
        model has no such grid, or the loss is not a number.

    Notes
    -----
    Each image is guided alone; one whose prompt has no pair is left as it is. Each image notes the
    pairs that the parser found; each step notes loss (before the move) and gradient (its norm).
    Moves and gradients are those of the samples as the denoiser sees them, so that a scheduler that
    scales them (Euler, Heun, LMS) is guided as far as one that does not.

    The authors' code takes the worst of a word's tokens instead of their sum, guides only the last
    image of a batch, and does not scale samples.
    """

    pairs: Pairs | Sequence[Pairs] | None = None
    scale_factor: float = 20.0
    max_iter_to_alter: int | None = None
    out_of: int | None = None
    attn_res: Grid | None = None
    prompt: str | list[str] | None = None
    parser: Any = None
    unbound: Literal["refuse", "leave"] = "refuse"

    gradient = True
    unsupported_schedulers = IGNORES_MOVED_SAMPLE

    def read(self, call: Call) -> None:
        texts = prompts.by_place(call, "cond", self.prompt)
        if self.pairs is None:
            self._sets, found = pairs.parsed(texts, self.parser)
            for sample, named in enumerate(found):
                self.notes(call, sample).pairs = named
        else:
            self._sets = pairs.given(call, texts, self.pairs)
        self._words = [[c for word in text.words() for c in word.columns] for text in texts]
        if not any(self._sets) and self.unbound == "refuse":
            raise DaamkitError(
                wanted="nouns with modifiers to bind",
                got=f"none in {texts[0].text!r}",
                mend="write a prompt such as 'a red cat', or say what belongs together: "
                "`SynGen([('cat', ['red'])])`",
            )

    def before(self, now: Pass) -> Image | None:
        """Move every image's latents; return None where the step is not guided."""
        if not is_first_pass(now):
            return None
        n = count(now)
        last = guided_steps(self.max_iter_to_alter, self.out_of, n)
        if now.step == 0:
            told = (self.max_iter_to_alter or 1) - 1
            tell_unmade(type(self).__name__, [told], self.out_of, n)
        if now.step >= last:
            return None
        for sample in range(now.call.samples):
            used = {"max_iter_to_alter": last, "out_of": n}
            self.notes(now.call, sample).settings |= used
        with frozen(now.denoiser), torch.set_grad_enabled(self.scale_factor != 0):
            moved = [self._guide(now, sample) for sample in range(now.call.samples)]
        return torch.cat(moved) if self.scale_factor else None

    def _guide(self, now: Pass, sample: int) -> Float[Tensor, 1 * latent]:
        """One image's latents, moved down the loss once."""
        latents = leaf(now.noisy[sample : sample + 1])
        if not self._sets[sample]:
            self.note(now, sample, loss=0.0, gradient=0.0)
            return latents.detach()
        maps = attend(now, latents, sample, attn_res=self.attn_res)
        misbinding = loss(maps, self._sets[sample], self._words[sample])
        check(now, "loss", misbinding.item())
        norm = 0.0
        if self.scale_factor:
            latents, norm = descend(now, latents, misbinding, self.scale_factor)
        self.note(now, sample, loss=misbinding.item(), gradient=norm)
        return latents.detach()


def loss(
    maps: Float[Tensor, "*frames y x tokens"], sets: Sets, words: Sequence[int]
) -> Float[Tensor, ""]:
    """How far modifiers attend elsewhere than their nouns, less how far other words do.

    Parameters
    ----------
    maps
        Attention of one image, a map for each token.
    sets
        Nouns with their modifiers: the tokens of each.
    words
        All tokens of the prompt's words.
    """
    total = maps.new_zeros(())
    for noun, modifiers in sets:
        own = {column for word in (noun, *modifiers) for column in word}
        others = [_distribution(maps, (column,)) for column in words if column not in own]
        n = _distribution(maps, noun)
        for modifier in modifiers:
            m = _distribution(maps, modifier)
            total = total + distance(m, n)
            if others:
                apart = [(distance(n, o) + distance(m, o)) / 2 for o in others]
                total = total - torch.stack(apart).mean()
    return total


def distance(p: Float[Tensor, " cells"], q: Float[Tensor, " cells"]) -> Float[Tensor, ""]:
    """Half of KL(p, q) + KL(q, p)."""
    return ((p - q) * (p.log() - q.log())).sum() / 2


def _distribution(maps: Tensor, columns: Columns) -> Float[Tensor, " cells"]:
    mass = maps[..., list(columns)].sum(-1).flatten()
    return (mass / mass.sum()).clamp(min=torch.finfo(maps.dtype).eps)
