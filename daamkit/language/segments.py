"""Tag lists: prompts such as "a cat, highly detailed, 8k, artstation", each part by itself."""

from __future__ import annotations

import re
from functools import cache

from daamkit import resources

FEWEST = 4  # parts from which on a list without "and" is one of tags
LONGEST = 5  # words that a tag has at most
_BREAKS = re.compile(r"[,;|]\s*")
_SENTENCE = re.compile(r"[.!?]\s+\S|\b(?:and|or|is|are|that|which)\b", re.IGNORECASE)


def segments(text: str) -> list[tuple[int, int]]:
    """The parts of a tag list, or the whole text if it is none.

    It is one if a part, after the first, is known to say how good a picture is or in what style
    ("highly detailed", "8k": `data/language/styles.txt`), or if there are four parts or more, all
    but the first of them short, and none with "and" or a verb of being.

    >>> text = "a cat on a mat, highly detailed, 8k"
    >>> [text[start:end] for start, end in segments(text)]
    ['a cat on a mat', 'highly detailed', '8k']
    >>> segments("a red apple, a bell, and a book")
    [(0, 31)]
    """
    ends = [match.span() for match in _BREAKS.finditer(text)]
    if not ends:
        return [(0, len(text))]
    starts = [0, *(end for _, end in ends)]
    parts = list(zip(starts, [*(start for start, _ in ends), len(text)], strict=True))
    parts = [(start, end) for start, end in parts if text[start:end].strip()]
    rest = [text[start:end].strip() for start, end in parts[1:]]
    tagged = any(part.lower().rstrip(".") in listed("styles.txt") for part in rest)
    short = all(len(part.split()) <= LONGEST for part in rest)
    plain = not any(_SENTENCE.search(part) for part in rest)
    if rest and (tagged or (len(parts) >= FEWEST and short and plain)):
        return parts
    return [(0, len(text))]


def known(file: str) -> list[str]:
    """The words of a list in `data/language`, one a line; "#" begins a remark."""
    lines = resources.path("language", file).read_text("utf-8").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


@cache
def listed(file: str) -> frozenset[str]:
    """The same, to look words up in."""
    return frozenset(known(file))
