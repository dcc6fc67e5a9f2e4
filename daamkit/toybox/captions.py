"""Sentences about the toy world, each word with its place, its parse and the thing it names.

The parse is Universal Dependencies (basic, version 2), exact because the writer of the sentence
knows it. Sentences are built head first; every word remembers its characters in the text.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from daamkit.errors import DaamkitError

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
_COORDINATORS = {"and": ("CCONJ", "cc"), ",": ("PUNCT", "punct")}
_Function = tuple[str, str, str, tuple[int, ...]]  # text, part of speech, relation, things


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
    """What a noun phrase says of its things.

    Attributes
    ----------
    name
        The noun in the singular.
    things
        Indices of what it names: one, or as many as `NUMBERS` has words for.
    colour, texture, size
        Its adjectives; None for none.
    """

    name: str
    things: tuple[int, ...]
    colour: str | None = None
    texture: str | None = None
    size: str | None = None

    @property
    def adjectives(self) -> tuple[str, ...]:
        """The adjectives in the order of English: size, texture, colour."""
        return tuple(word for word in (self.size, self.texture, self.colour) if word)


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
        *,
        coordinator: str | None = None,
        case: tuple[str, ...] = (),
        article: str = "a",
        owner: tuple[int, ...] | None = None,
    ) -> int:
        """Append a noun phrase; all its words depend on the noun. Returns the noun's index.

        Parameters
        ----------
        noun
            What it says. Of several things it begins with their number.
        relation, head
            Of the noun; without a head it is the root.
        coordinator
            "and" or "," in front of the phrase; goes with the relation ``conj``.
        case
            Prepositions. All of them are ``case`` of the noun, also "next" of "next to", which
            is one of the analyses in use (UniversalDependencies/docs issue 496).
        article
            "a" (or "an" where a vowel follows), "the", or "" for none.
        owner
            The things that "its" refers to; it replaces the article.

        Raises
        ------
        DaamkitError
            If there are more things than `NUMBERS` has words for.
        """
        before: list[_Function] = []
        if coordinator is not None:
            before.append((coordinator, *_COORDINATORS[coordinator], ()))
        before += [(word, "ADP", "case", ()) for word in case]
        before += _determiner(noun, article, owner)
        before += [(word, "ADJ", "amod", noun.things) for word in noun.adjectives]
        centre = len(self.words) + len(before)
        for text, pos, function, things in before:
            self.add(text, pos, function, centre, things)
        name = noun.name
        if len(noun.things) > 1:
            name = PLURALS.get(name, name + "s")
        return self.add(name, "NOUN", relation, centre if head is None else head, noun.things)

    def place(self, name: str, head: int, relation: str = "nmod") -> int:
        """Append "on the grass", "at night" and the like. Returns the index of the place's noun.

        Parameters
        ----------
        name
            One of `PLACES`.
        head, relation
            Of the place's noun: ``nmod`` of a noun, ``obl`` of a verb.

        Raises
        ------
        DaamkitError
            If `PLACES` lacks the name.
        """
        if name not in PLACES:
            raise DaamkitError(
                wanted="a place of the toy world", got=repr(name), mend=f"take one of {[*PLACES]}"
            )
        preposition, *the = PLACES[name]
        noun = Noun(name, (BACKGROUND,))
        return self.phrase(noun, relation, head, case=(preposition,), article="".join(the))


def _determiner(noun: Noun, article: str, owner: tuple[int, ...] | None) -> list[_Function]:
    """What a phrase opens with: "its", a number, an article or nothing."""
    if owner is not None:
        return [("its", "PRON", "nmod:poss", owner)]
    count = len(noun.things)
    if count > 1:
        if count not in NUMBERS:
            raise DaamkitError(
                wanted=f"at most {max(NUMBERS)} things in a noun phrase",
                got=f"{count} of {noun.name!r}",
                mend="name them in several phrases",
            )
        return [(NUMBERS[count], "NUM", "nummod", noun.things)]
    if not article:
        return []
    following = (*noun.adjectives, noun.name)[0]
    vowel = article == "a" and following[0] in "aeiou"
    return [("an" if vowel else article, "DET", "det", noun.things)]
