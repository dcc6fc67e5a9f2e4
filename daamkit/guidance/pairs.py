"""Which words belong together: nouns with their modifiers, parsed or given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from daamkit.attention.calls import Call
from daamkit.errors import DaamkitError
from daamkit.guidance import subjects
from daamkit.guidance.subjects import Columns, Subject
from daamkit.language import parsing
from daamkit.language.binding import bound
from daamkit.maps.prompt import Prompt

Pairs = Sequence[tuple[Subject, list[Subject]]]  # nouns with their modifiers
Sets = list[tuple[Columns, list[Columns]]]
Named = list[tuple[str, list[str]]]


def parsed(texts: Sequence[Prompt], parser: Any = None) -> tuple[list[Sets], list[Named]]:
    """What the parser finds in each image's prompt, as far as the model has read it: the tokens,
    and the words."""
    sets, names = list[Sets](), list[Named]()
    for text in texts:
        wordless = not any(character.isalnum() for character in text.text)
        found = [] if wordless else bound(parsing.parse(text.text, parser))
        found = [[word for word in words if text.reads(word.start, word.end)] for words in found]
        found = [words for words in found if len(words) > 1]
        columns = [[text.span(word.start, word.end).columns for word in own] for own in found]
        sets.append([(noun, modifiers) for noun, *modifiers in columns])
        names.append([(noun.text, [m.text for m in own]) for noun, *own in found])
    return sets, names


def given(call: Call, texts: Sequence[Prompt], pairs: Any) -> list[Sets]:
    """The tokens of pairs that were given (`Pairs`, or such for each prompt), for each image.

    Raises
    ------
    DaamkitError
        If a word is missing or cut off, a pair is none, or there are not as many lists as prompts.
    """
    known: list[Any] = list(pairs)
    each = [known] * len(texts)
    if any(isinstance(own, list) for own in known):
        each = [own for own in known for _ in range(call.images_per_prompt)]
    if len(each) != len(texts):
        raise DaamkitError(
            wanted=f"a list of pairs for each of {len(texts) // call.images_per_prompt} prompts",
            got=f"{len(known)} lists",
            mend="give one list for each, or a single one whose words every prompt has",
        )
    return [[_columns(text, pair) for pair in own] for text, own in zip(texts, each, strict=True)]


def _columns(prompt: Prompt, pair: Any) -> tuple[Columns, list[Columns]]:
    match pair:
        case (noun, [*modifiers]) if isinstance(pair, tuple) and isinstance(pair[1], list):
            if modifiers:
                return subjects.locate(prompt, noun), [
                    subjects.locate(prompt, m) for m in modifiers
                ]
    raise DaamkitError(
        wanted="a noun with a list of its modifiers",
        got=repr(pair),
        mend="write ('cat', ['red', 'big'])",
    )
