"""Attend-and-Excite: no subject is neglected (Chefer et al. 2023, arXiv 2301.13826)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from daamkit.attention import gaussian
from daamkit.attention.calls import Call, Pass
from daamkit.attention.freezing import frozen
from daamkit.attention.sites import Grid, Site
from daamkit.attention.taps import Image
from daamkit.errors import DaamkitError
from daamkit.guidance.aggregation import attend
from daamkit.guidance.denoising import Method, count, is_first_pass
from daamkit.guidance.descent import (
    IGNORES_MOVED_SAMPLE,
    PAPER_STEPS,
    check,
    descend,
    guided_steps,
    leaf,
    tell_unmade,
)
from daamkit.guidance.subjects import Columns, Subjects, find
from daamkit.maps.prompt import Prompt
from daamkit.prompts import by_place, encoders
from daamkit.record import plain

THRESHOLDS = {0: 0.05, 10: 0.5, 20: 0.8}  # the paper's, in a generation of `PAPER_STEPS`


@dataclass(eq=False)
class AttendAndExcite(Method):
    """Before a step, move the latents until some cell attends to each subject.

    The loss is the max over subjects of (1 - m), where m is the greatest value of the subject's
    smoothed map (algorithm 1, equations 1 and 2). Defaults are the paper's, as diffusers has them.

    Parameters
    ----------
    subjects
        "nouns", a list, or a list for each prompt: see `subjects.find`. A subject of several tokens
        is attended to where any of them is: its map is the sum of theirs.
    scale_factor
        Size of the first move; the move of step i of n has the size scale_factor *
        sqrt(linspace(*scale_range, n)[i]). With 0 the image is the unguided one and the losses are
        still noted.
    scale_range
        The two ends of that range, for the call's first step and its last.
    max_iter_to_alter
        How many steps are guided. None: the paper's 25 of 50, scaled to the call's own steps.
    thresholds
        How much attention each subject must have, by step: the latents are moved until it has as
        much. None: the paper's, 0.05 at step 0, 0.5 at 10 and 0.8 at 20 of 50, scaled to the call's
        own steps.
    max_refinement_steps
        Upper bound on the refinement iterations of one step.
    smooth, sigma, kernel_size
        The blur of the maps; its weights are proportional to exp(-(x / 2 sigma)^2).
    softmax_scale
        What attention is multiplied by before the tokens compete for it in a softmax.
    out_of
        The number of steps out of which a given `max_iter_to_alter` and the steps of given
        `thresholds` are counted, and from which they are scaled to the call's own. None: they are
        counted in the call's own steps. The run's record says what was used.
    attn_res
        (height, width) of the maps in cells, for a video (frames, height, width). None: for a UNet
        a quarter of the latents' grid on each side, for other models all of it.
    normalize_eot
        Leave out all tokens from the end of the text on, as the original does for Stable Diffusion
        2; otherwise leave out only the last token, unless it is a word's.
    prompt
        The text that `prompt_embeds` stand for.
    exact
        Compute all attention as diffusers' own pipeline did, to the last bit; slower, more memory.

    Raises
    ------
    DaamkitError
        When the pipeline is called: if a subject is missing or cut off, the model has no such grid,
        or the loss or its gradient is not a number.

    Notes
    -----
    Each image is guided alone, whatever the batch, so that it does not depend on its neighbours.
    Each step notes loss (before the last move), iterations (of refinement), gradient (its norm at
    the last move), and moved (how far the latents are from where they were).
    Samples are scaled as the scheduler scales them (Euler, Heun, LMS), unlike in the reference.
    """

    subjects: Subjects
    scale_factor: float = 20.0
    scale_range: tuple[float, float] = (1.0, 0.5)
    max_iter_to_alter: int | None = None
    thresholds: Mapping[int, float] | None = None
    max_refinement_steps: int = 20
    smooth: bool = True
    sigma: float = 0.5
    kernel_size: int = 3
    softmax_scale: float = 100.0
    out_of: int | None = None
    attn_res: Grid | None = None
    normalize_eot: bool = False
    prompt: str | list[str] | None = None
    exact: bool = False

    gradient = True
    unsupported_schedulers = IGNORES_MOVED_SAMPLE

    def __post_init__(self) -> None:
        if self.kernel_size % 2 != 1 or not self.sigma > 0:
            raise DaamkitError(
                wanted="a blur of odd kernel size and positive sigma",
                got=f"{self.kernel_size} and {self.sigma}",
                mend="the paper has 3 and 0.5; `smooth=False` leaves it out",
            )
        if not all(end >= 0 for end in self.scale_range):
            raise DaamkitError(
                wanted="a `scale_range`, whose root is taken, of numbers from 0 on",
                got=f"{self.scale_range}",
                mend="the paper has (1.0, 0.5)",
            )

    def wants(self, site: Site) -> bool:
        return self.exact

    def eager(self, site: Site) -> bool:
        return self.exact

    def read(self, call: Call) -> None:
        self._subjects = find(call, self.subjects, self.prompt)
        texts = by_place(call, "cond", self.prompt)
        # where the tokens begin and end that compete for attention
        self._starts = [int(text.tokens[0].special == "SOS") for text in texts]
        self._ends = [_end(text) if self.normalize_eot else None for text in texts]
        self._words = [max(t.column for t in text.tokens if not t.special) + 1 for text in texts]
        trims = any(encoder.trims for encoder in encoders(call.pipe, call))
        self._own = [_filled(text) if trims else None for text in texts]
        for subjects, end in zip(self._subjects, self._ends, strict=True):
            if end is not None and end <= (last := max(map(max, subjects))):
                raise DaamkitError(
                    wanted=f"subjects before token {end}, where the text ends",
                    got=f"{last}, which `normalize_eot` leaves out",
                    mend="name a word, or leave `normalize_eot` off",
                )

    def before(self, now: Pass) -> Image | None:
        """Move every image's latents; return None where the step is not guided."""
        if not is_first_pass(now):
            return None
        i, n = now.step, count(now)
        last, thresholds = self._schedule(n)
        if i == 0:
            named = [*(self.thresholds or {}), (self.max_iter_to_alter or 1) - 1]
            tell_unmade(type(self).__name__, named, self.out_of, n)
        if i >= last and i not in thresholds:
            return None
        size = float(self.scale_factor * np.sqrt(np.linspace(*self.scale_range, n))[i])
        samples = range(now.call.samples)
        used = {"max_iter_to_alter": last, "thresholds": thresholds, "out_of": n}
        for k in samples:
            self.notes(now.call, k).settings |= {name: plain(value) for name, value in used.items()}
        with frozen(now.denoiser), torch.set_grad_enabled(size != 0):
            moved = [self._guide(now, k, size, i < last, thresholds.get(i)) for k in samples]
        return torch.cat(moved) if size else None

    def _guide(
        self, now: Pass, sample: int, size: float, moves: bool, threshold: float | None
    ) -> Float[Tensor, 1 * latent]:
        """One image's step: refine until the threshold is reached, then move once more."""
        latents = leaf(now.noisy[sample : sample + 1])
        (loss, lacking), iterations, norm = self._loss(now, latents, sample), 0, 0.0
        target = 1 - threshold if threshold is not None and size else torch.inf
        behind = lacking > max(0.0, target)
        while behind and iterations < self.max_refinement_steps:
            iterations += 1
            behind = lacking > max(0.0, target)  # the step past the threshold is still made
            latents = leaf(descend(now, latents, loss, size)[0])
            loss, lacking = self._loss(now, latents, sample)
        moved = latents
        if moves and size:
            moved, norm = descend(now, latents, loss, size)
        moved = moved.detach()
        far = (moved - now.noisy[sample : sample + 1]).float().norm().item()
        self.note(now, sample, loss=loss.item(), iterations=iterations, gradient=norm, moved=far)
        return moved

    def _loss(self, now: Pass, latents: Tensor, sample: int) -> tuple[Float[Tensor, ""], float]:
        """The objective, and how much attention the worst subject lacks."""
        maps = attend(now, latents, sample, attn_res=self.attn_res, eager=self.exact)
        maps = maps[..., : self._own[sample]]
        start, end = self._starts[sample], self._ends[sample]
        if end is None and self._words[sample] < maps.shape[-1]:
            end = -1  # no word's, unless a tokenizer writes no end
        text = (maps[..., start:end] * self.softmax_scale).softmax(-1)

        def seen(columns: Columns) -> Float[Tensor, "frames 1 y x"]:
            return self._blur(text[..., [column - start for column in columns]].sum(-1))

        images = [seen(columns) for columns in self._subjects[sample]]
        lacking = max((1 - each.max()).clamp(min=0) for each in images)
        loss = self.objective(sample, images, lacking, seen)
        check(now, "loss", loss.item())
        return loss, lacking.item()

    def objective(
        self,
        sample: int,
        images: list[Tensor],
        lacking: Float[Tensor, ""],
        seen: Callable[[Columns], Tensor],
    ) -> Float[Tensor, ""]:
        """What is minimized: the max over subjects of max(0, 1 - the greatest attention to it).

        Parameters
        ----------
        sample
            Which image of the call.
        images
            The smoothed map of each subject, (frames, 1, y, x).
        lacking
            By how much the worst subject's greatest attention falls short of 1.
        seen
            Gives the smoothed map of any tokens.
        """
        return lacking

    def _blur(self, image: Float[Tensor, "*frames y x"]) -> Float[Tensor, "frames 1 y x"]:
        image = image.reshape(-1, 1, *image.shape[-2:])  # of a video, each frame alone
        if not self.smooth:
            return image
        x = torch.arange(self.kernel_size, dtype=torch.float32, device="cpu")
        x = x - (self.kernel_size - 1) / 2
        line = torch.exp(-((x / (2 * self.sigma)) ** 2)) / (self.sigma * np.sqrt(2 * np.pi))
        kernel = line[:, None] * line[None]
        kernel = (kernel / kernel.sum()).to(image)
        mend = "set `attn_res=` to a finer grid, or `smooth=False`"
        return gaussian.blurred(image, kernel, mend)

    def _schedule(self, n: int) -> tuple[int, dict[int, float]]:
        """How many of n steps are guided, and the thresholds by step."""
        last = guided_steps(self.max_iter_to_alter, self.out_of, n)
        if self.thresholds is None:
            known, ratio = THRESHOLDS, n / PAPER_STEPS
        else:
            known, ratio = dict(self.thresholds), n / (self.out_of or n)
        scaled = dict[int, float]()
        for i, wanted in known.items():  # of two that fall on one step, the higher
            scaled[round(i * ratio)] = max(wanted, scaled.get(round(i * ratio), wanted))
        return last, scaled


def _filled(prompt: Prompt) -> int | None:
    """Where places begin that only fill a text up to the batch's longest, and nothing sees."""
    return min((t.column for t in prompt.tokens if t.special == "padding"), default=None)


def _end(prompt: Prompt) -> int:
    return max(prompt.special("EOS", encoder).columns[0] for encoder in prompt.texts)
