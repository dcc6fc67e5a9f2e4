"""Edits: what a branch's attention is replaced by, while a pipeline runs."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any, ClassVar, Literal

import torch

from daamkit import record
from daamkit.attention import families
from daamkit.attention.calls import Call
from daamkit.attention.hooks import attach, flat
from daamkit.attention.sites import Site
from daamkit.attention.taps import Attention, Tap
from daamkit.attention.taps import Output as Output
from daamkit.edits.layers import Layers, meant
from daamkit.edits.order import Field, Turn
from daamkit.errors import DaamkitError


@dataclass(eq=False, kw_only=True)
class Edit(Tap):
    """Changes what one branch's attention says, at some sites. Override `change`.

    Parameters
    ----------
    layers
        A group of sites ("mid", "up"), a part of their names ("up_blocks.1"), or several; None:
        all that `reads` what the edit works on.
    heads
        Number of the head that is changed, or of several; or those of each site by its whole name,
        and none of any other's; None: all.
    steps
        The sampler's step in which it acts, from 0, or several; None: all.
    branch
        Name of the branch whose rows are changed.

    Raises
    ------
    DaamkitError
        When the pipeline is called: if no site is meant, a site has no such head, the call has no
        such branch, so that nothing was changed, or what an edit before has done would be lost.
    """

    layers: Layers | None = None
    heads: int | Sequence[int] | Mapping[str, Sequence[int]] | None = None
    steps: int | Sequence[int] | None = None
    branch: str = "cond"

    reads: ClassVar[Literal["image", "text"]] = "text"  # what the sites attend to
    starts: ClassVar[Literal["attention", "output"]] = "attention"  # what `change` starts from
    undoes: ClassVar[Set[Field]] = frozenset()  # what edits before may not have exchanged

    def change(self, attention: Attention, output: Output) -> Output:
        """What a site says instead.

        Parameters
        ----------
        attention
            Of the branch's rows alone. What an edit exchanges in it (its query, key, value or mask)
            is what the edits after it start from, at the heads that it changes; they are refused
            there if it exchanges none of these, as what it says would be lost.
        output
            What the site, or the edit before, says. Returned as it is, nothing is changed.
        """
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """What it was told to do, as plain data."""
        return {
            each.name: record.plain(getattr(self, each.name)) for each in fields(self) if each.init
        }

    # -- as a tap

    def start(self, call: Call) -> None:
        """Which sites are meant; the edit stands in the record of each image."""
        self.choose(call.pipe)
        for notes in call.notes:
            own = {"edit": type(self).__name__, "settings": self.settings()}
            notes.setdefault("edits", []).append(own)

    def choose(self, pipe: Any) -> None:
        """Find the sites that are meant, for an edit of extra passes: no call starts these."""
        known = [site for own in families.sites(pipe).values() for site in own]
        self._names = {site.name for site in meant(known, self.layers, reads=self.reads)}
        self._had, self._steps = set[str](), _listed("steps", self.steps)
        every = dict.fromkeys(self._names, self.heads)
        own = self.heads if isinstance(self.heads, Mapping) else every
        if strange := own.keys() - self._names:
            raise DaamkitError(
                wanted=f"heads of sites among {', '.join(sorted(self._names))}",
                got=f"some of {min(strange)!r}",
                mend="name these as they are, and none that `layers=` leaves out",
            )
        self._names &= own.keys()
        self._heads = {name: _listed("heads", each) for name, each in own.items()}

    def wants(self, site: Site) -> bool:
        """The sites that are meant."""
        return site.name in self._names

    def edit(self, attention: Attention, output: Output) -> Output:
        """Put the branch's rows, changed, in the place of its own."""
        acts = self._steps is None or attention.now.step in self._steps
        self._had |= attention.branches.keys()
        if not acts or self.branch not in attention.branches:
            return output
        chosen = self.numbers(attention)
        if not chosen:
            return output
        rows, part = attention.branches[self.branch], attention.part(self.branch)
        own, turn = output[rows], Turn(part, type(self).__name__, chosen, self.starts, self.undoes)
        changed = self.change(part, own)
        if changed is own:
            return output
        turn.end()
        if self.heads is not None:
            kept, changed = changed, own.clone()
            changed[:, chosen] = kept[:, chosen].to(own.dtype)
        return torch.cat([output[: rows.start], changed.to(output.dtype), output[rows.stop :]])

    def finish(self, call: Call, images: Any) -> None:
        """Refuse a call without its branch: the record would say that something was changed."""
        if self._had and self.branch not in self._had:
            raise DaamkitError(
                wanted=f"the branch {self.branch!r}, for {type(self).__name__}",
                got=f"a call with {', '.join(sorted(self._had))}",
                mend="name one of these; with a negative prompt 'uncond' is called 'negative'",
            )

    def numbers(self, attention: Attention) -> list[int]:
        """The heads that are changed at a site.

        Raises
        ------
        DaamkitError
            If it has no such head.
        """
        count = attention.query.shape[1]
        own = self._heads[attention.site.name]
        numbers = list(range(count)) if own is None else own
        if not all(0 <= number < count for number in numbers):
            raise DaamkitError(
                wanted=f"heads from 0 to {count - 1} at {attention.site.name}",
                got=f"{numbers}",
                mend="choose from these, or name `layers=` that have as many",
            )
        return numbers


def _listed(name: str, given: Any) -> list[int] | None:
    """Numbers as they may be given."""
    if given is None:
        return None
    found = list(given) if isinstance(given, Iterable) else [given]
    if not all(isinstance(each, Integral) for each in found):
        raise DaamkitError(
            wanted=f"numbers of {name}, from 0", got=repr(given), mend=f"write {name}=[0, 1]"
        )
    return [int(each) for each in found]


class edit(attach):  # noqa: N801 - used like a function: `with daamkit.edit(pipe, Silence("cat"))`
    """Edit a pipeline's attention while the context lasts.

    Edits act in the order given, each on the result of the one before; an order in which one would
    undo another is refused. They nest with each other, with `trace` and with `guide`, in any order.
    A trace sees the attention that the model computes; in an edited generation, later layers and
    steps compute it from what was edited before. Extra passes of guidance are not edited.

    Parameters
    ----------
    pipe
        A diffusers pipeline. It is not changed.
    edits
        One or several, or lists of them: `Silence`, `Exchange`, `Replay`, `KnockOut`, `Identity`,
        `Blur`, or your own `Edit`.

    Raises
    ------
    DaamkitError
        If there is no edit. When the pipeline is called: if an edit cannot be made.

    Examples
    --------
    >>> import daamkit, torch
    >>> pipe = daamkit.load("toybox")
    >>> with daamkit.edit(pipe, daamkit.Silence("red")), daamkit.trace(pipe) as tracer:
    ...     _ = pipe("a red cat", num_inference_steps=2, generator=torch.manual_seed(0))
    >>> tracer.run.record["edits"][0]["edit"]
    'Silence'
    """

    def __init__(self, pipe: Any, *edits: Edit | Sequence[Edit]) -> None:
        known = flat(edits)
        for each in known:
            if not isinstance(each, Edit):
                raise DaamkitError(
                    wanted="edits",
                    got=repr(each),
                    mend="pass one that is made: `daamkit.edit(pipe, daamkit.Silence('cat'))`",
                )
        if not known:
            raise DaamkitError(wanted="an edit", got="none", mend="name one after the pipeline")
        super().__init__(pipe, *(copy.copy(each) for each in known))
