"""A word of a prompt, how it is asked for, and the error where it is not there."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, SupportsIndex

from daamkit import characters
from daamkit.errors import DaamkitError

Occurrence = SupportsIndex | Literal["all"]


class WordError(DaamkitError, KeyError):
    """A word that the prompt has not, has twice, or that the model has never read."""

    __str__ = Exception.__str__  # KeyError would show it in quotes


@dataclass(frozen=True)
class Word:
    """A word or phrase at one place in a prompt.

    Attributes
    ----------
    text
        As it stands there.
    start, end
        Where it stands in the prompt: ``prompt.text[start:end]``.
    columns
        Its tokens on the key axis of the maps, those of all text encoders that have read it.
    occurrence
        How often the same text stands before it.
    parts
        The columns encoder by encoder, where several have read it at places of their own (Stable
        Diffusion 3: CLIP's and T5's): its map is the mean over encoders of the mean over tokens.
        Empty where one has.
    """

    text: str
    start: int
    end: int
    columns: tuple[int, ...]
    occurrence: int = 0
    parts: tuple[tuple[int, ...], ...] = ()

    @property
    def label(self) -> str:
        """What it is called everywhere, "cat" or "cat (2)"; `Prompt.word` knows it so."""
        return f"{self.text} ({self.occurrence + 1})" if self.occurrence else self.text


Asked = str | tuple[str, Occurrence] | Word  # "cat", "cat (2)", ("cat", 1), or one found before


def missing(word: str, texts: Sequence[str]) -> WordError:
    """The error that tells of a word which no text has, and of what is near it."""
    if not any(texts):
        return WordError(
            wanted=f"the word {word!r}",
            got="an empty prompt",
            mend="ask for `special('SOS')`, 'EOS' or 'padding', which an empty prompt has too",
        )
    every = [t[start:end] for t in texts for start, end in characters.words(t)]
    known = list(dict.fromkeys(every))
    said = [mark for t in texts for mark in characters.marks(t)]
    if any(word.strip() in mark.text for mark in said):
        return WordError(
            wanted=f"the word {word!r}",
            got="weighting syntax, which other programs read as a command",
            mend="a pipeline of diffusers reads it as plain text: `prompt.marks()` tells where "
            "it is, `prompt.span(start, end)` its tokens",
        )
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return WordError(
        wanted=f"the word {word!r}",
        got=f"the prompt {texts[0]!r}, which has not got it",
        mend=f"the nearest words are {', '.join(map(repr, near))}"
        if near
        else f"its words are {', '.join(map(repr, known))}",
    )


def several(word: str, text: str, starts: Sequence[int]) -> WordError:
    """The error that tells of a word which a text has at several characters."""
    places = ", ".join(f"{i} at character {start}" for i, start in enumerate(starts))
    return WordError(
        wanted=f"one {word!r}",
        got=f"{len(starts)} in {text!r} ({places})",
        mend=f"choose with `occurrence=`, a number or 'all', or write '{word} (2)'",
    )
