"""Which words are kinds of one thing, by WordNet."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache

from daamkit.errors import DaamkitError
from daamkit.language.senses import sense
from daamkit.language.wordnet import above, wordnet

# How far above two words their common class may lie, and how many kinds it may have: see `kinship`.
STEPS, BREADTH = 3, 500


@dataclass(frozen=True)
class Kinship:
    """Two words for kinds of one thing, co-hyponyms.

    Attributes
    ----------
    a, b
        The two words, as they were given.
    sense_a, sense_b
        Their senses, names of synsets.
    common
        Their nearest common class.
    steps_a, steps_b
        How far above each it lies.
    """

    a: str
    b: str
    sense_a: str
    sense_b: str
    common: str
    steps_a: int
    steps_b: int

    def __str__(self) -> str:
        return f"{self.a} and {self.b}: both {self.common}"


def kinship(a: str, b: str, steps: int = STEPS, breadth: int = BREADTH) -> Kinship | None:
    """Whether two words are co-hyponyms: kinds of one class, and neither a kind of the other.

    WordNet is deeper in some places than in others, so that steps alone do not tell: cat and dog
    are two steps below carnivore.n.01, mouse and elephant two below placental.n.01. Within three
    steps lie all carnivores, giraffe and zebra; 500 kinds admit carnivore.n.01 (365), but neither
    placental.n.01 (1119) nor container.n.01 (744), which has bags and bowls, but bicycles too.

    Parameters
    ----------
    a, b
        Words, phrases or senses; a word stands for its sense, see `senses.sense`.
    steps
        How far above either the common class may lie.
    breadth
        How many kinds, all the way down, the common class may have.

    Returns
    -------
    Kinship or None
        By the class with the fewest steps in sum; of several, the narrowest.

    >>> print(kinship("cat", "dog"))
    cat and dog: both carnivore.n.01
    >>> kinship("elephant", "mouse")
    """
    return of_senses((a, sense(a)), (b, sense(b)), steps, breadth)


@cache
def _kinds(name: str, limit: int) -> int:
    """How many kinds a class has, all the way down; counted to one above a limit."""
    kinds = wordnet().synset(name).closure(lambda each: each.hyponyms())
    return sum(1 for _ in itertools.islice(kinds, limit + 1))


def of_senses(a: tuple[str, str], b: tuple[str, str], steps: int, breadth: int) -> Kinship | None:
    """`kinship` of two words with their senses."""
    if steps < 1 or breadth < 1:
        raise DaamkitError(
            wanted="one step and one kind at least",
            got=f"steps={steps}, breadth={breadth}",
            mend="give whole numbers from 1",
        )
    above_a, above_b = above(a[1]), above(b[1])
    if a[1] in above_b or b[1] in above_a:
        return None
    far = {
        each: (len(above_a[each]) - 1, len(above_b[each]) - 1) for each in above_a.keys() & above_b
    }
    near = [each for each in far if max(far[each]) <= steps and _kinds(each, breadth) <= breadth]
    if not near:
        return None
    common = min(near, key=lambda each: (sum(far[each]), _kinds(each, breadth), each))
    return Kinship(a[0], b[0], a[1], b[1], common, *far[common])
