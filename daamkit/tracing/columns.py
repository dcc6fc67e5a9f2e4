"""From the keys of a site to the columns of an image's maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit.attention.sites import Span
from daamkit.errors import DaamkitError
from daamkit.prompts import Read

KeyRuns = tuple[tuple[slice, int, bool], ...]  # keys, their first column, whether all go into it


def key_runs(spans: Sequence[Span], read: Read, site: str) -> KeyRuns:
    """Which keys go to which columns of a prompt.

    Raises
    ------
    DaamkitError
        If the site has not as many keys as the encoders have read tokens.
    """
    runs: list[tuple[slice, int, bool]] = []
    missing = {
        token.column
        for token in read.prompt.tokens
        if token.special not in ("padding", "template")
        and not (token.special and token.encoder in read.prompt.cuts)
        and token.start < read.prompt.cuts.get(token.encoder, token.start + 1)
    }
    for span in spans:
        columns = read.columns[span.encoder]
        missing.difference_update(columns[span.first : span.first + span.length])
    done = 0
    for span in spans:
        columns = read.columns[span.encoder]
        own = columns[span.first : span.first + span.length]
        if len(own) < span.length or missing & set(columns):
            raise DaamkitError(
                wanted=f"text of {len(columns)} tokens, as the tokenizer has it",
                got=f"{span.length} keys at {site}",
                mend="trace with a prompt, or with embeddings of one prompt of that length",
            )
        if span.start < done:  # encoders that share their places
            continue
        done = span.start + span.length
        at = 0
        while at < len(own):
            to, merged = at + 1, own[at : at + 2] == [own[at]] * 2
            while to < len(own) and own[to] == own[at] + (0 if merged else to - at):
                to += 1
            if not merged and to < len(own) and own[to] == own[to - 1]:
                to -= 1  # the last of these is the first of a merged run
            runs.append((slice(span.start + at, span.start + to), own[at], merged))
            at = to
    return tuple(runs)


def gathered(
    shares: Float[Tensor, "samples heads cells keys"], runs: KeyRuns, width: int, start: int
) -> Float[Tensor, "samples heads cells columns"]:
    """What the keys from `start` on get, summed into columns."""
    parts = [
        (shares[..., keys.start - start : keys.stop - start], first, merged)
        for keys, first, merged in runs
    ]
    if not _one_after_the_other(runs, width):
        columns = shares.new_zeros((*shares.shape[:-1], width))
        for part, first, merged in parts:
            own = columns[..., first : first + (1 if merged else part.shape[-1])]
            own += part.sum(-1, keepdim=True) if merged else part
        return columns
    summed = [part.sum(-1, keepdim=True) if merged else part for part, _, merged in parts]
    return torch.cat(summed, -1)


def _one_after_the_other(runs: KeyRuns, width: int) -> bool:
    """Whether each column has keys once, the first column first."""
    done = 0
    for keys, first, merged in runs:
        if first != done:
            return False
        done += 1 if merged else keys.stop - keys.start
    return done == width
