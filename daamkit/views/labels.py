"""What the words of a prompt are called where each needs a name of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from daamkit.maps.words import Word


def labels(words: Sequence[Word]) -> list[str]:
    """Their text; the second "cat" is "cat (2)"."""
    total = Counter(word.text for word in words)
    seen: Counter[str] = Counter()
    found = []
    for word in words:
        seen[word.text] += 1
        again = f" ({seen[word.text]})" if total[word.text] > 1 and seen[word.text] > 1 else ""
        found.append(word.text + again)
    return found
