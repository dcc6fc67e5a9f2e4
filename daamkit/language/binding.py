"""Which modifiers belong to which nouns: "red" to "cat", "blue" to "car"."""

from __future__ import annotations

from collections.abc import Iterator

from daamkit.language.parse import Parse
from daamkit.language.tokens import NOMINAL, ParsedToken

MODIFIERS = (
    "amod",
    "compound",
    "flat",
    "advmod",
    "nmod",
    "nmod:desc",
    "nmod:unmarked",
    "obl:unmarked",
)
CLAUSAL = ("nsubj", "csubj", "expl", "obj", "aux")


def bound(parse: Parse) -> list[list[ParsedToken]]:
    """Every noun that has modifiers, and these after it.

    Modifiers stand before it ("red", "fire" of "a red fire truck"), are said of it ("the car is
    red", "a car that looks red"), or hang on other modifiers, also by conjunction ("very" and
    "yellow" of "a very red and yellow ball"). Numbers, possessors and what follows a preposition
    are none.

    >>> from daamkit.language import parsing
    >>> [[word.text for word in own] for own in bound(parsing.parse("a red cat and a blue car"))]
    [['cat', 'red'], ['car', 'blue']]
    """
    nouns = [
        word for word in parse.tokens if word.pos in NOMINAL and word.relation not in MODIFIERS
    ]
    said = [(word, _subject(parse, word)) for word in parse.tokens if word.pos == "ADJ"]
    found = []
    for noun in nouns:
        first = [word for word in _children(parse, noun) if word.relation in MODIFIERS]
        first += [word for word, subject in said if subject == noun]
        own = {word.index: word for each in first for word in _with_its_own(parse, each)}
        if own:
            found.append([noun, *(own[place] for place in sorted(own))])
    return found


def _subject(parse: Parse, word: ParsedToken) -> ParsedToken | None:
    """What a predicate is said of; None if the word is none."""
    above = parse.tokens[word.head]
    clause = above if word.relation == "xcomp" else word
    children = _children(parse, clause)
    objects = [child for child in children if child.relation == "obj" and clause != word]
    own = objects or [child for child in children if child.relation.startswith("nsubj")]
    if clause.relation.startswith("acl") and not (own and own[0].pos in NOMINAL):
        return parse.tokens[clause.head]  # "that", "which", or nothing
    return own[0] if own else None


def _with_its_own(parse: Parse, word: ParsedToken) -> Iterator[ParsedToken]:
    """A modifier, and what modifies it or is joined to it."""
    if word.text.lower() not in ("not", "n't"):
        yield word
    for child in _children(parse, word):
        joined = child.relation.startswith("conj") and not _is_clause(parse, child)
        if joined or child.relation in MODIFIERS:
            yield from _with_its_own(parse, child)


def _is_clause(parse: Parse, word: ParsedToken) -> bool:
    return any(child.relation.split(":")[0] in CLAUSAL for child in _children(parse, word))


def _children(parse: Parse, word: ParsedToken) -> list[ParsedToken]:
    return [child for child in parse.tokens if child.head == word.index != child.index]
