"""The form of a word that a dictionary has, and entries of several words."""

from __future__ import annotations

from daamkit import compat
from daamkit.language.vocabularies import COCO
from daamkit.language.wordnet import POS, synsets, wordnet, written

_PLURAL = (*(letter + "s" for letter in "bcdefghklmnoprtvwxy"), "men", "teeth", "oxen")
# Plurals in form only, and what only looks like one.
_TANTUM = (
    "glasses", "eyeglasses", "sunglasses", "spectacles", "specs", "pants", "shorts", "trunks",
    "briefs", "slacks", "breeches", "pliers", "shears", "stairs", "scissors", "jeans", "tights",
    "tongs", "binoculars", "clothes", "lens", "species", "corps", "omen", "dolmen", "limen",
    "series", "news", "physics", "goggles", "overalls", "pajamas", "leggings", "headphones",
)  # fmt: skip
# Endings of words that WordNet lacks: of a plural, and what stands in its place.
_ENDINGS = (
    ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("xes", "x"), ("zzes", "zz"), ("ies", "ie"),
    ("ss", "ss"), ("us", "us"), ("sis", "sis"), ("s", ""),
)  # fmt: skip
# Adjectives that say what any thing is like, even where WordNet has an entry with them ("young
# man", "red wine"): the noun alone is the thing.
PLAIN = """
    young old little big small large great good new long short high low tall fat thin wide black
    white red green blue yellow brown grey gray pink purple orange golden silver dark light bright
    hot cold warm wet dry open closed clean dirty rich poor beautiful dead wooden
    """
ENTRIES = {name for names in COCO.values() for name in names if " " in name} | {
    "light bulb", "black hole", "hot air balloon", "hot tub", "high chair", "high heel",
    "golden retriever", "stuffed animal",
}  # fmt: skip


def lemma(word: str, pos: str = "NOUN") -> str:
    """The form that a dictionary has; else, in small letters, a noun without its ending.

    Of several forms that a plural may be of, the one that names a thing: vases are of the vase, not
    of the vas; of those the one that merely lacks the ending.

    Parameters
    ----------
    word
        One word, or several with spaces.
    pos
        A universal part of speech; all but nouns, verbs, adjectives and adverbs stay as they are.

    >>> lemma("Mice"), lemma("glasses"), lemma("sitting", "VERB"), lemma("vases"), lemma("emojis")
    ('mouse', 'glasses', 'sit', 'vase', 'emoji')
    """
    if pos not in POS:
        return word.lower()
    form = written(word)
    forms = compat.base_forms(wordnet(), form, POS[pos])
    if not forms:
        return _without_ending(word.lower()) if pos == "NOUN" else word.lower()
    plural = pos == "NOUN" and form.endswith(_PLURAL) and form not in _TANTUM
    if forms[0] == form and not (plural and len(forms) > 1):
        return form.replace("_", " ")
    others = [each for each in forms if each != form]  # "windows" is an entry of its own
    if plural and synsets(form[:-1]):
        others.append(form[:-1])  # the list of exceptions has "ax" and "axis" of "axes", no "axe"
    return min(others, key=lambda each: _oddity(each, form, pos)).replace("_", " ")


def entry(name: str) -> bool:
    """Whether adjective and noun are one word in a dictionary: "hot dog", not "young man".

    >>> entry("hot dog"), entry("polar bear"), entry("potted plant"), entry("young man")
    (True, True, True, False)
    """
    words = name.lower().split()
    if " ".join(words) in ENTRIES:
        return True
    return len(words) > 1 and words[0] not in PLAIN.split() and bool(synsets(name))


def _oddity(form: str, plural: str, pos: str) -> tuple[bool, bool]:
    named = pos == "NOUN" and any(each.lexname() in THINGS for each in synsets(form)[:1])
    return not named, form != plural[:-1]


THINGS = (  # of WordNet's files, those whose nouns can be seen
    "noun.animal", "noun.artifact", "noun.body", "noun.food", "noun.object", "noun.person",
    "noun.plant",
)  # fmt: skip


def _without_ending(word: str) -> str:
    if len(word) < 4 or word in _TANTUM or not word.isalpha():
        return word
    for ending, instead in _ENDINGS:
        if word.endswith(ending):
            return word.removesuffix(ending) + instead
    return word
