"""The words of a parsed prompt, their pairs and their phrases."""

from __future__ import annotations

from dataclasses import dataclass

from daamkit.language import lemmas

CONTENT = ("NOUN", "PROPN", "VERB", "ADJ", "ADV")
NOMINAL = ("NOUN", "PROPN")
SUBTYPES = (  # of relations, as UD English EWT has them
    "agent", "desc", "outer", "pass", "poss", "preconj", "predet", "prt", "relcl", "unmarked",
)  # fmt: skip


@dataclass(frozen=True)
class ParsedToken:
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
    def basic(self) -> str:
        """The relation without its function word: "nmod" of "nmod:of", but "nmod:poss"."""
        name, _, more = self.relation.partition(":")
        return self.relation if more in SUBTYPES else name

    @property
    def lemma(self) -> str:
        """As a dictionary has it: "mice" is "mouse"."""
        return lemmas.lemma(self.text, self.pos)

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
        Of an edge, as in `ParsedToken`; else "coreferent" or "unrelated".
    """

    head: ParsedToken
    dependent: ParsedToken
    relation: str


@dataclass(frozen=True)
class Phrase:
    """A noun with what belongs to it: characters, and the noun.

    It ends with the noun, or, where that begins a name, with the name ("Ada" of "Ada Lovelace").
    """

    text: str
    start: int
    end: int
    noun: ParsedToken

    @property
    def name(self) -> str:
        """Lower case, the noun by its lemma: "teddy bear" of "Teddy Bears"."""
        before = self.text[: self.noun.start - self.start].lower()
        after = self.text[self.noun.end - self.start :].lower()
        return " ".join(
            (before + (self.noun.text.lower() if after else self.noun.lemma) + after).split()
        )
