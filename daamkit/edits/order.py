"""The order of edits at a site: each starts from what those before it left, or is refused."""

from __future__ import annotations

from collections.abc import Collection, Set
from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from daamkit.attention.taps import Attention
from daamkit.errors import DaamkitError

Field = Literal["query", "key", "value", "mask", "more keys"]
MORE: Field = "more keys"
FIELDS: tuple[Field, ...] = ("query", "key", "value", "mask")


class Acted(NamedTuple):
    """An edit that has acted at a site: at which heads, what it has exchanged there, and what it
    makes of no account."""

    name: str
    heads: frozenset[int]
    exchanged: frozenset[Field]
    undoes: Set[Field]


_ACTED: WeakKeyDictionary[Attention, list[Acted]] = WeakKeyDictionary()


class Turn:
    """An edit's turn at a site.

    Parameters
    ----------
    attention
        Of a branch's rows, as the edits before have left it.
    name, heads
        What the edit is called, and the heads that it changes.
    starts, undoes
        See `Edit`.

    Raises
    ------
    DaamkitError
        Here or at the `end`: if what an edit before has done to one of these heads would be lost,
        or makes what this one does of no account.
    """

    def __init__(
        self,
        attention: Attention,
        name: str,
        heads: Collection[int],
        starts: Literal["attention", "output"],
        undoes: Set[Field],
    ) -> None:
        self.attention, self.name = attention, name
        self.heads, self.starts, self.undoes = frozenset(heads), starts, undoes
        self.before: dict[Any, Any] = {field: getattr(attention, field) for field in FIELDS}
        known = _ACTED.get(attention, [])
        self.earlier = [each for each in known if each.heads & self.heads]
        for each in self.earlier:
            self._require_kept(each, each.exchanged & undoes)

    def end(self) -> None:
        """What was exchanged is noted, and given back to all other heads."""
        attention, count = self.attention, self.attention.query.shape[1]
        found: list[Field] = [
            each for each in FIELDS if getattr(attention, each) is not self.before[each]
        ]
        if attention.key.shape[2] != self.before["key"].shape[2]:
            found = [MORE]  # they have values and a mask of their own
        for each in self.earlier:
            self._require_kept(each, each.undoes & {"query", "key"} & {*found})
            if not each.exchanged and self.starts == "attention":
                raise DaamkitError(
                    wanted=f"{each.name} as the last edit at {attention.site.name}",
                    got=f"{self.name} after it, which starts from the query, key, value and mask, "
                    f"of which {each.name} has exchanged none",
                    mend=f"name {each.name} last, or let it exchange one of these",
                )
        if len(self.heads) < count:
            if MORE in found:
                raise DaamkitError(
                    wanted=f"as many keys at all heads of {attention.site.name}",
                    got=f"{self.name}, which puts in more at some",
                    mend="leave `heads=` out",
                )
            chosen = torch.zeros(count, 1, 1, dtype=torch.bool, device=attention.query.device)
            chosen[sorted(self.heads)] = True
            for field in found:
                pair = [getattr(attention, field), self.before[field]]
                pair = _masks(pair) if field == "mask" else [_of_each(one, count) for one in pair]
                setattr(attention, field, torch.where(chosen, *pair))
        if attention.key.shape[1] != attention.value.shape[1]:
            attention.key, attention.value = attention.every_key(), attention.every_value()
        own = Acted(self.name, self.heads, frozenset(found), self.undoes)
        _ACTED.setdefault(attention, []).append(own)

    def _require_kept(self, other: Acted, lost: Set[Field]) -> None:
        """Refuse an order, or a pair, in which something is lost."""
        site, apart = self.attention.site.name, "choose other layers, heads or steps for one"
        if lost & {"query", "key"}:
            raise DaamkitError(
                wanted=f"{other.name} or {self.name} at {site}",
                got="both, where attention is given whatever the queries are",
                mend=apart,
            )
        if lost:
            raise DaamkitError(
                wanted=f"{self.name} before {other.name} at {site}",
                got="the other order, in which it would undo that",
                mend=f"name {self.name} first, or {apart}",
            )


def _of_each(shared: Tensor, heads: int) -> Tensor:
    """Keys or values for each head, where grouped queries share them."""
    return shared.repeat_interleave(heads // shared.shape[1], 1)


def _masks(masks: list[Tensor | None]) -> list[Tensor]:
    """Masks of one kind, bool where both are."""
    (own,) = {each.device for each in masks if each is not None}
    found = [
        torch.ones(1, 1, 1, 1, dtype=torch.bool, device=own) if each is None else each
        for each in masks
    ]
    floats = [each.dtype for each in found if each.dtype != torch.bool]
    return [
        torch.zeros_like(each, dtype=floats[0]).masked_fill(~each, -torch.inf)
        if floats and each.dtype == torch.bool
        else each
        for each in found
    ]
