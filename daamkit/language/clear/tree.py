"""A parse while it is rehung: words, parts of speech, heads, relations."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

NOMINAL = {"NOUN", "PROPN", "PRON", "NUM", "DET", "SYM", "X"}  # parts of speech
VERBAL = {"VERB", "AUX"}


@dataclass
class Tree:
    """The words of a sentence with their tags, heads and relations."""

    words: list[str]  # lower case
    pos: list[str]
    heads: list[int]
    relations: list[str]

    def children(self, word: int) -> list[int]:
        return [each for each, head in enumerate(self.heads) if head == word != each]

    def above(self, word: int) -> list[int]:
        """Its head, that one's head, and so on."""
        found: list[int] = []
        while self.heads[word] != word and self.heads[word] not in found:
            word = self.heads[word]
            found.append(word)
        return found

    def leftmost(self, word: int) -> int:
        """The first word of all that hangs on it, itself included."""
        return min(each for each in range(len(self.words)) if word in (each, *self.above(each)))

    def deepest_first(self) -> list[int]:
        def depth(word: int) -> int:
            for steps in range(len(self.words)):  # more only in a circle
                if self.heads[word] == word:
                    return steps
                word = self.heads[word]
            return len(self.words)

        return sorted(range(len(self.words)), key=depth, reverse=True)

    def hang(self, word: int, head: int) -> bool:
        """Hang a word on another, unless that one hangs on it: whether it could be."""
        if word == head or word in self.above(head):
            return False
        self.heads[word] = head
        return True

    def promote(self, old: int, new: int, label: str, keep: Collection[int] = ()) -> None:
        """A dependent takes its head's place, and the head hangs on it with the head's other
        dependents, save those it keeps."""
        children = [child for child in self.children(old) if child not in (new, *keep)]
        if new not in self.above(old):
            self.heads[new] = new if self.heads[old] == old else self.heads[old]
            self.relations[new] = self.relations[old]
        self.heads[old], self.relations[old] = new, label
        for child in children:
            self.hang(child, new)
