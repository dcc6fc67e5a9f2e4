"""Sentences about the toy world, each word with its place, its parse and the thing it names.

The parse is Universal Dependencies (basic, version 2), exact because the writer of the sentence
knows it. Sentences are built head first; every word remembers its characters in the text.
"""

from __future__ import annotations

from dataclasses import dataclass, field

NUMBERS = {2: "two", 3: "three"}
PLURALS = {"mouse": "mice", "glasses": "glasses", "bench": "benches"}
PLACES: dict[str, tuple[str, ...]] = {
    "grass": ("on", "the"),
    "beach": ("on", "the"),
    "snow": ("in", "the"),
    "desert": ("in", "the"),
    "city": ("in", "the"),
    "night": ("at",),
}
BACKGROUND = -1  # what a place's noun refers to; things count from 0


@dataclass(frozen=True)
class Word:
    """One word of a caption.

    Attributes
    ----------
    text
        The word.
    start, end
        Its characters: ``caption[start:end] == text``.
    pos
        Universal part of speech.
    head
        Index of its head among the caption's words; the root is its own head.
    relation
        Universal Dependencies relation to the head.
    things
        Indices of the scene's things that the word mentions: a noun or pronoun those it names, an
        adjective, a number or a determiner those of its noun. `BACKGROUND` stands for the place.
    """

    text: str
    start: int
    end: int
    pos: str
    head: int
    relation: str
    things: tuple[int, ...] = ()


@dataclass(frozen=True)
class Noun:
    """What a noun phrase says of its things."""

    name: str
    things: tuple[int, ...]
    colour: str | None = None
    texture: str | None = None
    size: str | None = None


@dataclass
class Sentence:
    """A sentence being written, word after word."""

    text: str = ""
    words: list[Word] = field(default_factory=list)

    def add(
        self, text: str, pos: str, relation: str, head: int, things: tuple[int, ...] = ()
    ) -> int:
        """Append a word; `head` may be the index of a word yet to come. Returns its index."""
        start = len(self.text) + (bool(self.text) and pos != "PUNCT")
        self.text = self.text.ljust(start) + text
        self.words.append(Word(text, start, len(self.text), pos, head, relation, things))
        return len(self.words) - 1

    def phrase(
        self,
        noun: Noun,
        relation: str = "root",
        head: int | None = None,
        case: tuple[str, ...] = (),
        article: str = "a",
        owner: tuple[int, ...] | None = None,
    ) -> int:
        """Append a noun phrase, prepositions first.

        Parameters
        ----------
        noun
            What it says.
        relation, head
            Of its noun; without a head it is the root.
        case
            Prepositions, all attached to the noun.
        article
            "a" (or "an" where a vowel follows), "the", or "" for none.
        owner
            The things that "its" refers to; it replaces the article.
        """
        count = len(noun.things)
        adjectives = [word for word in (noun.size, noun.texture, noun.colour) if word]
        own = [article] if article else []
        if owner is not None:
            own = ["its"]
        elif count > 1:
            own = [NUMBERS[count]]
        centre = len(self.words) + len(case) + len(own) + len(adjectives)
        for word in case:
            self.add(word, "ADP", "case", centre)
        if owner is not None:
            self.add("its", "PRON", "nmod:poss", centre, owner)
        elif count > 1:
            self.add(own[0], "NUM", "nummod", centre, noun.things)
        elif own:
            following = (*adjectives, noun.name)[0]
            vowel = article == "a" and following[0] in "aeiou"
            self.add("an" if vowel else article, "DET", "det", centre, noun.things)
        for word in adjectives:
            self.add(word, "ADJ", "amod", centre, noun.things)
        name = PLURALS.get(noun.name, noun.name + "s") if count > 1 else noun.name
        return self.add(
            name, "NOUN", relation, centre if head is None else head, noun.things
        )

    def place(self, name: str, head: int, relation: str = "nmod") -> None:
        """Append "on the grass", "at night" and the like."""
        preposition, *the = PLACES[name]
        place = Noun(name, (BACKGROUND,))
        self.phrase(place, relation, head, (preposition,), "the" if the else "")
