"""What words mean, and which are kinds of one thing, by WordNet.

A sense has the name of its set of synonyms: "mouse.n.04" is the fourth of the noun "mouse".
"""

from __future__ import annotations

import difflib
import io
import itertools
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from daamkit import compat, resources
from daamkit.errors import DaamkitError

if TYPE_CHECKING:
    import pandas as pd

# How far above two words their common class may lie, and how many kinds it may have: see `kinship`.
STEPS, BREADTH = 3, 500

# Universal parts of speech to WordNet's.
_POS = {"NOUN": "n", "PROPN": "n", "VERB": "v", "AUX": "v", "ADJ": "a", "ADV": "r"}
_PLURAL = (*(letter + "s" for letter in "bcdefghklmnoprtvwxy"), "men", "teeth", "oxen")
# Plurals in form only, and what only looks like one.
_TANTUM = (
    "glasses", "eyeglasses", "sunglasses", "spectacles", "specs", "pants", "shorts", "trunks",
    "briefs", "slacks", "breeches", "pliers", "shears", "stairs", "scissors", "jeans", "tights",
    "tongs", "binoculars", "clothes", "lens", "species", "corps", "omen", "dolmen", "limen",
    "series", "news", "physics",
)  # fmt: skip
_SENSE = re.compile(r"(.+)\.[nvasr]\.0*[1-9]\d*")

# The classes of COCO 2017 by supercategory.
COCO: dict[str, tuple[str, ...]] = {
    category: tuple(words.split(", "))
    for category, words in {
        "person": "person",
        "vehicle": "bicycle, car, motorcycle, airplane, bus, train, truck, boat",
        "outdoor": "traffic light, fire hydrant, stop sign, parking meter, bench",
        "animal": "bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe",
        "accessory": "backpack, umbrella, handbag, tie, suitcase",
        "sports": "frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, "
        "skateboard, surfboard, tennis racket",
        "kitchen": "bottle, wine glass, cup, fork, knife, spoon, bowl",
        "food": "banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake",
        "furniture": "chair, couch, potted plant, bed, dining table, toilet",
        "electronic": "tv, laptop, mouse, remote, keyboard, cell phone",
        "appliance": "microwave, oven, toaster, sink, refrigerator",
        "indoor": "book, clock, vase, scissors, teddy bear, hair drier, toothbrush",
    }.items()
}

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


@cache
def wordnet() -> Any:
    """NLTK's reader of WordNet 3.0: of the user's own NLTK data where it is there, else of ours."""
    import nltk.data
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    shipped = resources.path("wordnet", "wordnet.zip")

    class Reader(WordNetCorpusReader):  # type: ignore[misc]  # NLTK has no types
        def map_wn(self, version: str = "wordnet") -> None:
            """No table of other versions' numbers, which only other languages need."""

    class Shipped(Reader):
        def open(self, file: str) -> Any:
            """Without NLTK's own opening, which refuses files outside its folders."""
            with zipfile.ZipFile(shipped) as archive:
                content = io.BytesIO(archive.read(f"wordnet/{file}"))
            return nltk.data.SeekableUnicodeStreamReader(content, "utf-8")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NLTK says that other languages are missing
        for name in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
            try:
                own = nltk.data.find(name)
            except LookupError:
                continue
            return Reader(own, None)
        with zipfile.ZipFile(shipped) as archive:
            root = nltk.data.ZipFilePathPointer(archive, "wordnet/")
        return Shipped(root, None)


def lemma(word: str, pos: str = "NOUN") -> str:
    """The form that a dictionary has, by WordNet's morphy; else the word in small letters.

    `pos` is a universal part of speech; all but nouns, verbs, adjectives and adverbs stay as they
    are.

    >>> lemma("Mice"), lemma("glasses"), lemma("sitting", "VERB")
    ('mouse', 'glasses', 'sit')
    """
    if pos not in _POS:
        return word.lower()
    forms = compat.base_forms(wordnet(), _written(word), _POS[pos])
    plural = pos == "NOUN" and _written(word).endswith(_PLURAL)
    if len(forms) > 1 and plural and forms[0] not in _TANTUM:
        forms = forms[1:]  # "windows" is an entry of its own
    return forms[0].replace("_", " ") if forms else word.lower()


def senses(word: str, pos: str = "NOUN") -> list[str]:
    """What a word or a phrase can mean, the most frequent first; of a sense, itself.

    >>> senses("mouse")
    ['mouse.n.01', 'shiner.n.01', 'mouse.n.03', 'mouse.n.04']

    Raises
    ------
    DaamkitError
        If WordNet has not got it.
    """
    if pos not in _POS:
        raise DaamkitError(
            wanted="a part of speech of WordNet's",
            got=repr(pos),
            mend=f"name one of {', '.join(_POS)}",
        )
    found = _synsets(word, pos)
    if not found:
        names = [name.replace("_", " ") for name in wordnet().all_lemma_names(pos=_POS[pos])]
        stem = _SENSE.sub(r"\1", word).lower().replace("_", " ")
        near = difflib.get_close_matches(stem, names, n=3, cutoff=0.7)
        raise DaamkitError(
            wanted=f"{word!r} in WordNet",
            got=f"no {pos} of that name",
            mend=f"the nearest are {', '.join(map(repr, near))}"
            if near
            else "name another word, or a sense such as 'mouse.n.01'",
        )
    return [synset.name() for synset in found]


def sense(word: str, category: str | None = None) -> str:
    """The first sense of a noun, or its first in a category.

    Of a phrase that WordNet has neither in several words nor in one, the last word counts.

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
    """
    if category is not None and category not in CATEGORIES:
        raise DaamkitError(
            wanted=f"the category {category!r}",
            got="none of that name",
            mend=f"name one of {', '.join(CATEGORIES)}",
        )
    words = word.split()
    forms = [word, "".join(words), words[-1]] if len(words) > 1 else [word]
    found = senses(next((form for form in forms if _synsets(form)), word))
    if category is None:
        return found[0]
    for each in CATEGORIES[category]:
        for one in found:
            if each in _above(one):
                return one
    raise DaamkitError(
        wanted=f"a sense of {word!r} in the category {category!r}",
        got=f"{', '.join(found)}, none of them under {' or '.join(CATEGORIES[category])}",
        mend="name another category or another word",
    )


def hypernyms(word: str) -> list[str]:
    """From a sense, or a word's first, up to entity.n.01: a shortest path, both ends in it.

    Of paths as short, the one over the classes that come first in WordNet's file.

    >>> hypernyms("chair")[:4]
    ['chair.n.01', 'seat.n.03', 'furniture.n.01', 'furnishing.n.02']
    """
    return list(next(path for path in _above(sense(word)).values() if not _parents(path[-1])))


@dataclass(frozen=True)
class Kinship:
    """Two words for kinds of one thing, co-hyponyms.

    Attributes
    ----------
    a, b
        The words.
    sense_a, sense_b
        What they mean.
    common
        Their nearest common class.
    steps_a, steps_b
        How far above each it lies.
    """

    a: str
    b: str
    sense_a: str
    sense_b: str
    common: str
    steps_a: int
    steps_b: int

    def __str__(self) -> str:
        return f"{self.a} and {self.b}: both {self.common}"


def kinship(a: str, b: str, steps: int = STEPS, breadth: int = BREADTH) -> Kinship | None:
    """Whether two words are co-hyponyms: kinds of one class, and neither a kind of the other.

    WordNet is deeper in some places than in others, so that steps alone do not tell: cat and dog
    are two steps below carnivore.n.01, mouse and elephant two below placental.n.01. Within three
    steps lie all carnivores, giraffe and zebra; 500 kinds admit carnivore.n.01 (365), but neither
    placental.n.01 (1119) nor container.n.01 (744), which has bags and bowls, but bicycles too.

    Parameters
    ----------
    a, b
        Words, phrases or senses; a word stands for its first sense as a noun.
    steps
        How far above either the common class may lie.
    breadth
        How many kinds, all the way down, the common class may have.

    Returns
    -------
    Kinship or None
        By the class with the fewest steps in sum; of several, the narrowest.

    >>> print(kinship("cat", "dog"))
    cat and dog: both carnivore.n.01
    >>> kinship("elephant", "mouse")
    """
    return _kinship((a, sense(a)), (b, sense(b)), steps, breadth)


def ontology(words: Mapping[str, Sequence[str]] = COCO) -> pd.DataFrame:
    """A row a word: word, category, sense, definition, and path, from the top of WordNet.

    `words` are by category, one of `CATEGORIES`, which decides what they mean.
    """
    import pandas as pd

    rows = []
    for category, word, meant in _meant(words):
        definition = wordnet().synset(meant).definition()
        rows.append((word, category, meant, definition, " > ".join(hypernyms(meant)[::-1])))
    return pd.DataFrame(rows, columns=["word", "category", "sense", "definition", "path"])


def cohyponyms(
    words: Mapping[str, Sequence[str]] = COCO, steps: int = STEPS, breadth: int = BREADTH
) -> pd.DataFrame:
    """A row a pair of `ontology`'s words that are kin: a, b, common, steps_a, steps_b, reason.

    `steps` and `breadth` are those of `kinship`.
    """
    import pandas as pd

    pairs = itertools.combinations([(word, meant) for _, word, meant in _meant(words)], 2)
    kin = [_kinship(a, b, steps, breadth) for a, b in pairs]
    rows = [(k.a, k.b, k.common, k.steps_a, k.steps_b, str(k)) for k in kin if k]
    return pd.DataFrame(rows, columns=["a", "b", "common", "steps_a", "steps_b", "reason"])


def _meant(words: Mapping[str, Sequence[str]]) -> list[tuple[str, str, str]]:
    return [(each, word, sense(word, each)) for each, several in words.items() for word in several]


def _written(word: str) -> str:
    """As WordNet's files have it."""
    return "_".join(word.lower().split())


def _synsets(word: str, pos: str = "NOUN") -> list[Any]:
    form = _written(word)
    if not _SENSE.fullmatch(form):
        return wordnet().synsets(form, _POS[pos])
    from nltk.corpus.reader.wordnet import WordNetError

    try:
        return [wordnet().synset(form)]
    except WordNetError:
        return []


def _parents(name: str) -> list[str]:
    """The classes right above, in the order of WordNet's file; NLTK gives them in none."""
    synset = wordnet().synset(name)
    above = sorted(synset.hypernyms() + synset.instance_hypernyms(), key=lambda each: each.offset())
    return [each.name() for each in above]


@cache
def _above(name: str) -> dict[str, tuple[str, ...]]:
    """A sense and all classes above it, the nearest first, with a shortest path to each."""
    paths: dict[str, tuple[str, ...]] = {name: (name,)}
    queue = [name]
    for each in queue:
        for parent in _parents(each):
            if parent not in paths:
                paths[parent] = (*paths[each], parent)
                queue.append(parent)
    return paths


@cache
def _kinds(name: str, limit: int) -> int:
    """How many kinds a class has, all the way down; counted to one above a limit."""
    kinds = wordnet().synset(name).closure(lambda each: each.hyponyms())
    return sum(1 for _ in itertools.islice(kinds, limit + 1))


def _kinship(a: tuple[str, str], b: tuple[str, str], steps: int, breadth: int) -> Kinship | None:
    """Of two words and their senses."""
    if steps < 1 or breadth < 1:
        raise DaamkitError(
            wanted="one step and one kind at least",
            got=f"steps={steps}, breadth={breadth}",
            mend="give whole numbers from 1",
        )
    above_a, above_b = _above(a[1]), _above(b[1])
    if a[1] in above_b or b[1] in above_a:
        return None
    far = {
        each: (len(above_a[each]) - 1, len(above_b[each]) - 1) for each in above_a.keys() & above_b
    }
    near = [each for each in far if max(far[each]) <= steps and _kinds(each, breadth) <= breadth]
    if not near:
        return None
    common = min(near, key=lambda each: (sum(far[each]), _kinds(each, breadth), each))
    return Kinship(a[0], b[0], a[1], b[1], common, *far[common])
