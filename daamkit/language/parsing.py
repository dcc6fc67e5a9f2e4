"""A prompt's words: parts of speech, who depends on whom, who means whom.

Any English spaCy pipeline will do. Relations come out as Universal Dependencies, version 2, with
collapsed names ("nmod:of", "conj:and"), whichever of its two label sets the pipeline speaks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from daamkit.errors import DaamkitError
from daamkit.language import dependencies
from daamkit.language.parse import Parse
from daamkit.language.pipelines import load
from daamkit.language.tokens import CONTENT, NOMINAL, Pair, Phrase, Token

__all__ = [
    "CONTENT", "NOMINAL", "Pair", "Parse", "Phrase", "Token", "load", "parse", "parse_all", "read",
]  # fmt: skip


def parse(text: str, pipeline: Any = None) -> Parse:
    """Parse a prompt.

    Parameters
    ----------
    text
        English.
    pipeline
        As in `load`.

    Raises
    ------
    DaamkitError
        If it has no word, or the pipeline is not there.

    Examples
    --------
    >>> [(p.head.text, p.dependent.text, p.relation) for p in parse("red cats in snow").edges()]
    [('cats', 'red', 'amod'), ('snow', 'in', 'case'), ('cats', 'snow', 'nmod:in')]
    """
    return parse_all([text], pipeline)[0]


def parse_all(texts: list[str], pipeline: Any = None) -> list[Parse]:
    """Parse many prompts; faster than one by one. See `parse`."""
    nlp = load(pipeline)
    clear = dependencies.is_clear(nlp.get_pipe("parser").labels)
    for text in texts:
        if not any(character.isalnum() for character in text):
            raise DaamkitError(
                wanted="a prompt with words to parse",
                got=repr(text),
                mend="write at least one word",
            )
    flat = nlp.pipe(" ".join(text.split()) for text in texts)  # parsers read single spaces best
    return [
        _within(text, read(document, clear)) for text, document in zip(texts, flat, strict=True)
    ]


def _within(text: str, parse: Parse) -> Parse:
    """The parse of the same text with spaces as they were."""
    places = [place for place, character in enumerate(text) if not character.isspace()]
    tokens, seen = [], 0
    for token in parse.tokens:
        start, seen = places[seen], seen + len(token.text)
        tokens.append(replace(token, start=start, end=places[seen - 1] + 1))
    return Parse(text, tuple(tokens))


def read(document: Any, clear: bool | None = None) -> Parse:
    """A parsed spaCy document as a `Parse`.

    Parameters
    ----------
    document
        A `Doc` with heads, relations and universal parts of speech.
    clear
        Whether its labels are CLEAR's, as those of spaCy's English models; None: look at them.
    """
    tokens = [token for token in document if not token.is_space]
    place = {token.i: index for index, token in enumerate(tokens)}
    words, pos = [token.text for token in tokens], [token.pos_ for token in tokens]
    heads = [place.get(_above_space(token).i, place[token.i]) for token in tokens]
    relations = [
        "root" if head == index else token.dep_
        for index, (token, head) in enumerate(zip(tokens, heads, strict=True))
    ]
    if dependencies.is_clear(relations) if clear is None else clear:
        relations = ["ROOT" if relation == "root" else relation for relation in relations]
        heads, relations = dependencies.universal(words, pos, heads, relations, _people(tokens))
    names = dependencies.collapsed(words, heads, relations)
    return Parse(
        document.text,
        tuple(
            Token(i, token.text, token.idx, token.idx + len(token), token.pos_, heads[i], names[i])
            for i, token in enumerate(tokens)
        ),
    )


def _above_space(token: Any) -> Any:
    """The head of a spaCy token, over spaces that the parser has made heads."""
    head = token.head
    while head.is_space and head.head != head:
        head = head.head
    return head


def _people(tokens: list[Any]) -> list[tuple[int, int]]:
    """First and past-last token of each person's name that the pipeline has found."""
    found: list[tuple[int, int]] = []
    for index, token in enumerate(tokens):
        if token.ent_type_ == "PERSON":
            begins = token.ent_iob_ != "I" or not found or found[-1][1] != index
            found.append((index, index + 1)) if begins else found.append(
                (found.pop()[0], index + 1)
            )
    return found
