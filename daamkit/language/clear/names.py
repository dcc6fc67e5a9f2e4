"""Names: persons' first word is their head; titles, dates and numbers that follow a noun."""

from __future__ import annotations

from collections.abc import Iterable

from daamkit.language.clear.tree import Tree

TITLES = """
    mr mrs ms miss dr prof st sir lady lord king queen prince princess president general captain
    judge governor minister doctor professor senator rev mr. mrs. ms. dr. prof. st. gen. capt. gov.
    sen. rep. rev. lt. sgt. jr. sr.
"""
MONTHS = """
    january february march april may june july august september october november december jan feb
    mar apr jun jul aug sep sept oct nov dec
"""


def flat(tree: Tree, people: Iterable[tuple[int, int]]) -> None:
    """Persons' names, whose last word is the head for CLEAR, hang on their first.

    Parameters
    ----------
    people
        First word of each person's name, and the first after it, as the pipeline's own entities
        tell.
    """
    for first, after in people:
        name = range(first, after)
        heads = [word for word in name if tree.heads[word] not in name or tree.heads[word] == word]
        if len(heads) != 1:
            continue
        last = heads[0]
        own = [word for word in name if tree.heads[word] == last != word]
        parts = [word for word in own if word < last and tree.relations[word] == "compound"]
        if parts and tree.words[parts[0]] in TITLES.split():
            parts = parts[1:]
        if first > 0 and tree.heads[first - 1] == last and tree.relations[first - 1] == "compound":
            tree.relations[first - 1] = "nmod:desc"  # "spokesman" of "spokesman Lee"
        if parts:
            tree.promote(last, parts[0], "flat")
            for word in parts[1:]:
                tree.relations[word] = "flat"


def titles(tree: Tree) -> None:
    """ "Dr." of "Dr. Lee", whether or not the pipeline knows persons."""
    for word, name in enumerate(tree.words):
        after = tree.heads[word] > word and tree.pos[tree.heads[word]] == "PROPN"
        if name in TITLES.split() and tree.relations[word] == "compound" and after:
            tree.relations[word] = "nmod:desc"


def numbered(tree: Tree) -> None:
    """ "Section 7" is flat; in "July 4" the number is the head."""
    for word in range(1, len(tree.words)):
        before = word - 1
        if tree.relations[word] == "nummod" and tree.heads[word] == before:
            if tree.words[before].rstrip(".") in MONTHS.split():
                tree.promote(before, word, "nmod:unmarked")
            elif tree.pos[before] in ("NOUN", "PROPN"):
                tree.relations[word] = "flat"
