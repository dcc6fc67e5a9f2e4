"""Exchange words' vectors for those of another prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit import prompts
from daamkit.attention.calls import Call, Pass
from daamkit.attention.sites import Site
from daamkit.edits.words import OfWords, columns
from daamkit.errors import DaamkitError
from daamkit.maps.words import Asked, Occurrence
from daamkit.prompts import vectors


@dataclass(eq=False)
class Exchange(OfWords):
    """Gives the places of some words the vectors that stand there in another prompt.

    Where `Silence` leaves a hole that no prompt leaves, this stays among what text encoders say:
    with ``Exchange("cat", "a dog and a car")`` the prompt "a cat and a car" keeps the vectors of
    all its other tokens, which have read "cat". Pooled text stays the prompt's own, and extra
    passes of guidance have the prompt's own text.

    Parameters
    ----------
    words
        A word or phrase, or several in a list; "SOS", "EOS" and "padding" are the special tokens
        of that name, all of them. Every prompt of the call has them.
    source
        The other prompt: the same number of tokens stands before the words, and in them.
    occurrence
        Which one, where a bare word stands several times; "all" takes them together.
    prompt
        What `prompt_embeds` stand for.
    steps, branch
        When, and for whom, as for every `Edit`. The denoiser is given its text once a pass, for all
        layers and heads.

    Raises
    ------
    DaamkitError
        When the pipeline is called: if layers or heads are chosen, a prompt has no such word, or
        the model is given its text otherwise, or not as much of it, as the other prompt's.
    """

    words: Asked | Sequence[Any]
    source: str
    occurrence: Occurrence | None = None
    prompt: prompts.Texts = None
    _places: list[list[int]] = field(default_factory=list, init=False, repr=False)
    _vectors: Float[Tensor, "places channels"] | None = field(default=None, init=False, repr=False)

    def start(self, call: Call) -> None:
        if self.layers is not None or self.heads is not None:
            raise DaamkitError(
                wanted="vectors exchanged for the whole denoiser",
                got=f"layers={self.layers!r}, heads={self.heads!r}",
                mend="leave these out, or take `Silence`, which knows layers and heads",
            )
        super().start(call)
        self._vectors = None

    def wants(self, site: Site) -> bool:
        """None: the text is other before any site sees it."""
        return False

    def begin(self, now: Pass) -> None:
        self._had |= now.branches.keys()

    def reword(self, now: Pass, inputs: dict[str, Any]) -> dict[str, Any]:
        """The same inputs with other vectors in these places."""
        acts = self._steps is None or now.step in self._steps
        if not acts or self.branch not in now.branches:
            return inputs
        if self._vectors is None:
            self._read(now)
        assert self._vectors is not None
        given = inputs.get("encoder_hidden_states")
        if not isinstance(given, Tensor) or given.shape[1:] != self._vectors.shape:
            raise DaamkitError(
                wanted=f"a text of {len(self._vectors)} places, as {self.source!r} has",
                got=f"one of {given.shape[1]}" if isinstance(given, Tensor) else "none of tensors",
                mend="name a prompt with as many tokens"
                if isinstance(given, Tensor)
                else "take `Silence`, which knows this model",
            )
        changed = given.clone()
        rows = range(now.branches[self.branch].start, now.branches[self.branch].stop)
        for row, places in zip(rows, self._places, strict=True):
            own = torch.tensor(places, dtype=torch.long, device=given.device)
            changed[row, own] = self._vectors.to(given)[own]
        return inputs | {"encoder_hidden_states": changed}

    def _read(self, now: Pass) -> None:
        """Which places are meant, and what stands there in the other prompt."""
        self._vectors = vectors.embedded(now, self.source)[0]
        read = prompts.texts(now.call, self.branch, self.prompt, self.prompt)
        words = self.words if isinstance(self.words, list) else [self.words]
        text = vectors.keys(now, len(self._vectors))[now.branches[self.branch]]
        self._places = []
        for own, spans in zip(read, text, strict=True):
            chosen = {c for word in words for c in columns(own.prompt, word, self.occurrence)}
            first = min(span.start for span in spans) + vectors.registers(now.call)
            self._places.append([key - first for key in own.keys(spans, chosen) if key >= first])
