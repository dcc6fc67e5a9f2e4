"""A prompt's grammar for people: words that say little, that open the view; who describes whom."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from daamkit.errors import DaamkitError
from daamkit.language import parsing
from daamkit.maps.words import Word

MINOR = {"aux", "case", "cc", "cop", "det", "mark", "punct"}  # hidden until they are asked for
_SAYS = {  # of a relation, with its function word where it has one
    "acl": "{d} tells more of {h}",
    "advcl": "{d} tells more of {h}",
    "advmod": "{d} says how of {h}",
    "amod": "{d} describes {h}",
    "appos": "{d} is another name for {h}",
    "aux": "{d} helps {h}",
    "case": "{d} ties {h} to the rest",
    "cc": "{d} joins {h} to what is before",
    "ccomp": "{d} completes {h}",
    "compound": "{d} says what kind of {h}",
    "conj": "{h} {by} {d}",
    "cop": "{d} ties {h} to its subject",
    "det": "{d} introduces {h}",
    "fixed": "{h} and {d} are one expression",
    "flat": "{h} and {d} are one name",
    "mark": "{d} introduces {h}",
    "nmod": "{h} {by} {d}",
    "nmod:poss": "{h} belongs to {d}",
    "nsubj": "{d} is the subject of {h}",
    "nummod": "{d} counts {h}",
    "obj": "{d} is the object of {h}",
    "obl": "{h} {by} {d}",
    "xcomp": "{d} completes {h}",
}


@dataclass(frozen=True)
class Grammar:
    """What the parser says of a prompt's words, which are given by their places.

    Attributes
    ----------
    nouns
        The nouns, in the order of the prompt.
    minor
        Words that carry no content: articles, prepositions, auxiliaries.
    arcs
        Of each edge between two words: head, dependent, relation, what it says, whether minor.
    silent
        Why there are none.
    """

    nouns: Sequence[int] = ()
    minor: Sequence[int] = ()
    arcs: Sequence[dict[str, Any]] = field(default_factory=list)
    silent: str = ""


def grammar(prompt: str, words: Sequence[Word], parser: Any = None) -> Grammar:
    """Parse a prompt, if it is written in letters that the parser reads.

    Parameters
    ----------
    prompt
        The prompt to parse.
    words
        Those that have maps.
    parser
        A spaCy pipeline, by name or open, which may read any language; default the English one.
    """
    if not words:
        return Grammar(silent="The prompt has no words.")
    if parser is None and not latin(prompt):
        return Grammar(silent="No arcs: the parser reads English.")
    try:
        parse = parsing.parse(prompt, parser)
    except DaamkitError as error:
        return Grammar(silent=str(error))

    def place(token: parsing.ParsedToken) -> int | None:
        inside = (i for i, w in enumerate(words) if w.start <= token.start < w.end)
        return next(inside, None)

    found = {token.index: place(token) for token in parse.tokens}
    known = {place for place in found.values() if place is not None}
    content = _places(found, parse.tokens, parsing.CONTENT)
    arcs = []
    for pair in parse.edges():
        head, dependent = found[pair.head.index], found[pair.dependent.index]
        if head is not None and dependent is not None and head != dependent:
            arcs.append(
                {
                    "head": head,
                    "dependent": dependent,
                    "relation": pair.relation,
                    "says": says(pair.relation, words[head].label, words[dependent].label),
                    "minor": pair.dependent.basic in MINOR,
                }
            )
    nouns = _places(found, parse.tokens, parsing.NOMINAL)
    return Grammar(nouns, [i for i in sorted(known) if i not in content], arcs)


def says(relation: str, head: str, dependent: str) -> str:
    """A relation in plain words.

    >>> says("amod", "cat", "red"), says("nmod:next_to", "cat", "car")
    ('red describes cat', 'cat next to car')
    """
    name, _, by = relation.partition(":")
    pattern = _SAYS.get(relation) or _SAYS.get(name, "{d} belongs to {h}")
    if "{by}" in pattern and not by:
        pattern = "{h} and {d}" if name == "conj" else "{d} belongs to {h}"
    return pattern.format(h=head, d=dependent, by=by.replace("_", " "))


def latin(text: str) -> bool:
    """Whether most letters of a text are Latin ones, as English is written."""
    letters = [c for c in text if c.isalpha()]
    own = sum(unicodedata.name(c, "").startswith("LATIN") for c in letters)
    return 2 * own > len(letters)


def from_right(text: str) -> bool:
    """Whether a text is read from the right, as its first letter is.

    >>> from_right("a cat"), from_right("3 \N{HEBREW LETTER ALEF}"), from_right("")
    (False, True, False)
    """
    strong = (kind for c in text if (kind := unicodedata.bidirectional(c)) in ("L", "R", "AL"))
    return next(strong, "L") != "L"


def _places(
    found: dict[int, int | None], tokens: Iterable[parsing.ParsedToken], kinds: Sequence[str]
) -> list[int]:
    """Words of some parts of speech, each once, in order."""
    own = {found[token.index] for token in tokens if token.pos in kinds}
    return sorted(place for place in own if place is not None)
