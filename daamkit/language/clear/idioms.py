"""Several words for one function word."""

from __future__ import annotations

from itertools import pairwise

from daamkit.language.clear.tree import Tree

# Two words for one preposition: both are `case` of the noun, or the second is a `fixed` part of the
# first. EWT has both for "next to"; here it is `case`, as in the captions of the toybox.
PAIRS = {"next to": "case"} | dict.fromkeys(
    ["according to", "as for", "as of", "as to", "because of", "due to", "instead of", "prior to"]
    + ["so that", "such as"],
    "fixed",
)


def fixed(tree: Tree) -> None:
    """Several words for one function word hang together."""
    heads, relations = tree.heads, tree.relations
    for first, second in pairwise(range(len(tree.words))):
        pair = f"{tree.words[first]} {tree.words[second]}"
        labels = {relations[first], relations[second]} & {"case", "mark"}
        if pair in PAIRS and labels and heads[first] == heads[second] not in (first, second):
            relations[first] = min(labels)
            if PAIRS[pair] == "fixed":
                tree.hang(second, first)
                relations[second] = "fixed"
        elif pair in ("as well", "each other", "of course", "one another"):
            if heads[first] == second and (pair != "as well" or relations[second] != "cc"):
                tree.promote(second, first, "fixed")
                if pair == "of course":
                    relations[first] = "advmod"
        elif pair in ("less than", "more than"):
            _than(tree, first, second)
    for word, relation in enumerate(list(relations)):
        if relation == "cc" and tree.words[word] in ("as", "than"):  # "as well as", "rather than"
            while left := [child for child in tree.children(word) if child < word]:
                tree.promote(word, left[0], "fixed")
                word = left[0]


def _than(tree: Tree, first: int, second: int) -> None:
    """ "more than two": of the number, not of the noun."""
    number = tree.heads[first]
    if number == tree.heads[second] > second and tree.relations[second] == "advmod":
        tree.hang(second, first)
        tree.relations[first], tree.relations[second] = "advmod", "fixed"
