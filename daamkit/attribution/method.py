"""What a method of attribution is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word

Again = Callable[..., Run]  # draw the same prompt from the same seed, under these taps


class UnsuitedError(DaamkitError):
    """A method was asked of a model, or of a run, that does not bear it."""


class UnsuitedPromptError(UnsuitedError):
    """A method was asked of a prompt that does not bear it; others of the same model may."""


@runtime_checkable
class Attribution(Protocol):
    """Says where words are, from what a run holds or by drawing its image again.

    `registry.attributions` knows methods by name, each made without arguments. One that reads
    attention of other relations names these as `relations` (see `related`), and one that reads
    self-attention says ``self_attention = True``: `attribute` keeps what a method names.
    """

    def maps(self, run: Run, words: Sequence[Word], again: Again) -> list[WordMap]:
        """A map for each word, of any unit, more where the word is.

        Parameters
        ----------
        run
            Traced with cross-attention by site and head, and self-attention.
        words
            Of ``run.maps.prompt``, read by the model.
        again
            Called with taps, draws the run's prompt from its seed once more while they watch or
            change attention, and returns the new run. An extra generation each time.
        """
        ...


def related(*methods: Attribution) -> tuple[str, ...]:
    """The relations whose attention methods want kept of their words, as `trace` names them: what
    each has as `relations`, which it may lack."""
    return tuple(dict.fromkeys(name for each in methods for name in getattr(each, "relations", ())))
