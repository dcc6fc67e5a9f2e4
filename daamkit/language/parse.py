"""A parsed prompt: who hangs on whom, who means whom, its noun phrases."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from daamkit.errors import DaamkitError
from daamkit.language import coreference, phrases
from daamkit.language.tokens import CONTENT, Pair, ParsedToken, Phrase


@dataclass(frozen=True)
class Parse:
    """A parsed prompt."""

    text: str
    tokens: tuple[ParsedToken, ...]

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
        return coreference.pairs(self.tokens)

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
        return phrases.phrases(self.text, self.tokens)

    def nouns(self) -> list[Phrase]:
        """The nouns with what makes one word of them: "teddy bear", "hot dog", "Ada Lovelace"."""
        return phrases.nouns(self.text, self.tokens)

    def things(self) -> list[Phrase]:
        """The nouns that name something: not "left" of "to the left of"."""
        return [noun for noun in self.nouns() if noun.name not in phrases.NOWHERE]

    def at(self, start: int) -> ParsedToken:
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
