"""Words for a picture itself: what is joined to them is mostly joined to what the picture shows."""

from __future__ import annotations

from collections.abc import Sequence

from daamkit.language.segments import listed


def rejoined(words: Sequence[str], heads: list[int], relations: Sequence[str]) -> list[int]:
    """Heads, with "a photo of A and B" read as of both, where a parser hung B on the photo.

    Not where B is a picture too ("a photo of a cat and a drawing of a dog").

    >>> words = ["photo", "of", "cats", "and", "dogs"]
    >>> rejoined(words, [0, 2, 0, 4, 0], ["root", "case", "nmod", "cc", "conj"])
    [0, 2, 0, 4, 2]
    """
    found, media = list(heads), listed("media.txt")
    names = [word.lower() for word in words]
    for word, relation in enumerate(relations):
        above = heads[word]
        if relation != "conj" or names[above] not in media or names[word] in media:
            continue
        cases = {heads[i] for i, r in enumerate(relations) if r == "case" and names[i] == "of"}
        shown = [i for i in cases if heads[i] == above < i < word and relations[i] == "nmod"]
        if shown:
            found[word] = max(shown)
    return found
