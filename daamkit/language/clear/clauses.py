"""Clauses whose kind CLEAR does not tell: run on, infinitive, extraposed; and their subjects."""

from __future__ import annotations

from daamkit.language.clear.tree import VERBAL, Tree

# Verbs that a bare infinitive or a participle follows: "let me see", "get it done".
BARE = """
    let lets letting make makes made making help helps helped helping have has had having get gets
    got getting see sees saw seen seeing watch watches watched watching hear hears heard hearing
    feel feels felt feeling
"""
# Verbs whose object is whom one speaks to: "told him to go".
SAID_TO = """
    tell tells told telling ask asks asked asking allow allows allowed allowing assure assures
    assured inform informs informed convince convinces convinced urge urges urged advise advises
    advised trust trusts reassure reassured persuade persuades persuaded
    warn warns warned thank thanks thanked remind reminds reminded recommend recommended
"""
QUOTES = {'"', "''", "``", "”", "“", "'", "’"}


def raised_subjects(tree: Tree) -> None:
    """The subject of a clause with no finite verb is the object of the verb above.

    "wants him to go", "sees him running", "makes him happy", "let him go": ``obj`` and ``xcomp``.
    """
    relations = tree.relations
    for clause, relation in enumerate(relations):
        above, own = tree.heads[clause], tree.children(clause)
        labels = {relations[child] for child in own}
        subjects = [child for child in own if relations[child][:5] == "nsubj"]
        if relation != "ccomp" or tree.pos[above] not in VERBAL or "mark" in labels or not subjects:
            continue
        infinitive = any(relations[c] == "aux" and tree.words[c] == "to" for c in own)
        participle = tree.words[clause].endswith("ing") or tree.pos[clause] not in VERBAL
        helped = not labels.isdisjoint({"aux", "auxpass", "cop"})
        loose = participle or tree.words[above] in BARE.split()
        if above < subjects[0] < clause and (infinitive or (loose and not helped)):
            tree.hang(subjects[0], above)
            relations[subjects[0]], relations[clause] = "dobj", "xcomp"


def spoken_to(tree: Tree) -> None:
    """Whom a verb of telling tells, where a clause says what."""
    for word, relation in enumerate(tree.relations):
        above = tree.heads[word]
        if relation == "dobj" and tree.words[above] in SAID_TO.split():
            siblings = {tree.relations[child] for child in tree.children(above) if child > word}
            if not siblings.isdisjoint({"xcomp", "ccomp"}):
                tree.relations[word] = "iobj"


def infinitives(tree: Tree) -> None:
    """A relative clause in the infinitive is no relative clause: "a place to stay"."""
    for word, relation in enumerate(tree.relations):
        if relation == "relcl":
            first = min([word, *tree.children(word)])
            if tree.words[first] == "to" and tree.relations[first] == "aux":
                tree.relations[word] = "acl"


def extraposed(tree: Tree) -> None:
    """In "it is hard to see" the clause is the subject, and "it" an expletive."""
    for word, relation in enumerate(list(tree.relations)):
        above = tree.heads[word]
        if relation not in ("nsubj", "nsubjpass") or tree.words[word] != "it" or word > above:
            continue
        clauses = [
            child
            for child in tree.children(above)
            if child > above and tree.relations[child] in ("xcomp", "ccomp")
        ]
        if clauses and tree.pos[above] == "ADJ":
            tree.relations[word], tree.relations[clauses[0]] = "expl", "csubj"


def run_on(tree: Tree) -> None:
    """Of two main clauses the first is the root: "it works, he says"."""
    for word in tree.deepest_first():
        above = tree.heads[word]
        if tree.relations[word] != "ccomp" or word > above:
            continue
        if not QUOTES.isdisjoint(tree.words[word:above]):
            continue  # direct speech
        between = [child for child in tree.children(above) if child != word]
        marked = any(tree.relations[child] == "mark" for child in tree.children(word))
        if not marked and all(
            child > word for child in between if tree.relations[child] != "punct"
        ):
            keep = [child for child in between if child > word]
            tree.promote(above, word, "parataxis", keep=keep)
