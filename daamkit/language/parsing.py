"""A prompt's words: parts of speech, who depends on whom, who means whom.

Any spaCy pipeline will do that speaks Universal Dependencies, or CLEAR of English. Relations come
out as Universal Dependencies, version 2, with collapsed names ("nmod:of", "conj:and").
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from daamkit import characters
from daamkit.errors import DaamkitError
from daamkit.language import dependencies, pictures, repairs
from daamkit.language.parse import Parse
from daamkit.language.pipelines import is_clear, spacy_pipeline
from daamkit.language.segments import segments
from daamkit.language.tokens import CONTENT, NOMINAL, Pair, ParsedToken, Phrase

__all__ = [
    "CONTENT", "NOMINAL", "Pair", "Parse", "Phrase", "ParsedToken", "from_spacy", "is_clear",
    "parse", "parse_all", "spacy_pipeline",
]  # fmt: skip


def parse(text: str, pipeline: Any = None) -> Parse:
    """Parse a prompt.

    Parameters
    ----------
    text
        An English prompt.
    pipeline
        A spaCy pipeline, or its name; by default the one that ships.

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
    nlp = spacy_pipeline(pipeline)
    clear = is_clear(nlp)
    bare = [_bare(text) for text in texts]
    for text in bare:
        if not any(character.isalnum() for character in text):
            raise DaamkitError(
                wanted="a prompt with words to parse",
                got=repr(text),
                mend="write at least one word",
            )
    cuts = [segments(text) for text in bare]
    parts = [text[start:end] for text, own in zip(bare, cuts, strict=True) for start, end in own]
    flat = nlp.pipe(" ".join(part.split()) for part in parts)  # parsers read single spaces best
    parsed = (from_spacy(document, clear) for document in flat)
    return [
        _joined(text, plain, own, [next(parsed) for _ in own])
        for text, plain, own in zip(texts, bare, cuts, strict=True)
    ]


def _bare(text: str) -> str:
    """The text with spaces in place of weighting syntax, which would only lead a parser astray."""
    for mark in characters.marks(text):
        text = text[: mark.start] + " " * (mark.end - mark.start) + text[mark.end :]
    return text


def _joined(text: str, bare: str, cuts: list[tuple[int, int]], parts: list[Parse]) -> Parse:
    """The parses of a text's parts as one, with spaces as they were.

    A mark between two parts hangs on the last root before it, or on the first of all.
    """
    if [part.text for part in parts] == [text]:
        return parts[0]
    tokens: list[ParsedToken] = []
    loose: list[ParsedToken] = []  # marks between parts, their heads to be found
    before = 0
    for (start, end), part in zip([*cuts, (len(bare), len(bare))], [*parts, None], strict=True):
        for place in range(before, start):
            if not bare[place].isspace():
                mark = ParsedToken(len(tokens), bare[place], place, place + 1, "PUNCT", -1, "punct")
                tokens.append(mark)
                loose.append(mark)
        before = end
        if part is not None:
            base = len(tokens)
            places = [place for place in range(start, end) if not bare[place].isspace()]
            seen = 0
            for token in part.tokens:
                first, seen = places[seen], seen + len(token.text)
                last, index, head = places[seen - 1] + 1, base + token.index, base + token.head
                tokens.append(replace(token, index=index, start=first, end=last, head=head))
    roots = [token.index for token in tokens if token.head == token.index]
    for mark in loose:
        earlier = [root for root in roots if root < mark.index]
        tokens[mark.index] = replace(mark, head=earlier[-1] if earlier else roots[0])
    return Parse(text, tuple(tokens))


def from_spacy(document: Any, clear: bool | None = None) -> Parse:
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
        tree = dependencies.converted(words, pos, heads, relations, _people(tokens))
        pos, heads, relations = tree.pos, tree.heads, tree.relations
    if document.lang_ == "en":
        repairs.mended([word.lower() for word in words], pos, heads, relations)
    heads = pictures.rejoined(words, heads, relations)
    names = dependencies.collapsed(words, heads, relations)
    return Parse(
        document.text,
        tuple(
            ParsedToken(
                i, token.text, token.idx, token.idx + len(token), pos[i], heads[i], names[i]
            )
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
