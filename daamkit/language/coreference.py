"""Which noun a pronoun means, by simple rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from daamkit.language.tokens import NOMINAL, Pair, ParsedToken

PRONOUNS = {
    **dict.fromkeys(("it", "its", "itself", "he", "him", "his", "himself"), "one"),
    **dict.fromkeys(("she", "her", "hers", "herself"), "one"),
    **dict.fromkeys(("they", "them", "their", "theirs", "themselves"), "many"),
}


def pairs(tokens: Sequence[ParsedToken]) -> list[Pair]:
    """Pronouns of the third person with the noun each means; see `Parse.coreferent`."""
    found = ((token, antecedent(tokens, token)) for token in tokens)
    return [Pair(noun, token, "coreferent") for token, noun in found if noun is not None]


def antecedent(tokens: Sequence[ParsedToken], pronoun: ParsedToken) -> ParsedToken | None:
    """The noun that a pronoun means; None for another word, or where there is none."""
    number = PRONOUNS.get(pronoun.text.lower())
    if number is None or pronoun.pos not in ("PRON", "DET"):
        return None
    possessive = pronoun.relation == "nmod:poss"
    owned = tokens[pronoun.head] if possessive else None  # "its crown": not the crown
    nouns = [
        token
        for token in tokens[: pronoun.index]
        if token.pos in NOMINAL and token != owned and token.relation not in ("compound", "flat")
    ]
    many = number == "many"
    nouns = [noun for noun in nouns if _many(tokens, noun, owned) == many] or nouns
    subject = _subject(tokens, pronoun)
    if possessive or pronoun.text.lower().endswith(("self", "selves")):
        if subject in nouns:
            return subject
    else:
        nouns = [noun for noun in nouns if noun != subject] or nouns
    return nouns[-1] if nouns else None


def above(tokens: Sequence[ParsedToken], token: ParsedToken) -> Iterator[ParsedToken]:
    """Its head, that one's head, and so on."""
    while token.head != token.index:
        token = tokens[token.head]
        yield token


def children(tokens: Sequence[ParsedToken], token: ParsedToken) -> list[ParsedToken]:
    """What hangs on it."""
    return [child for child in tokens if child.head == token.index != child.index]


def _subject(tokens: Sequence[ParsedToken], token: ParsedToken) -> ParsedToken | None:
    """Who does what the token's clause says."""
    for verb in above(tokens, token):
        if verb.pos in ("VERB", "AUX"):
            for child in children(tokens, verb):
                if child.relation.startswith("nsubj"):
                    return child
            if verb.relation.startswith("acl"):
                return tokens[verb.head]
    return None


def _many(tokens: Sequence[ParsedToken], noun: ParsedToken, owned: ParsedToken | None) -> bool:
    own = [child for child in children(tokens, noun) if child != owned]  # "a dog and its owner"
    counted = any(c.relation == "nummod" and c.text.lower() != "one" for c in own)
    joined = any(c.relation == "conj:and" for c in own)
    return counted or joined or noun.many
