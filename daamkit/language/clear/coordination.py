"""Conjuncts hang on the first of them, each with its coordinator."""

from __future__ import annotations

from daamkit.language.clear.tree import NOMINAL, Tree

COMMAS = set(",;:/-–—|")  # what separates conjuncts; no quotes, no brackets


def conjuncts(tree: Tree) -> None:
    """A coordinator or comma hangs on the conjunct after it, all conjuncts on the first.

    First of all, while a conjunct that is a preposition or a copula is still one: what is promoted
    in its place takes its coordinator along.
    """
    relations = tree.relations
    _begin(tree)
    _reunite(tree)
    for word in range(len(tree.words)):
        children = [child for child in tree.children(word) if child > word]
        for place, child in enumerate(children, 1):
            after = [each for each in children[place:] if relations[each] not in ("cc", "punct")]
            if relations[child] == "cc":
                after = [each for each in after if relations[each] == "conj"]
            elif relations[child] != "punct" or tree.words[child] not in COMMAS:
                continue
            if after and relations[after[0]] == "conj":
                tree.hang(child, after[0])
    for word in range(len(tree.words)):
        for _ in tree.words:
            if relations[word] == relations[tree.heads[word]] == "conj":
                tree.heads[word] = tree.heads[tree.heads[word]]


BOTH = {"both", "either", "neither", "not", "whether"}
# What a parser may call a conjunct that it has not known as one.
ALIKE = {"ROOT", "amod", "appos", "compound", "dep", "nmod", "npadvmod"}


def _begin(tree: Tree) -> None:
    """What stands before "and" is no "both": "an oven and a drier", where it hangs on "an"."""
    for word, relation in enumerate(list(tree.relations)):
        if relation != "preconj" or tree.words[word] in BOTH:
            continue
        above = [each for each in tree.above(word) if each > word]
        marks = [each for each in tree.children(word) if tree.relations[each] == "cc"]
        if above and marks and word < marks[0] < above[0]:
            after = [each for each in tree.children(above[0]) if each > marks[0]]
            tree.pos[word] = "NOUN"
            tree.promote(above[0], word, "conj", keep=after)


def _reunite(tree: Tree) -> None:
    """A coordinator whose conjunct hangs elsewhere finds it: "a photo of a cat and a dog".

    The parsers at times give "and" to the cat and "dog" to the photo. The coordinator is that of
    the conjunct after it; of two nouns, the conjunct belongs where the coordinator hangs.
    """
    for word, relation in enumerate(tree.relations):
        above = tree.heads[word]
        after = range(word + 1, len(tree.words))
        joined = [each for each in after if tree.relations[each] == "conj"]
        if relation != "cc" or any(tree.heads[each] == above for each in joined):
            continue
        joined = [each for each in joined if tree.heads[each] < word]
        if not joined:
            _adopt(tree, word)
            continue
        conjunct = joined[0]
        lower = tree.heads[conjunct] in tree.above(above)
        nouns = {tree.pos[conjunct], tree.pos[above]} <= NOMINAL
        if not (lower and nouns and tree.hang(conjunct, above)):
            tree.hang(word, tree.heads[conjunct])


def _adopt(tree: Tree, coordinator: int) -> None:
    """What follows a coordinator without a conjunct is its conjunct: "a blue shirt and red tie".

    The parsers at times say that the tie is in apposition, or a sentence, or that the shirt
    describes the tie.
    """
    first = tree.heads[coordinator]
    if first > coordinator:
        return
    near = {first, tree.heads[first], *tree.above(first)}
    for word in range(coordinator + 1, len(tree.words)):
        alike = tree.relations[word] in ALIKE and tree.pos[word] in NOMINAL | {"ADJ"}
        near_it = tree.heads[word] in near or tree.relations[word] == "ROOT"
        if alike and near_it and tree.leftmost(word) == coordinator + 1:
            if tree.hang(word, first):
                tree.relations[word] = "conj"
            return
