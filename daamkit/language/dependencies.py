"""spaCy's CLEAR dependencies as Universal Dependencies (English, version 2).

spaCy's English models speak CLEAR (Choi and Palmer 2012, Guidelines for the CLEAR Style Constituent
to Dependency Conversion). Universal Dependencies hang content words on content words: the
preposition on its noun, the copula on its predicate, every conjunct on the first. So words are hung
elsewhere, not only their relations renamed.

Errors that spaCy's English models make alike are mended on the way, where the parse tells enough:
see the files of `daamkit.language.clear`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from daamkit.errors import DaamkitError
from daamkit.language.clear import clauses, compounds, names
from daamkit.language.clear.coordination import conjuncts
from daamkit.language.clear.idioms import fixed
from daamkit.language.clear.predicates import copulas
from daamkit.language.clear.prepositions import prepositions
from daamkit.language.clear.tree import Tree

NAMES = {
    "ROOT": "root",
    "acomp": "xcomp",
    "agent": "obl:agent",
    "attr": "xcomp",
    "auxpass": "aux:pass",
    "csubjpass": "csubj:pass",
    "dobj": "obj",
    "intj": "discourse",
    "meta": "dep",
    "neg": "advmod",
    "nounmod": "nmod",
    "nsubjpass": "nsubj:pass",
    "oprd": "xcomp",
    "poss": "nmod:poss",
    "preconj": "cc:preconj",
    "predet": "det:predet",
    "prt": "compound:prt",
    "quantmod": "advmod",
    "relcl": "acl:relcl",
}
CLEAR = NAMES.keys() - {"ROOT"} | {"dative", "npadvmod", "pcomp", "pobj", "prep"}


def is_clear(labels: Iterable[str]) -> bool:
    """Whether labels are CLEAR's: one is among them that Universal Dependencies lack.

    A short parse may have none ("a red cat"); all labels of a parser tell for sure.

    >>> is_clear(["det", "ROOT", "prep", "pobj"]), is_clear(["det", "root", "case", "nmod"])
    (True, False)
    """
    return not CLEAR.isdisjoint(labels)


def universal(
    words: Sequence[str],
    pos: Sequence[str],
    heads: Sequence[int],
    relations: Sequence[str],
    people: Iterable[tuple[int, int]] = (),
) -> tuple[list[int], list[str]]:
    """Heads and relations in Universal Dependencies; a tree stays a tree.

    Relations that are not CLEAR's stay as they are. Roots become fewer where one was the end of a
    phrase begun before it.

    Parameters
    ----------
    words
        Of one sentence or several, as the parser cut them.
    pos
        Universal parts of speech.
    heads
        Index of each word's head; a root is its own.
    relations
        CLEAR's; a root's is "ROOT" (in the result "root").
    people
        First word of each person's name, and the first after it, where the pipeline finds names.

    Raises
    ------
    DaamkitError
        If there are not as many of each as words, or a head is not among the words.

    >>> words, pos = ["cat", "on", "grass"], ["NOUN", "ADP", "NOUN"]
    >>> universal(words, pos, [0, 0, 1], ["ROOT", "prep", "pobj"])
    ([0, 2, 0], ['root', 'case', 'nmod'])
    """
    tree = converted(words, pos, heads, relations, people)
    return tree.heads, tree.relations


def converted(
    words: Sequence[str],
    pos: Sequence[str],
    heads: Sequence[int],
    relations: Sequence[str],
    people: Iterable[tuple[int, int]] = (),
) -> Tree:
    """See `universal`; the tree has parts of speech too, mended where the parse tells better."""
    sizes = [len(words), len(pos), len(heads), len(relations)]
    if len(set(sizes)) > 1 or any(not 0 <= head < len(words) for head in heads):
        raise DaamkitError(
            wanted="a part of speech, a head and a relation for every word",
            got=f"{sizes[0]} words, {sizes[1]} parts of speech, {sizes[3]} relations, "
            f"heads {list(heads)}",
            mend="give lists of one length, heads as indices into them",
        )
    words = [word.lower() for word in words]
    tree = Tree(words, list(pos), list(heads), list(relations))
    for word, head in enumerate(heads):
        if word == head or tree.relations[word] == "ROOT":
            tree.relations[word] = "ROOT" if word == head else "dep"
    compounds.joined(tree)
    conjuncts(tree)
    names.flat(tree, people)
    names.titles(tree)
    names.numbered(tree)
    prepositions(tree)
    copulas(tree)
    clauses.raised_subjects(tree)
    clauses.spoken_to(tree)
    clauses.infinitives(tree)
    clauses.extraposed(tree)
    clauses.run_on(tree)
    for word, relation in enumerate(tree.relations):
        infinitive = relation == "aux" and words[word] == "to"
        tree.relations[word] = "mark" if infinitive else NAMES.get(relation, relation)
    fixed(tree)
    return tree


def collapsed(words: Sequence[str], heads: Sequence[int], relations: Sequence[str]) -> list[str]:
    """Relations with their function word, as enhanced Universal Dependencies name them.

    ``nmod`` and ``obl`` take their prepositions ("nmod:of", "obl:next_to"), ``conj`` its
    coordinator, or that of the conjunct after it ("conj:and" twice in "a, b and c").

    >>> collapsed(["cat", "on", "grass"], [0, 2, 0], ["root", "case", "nmod"])
    ['root', 'case', 'nmod:on']
    """

    def function(word: int, relation: str) -> list[str]:
        first = [w for w, head in enumerate(heads) if head == word and relations[w] == relation]
        parts = [w for w, head in enumerate(heads) if head in first and relations[w] == "fixed"]
        names = [words[w].lower() for w in sorted(first + parts)]
        return [name for name in names if name not in ("'s", "’s", "'", "’")]

    named = list(relations)
    coordinators: dict[int, list[str]] = {}  # by the first conjunct: the last seen from the end
    for word in reversed(range(len(words))):
        found: list[str] = []
        if relations[word] in ("nmod", "obl"):
            found = function(word, "case")
        elif relations[word] == "conj":
            found = function(word, "cc") or coordinators.get(heads[word], [])
            coordinators[heads[word]] = found
        if found:
            named[word] += ":" + "_".join(found)
    return named
