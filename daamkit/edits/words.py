"""Edits of words: which tokens are meant, and that they stand there to the end."""

from __future__ import annotations

from typing import Any

from daamkit import prompts
from daamkit.attention.calls import Call
from daamkit.edits.edit import Edit
from daamkit.errors import DaamkitError
from daamkit.maps.prompt import Prompt
from daamkit.maps.tokens import Special
from daamkit.maps.words import Occurrence, WordError

SPECIAL: tuple[Special, ...] = ("SOS", "EOS", "padding", "template")


class OfWords(Edit):
    """An edit of words' tokens: a call whose text changes midway is refused."""

    def finish(self, call: Call, images: Any) -> None:
        """Refuse a call whose text has changed: other words stand in these places then."""
        super().finish(call, images)
        prompts.unchanged(call)


def columns(prompt: Prompt, word: Any, occurrence: Occurrence | None) -> tuple[int, ...]:
    """The tokens of a word, or all of a special name, of every text encoder that has them.

    Parameters
    ----------
    prompt
        Which prompt's.
    word
        As in `Silence`.
    occurrence
        Of a bare word.

    Raises
    ------
    WordError
        If no text encoder has them.
    """
    if isinstance(word, str) and word in SPECIAL:
        special = [(token.special, token.column) for token in prompt.tokens if token.special]
        found = dict.fromkeys(column for name, column in special if name == word)
        if not found:
            raise WordError(
                wanted=f"a special token called {word!r}",
                got=", ".join(dict.fromkeys(str(name) for name, _ in special)),
                mend="name one of these",
            )
        return tuple(found)
    return prompt.word(word, occurrence if isinstance(word, str) else None).columns


def of_each(words: Any, prompts: int, images: int = 1) -> list[list[Any]]:
    """The words of each image, where they may be one, a list, or a list for each prompt.

    Parameters
    ----------
    words
        As in `Silence`.
    prompts, images
        How many prompts a call has, and images of each.

    Raises
    ------
    DaamkitError
        If there are lists, but not one for each prompt.
    """
    listed: list[Any] = list(words) if isinstance(words, list) else [words]
    if not any(isinstance(word, list) for word in listed):
        return [listed] * (prompts * images)
    if len(listed) != prompts or not all(isinstance(own, list) for own in listed):
        raise DaamkitError(
            wanted=f"a list of words for each of {prompts} prompts",
            got=f"{len(listed)}",
            mend="give one list for each, or a single one whose words every prompt has",
        )
    return [own for own in listed for _ in range(images)]
