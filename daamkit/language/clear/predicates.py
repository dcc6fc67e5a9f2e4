"""Predicates are hung above "be"."""

from __future__ import annotations

from daamkit.language.clear.tree import VERBAL, Tree

BE = "be am is are was were been being s 's ’s 're ’re 'm ’m"
# Adverbs, and prepositions without their noun, that say of a thing where or how it is.
PLACES = """
    here there where everywhere somewhere nowhere anywhere elsewhere inside outside indoors outdoors
    upstairs downstairs nearby near far close away back home abroad aboard ahead behind beneath
    underneath underwater above below around together apart alone in out on off up down over how
    when
"""


def copulas(tree: Tree) -> None:
    """Predicates are promoted over "be": a noun or adjective, else a place, else a clause.

    Not in "there is a cat", whose cat is the subject.
    """
    relations = tree.relations
    for be in tree.deepest_first():
        children = tree.children(be)
        labels = [relations[child] for child in children]
        ranked = []
        for child, label in zip(children, labels, strict=True):
            adverb = label in ("advmod", "prt") and tree.words[child] in PLACES.split()
            if label in ("attr", "acomp", "oprd"):
                ranked.append((0, abs(child - be), child))
            elif label == "obl" or adverb:  # before "be" it may be no more than the setting
                ranked.append((1 if child > be else 3, abs(child - be), child))
            elif label in ("ccomp", "xcomp") and child > be:
                ranked.append((2, abs(child - be), child))
        copula = tree.words[be] in BE.split() and tree.pos[be] in VERBAL
        if "expl" in labels:
            if "attr" in labels and "nsubj" not in labels:
                relations[children[labels.index("attr")]] = "nsubj"
        elif ranked and copula and not relations[be].startswith("aux"):
            rank, _, predicate = min(ranked)
            for child in children if rank == 2 else []:
                if relations[child] in ("nsubj", "csubj"):  # beside the clause's own
                    relations[child] += ":outer"
            tree.promote(be, predicate, "cop")
