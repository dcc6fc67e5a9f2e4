"""What English forbids, mended whichever parser said it: plurals after "a", objects of "down"."""

from __future__ import annotations

from daamkit.language import lemmas, senses
from daamkit.language.wordnet import above

ALONG = ("across", "along", "around", "down", "through", "up")
WAY = "way.n.06"  # WordNet's streets, roads, paths


def mended(words: list[str], pos: list[str], heads: list[int], relations: list[str]) -> None:
    """Mend a parse in Universal Dependencies in its place; `words` in small letters.

    >>> words, pos = ["a", "plane", "flies", "low"], ["DET", "NOUN", "NOUN", "ADV"]
    >>> heads, relations = [2, 2, 2, 2], ["det", "compound", "root", "amod"]
    >>> mended(words, pos, heads, relations)
    >>> pos, heads, relations
    (['DET', 'NOUN', 'VERB', 'ADV'], [1, 2, 2, 2], ['det', 'nsubj', 'root', 'advmod'])
    """
    for word in range(len(words)):
        if word and relations[word] == "root" and _is_verb(words, pos, heads, relations, word):
            _make_verb(pos, heads, relations, word)
        if relations[word] == "compound:prt" and words[word] in ALONG:
            _along(words, heads, relations, word)


def _is_verb(
    words: list[str], pos: list[str], heads: list[int], relations: list[str], word: int
) -> bool:
    """Whether it is "flies" in "a plane flies": no plural follows "a", but a verb's form may."""
    noun = pos[word] == "NOUN" and heads[word - 1] == word and relations[word - 1] == "compound"
    article = any(heads[i] == word and words[i] in ("a", "an") for i in range(word))
    form = words[word]
    if not (noun and article and form.endswith("s")):
        return False  # without WordNet, which takes seconds to open
    return lemmas.lemma(form) != form and lemmas.lemma(form, "VERB") != form


def _make_verb(pos: list[str], heads: list[int], relations: list[str], verb: int) -> None:
    """What stood before it belongs to its subject, what follows it is said of a verb."""
    subject = verb - 1
    for word, head in enumerate(heads):
        if head == verb and word < subject and relations[word] != "punct":
            heads[word] = subject
        elif head == verb != word and word > verb:
            of_verbs = {"nmod": "obl", "amod": "advmod", "acl": "advcl"}
            relations[word] = of_verbs.get(relations[word], relations[word])
    pos[verb], relations[subject] = "VERB", "nsubj"


def _along(words: list[str], heads: list[int], relations: list[str], particle: int) -> None:
    """ "down" of "driving down a street" is a preposition: one drives no street."""
    verb = heads[particle]
    for word, head in enumerate(heads):
        if head == verb and relations[word] == "obj" and senses.has(words[word]):
            own = [i for i, above_it in enumerate(heads) if above_it == word and i < word]
            begins = min([word, *own]) == particle + 1
            if begins and WAY in above(senses.sense(lemmas.lemma(words[word]))):
                heads[particle], relations[particle] = word, "case"
                relations[word] = "obl"
