"""What words and runs are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from daamkit.maps.run import Run
from daamkit.maps.words import Word


def labels(words: Sequence[Word]) -> list[str]:
    """Names that tell words apart: their text, and the second "cat" is "cat (2)"."""
    total = Counter(word.text for word in words)
    seen: Counter[str] = Counter()
    found = []
    for word in words:
        seen[word.text] += 1
        again = f" ({seen[word.text]})" if total[word.text] > 1 and seen[word.text] > 1 else ""
        found.append(word.text + again)
    return found


def method(run: Run) -> str:
    """What guided a run."""
    return " + ".join(row["method"] for row in run.record.get("guidance", ())) or "unguided"
