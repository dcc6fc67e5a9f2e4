"""What a prompt is of: the concrete things that it names, each by its whole phrase."""

from __future__ import annotations

import re

from daamkit.errors import DaamkitError
from daamkit.language import coreference, lemmas, senses
from daamkit.language.coreference import children
from daamkit.language.parse import Parse
from daamkit.language.phrases import OF
from daamkit.language.segments import listed
from daamkit.language.tokens import NOMINAL, ParsedToken, Phrase
from daamkit.language.wordnet import above, wordnet

MOST = 5  # subjects that a method can keep apart
LOCATIVE = ("in", "on", "at", "across", "through", "along", "inside", "over", "within")
QUOTES = "\"'“”‘’«»"
SHOWN = ("symbol", "emblem", "logo")  # signs, for WordNet, but on things
STUFF = ("steel", "leather", "fabric", "plastic", "felt", "concrete", "stone", "paper", "wood")
MATTER = "noun.substance"  # WordNet's file of what things are made of


def subjects(parse: Parse) -> list[Phrase]:
    """The things that a prompt names, in its order.

    Left out are words for the picture itself ("photo", "oil painting": `data/language/media.txt`),
    qualities, styles and positions (`abstract.txt`, `styles.txt`), what cannot be seen (see
    `senses.sense`), what the picture is to be without, whose style it is in, what things are made
    of, words in quotes, and places after "in", "on" and their kind ("on a beach"; WordNet's classes
    in `places.txt`). Where nothing else is left, places are subjects, and then pictures.

    >>> from daamkit.language import parsing
    >>> prompt = "a photo of a corgi and a hot dog on the beach, highly detailed"
    >>> [phrase.text for phrase in subjects(parsing.parse(prompt))]
    ['corgi', 'hot dog']
    """
    found = [phrase for phrase in _named(parse) if not _abstract(parse, phrase)]
    media = listed("media.txt")
    pictures = [
        phrase for phrase in found if not media.isdisjoint((phrase.name, phrase.noun.lemma))
    ]
    things = [phrase for phrase in found if phrase not in pictures]
    places = [phrase for phrase in things if _place(parse, phrase)]
    return [each for each in things if each not in places] or places or pictures


def _named(parse: Parse) -> list[Phrase]:
    """The nouns, a name with "of" in it as one: "Statue of Liberty"."""
    found: list[Phrase] = []
    for phrase in parse.nouns():
        noun, head = phrase.noun, parse.tokens[phrase.noun.head]
        before = found[-1] if found else None
        names = noun.relation == OF and noun.pos == head.pos == "PROPN"
        if before and names and before.noun == head:
            text = parse.text[before.start : phrase.end]
            found[-1] = Phrase(text, before.start, phrase.end, before.noun)
        else:
            found.append(phrase)
    return found


def few(found: list[Phrase], text: str, most: int = MOST) -> list[Phrase]:
    """Subjects of a prompt, if there are not too many to keep apart.

    Raises
    ------
    DaamkitError
        If there are more, with all of them to choose from.
    """
    if len(found) > most:
        raise DaamkitError(
            wanted=f"{most} subjects at most",
            got=f"{len(found)} in {text!r}",
            mend=f"choose among {', '.join(repr(phrase.text) for phrase in found)}",
        )
    return found


def _abstract(parse: Parse, phrase: Phrase) -> bool:
    """Whether it names nothing that can be seen, or a part of how the picture is made."""
    name, noun = phrase.name, phrase.noun
    said = {phrase.text.lower(), _segment(parse, phrase)}
    if not (" " in name and lemmas.entry(name)):  # a traffic light is no light
        said.add(noun.text.lower())
    if not said.isdisjoint(listed("abstract.txt") | listed("styles.txt")):
        return True
    if _quoted(parse, phrase) or _absent(parse, phrase):
        return True
    made = noun.relation.endswith(":of") and senses.has(name)
    if made and (noun.lemma in STUFF or wordnet().synset(senses.sense(name)).lexname() == MATTER):
        return True
    return not _seen(noun, name)


def _seen(noun: ParsedToken, name: str) -> bool:
    if noun.pos == "PROPN" or noun.lemma in SHOWN or not senses.has(noun.lemma):
        return True  # names, and what WordNet does not know: "Pikachu", "macaron"
    return senses.depicted(senses.sense(name))


def _quoted(parse: Parse, phrase: Phrase) -> bool:
    """Whether it is in quotes: what is to be written."""
    before, after = parse.text[: phrase.start], parse.text[phrase.end :]
    opened = len(re.findall(r"(?<!\w)[\"'“‘«](?=\w)", before)) + before.endswith(tuple(QUOTES))
    closed = len(re.findall(r"(?<=[\w.!?,])[\"'”’»](?!\w)", before))
    return opened > closed and any(mark in after for mark in QUOTES)


def _absent(parse: Parse, phrase: Phrase) -> bool:
    """Whether it, or what it belongs to, is after "without" or "no", or says whose style it is."""
    chain = [phrase.noun, *coreference.above(parse.tokens, phrase.noun)]
    for token, head in zip(chain, [*chain[1:], None], strict=True):
        if token.pos not in NOMINAL:
            return False
        own = {child.text.lower() for child in coreference.children(parse.tokens, token)}
        if token.relation.endswith(":without") or "no" in own:
            return True
        if head and head.lemma in ("style", "shape", "form") and token.relation == "nmod:of":
            return True
    return False


def _segment(parse: Parse, phrase: Phrase) -> str:
    """All that hangs on the noun with nothing above it: a tag."""
    if phrase.noun.head != phrase.noun.index:
        return ""
    own = [token for token in children(parse.tokens, phrase.noun) if token.pos != "PUNCT"]
    first = min([phrase.noun.start, *(token.start for token in own)])
    last = max([phrase.noun.end, *(token.end for token in own)])
    return parse.text[first:last].lower()


def _place(parse: Parse, phrase: Phrase) -> bool:
    cases = [
        token.text.lower()
        for token in children(parse.tokens, phrase.noun)
        if token.relation == "case"
    ]
    if len(cases) != 1 or cases[0] not in LOCATIVE or not senses.has(phrase.noun.lemma):
        return False
    return not listed("places.txt").isdisjoint(above(senses.sense(phrase.name)))
