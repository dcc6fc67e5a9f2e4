"""spaCy's CLEAR dependencies as Universal Dependencies (English, version 2).

spaCy's English models speak CLEAR (Choi and Palmer 2012, Guidelines for the CLEAR Style Constituent
to Dependency Conversion). Universal Dependencies hang content words on content words: the
preposition on its noun, the copula on its predicate, every conjunct on the first. So words are hung
elsewhere, not only their relations renamed.

What a parse in CLEAR does not tell stays as it is: a name is ``compound``, never ``flat``; of "it
is hard to see" the clause is no subject.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from daamkit.errors import DaamkitError

NOMINAL = {"NOUN", "PROPN", "PRON", "NUM", "DET", "SYM", "X"}  # parts of speech
VERBAL = {"VERB", "AUX"}
BE = "be am is are was were been being 's ’s 're ’re 'm ’m"
# Adverbs, and prepositions without their noun, that say of a thing where or how it is.
PLACES = """
    here there where everywhere somewhere nowhere anywhere elsewhere inside outside indoors outdoors
    upstairs downstairs nearby near far close away back home abroad aboard ahead behind beneath
    underneath underwater above below around together apart alone in out on off up down over how
    when
"""
COMMAS = set(",;:/-–—|")  # what separates conjuncts; no quotes, no brackets
# Two words for one preposition: both are `case` of the noun, or the second is a `fixed` part of the
# first. EWT has both for "next to"; here it is `case`, as in the captions of the toybox.
PAIRS = {"next to": "case"} | dict.fromkeys(
    ["according to", "as for", "as of", "as to", "because of", "due to", "instead of", "prior to"]
    + ["such as"],
    "fixed",
)
# Relations of a preposition that its noun must not inherit: it becomes `pobj`, named later.
LOOSE = {"prep", "pcomp", "advmod", "amod", "case", "cc", "mark", "prt", "quantmod"}
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
    words: Sequence[str], pos: Sequence[str], heads: Sequence[int], relations: Sequence[str]
) -> tuple[list[int], list[str]]:
    """Heads and relations in Universal Dependencies; a tree stays a tree, with as many roots.

    Relations that are not CLEAR's stay as they are.

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

    Raises
    ------
    DaamkitError
        If there are not as many of each as words, or a head is not among the words.

    >>> words, pos = ["cat", "on", "grass"], ["NOUN", "ADP", "NOUN"]
    >>> universal(words, pos, [0, 0, 1], ["ROOT", "prep", "pobj"])
    ([0, 2, 0], ['root', 'case', 'nmod'])
    """
    sizes = [len(words), len(pos), len(heads), len(relations)]
    if len(set(sizes)) > 1 or any(not 0 <= head < len(words) for head in heads):
        raise DaamkitError(
            wanted="a part of speech, a head and a relation for every word",
            got=f"{sizes[0]} words, {sizes[1]} parts of speech, {sizes[3]} relations, "
            f"heads {list(heads)}",
            mend="give lists of one length, heads as indices into them",
        )
    words = [word.lower() for word in words]
    tree = _Tree(words, list(pos), list(heads), list(relations))
    for word, head in enumerate(heads):
        if word == head or tree.relations[word] == "ROOT":
            tree.relations[word] = "ROOT" if word == head else "dep"
    _conjuncts(tree)
    _prepositions(tree)
    _copulas(tree)
    _raised_subjects(tree)
    for word, relation in enumerate(tree.relations):
        infinitive = relation == "aux" and words[word] == "to"
        tree.relations[word] = "mark" if infinitive else NAMES.get(relation, relation)
    _fixed(tree)
    return tree.heads, tree.relations


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


@dataclass
class _Tree:
    words: list[str]  # lower case
    pos: list[str]
    heads: list[int]
    relations: list[str]

    def children(self, word: int) -> list[int]:
        return [each for each, head in enumerate(self.heads) if head == word != each]

    def deepest_first(self) -> list[int]:
        def depth(word: int) -> int:
            for steps in range(len(self.words)):  # more only in a circle
                if self.heads[word] == word:
                    return steps
                word = self.heads[word]
            return len(self.words)

        return sorted(range(len(self.words)), key=depth, reverse=True)

    def promote(self, old: int, new: int, label: str, keep: Collection[int] = ()) -> None:
        """A dependent takes its head's place, and the head hangs on it with the head's other
        dependents, save those it keeps."""
        for child in self.children(old):
            if child not in keep:
                self.heads[child] = new
        self.heads[new] = new if self.heads[old] == old else self.heads[old]
        self.heads[old] = new
        self.relations[new], self.relations[old] = self.relations[old], label


def _conjuncts(tree: _Tree) -> None:
    """A coordinator or comma hangs on the conjunct after it, all conjuncts on the first.

    First of all, while a conjunct that is a preposition or a copula is still one: what is promoted
    in its place takes its coordinator along.
    """
    relations = tree.relations
    for word in range(len(tree.words)):
        children = [child for child in tree.children(word) if child > word]
        for place, child in enumerate(children, 1):
            after = [each for each in children[place:] if relations[each] not in ("cc", "punct")]
            if relations[child] == "cc":
                after = [each for each in after if relations[each] == "conj"]
            elif relations[child] != "punct" or tree.words[child] not in COMMAS:
                continue
            if after and relations[after[0]] == "conj":
                tree.heads[child] = after[0]
    for word in range(len(tree.words)):
        for _ in tree.words:
            if relations[word] == relations[tree.heads[word]] == "conj":
                tree.heads[word] = tree.heads[tree.heads[word]]


def _prepositions(tree: _Tree) -> None:
    """Nouns and clauses are promoted over their prepositions; then what depends on whether the
    head is a noun is named."""
    relations, pos = tree.relations, tree.pos
    clear = list(relations)
    done: set[int] = set()  # nouns and clauses with their preposition
    order = ("pobj", "pcomp", "conj")
    for word in tree.deepest_first():
        pair = " ".join(tree.words[word : word + 2])
        preposition = clear[word] in ("prep", "agent") or pos[word] in ("ADP", "SCONJ", "PART")
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
            relations[word] = f"{oblique}:unmarked"
        elif relation == "dative":
            relations[word] = oblique if word in done or pos[word] == "ADP" else "iobj"
        elif relation in ("prep", "pcomp") and pos[word] in VERBAL:
            relations[word] = "acl" if nominal else "advcl"
        elif relation == "prep" and pos[word] == "ADV":
            relations[word] = "advmod"
        elif relation == "pcomp" and pos[word] in ("ADP", "SCONJ"):
            relations[word] = "case"  # the "of" of "because of"
        elif relation in ("prep", "pcomp", "pobj"):
            relations[word] = oblique


def _copulas(tree: _Tree) -> None:
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


def _raised_subjects(tree: _Tree) -> None:
    """The subject of a clause with no finite verb is the object of the verb above.

    "wants him to go", "sees him running", "makes him happy": ``obj`` and ``xcomp``.
    """
    relations = tree.relations
    for clause, relation in enumerate(relations):
        above, own = tree.heads[clause], tree.children(clause)
        labels = {relations[child] for child in own}
        subjects = [child for child in own if relations[child][:5] == "nsubj"]
        if relation != "ccomp" or tree.pos[above] != "VERB" or "mark" in labels or not subjects:
            continue
        infinitive = any(relations[c] == "aux" and tree.words[c] == "to" for c in own)
        bare = tree.words[clause].endswith("ing") or tree.pos[clause] not in VERBAL
        finite = not labels.isdisjoint({"aux", "auxpass", "cop"}) or not bare
        if above < subjects[0] < clause and (infinitive or not finite):
            tree.heads[subjects[0]] = above
            relations[subjects[0]], relations[clause] = "dobj", "xcomp"


def _fixed(tree: _Tree) -> None:
    """Several words for one function word hang together."""
    heads, relations = tree.heads, tree.relations
    for first, second in pairwise(range(len(tree.words))):
        pair = f"{tree.words[first]} {tree.words[second]}"
        labels = {relations[first], relations[second]} & {"case", "mark"}
        if pair in PAIRS and labels and heads[first] == heads[second] not in (first, second):
            relations[first] = min(labels)
            if PAIRS[pair] == "fixed":
                heads[second], relations[second] = first, "fixed"
        elif pair in ("each other", "one another") and heads[first] == second:
            tree.promote(second, first, "fixed")
    for word, relation in enumerate(list(relations)):
        if relation == "cc" and tree.words[word] in ("as", "than"):  # "as well as", "rather than"
            while left := [child for child in tree.children(word) if child < word]:
                tree.promote(word, left[0], "fixed")
                word = left[0]
