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
from daamkit.attention.families.reworded import pooled_width, repooled
from daamkit.attention.sites import Site
from daamkit.edits.words import OfWords, columns, of_each
from daamkit.errors import DaamkitError
from daamkit.maps.words import Asked, Occurrence
from daamkit.prompts import vectors
from daamkit.prompts.places import moved

POOLED = "pooled"


@dataclass(frozen=True)
class Given:
    """What one row's text is exchanged for: vectors at some places, and of the pooled text."""

    text: Float[Tensor, "places channels"]
    places: list[int]
    pooled: Float[Tensor, " width"] | None
    source: str
    fills: int  # how many places fill the row up to the batch's longest, and are seen by nothing


@dataclass(eq=False)
class Exchange(OfWords):
    """Gives the places of some words the vectors that stand there in another prompt.

    `Silence` leaves a hole that no prompt leaves; this stays among what text encoders say. With
    ``Exchange("cat", "a dog and a car")`` the prompt "a cat and a car" keeps the vectors of all its
    other tokens, which have read "cat". Extra passes of guidance have the prompt's own text.

    Parameters
    ----------
    words
        A word or phrase, or several in a list; "SOS", "EOS" and "padding" mean all special tokens
        of that name, and "pooled" the vector of the whole text that a model is given. A list of
        lists has one for each prompt of the call. An empty list changes nothing.
    source
        The other prompt, or one for each prompt of the call. In every text encoder it must have as
        many words and tokens before these words, and others of as many tokens in their place.
    occurrence
        Which one, where a word given by its text alone occurs several times; "all": all of them.
    prompt
        The text that `prompt_embeds` stand for.
    steps, branch
        When, and in which branch, as for every `Edit`. It acts in all layers and heads: the
        denoiser is given its text once per pass.

    Raises
    ------
    DaamkitError
        When the pipeline is called: if layers or heads are chosen, a prompt has no such word,
        there are not as many lists or sources as prompts, the words stand at other places in the
        other prompt, or the model is given its text in a form that cannot be exchanged, not as much
        of it as of the other prompt's, or no pooled text.
    """

    words: Asked | Sequence[Any]
    source: str | Sequence[str]
    occurrence: Occurrence | None = None
    prompt: prompts.Texts = None
    _rows: list[Given] = field(default_factory=list, init=False, repr=False)

    def start(self, call: Call) -> None:
        if self.layers is not None or self.heads is not None:
            raise DaamkitError(
                wanted="vectors exchanged for the whole denoiser",
                got=f"layers={self.layers!r}, heads={self.heads!r}",
                mend="leave these out, or take `Silence`, which knows layers and heads",
            )
        super().start(call)
        self._rows = []

    def wants(self, site: Site) -> bool:
        """No site: the text is changed before any site sees it."""
        return False

    def begin(self, now: Pass) -> None:
        self._had |= now.branches.keys()

    def reword(self, now: Pass, inputs: dict[str, Any]) -> dict[str, Any]:
        """The same inputs with other vectors at these places."""
        acts = self._steps is None or now.step in self._steps
        if not acts or self.branch not in now.branches:
            return inputs
        self._rows = self._rows or self._read(now)
        given = inputs.get("encoder_hidden_states")
        own, rows = now.branches[self.branch], self._rows
        if not isinstance(given, Tensor):
            raise DaamkitError(
                wanted="a text of vectors, to exchange some",
                got="none of tensors",
                mend="take `Silence`, which knows this model",
            )
        for row in rows:
            length = given.shape[1] - row.fills
            if (length, given.shape[2:]) != (len(row.text), row.text.shape[1:]):
                raise DaamkitError(
                    wanted=f"a text of {len(row.text)} places, as {row.source!r} has",
                    got=f"one of {length}",
                    mend="name a prompt with as many tokens",
                )
        changed = given.clone()
        for number, row in enumerate(rows, own.start):
            places = torch.tensor(row.places, dtype=torch.long, device=given.device)
            changed[number, places] = row.text.to(given)[places]
        pools = {own.start + at: each.pooled for at, each in enumerate(rows)}
        return repooled(inputs | {"encoder_hidden_states": changed}, pools)

    def finish(self, call: Call, images: Any) -> None:
        """Refuse a call whose text has changed, and release what was read."""
        super().finish(call, images)
        self.fail(call)

    def fail(self, call: Call) -> None:
        """Release the vectors."""
        self._rows = []

    def _read(self, now: Pass) -> list[Given]:
        """What each row is given, and where."""
        read = prompts.texts(now.call, self.branch, self.prompt, self.prompt)
        images = now.call.images_per_prompt
        words = of_each(self.words, len(read) // images, images)
        sources = self._sources(len(read) // images, images)
        texts = {source: vectors.embedded(now, source)[0] for source in dict.fromkeys(sources)}
        pools = {text for text, own in zip(sources, words, strict=True) if POOLED in own}
        width = pooled_width(now.inputs) if pools else 0
        pooled = {text: vectors.pooled(now, text, width) for text in pools}
        trims = any(encoder.trims for encoder in prompts.encoders(now.call.pipe, now.call))
        rows = []
        for each, spans, own, source in zip(
            read,
            vectors.keys(now, len(texts[sources[0]]))[now.branches[self.branch]],
            words,
            sources,
            strict=True,
        ):
            asked = [word for word in own if word != POOLED]
            chosen = {c for word in asked for c in columns(each.prompt, word, self.occurrence)}
            if len(now.text) > 1 and len({span.encoder for span in spans}) > 1:
                raise DaamkitError(
                    wanted="a model whose text is one",
                    got=f"{type(now.call.pipe).__name__}, whose encoders' texts lie apart",
                    mend="take `Silence`, which knows this model",
                )
            other = prompts.instead(now.call, each, source)
            _require_places(source, moved(each, other, chosen))
            first = min(span.start for span in spans) + vectors.registers(now.call)
            places = [key - first for key in each.keys(spans, chosen) if key >= first]
            pool = pooled[source] if POOLED in own else None
            fills = each.padding() if trims else 0
            rows.append(Given(texts[source], places, pool, source, fills))
        return rows

    def _sources(self, prompts: int, images: int) -> list[str]:
        """Of each image."""
        given = [self.source] if isinstance(self.source, str) else list(self.source)
        if len(given) not in (1, prompts):
            raise DaamkitError(
                wanted=f"another prompt for each of {prompts} prompts",
                got=f"{len(given)}",
                mend="give one for each, or a single one for all",
            )
        each = given if len(given) == prompts else given * prompts
        return [source for source in each for _ in range(images)]


def _require_places(source: str, moved: str) -> None:
    """Refuse another prompt whose words stand elsewhere."""
    if moved:
        raise DaamkitError(
            wanted=f"words of {source!r} at the places of those that are exchanged",
            got=moved,
            mend="name a prompt with as many words and tokens before these, and as many tokens in "
            "their place",
        )
