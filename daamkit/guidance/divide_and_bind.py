"""Divide & Bind: subjects stir, modifiers look alike (Li et al. 2023, arXiv 2307.10864)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit import prompts
from daamkit.attention.calls import Call
from daamkit.errors import DaamkitError
from daamkit.guidance import pairs
from daamkit.guidance.attend_and_excite import AttendAndExcite
from daamkit.guidance.pairs import Pairs
from daamkit.guidance.subjects import Columns


@dataclass(eq=False)
class DivideAndBind(AttendAndExcite):
    """Before a step, move the latents until each subject's map varies, and its modifiers' with it.

    The loss is the max over subjects s of scale_of_binding * (the sum over its modifiers m of
    JSD(m, s)) - TV(s). TV is the mean difference between neighbouring cells of the smoothed map,
    down and across; JSD is the Jensen-Shannon divergence, in nats, of two maps that are each a
    softmax over cells. All else is as in `AttendAndExcite`, also the refinement, whose thresholds
    apply to the greatest attention, as in the authors' code.

    Parameters
    ----------
    subjects
        This parameter and those that follow, up to `exact`: see `AttendAndExcite`.
    pairs
        Subjects with their modifiers, [("cat", ["red", "big"])], or such a list for each prompt.
        None: those that the parser finds for the subjects, see `language.binding`; an empty list:
        none.
    scale_of_binding
        Weight of the divergence.
    parser
        The spaCy pipeline that parses; see `language.parsing.spacy_pipeline`.

    Raises
    ------
    DaamkitError
        When the pipeline is called: as for `AttendAndExcite`, and if a word that is given modifiers
        is not one of the subjects.

    Notes
    -----
    This follows the abstract of the paper and the authors' code. Their code also weights the
    divergence by 5 and by 10 from steps 10 and 20 on, takes the modifier's map from other layers,
    and cuts both maps off at a share of their peak; none of this is done here. Each step notes what
    `AttendAndExcite` notes; each image notes the pairs that the parser found.
    """

    pairs: Pairs | Sequence[Pairs] | None = None
    scale_of_binding: float = 1.0
    parser: Any = None

    def read(self, call: Call) -> None:
        super().read(call)
        texts = prompts.by_place(call, "cond", self.prompt)
        if self.pairs is None:
            sets, found = pairs.parsed(texts, self.parser)
            for sample, named in enumerate(found):
                if named:
                    self.notes(call, sample).pairs = named
        else:
            sets = pairs.given(call, texts, self.pairs)
        self._modifiers = [dict(own) for own in sets]
        for text, own, known in zip(texts, self._modifiers, self._subjects, strict=True):
            strange = [noun for noun in own if noun not in known]
            if self.pairs is not None and strange:
                raise DaamkitError(
                    wanted="modifiers of subjects",
                    got=f"of tokens {strange[0]} of {text.text!r}, which are none",
                    mend="name it among the `subjects`, or leave its pair out",
                )

    def objective(
        self,
        sample: int,
        images: list[Tensor],
        lacking: Float[Tensor, ""],
        seen: Callable[[Columns], Tensor],
    ) -> Float[Tensor, ""]:
        """Max over subjects of its modifiers' distance from it, less how much its map varies."""
        losses = []
        for columns, image in zip(self._subjects[sample], images, strict=True):
            apart = [
                divergence(seen(modifier), image)
                for modifier in self._modifiers[sample].get(columns, ())
            ]
            losses.append(self.scale_of_binding * sum(apart) - variation(image))
        return torch.stack(losses).max()


def variation(image: Float[Tensor, "frames 1 y x"]) -> Float[Tensor, ""]:
    """Mean absolute difference of cells below each other, and that of cells side by side, added."""
    return image.diff(dim=-2).abs().mean() + image.diff(dim=-1).abs().mean()


def divergence(a: Float[Tensor, "frames 1 y x"], b: Float[Tensor, "frames 1 y x"]) -> Tensor:
    """Jensen-Shannon divergence of two maps' softmaxes over cells, in nats: 0 to log 2."""
    p, q = (each.flatten().softmax(0) for each in (a, b))
    m = (p + q) / 2
    return ((p * (p / m).log()).sum() + (q * (q / m).log()).sum()) / 2
