"""Nouns and clauses are hung above their prepositions."""

from __future__ import annotations

from daamkit.language.clear.idioms import PAIRS
from daamkit.language.clear.tree import NOMINAL, VERBAL, Tree

# Relations of a preposition that its noun must not inherit: it becomes `pobj`, named later.
LOOSE = {"prep", "pcomp", "advmod", "amod", "case", "cc", "mark", "prt", "quantmod"}

QUANTITIES = "most many much more less few fewer fewest several all some any enough none"


def prepositions(tree: Tree) -> None:
    """Nouns and clauses are promoted over their prepositions; then what depends on whether the
    head is a noun is named."""
    relations, pos = tree.relations, tree.pos
    clear = list(relations)
    done: set[int] = set()  # nouns and clauses with their preposition
    order = ("pobj", "pcomp", "conj")
    for word in tree.deepest_first():
        pair = " ".join(tree.words[word : word + 2])
        preposition = clear[word] in ("prep", "agent") or pos[word] in ("ADP", "SCONJ", "PART")
        if preposition and not any(relations[child] in order[:2] for child in tree.children(word)):
            for child in tree.children(word):  # "squares in blue", "from below"
                adjective = relations[child] in ("amod", "acomp") and pos[child] == "ADJ"
                alone = clear[child] == "prep" and not tree.children(child)
                if child > word and (adjective or alone):
                    relations[child] = "pobj"
        objects = [
            (order.index(relations[child]), child < word, abs(child - word), child)
            for child in tree.children(word)
            if relations[child] in order
            and (preposition or pair in PAIRS or (pos[word] == "ADV" and child not in done))
            # "in and around the house", where the parser gave the house to "around"
            and (relations[child] != "conj" or (clear[word] == "prep" and child in done))
        ]
        if not objects:
            continue
        new = min(objects)[-1]
        done.add(new)
        clause = relations[new] == "pcomp" and pos[new] in VERBAL
        if relations[word] in LOOSE or (clause and relations[word] in ("agent", "dative")):
            relations[word] = "pcomp" if clause else "pobj"
        # The same words, where it gave the house to "in": "around" stays a conjunct of "in".
        bare = [c for c in tree.children(word) if relations[c] == "conj" and pos[c] == "ADP"]
        tree.promote(word, new, "mark" if clause else "case", keep=bare)
    for word, relation in enumerate(relations):
        nominal = pos[tree.heads[word]] in NOMINAL
        oblique = "nmod" if nominal else "obl"
        if relation == "npadvmod":
            hyphen = tree.words[word + 1 : word + 2] == ["-"] and tree.heads[word] == word + 2
            relations[word] = "compound" if hyphen else f"{oblique}:unmarked"
        elif relation == "advmod" and pos[word] == "ADP" and tree.words[word] == "at":
            least = tree.heads[word]  # "at least two", "not at all"
            if least == word + 1 and relations[least] in ("advmod", "quantmod"):
                relations[word] = "case"
                relations[least] = "nmod" if pos[tree.heads[least]] in NOMINAL else "obl"
        elif relation == "dative":
            relations[word] = oblique if word in done or pos[word] == "ADP" else "iobj"
        elif relation in ("prep", "pcomp") and pos[word] in VERBAL:
            relations[word] = "acl" if nominal else "advcl"
        elif relation == "prep" and pos[word] == "ADV":
            relations[word] = "advmod"
        elif relation == "pcomp" and pos[word] in ("ADP", "SCONJ"):
            relations[word] = "case"  # the "of" of "because of"
        elif relation in ("prep", "pcomp", "pobj"):
            relations[word] = "nmod" if _partitive(tree, word) else oblique


def _partitive(tree: Tree, word: int) -> bool:
    """Whether it is "snow" in "most of the snow", whose "most" stands for a noun."""
    above = tree.heads[word]
    of = any(tree.words[c] == "of" and tree.relations[c] == "case" for c in tree.children(word))
    return of and tree.words[above] in QUANTITIES.split()
