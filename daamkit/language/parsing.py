"""A prompt's words: parts of speech, who depends on whom, who means whom.

Any English spaCy pipeline will do. Relations come out as Universal Dependencies, version 2, with
collapsed names ("nmod:of", "conj:and"), whichever of its two label sets the pipeline speaks.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import combinations
from typing import Any

from daamkit import resources
from daamkit.errors import DaamkitError
from daamkit.language import dependencies, taxonomy

CONTENT = ("NOUN", "PROPN", "VERB", "ADJ", "ADV")
NOMINAL = ("NOUN", "PROPN")
_PRONOUNS = {
    **dict.fromkeys(("it", "its", "itself", "he", "him", "his", "himself"), "one"),
    **dict.fromkeys(("she", "her", "hers", "herself"), "one"),
    **dict.fromkeys(("they", "them", "their", "theirs", "themselves"), "many"),
}
NOWHERE = {  # nouns of position and number, which name no thing
    "left", "right", "top", "bottom", "front", "back", "side", "middle", "center", "centre",
    "background", "foreground", "corner", "edge", "end", "group", "couple", "pair", "lot", "kind",
}  # fmt: skip
_INSIDE = ("det", "amod", "nummod", "compound", "nmod:poss", "det:predet")  # of a noun phrase


@dataclass(frozen=True)
class Token:
    """One word or mark of a prompt.

    Attributes
    ----------
    index
        Its place among the tokens.
    text, start, end
        As it stands, and its characters: ``prompt[start:end] == text``.
    pos
        Universal part of speech.
    head
        Index of its head; a root is its own.
    relation
        Universal Dependencies, collapsed: "amod", "nmod:of", "conj:and"; "root".
    """

    index: int
    text: str
    start: int
    end: int
    pos: str
    head: int
    relation: str

    @property
    def lemma(self) -> str:
        """By WordNet's morphy: "mice" is "mouse"."""
        return taxonomy.lemma(self.text, self.pos)

    @property
    def many(self) -> bool:
        """Of a noun: whether its form is a plural."""
        return self.lemma != self.text.lower() or self.text.lower() == "people"


@dataclass(frozen=True)
class Pair:
    """Two words and what is between them.

    Attributes
    ----------
    head, dependent
        Of an edge. Of coreferent words: what is meant, and the pronoun. Of unrelated ones: the
        earlier and the later.
    relation
        Of an edge, as in `Token`; else "coreferent" or "unrelated".
    """

    head: Token
    dependent: Token
    relation: str


@dataclass(frozen=True)
class Phrase:
    """A noun with what stands before it and belongs to it: characters, and the noun."""

    text: str
    start: int
    end: int
    noun: Token

    @property
    def name(self) -> str:
        """Lower case, the noun by its lemma: "teddy bear" of "Teddy Bears"."""
        before = self.text[: self.noun.start - self.start].lower()
        return " ".join((before + self.noun.lemma).split())


@dataclass(frozen=True)
class Parse:
    """A parsed prompt."""

    text: str
    tokens: tuple[Token, ...]

    def edges(self) -> list[Pair]:
        """All heads with their dependents, in the dependents' order; roots depend on nothing."""
        return [
            Pair(self.tokens[token.head], token, token.relation)
            for token in self.tokens
            if token.head != token.index
        ]

    def coreferent(self) -> list[Pair]:
        """Pronouns of the third person with the noun each means, by simple rules.

        Of the nouns before it, agreeing in number if one does: the subject of its clause if it is
        possessive or reflexive ("a dog wearing its crown"), else the nearest that is not.
        """
        found = ((token, self._antecedent(token)) for token in self.tokens)
        return [Pair(noun, token, "coreferent") for token, noun in found if noun is not None]

    def unrelated(self) -> list[Pair]:
        """Content words with no edge between them."""
        content = [token for token in self.tokens if token.pos in CONTENT]
        return [
            Pair(a, b, "unrelated")
            for a, b in combinations(content, 2)
            if a.head != b.index and b.head != a.index
        ]

    def pairs(self) -> list[Pair]:
        """Edges, coreferent pairs and unrelated pairs."""
        return self.edges() + self.coreferent() + self.unrelated()

    def phrases(self) -> list[Phrase]:
        """The noun phrases, without what follows the noun: "a red teddy bear"."""
        return self._phrases(_INSIDE)

    def nouns(self) -> list[Phrase]:
        """The nouns with their compounds: "teddy bear"."""
        return self._phrases(("compound",))

    def things(self) -> list[Phrase]:
        """The nouns that name something: not "left" of "to the left of"."""
        return [noun for noun in self.nouns() if noun.name not in NOWHERE]

    def _phrases(self, inside: Container[str]) -> list[Phrase]:
        phrases = []
        for token in self.tokens:
            if token.pos in NOMINAL and token.relation not in ("compound", "flat"):
                first = token.index
                while first and self._belongs(self.tokens[first - 1], token, inside):
                    first -= 1
                start = self.tokens[first].start
                phrases.append(Phrase(self.text[start : token.end], start, token.end, token))
        return phrases

    def at(self, start: int) -> Token:
        """The token that begins at a character.

        Raises
        ------
        DaamkitError
            If none does.
        """
        for token in self.tokens:
            if token.start == start:
                return token
        raise DaamkitError(
            wanted=f"a word at character {start} of {self.text!r}",
            got=f"words at {', '.join(str(token.start) for token in self.tokens)}",
            mend="give the character that a word begins with",
        )

    @cached_property
    def _children(self) -> list[list[Token]]:
        children: list[list[Token]] = [[] for _ in self.tokens]
        for token in self.tokens:
            if token.head != token.index:
                children[token.head].append(token)
        return children

    def _above(self, token: Token) -> Iterator[Token]:
        """Its head, that one's head, and so on."""
        while token.head != token.index:
            token = self.tokens[token.head]
            yield token

    def _belongs(self, token: Token, noun: Token, inside: Container[str]) -> bool:
        """Whether it hangs on the noun, itself or by others, by one of these relations."""
        chain = [token, *self._above(token)]
        if noun not in chain:
            return False
        return chain[chain.index(noun) - 1].relation in inside

    def _antecedent(self, pronoun: Token) -> Token | None:
        number = _PRONOUNS.get(pronoun.text.lower())
        if number is None or pronoun.pos not in ("PRON", "DET"):
            return None
        own = [pronoun, *self._above(pronoun)] if pronoun.relation == "nmod:poss" else [pronoun]
        owned = own[1:2]  # "its crown": not the crown
        nouns = [
            token
            for token in self.tokens[: pronoun.index]
            if token.pos in NOMINAL and token not in owned and token.relation != "compound"
        ]
        nouns = [noun for noun in nouns if self._many(noun) == (number == "many")] or nouns
        subject = self._subject(pronoun)
        if pronoun.relation == "nmod:poss" or pronoun.text.lower().endswith(("self", "selves")):
            if subject in nouns:
                return subject
        else:
            nouns = [noun for noun in nouns if noun != subject] or nouns
        return nouns[-1] if nouns else None

    def _subject(self, token: Token) -> Token | None:
        """Who does what the token's clause says."""
        for verb in self._above(token):
            if verb.pos in ("VERB", "AUX"):
                for child in self._children[verb.index]:
                    if child.relation.startswith("nsubj"):
                        return child
                if verb.relation.startswith("acl"):
                    return self.tokens[verb.head]
        return None

    def _many(self, noun: Token) -> bool:
        children = self._children[noun.index]
        counted = any(c.relation == "nummod" and c.text.lower() != "one" for c in children)
        joined = any(c.relation == "conj:and" for c in children)
        return counted or joined or noun.many


def load(pipeline: Any = None) -> Any:
    """A spaCy pipeline with a parser.

    Parameters
    ----------
    pipeline
        The name or folder of one, or one already open; None for the small one that ships.

    Raises
    ------
    DaamkitError
        If it is not installed, or has no parser.
    """
    if pipeline is None or isinstance(pipeline, str | os.PathLike):
        return _open(None if pipeline is None else os.fspath(pipeline))
    _check(pipeline, getattr(pipeline, "pipe_names", ()))
    return pipeline


@cache
def _open(name: str | None) -> Any:
    import spacy

    try:
        nlp = spacy.load(resources.path("parser") if name is None else name)
    except (OSError, ValueError) as error:
        raise DaamkitError(
            wanted=f"the spaCy pipeline {name!r}",
            got="no such package or folder on this machine"
            if isinstance(error, OSError)
            else str(error).splitlines()[0],
            mend=f"install it with `python -m spacy download {name}`, or leave it out: a small "
            "parser ships with daamkit",
        ) from error
    _check(name, nlp.pipe_names)
    return nlp


def _check(name: Any, parts: Any) -> None:
    if "parser" not in parts:
        raise DaamkitError(
            wanted="a spaCy pipeline that parses",
            got=f"{name!r} with the components {', '.join(parts) or 'none'}",
            mend="take one with a parser, such as en_core_web_sm, or leave it out",
        )


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
        heads, relations = dependencies.universal(words, pos, heads, relations)
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
