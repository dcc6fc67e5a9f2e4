"""Noun phrases that the parsers tear: "a fire hydrant", "a hair drier"."""

from __future__ import annotations

from daamkit.language.clear.tree import Tree

NOUNS = {"NOUN", "PROPN"}
LOOSE = {"ROOT", "appos", "dep"}  # relations of a phrase's last noun that was cut off


def joined(tree: Tree) -> None:
    """A phrase that begins with an article ends with its last noun: "a person and a fire hydrant".

    The parsers at times hang "fire" on the person, and the hydrant on what is above both, or take
    it for a sentence.
    """
    for word in range(1, len(tree.words)):
        before = word - 1
        if tree.pos[before] not in NOUNS:
            continue
        _no_verb(tree, word)
        torn = tree.heads[before] != word and _article(tree, before)
        if torn and (_cut_off(tree, word) or _doer(tree, word)):
            tree.pos[word] = "NOUN"
            tree.promote(before, word, "compound")


def _article(tree: Tree, noun: int) -> str:
    """The determiner before a noun, "" if it has none."""
    own = [each for each in tree.children(noun) if tree.relations[each] == "det" and each < noun]
    return tree.words[own[0]] if own else ""


def _no_verb(tree: Tree, word: int) -> None:
    """In "a photo of a stop sign" the photo signs nothing: what one does ends in "-s"."""
    subjects = [each for each in tree.children(word) if tree.relations[each] == "nsubj"]
    verb = tree.pos[word] != "NOUN" or tree.words[word].endswith(("s", "ed"))
    if verb or tree.relations[word] != "ROOT" or len(subjects) != 1:
        return
    subject = subjects[0]
    if subject < word - 1 and _article(tree, subject) in ("a", "an"):
        tree.heads[subject], tree.relations[subject] = subject, "ROOT"
        tree.heads[word], tree.relations[word] = subject, "dep"


def _cut_off(tree: Tree, word: int) -> bool:
    """Whether a bare noun hangs neither on the noun before it nor on what follows."""
    above = tree.heads[word]
    elsewhere = above == word or above in tree.above(word - 1)
    bare = tree.pos[word] == "NOUN" and tree.leftmost(word) == word
    return bare and elsewhere and tree.relations[word] in LOOSE


def _doer(tree: Tree, word: int) -> bool:
    """Whether it is "drier" in "a hair drier": no comparative stands alone behind its noun."""
    comparative = tree.pos[word] == "ADJ" and tree.words[word].endswith("er")
    says = tree.relations[word] in ("advmod", "amod") and tree.heads[word] < word
    own = tree.children(word)
    measured = any(each < word or tree.words[each] == "than" for each in own)
    return comparative and says and not measured
