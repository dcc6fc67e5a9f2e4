"""Silence words: no cell attends to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from daamkit import prompts
from daamkit.attention.calls import Call, Pass
from daamkit.attention.taps import Attention
from daamkit.edits import part
from daamkit.edits.edit import Output
from daamkit.edits.part import Part
from daamkit.edits.words import OfWords, columns, of_each
from daamkit.errors import DaamkitError
from daamkit.maps.words import Asked, Occurrence
from daamkit.prompts import Read


@dataclass(eq=False)
class Silence(OfWords):
    """Takes words' tokens out of attention to text.

    Parameters
    ----------
    words
        A word or phrase ("cat", ("cat", 1)), or several in a list; "SOS", "EOS", "padding" and
        "template" mean all special tokens of that name. A list of lists has one for each prompt of
        the call. An empty list changes nothing.
    occurrence
        Which one, where a word given by its text alone occurs several times; "all": all of them.
    renormalize
        Whether the other keys' shares are scaled up to sum to 1, as in a softmax without these
        keys. Otherwise the words' part of the output is left out and all else stays.
    prompt
        The text that `prompt_embeds` stand for.
    where
        A mask (height, width) of any size, or one for each image: the part of the picture whose
        cells lose the words. A cell loses them if more than half of it is in the part, or half of
        it and its first pixel. All else attends as before, also other text. None: everything.
    layers, heads, steps, branch
        Where and when attention is changed, as for every `Edit`.

    Raises
    ------
    DaamkitError
        When the branch's first pass begins: if a prompt has no such word, or there are not as many
        lists as prompts or masks as images; and if `where` is given without `renormalize`.
    """

    words: Asked | Sequence[Any]
    occurrence: Occurrence | None = None
    renormalize: bool = True
    prompt: prompts.Texts = None
    where: Part | None = None
    _call: Call | None = field(default=None, init=False, repr=False)
    _read: list[Read] = field(default_factory=list, init=False, repr=False)
    _columns: list[list[int]] = field(default_factory=list, init=False, repr=False)

    def begin(self, now: Pass) -> None:
        """Find the tokens that are meant, in a call's first pass of the branch."""
        if now.call is self._call or self.branch not in now.branches:
            return
        self._read = prompts.texts(now.call, self.branch, self.prompt, self.prompt)
        self._require_parts()
        images = now.call.images_per_prompt
        each = of_each(self.words, len(self._read) // images, images)
        self._columns = [
            sorted(
                {column for word in own for column in columns(read.prompt, word, self.occurrence)}
            )
            for read, own in zip(self._read, each, strict=True)
        ]
        self._call = now.call

    def change(self, attention: Attention, output: Output) -> Output:
        """The same attention without these keys."""
        keys = attention.key.shape[2]
        silent = attention.query.new_zeros((len(output), 1, keys), dtype=torch.bool)
        rows = zip(attention.layout.text, self._read, self._columns, strict=True)
        for i, (spans, read, own) in enumerate(rows):
            silent[i, :, read.keys(spans, own)] = True
        hidden = silent[:, :, None]
        if self.where is not None:
            hidden = hidden & part.queries(self.where, attention)[:, None, :, None]
        if not hidden.any():
            return output
        if self.renormalize:
            attention.mask = part.without(attention.mask, hidden)
        else:
            attention.value = attention.value.masked_fill(silent[..., None], 0)
        return attention.fused()

    def _require_parts(self) -> None:
        if self.where is None:
            return
        part.require(self.where, len(self._read))
        if not self.renormalize:
            raise DaamkitError(
                wanted="`where` with `renormalize`",
                got="renormalize=False",
                mend="leave `renormalize` on",
            )

    def settings(self) -> dict[str, Any]:
        """What it was told to do, as plain data; the part as its share of the picture."""
        said = super().settings()
        return said if self.where is None else said | {"where": part.share(self.where)}
