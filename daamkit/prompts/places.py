"""Whether words stand at the same places of two texts, as text encoders read them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence

from daamkit.prompts.read import Read

Standing = Sequence[int | str | None]  # at each place a word's number, a special token's name, None


def moved(own: Read, other: Read, columns: Collection[int]) -> str:
    """Which words of a text have no others at their places in another: told, or "" if none.

    Those that have stand after as many words, begin at the same place and end there with a word.
    Special tokens have those of their name.

    Parameters
    ----------
    own, other
        The texts.
    columns
        Of the first text's tokens. Words are looked at whole, several in a row together.
    """
    for encoder, each in own.columns.items():
        here, there = _standing(own, encoder), _standing(other, encoder)
        for name, places in _meant(here, each, columns):
            found = [place for place, known in enumerate(there) if known == name]
            if isinstance(name, str):
                fits = found == places
            elif name is None:
                fits = {*places} <= {*found}
            else:
                fits = found[:1] == places[:1] and _ends(there, places[-1])
            if not fits:
                of = f"word {name + 1}" if isinstance(name, int) else name or "no word"
                return f"{encoder}, which reads {of} at {_shown(places)}, and at {_shown(found)}"
    return ""


def _meant(
    standing: Standing, each: Sequence[int], columns: Collection[int]
) -> Iterator[tuple[int | str | None, list[int]]]:
    """What is meant, by name, and its places; several words in a row by the first's."""
    chosen = [name for name, column in zip(standing, each, strict=True) if column in columns]
    places = {
        name: [place for place, known in enumerate(standing) if known == name]
        for name in dict.fromkeys(chosen)
    }
    numbers = sorted(name for name in places if isinstance(name, int))
    for _, run in itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        first, *more = [number for _, number in run]
        yield first, sum((places[number] for number in more), places[first])
    yield from ((name, own) for name, own in places.items() if isinstance(name, str))
    if None in places:
        between = zip(standing, each, strict=True)
        yield None, [i for i, (name, own) in enumerate(between) if name is None and own in columns]


def _ends(standing: Standing, place: int) -> bool:
    """Whether a word ends at a place."""
    name = standing[place] if place < len(standing) else None
    return isinstance(name, int) and name not in standing[place + 1 : place + 2]


def _standing(read: Read, encoder: str) -> list[int | str | None]:
    prompt = read.prompt
    names: dict[int, int | str | None] = {
        token.column: token.special for token in prompt.tokens if token.encoder == encoder
    }
    for number, word in enumerate(prompt.words(encoder)):
        names |= dict.fromkeys(word.columns, number)
    return [names[column] for column in read.columns[encoder]]


def _shown(places: Sequence[int]) -> str:
    if not places:
        return "no place"
    first, last = places[0], places[-1]
    return f"place {first}" if first == last else f"places {first} to {last}"
