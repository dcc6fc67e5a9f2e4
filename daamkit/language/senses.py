"""What a noun means in a prompt: the sense that can be depicted, by a rule and a readable table."""

from __future__ import annotations

import difflib
import re
from functools import cache

from daamkit import resources
from daamkit.errors import DaamkitError
from daamkit.language.lemmas import THINGS
from daamkit.language.wordnet import POS, SENSE, above, synsets, wordnet

# WordNet's classes for a category of words. The first that a word has a sense in counts: a cake is
# baked before it is any food (a patty), a bow adorns before it is any artifact (a knot).
CATEGORIES: dict[str, tuple[str, ...]] = {
    "person": ("person.n.01",),
    "vehicle": ("conveyance.n.03",),
    "outdoor": ("sign.n.02", "signal.n.01", "artifact.n.01"),
    "animal": ("animal.n.01",),
    "accessory": ("artifact.n.01",),
    "sports": ("artifact.n.01",),
    "kitchen": ("artifact.n.01",),
    "food": ("baked_goods.n.01", "food.n.01", "food.n.02"),
    "furniture": ("furniture.n.01", "fixture.n.01", "plant.n.02"),
    "electronic": ("electronic_equipment.n.01", "device.n.01"),
    "appliance": ("artifact.n.01",),
    "indoor": ("artifact.n.01",),
    "object": (
        *("clothing.n.01", "plaything.n.01", "decoration.n.01", "artifact.n.01"),
        *("food.n.01", "food.n.02"),
    ),
}
# WordNet's files whose nouns can be depicted; of the others, what lies under SEEN.
DEPICTED = (*THINGS, "noun.Tops")
SEEN = (
    "location.n.01", "shape.n.02", "group.n.01", "substance.n.07", "material.n.01",
    "physical_phenomenon.n.01", "atmospheric_phenomenon.n.01", "light.n.01", "color.n.01",
    "liquid.n.01", "water.n.01", "currency.n.01", "visual_signal.n.01",
)  # fmt: skip
PEOPLE = ("noun.person", "noun.group")
NEAR = 4  # how many of a noun's senses may be the one that is depicted
# Which of two files a noun means: a tiger is no fierce person, a chicken no dish, a cherry no tree.
INSTEAD = {"noun.person": "noun.animal", "noun.food": "noun.animal", "noun.plant": "noun.food"}
# What WordNet's definitions say of words that insult: such a sense is never shown.
_INSULT = re.compile(
    r"\bslurs?\b|\boffensive\b|\bdisparag|\bderogat|\bpejorativ|\bethnic slang\b|\bobscen|\bvulgar"
)


def definition(name: str) -> str:
    """What WordNet says that a sense is."""
    return wordnet().synset(name).definition()


def senses(word: str, pos: str = "NOUN") -> list[str]:
    """What a word or a phrase can mean, the most frequent first; of a sense, itself.

    Senses that WordNet calls slurs or offensive are left out.

    >>> senses("mouse")
    ['mouse.n.01', 'shiner.n.01', 'mouse.n.03', 'mouse.n.04']

    Raises
    ------
    DaamkitError
        If WordNet has not got it, or there is no such part of speech.
    """
    if pos not in POS:
        raise DaamkitError(
            wanted=f"senses of the {pos} {word!r}",
            got=f"{pos!r}",
            mend=f"name one of {', '.join(POS)}",
        )
    found = _decent(word, pos)
    if not found:
        names = [name.replace("_", " ") for name in wordnet().all_lemma_names(pos=POS[pos])]
        stem = SENSE.sub(r"\1", word).lower().replace("_", " ")
        near = difflib.get_close_matches(stem, names, n=6, cutoff=0.7)
        near = [name for name in near if _decent(name, pos)][:3]
        raise DaamkitError(
            wanted=f"{word!r} in WordNet",
            got=f"no {pos} of that name",
            mend=f"the nearest are {', '.join(map(repr, near))}"
            if near
            else "name another word, or a sense such as 'mouse.n.01'",
        )
    return found


def sense(word: str, category: str | None = None) -> str:
    """What a noun means where it is to be seen, or its first sense in a category.

    Without a category: what the table `data/language/senses.tsv` says; else, of its first four
    senses, the first that can be seen and is no one person's name: an animal rather than a person
    or a food (a tiger is no fierce person, a chicken no dish), a fruit rather than its tree, people
    only if the first sense is of people; else the first sense of all. Of a phrase that WordNet has
    neither in several words nor in one, the last word counts.

    Parameters
    ----------
    word
        A word, a phrase or a sense.
    category
        One of `CATEGORIES`.

    Raises
    ------
    DaamkitError
        If WordNet has not got it, or not in that category, or if there is no such category.

    >>> sense("mouse"), sense("mouse", "electronic"), sense("wine glass", "kitchen")
    ('mouse.n.01', 'mouse.n.04', 'wineglass.n.01')
    >>> sense("tiger"), sense("kite"), sense("turtle")
    ('tiger.n.02', 'kite.n.03', 'turtle.n.02')
    """
    if category is not None and category not in CATEGORIES:
        raise DaamkitError(
            wanted=f"the category {category!r}",
            got="none of that name",
            mend=f"name one of {', '.join(CATEGORIES)}",
        )
    words = word.split()
    forms = [word, "".join(words), words[-1]] if len(words) > 1 else [word]
    form = next((form for form in forms if _decent(form)), word)
    found = senses(form)
    if category is None:
        said = table().get(form.lower())
        return said if said in found else _seen(form.lower().replace(" ", "_"), found)
    for each in CATEGORIES[category]:
        for one in found:
            if each in above(one):
                return one
    raise DaamkitError(
        wanted=f"a sense of {word!r} in the category {category!r}",
        got=f"{', '.join(found)}, none of them under {' or '.join(CATEGORIES[category])}",
        mend="name another category or another word",
    )


def has(word: str) -> bool:
    """Whether WordNet has a noun, in a sense that is no insult."""
    return bool(_decent(word))


def depicted(name: str) -> bool:
    """Whether a sense is of something that can be seen.

    >>> depicted("tiger.n.02"), depicted("style.n.01"), depicted("snow.n.01")
    (True, False, True)
    """
    return wordnet().synset(name).lexname() in DEPICTED or not set(SEEN).isdisjoint(above(name))


@cache
def table() -> dict[str, str]:
    """The nouns whose sense the rule would not find, from `data/language/senses.tsv`."""
    lines = resources.path("language", "senses.tsv").read_text("utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return {row[0]: row[1] for row in rows}


def _seen(word: str, found: list[str]) -> str:
    files = {name: wordnet().synset(name).lexname() for name in found}
    seen = [name for name in found[:NEAR] if depicted(name) and not _named(name)]
    if files[found[0]] not in PEOPLE:  # "number" is no select company, "letter" no owner
        seen = [name for name in seen if files[name] not in PEOPLE]
    if not seen:
        return found[0]
    for other in seen[1:]:
        same = other.split(".")[0] == word and files[other] == INSTEAD.get(files[seen[0]])
        if same and (files[seen[0]] != "noun.person" or other == seen[1]):
            return other
    return seen[0]


def _named(name: str) -> bool:
    """Whether it is one person: Crane the writer."""
    synset = wordnet().synset(name)
    return synset.lexname() == "noun.person" and bool(synset.instance_hypernyms())


def _decent(word: str, pos: str = "NOUN") -> list[str]:
    """The senses of a word that are no insult."""
    found = synsets(word, pos)
    return [each.name() for each in found if not _INSULT.search(each.definition())]
