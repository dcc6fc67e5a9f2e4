"""Sentences about the toy world, each word with its place, its parse and the thing it names.

The parse is Universal Dependencies (basic, version 2), exact because the writer of the sentence
knows it. Sentences are built head first; every word remembers its characters in the text.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from daamkit.errors import DaamkitError

NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}
PLURALS = {
    "mouse": "mice", "glasses": "glasses", "bench": "benches", "tomato": "tomatoes",
    "snowman": "snowmen",
}  # fmt: skip
# Names of things that are more than a noun: each word's part of speech, relation to the name's
# head (or that itself, "head"). "hot" of "hot dog" is an `amod`, as EWT has it.
NAMED: dict[str, tuple[tuple[str, str, str], ...]] = {
    "hot dog": (("hot", "ADJ", "amod"), ("dog", "NOUN", "head")),
    "Mount Fuji": (("Mount", "PROPN", "compound"), ("Fuji", "PROPN", "head")),
    "Tokyo Tower": (("Tokyo", "PROPN", "compound"), ("Tower", "PROPN", "head")),
    "the Statue of Liberty": (
        ("the", "DET", "det"),
        ("Statue", "PROPN", "head"),
        ("of", "ADP", "case"),
        ("Liberty", "PROPN", "nmod"),
    ),
    "Saturn": (("Saturn", "PROPN", "head"),),
    "Santa Claus": (("Santa", "PROPN", "head"), ("Claus", "PROPN", "flat")),
}
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
class CaptionWord:
    """One word of a caption.

    Attributes
    ----------
    text
        The word as it stands in the caption.
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
        Its adjectives; None for none. A size may be "very small" or "very big".
    manner
        "brightly coloured" or "half hidden", or None.
    unsaid
        A colour that the thing has and the phrase does not name.
    """

    name: str
    things: tuple[int, ...]
    colour: str | None = None
    texture: str | None = None
    size: str | None = None
    manner: str | None = None
    unsaid: str | None = None

    @property
    def adjectives(self) -> tuple[str, ...]:
        """The adjectives in the order of English: size, manner, texture, colour; those of two words
        begin with an adverb."""
        said = (self.size, self.manner, self.texture, self.colour)
        return tuple(word for word in said if word)

    @property
    def drawn_colour(self) -> str | None:
        """The colour that the thing is drawn in, said or not; None for its own."""
        return self.colour or self.unsaid


@dataclass
class Sentence:
    """A sentence being written, word after word."""

    text: str = ""
    words: list[CaptionWord] = field(default_factory=list)
    nouns: list[Noun] = field(default_factory=list)  # of its phrases, those of places left out
    events: list[tuple[str, str, str]] = field(default_factory=list)  # verb, subject, object

    def add(
        self, text: str, pos: str, relation: str, head: int, things: tuple[int, ...] = ()
    ) -> int:
        """Append a word; `head` may be the index of a word yet to come. Returns its index."""
        start = len(self.text) + (bool(self.text) and pos != "PUNCT")
        self.text = self.text.ljust(start) + text
        self.words.append(CaptionWord(text, start, len(self.text), pos, head, relation, things))
        return len(self.words) - 1

    def hang(self, index: int, head: int) -> None:
        """Give a word its head, once that is known."""
        self.words[index] = replace(self.words[index], head=head)

    def mention(self, index: int, things: tuple[int, ...]) -> None:
        """Let a word, and all that depends on it so far, mention other things."""
        for at, word in enumerate(self.words):
            if at == index or (word.head == index and word.things):
                self.words[at] = replace(word, things=things)

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
        bare: bool = False,
    ) -> int:
        """Append a noun phrase; all its words depend on the noun, but for an adverb, which depends
        on its adjective, and names of several words (`NAMED`). Returns the noun's index.

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
            "a" (or "an" where a vowel follows), "the", "no", "one", or "" for none.
        owner
            The things that "its" refers to; it replaces the article.
        bare
            No number in front of several things: "apples" of "a group of apples".

        Raises
        ------
        DaamkitError
            If there are more things than `NUMBERS` has words for.
        """
        if noun.things != (BACKGROUND,):
            self.nouns.append(noun)
        before: list[_Function] = []
        if coordinator is not None:
            before.append((coordinator, *_COORDINATORS[coordinator], ()))
        before += [(word, "ADP", "case", ()) for word in case]
        if not bare:
            before += _determiner(noun, article, owner)
        for adjective in noun.adjectives:
            *adverb, word = adjective.split()
            before += [(said, "ADV", "advmod", noun.things) for said in adverb]
            before.append((word, "ADJ", "amod", noun.things))
        name = _spelled(noun)
        first = len(self.words) + len(before)
        centre = first + [function for _, _, function in name].index("head")
        for at, (text, pos, function, things) in enumerate(before, len(self.words)):
            self.add(text, pos, function, at + 1 if pos == "ADV" else centre, things)
        for at, (text, pos, function) in enumerate(name, first):
            above, function = centre, relation if function == "head" else function
            if at == centre:
                above = centre if head is None else head
            elif pos == "ADP":  # "of" belongs to the word after it
                above = at + 1
            self.add(text, pos, function, above, noun.things)
        return centre

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


def _spelled(noun: Noun) -> tuple[tuple[str, str, str], ...]:
    """The words of a thing's name, in the plural for several: text, part of speech, relation."""
    if noun.name in NAMED:
        words = NAMED[noun.name]
    else:
        *modifiers, last = noun.name.split()
        words = (*((word, "NOUN", "compound") for word in modifiers), (last, "NOUN", "head"))
    if len(noun.things) < 2:
        return words
    *before, (text, pos, relation) = words
    return (*before, (PLURALS.get(text, text + "s"), pos, relation))


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
    if article == "one":
        return [("one", "NUM", "nummod", noun.things)]
    if not article:
        return []
    if NAMED.get(noun.name, (("", "NOUN", ""),))[-1][1] == "PROPN" and not noun.adjectives:
        return []
    following = (*noun.adjectives, noun.name)[0]
    vowel = article == "a" and following[0] in "aeiou"
    return [("an" if vowel else article, "DET", "det", noun.things)]
