"""Edits of words: which tokens are meant, and that they stand there to the end."""

from __future__ import annotations

from typing import Any

from daamkit import prompts
from daamkit.attention.calls import Call
from daamkit.edits.edit import Edit
from daamkit.maps.prompt import Prompt
from daamkit.maps.tokens import Special
from daamkit.maps.words import Occurrence

SPECIAL: tuple[Special, ...] = ("SOS", "EOS", "padding", "template")


class OfWords(Edit):
    """An edit of words' tokens: a call whose text changes midway is refused."""

    def finish(self, call: Call, images: Any) -> None:
        """Refuse a call whose text has changed: other words stand in these places then."""
        super().finish(call, images)
        prompts.unchanged(call)


def columns(prompt: Prompt, word: Any, occurrence: Occurrence | None) -> tuple[int, ...]:
    """The tokens of a word, or all of a special name, of every text encoder.

    Parameters
    ----------
    prompt
        Which prompt's.
    word
        As in `Silence`.
    occurrence
        Of a bare word.
    """
    if isinstance(word, str) and word in SPECIAL:
        found = [prompt.special(word, encoder).columns for encoder in prompt.texts]
        return tuple(column for own in found for column in own)
    return prompt.word(word, occurrence if isinstance(word, str) else None).columns
