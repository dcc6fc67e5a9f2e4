"""The noun phrases of a prompt, and its nouns with what makes one word of them."""

from __future__ import annotations

from collections.abc import Container, Sequence

from daamkit.language import lemmas
from daamkit.language.coreference import above
from daamkit.language.tokens import NOMINAL, ParsedToken, Phrase

NOWHERE = {  # nouns of position and number, which name no thing
    "left", "right", "top", "bottom", "front", "back", "side", "middle", "center", "centre",
    "background", "foreground", "corner", "edge", "end", "group", "couple", "pair", "lot", "kind",
}  # fmt: skip
COLLECTIVES = {  # nouns of several or of a part, whose "of" says of what
    "bouquet", "bunch", "couple", "crowd", "dozen", "flock", "group", "heap", "herd", "lot",
    "number", "pack", "pair", "piece", "pile", "row", "series", "set", "slice", "stack", "swarm",
}  # fmt: skip
OF = "nmod:of"
INSIDE = ("det", "amod", "nummod", "compound", "nmod:poss", "det:predet", "nmod:desc")
WORDS = (*NOMINAL, "ADJ", "VERB", "X")  # parts of speech that a compound may consist of


def phrases(text: str, tokens: Sequence[ParsedToken]) -> list[Phrase]:
    """The noun phrases, without what follows the noun, save the rest of a name."""
    found = []
    for noun in _heads(tokens):
        first = noun.index
        while first and _belongs(tokens, tokens[first - 1], noun, INSIDE):
            first -= 1
        found.append(_phrase(text, tokens, first, noun))
    return found


def nouns(text: str, tokens: Sequence[ParsedToken]) -> list[Phrase]:
    """The nouns with their compounds, and with the adjective of an entry: "hot dog"."""
    found = []
    for noun in _heads(tokens):
        first = noun.index
        while first and _compounds(tokens, first - 1, noun):
            first -= 1
        if tokens[first].pos == "PUNCT":  # the hyphen of "two-story house"
            first = min(first + 2, noun.index)
        while tokens[first].pos not in WORDS:  # a hyphen that nothing stands before
            first += 1
        before = tokens[first - 1] if first else None
        if before and before.pos in ("ADJ", "VERB") and first <= before.head <= noun.index:
            name = text[before.start : noun.start] + noun.lemma
            if lemmas.entry(name):
                first -= 1
        found.append(_phrase(text, tokens, first, noun))
    return found


def of_what(relation: str, head: str, pos: str) -> str:
    """A relation's name, "nmod:of" told apart by its head: a collective, a name, or neither.

    Parameters
    ----------
    relation
        As in `ParsedToken`.
    head, pos
        Its head's text and part of speech.

    Examples
    --------
    >>> [of_what("nmod:of", *head) for head in (("pairs", "NOUN"), ("Statue", "PROPN"))]
    ['nmod:of (collective)', 'nmod:of (name)']
    >>> of_what("nmod:of", "left", "NOUN"), of_what("amod", "pair", "NOUN")
    ('nmod:of', 'amod')
    """
    if relation != OF:
        return relation
    if lemmas.lemma(head, pos) in COLLECTIVES:
        return f"{OF} (collective)"
    return f"{OF} (name)" if pos == "PROPN" else OF


def _heads(tokens: Sequence[ParsedToken]) -> list[ParsedToken]:
    return [t for t in tokens if t.pos in NOMINAL and t.relation not in ("compound", "flat")]


def _phrase(text: str, tokens: Sequence[ParsedToken], first: int, noun: ParsedToken) -> Phrase:
    last = noun
    for token in tokens[noun.index + 1 :]:
        if token.relation != "flat" or token.head != noun.index or token.pos != "PROPN":
            break
        last = token
    start = tokens[first].start
    return Phrase(text[start : last.end], start, last.end, noun)


def _belongs(
    tokens: Sequence[ParsedToken], token: ParsedToken, noun: ParsedToken, inside: Container[str]
) -> bool:
    """Whether it hangs on the noun, itself or by others, by one of these relations."""
    chain = [token, *above(tokens, token)]
    return noun in chain and chain[chain.index(noun) - 1].relation in inside


def _compounds(tokens: Sequence[ParsedToken], index: int, noun: ParsedToken) -> bool:
    """Whether a word before a noun, or a hyphen between two, is a part of its compound."""
    token = tokens[index]
    hyphen = token.text == "-" and token.end == tokens[index + 1].start
    chain = [token, *above(tokens, token)]
    if noun not in chain or not (hyphen or token.pos in WORDS):
        return False
    links = chain[: chain.index(noun)]
    return all(each.relation in ("compound", "flat") for each in links if each.text != "-")
