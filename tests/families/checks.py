"""What a tap is told, and what the words' keys get, of the pipelines that `tiny_cross` builds."""

from typing import Any

import torch

import daamkit
from daamkit import prompts
from daamkit.attention import hooks
from daamkit.attention.taps import Attention, Tap
from daamkit.guidance.subjects import find as find_subjects
from daamkit.maps.run import Run
from tests.families import every
from tests.families.tiny_cross import generate


class Moving(Tap):
    """Turns what is denoised around before the first step; `moved` is that, `image` its pixels."""

    guides = True

    def before(self, now):
        if now.step:
            return None
        self.moved, self.grid = -now.noisy, now.grid
        self.image = now.family.unpack(now, self.moved)
        assert torch.equal(now.family.pack(now, self.image), self.moved)
        return self.moved


def explicit(attention: Attention) -> torch.Tensor:
    """The softmax of all rows, in double precision; NaN where a place sees nothing."""
    scores = attention.query.double() @ attention.every_key().double().mT * attention.scale
    if attention.mask is not None and attention.mask.dtype == torch.bool:
        scores = scores.masked_fill(~attention.mask, -torch.inf)
    elif attention.mask is not None:
        scores = scores + attention.mask.double()
    return scores.softmax(-1)


class Seen(Tap):
    """All attention of a call, beside an explicit softmax of double precision.

    Attributes
    ----------
    passes
        Those of the denoisers.
    attentions
        By number of the pass and site.
    error
        Furthest that probabilities are from the softmax, their sums from 1, and what they make of
        the values from the model's own output.
    """

    def __init__(self) -> None:
        self.passes: list = []
        self.attentions: dict = {}
        self.error = {"softmax": 0.0, "sum": 0.0, "output": 0.0}

    def begin(self, now):
        self.passes.append(now)

    def edit(self, attention, output):
        self.attentions[len(self.passes) - 1, attention.site.name] = attention
        whole = explicit(attention)
        for branch, rows in attention.branches.items():
            shares, wanted = attention.probabilities(branch), whole[rows]
            seeing = wanted.isfinite().all(-1)  # a place that is hidden may see none
            size = output[rows].abs().max().clamp(min=1)
            for name, error in (
                ("softmax", (shares - wanted)[seeing]),
                ("sum", shares.sum(-1)[seeing] - 1),
                (
                    "output",
                    (shares @ attention.value[rows].to(shares) - output[rows])[seeing] / size,
                ),
            ):
                self.error[name] = max(self.error[name], float(error.abs().max()))
        return output


def seen(pipe: Any, name: str, **options: Any) -> Seen:
    tap = Seen()
    with hooks.attach(pipe, tap):
        generate(pipe, name, **options)
    return tap


def traced(pipe: Any, name: str, trace: dict | None = None, **options: Any) -> list[Run]:
    with daamkit.trace(pipe, **(trace or {})) as tracer:
        generate(pipe, name, **options)
    return tracer.runs


def exchanged(case: every.Case, pipe: Any) -> tuple[set[int], set[int | None]]:
    """The columns that are called by a word, and those whose keys move where first the site meets
    the text if it is exchanged; None: a key of no column. Encoders must mix no places
    (`every.deaf`)."""
    taps = [Seen(), Seen()]
    for tap, noun in zip(taps, ("cat", "dog"), strict=True):
        with hooks.attach(pipe, tap):
            every.generate(case, pipe, f"A  Red {noun} ", num_inference_steps=1)
    first, attention = next(
        (place, own)
        for place, own in taps[0].attentions.items()
        if own.site.kind in ("cross", "joint") and "cond" in own.branches
    )
    row = attention.branches["cond"].start
    pair = [tap.attentions[first].key[row] for tap in taps]
    moved = (pair[0] != pair[1]).any(0).any(-1).nonzero().flatten().tolist()
    (read,) = prompts.texts(attention.now.call, "cond")
    assert read.prompt.text == "A  Red cat "
    columns = {
        span.start + at: read.columns[span.encoder][span.first + at]
        for span in attention.layout.text[row]
        for at in range(span.length)
    }
    return set(read.prompt.word("CAT").columns), {columns.get(key) for key in moved}


def guided(pipe: Any, name: str) -> None:
    """Where guidance looks for a word, the word's own keys are."""
    tap = seen(pipe, name)
    for (number, _), attention in tap.attentions.items():
        if number or attention.site.kind not in ("cross", "joint"):
            continue
        if "cond" not in attention.branches:
            continue
        call = attention.now.call
        ((places,),) = find_subjects(call, ["cat"])
        (read,) = prompts.texts(call, "cond")
        keys = {
            span.start + at
            for span in attention.layout.text[attention.branches["cond"].start]
            for at in range(span.length)
            if read.columns[span.encoder][span.first + at] in read.prompt.word("cat").columns
        }
        shares = attention.cells("cond")[..., sorted(keys)]
        assert torch.equal(attention.text("cond")[..., sorted(places)], shares)
