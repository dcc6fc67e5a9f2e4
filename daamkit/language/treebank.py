"""Treebanks in CoNLL-U as spaCy documents."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from spacy.tokens import Doc
from spacy.vocab import Vocab

from daamkit import files
from daamkit.errors import DaamkitError

WIDEST = 100  # words in one


def documents(file: Path, vocab: Vocab) -> Iterator[Doc]:
    """The sentences of a file, a document each, with part of speech, head and relation.

    Words as the treebank has them: "don't" is "do" and "n't". Empty nodes are left out.

    Parameters
    ----------
    file
        A file in CoNLL-U, encoded as UTF-8.
    vocab
        Of the pipeline that the documents are for.

    Raises
    ------
    DaamkitError
        If a line has not ten fields.
    """
    for _, sentence in _sentences(file, vocab):
        yield sentence


def joined(file: Path, vocab: Vocab, most: int = 3, seed: int = 0) -> Iterator[Doc]:
    """A file's sentences, one to `most` a document, so that a parser learns where they end.

    Joined are neighbours of one document ("# newdoc"), where the first ends with a mark.
    """
    rng = random.Random(seed)
    held: list[Doc] = []
    wanted = 1
    for new, sentence in _sentences(file, vocab):
        ended = bool(held) and held[-1][-1].text in (".", "!", "?")
        if held and (new or not ended or len(held) == wanted):
            yield Doc.from_docs(held)
            held, wanted = [], rng.randint(1, most)
        held.append(sentence)
    if held:
        yield Doc.from_docs(held)


def _sentences(file: Path, vocab: Vocab) -> Iterator[tuple[bool, Doc]]:
    """Each sentence, and whether it begins a document."""
    rows: list[list[str]] = []
    new = False
    joined: dict[int, bool] = {}  # by a multiword token's last word: whether the next adheres to it
    inside: set[int] = set()  # words that are followed by another of their multiword token
    try:
        text = files.text(file, 4 * files.MOST)
    except (OSError, ValueError) as error:
        raise _strange(file, str(getattr(error, "strerror", None) or error)) from error
    for number, line in enumerate([*text.splitlines(), ""], 1):
        try:
            if not line:
                if rows:
                    yield new, _document(rows, inside, joined, vocab)
                    new = False
                rows, joined, inside = [], {}, set()
            elif line.startswith("# newdoc"):
                new = True
            elif not line.startswith("#"):
                fields = line.split("\t")
                if len(fields) != 10:
                    raise DaamkitError(
                        wanted="ten fields a word, as in CoNLL-U",
                        got=f"{len(fields)} in line {number} of {file}",
                        mend="give a file of Universal Dependencies",
                    )
                if "-" in fields[0]:
                    first, last = map(int, fields[0].split("-"))
                    if not len(rows) < first < last < len(rows) + WIDEST:
                        raise ValueError(f"the words {fields[0]} in one, after {len(rows)}")
                    inside |= set(range(first, last))
                    joined[last] = "SpaceAfter=No" in fields[9]
                elif "." not in fields[0]:
                    rows.append(fields)
        except ValueError as error:  # spaCy's errors have several lines
            reason = str(error).splitlines()[0]
            raise _strange(file, f"{reason}, in the sentence up to line {number}") from error


def _strange(file: Path, got: str) -> DaamkitError:
    return DaamkitError(
        wanted=f"a treebank in CoNLL-U, {file}",
        got=got,
        mend="give a file of Universal Dependencies in UTF-8",
    )


def _document(
    rows: list[list[str]], inside: set[int], joined: dict[int, bool], vocab: Vocab
) -> Doc:
    adheres = [
        int(row[0]) in inside or joined.get(int(row[0]), "SpaceAfter=No" in row[9]) for row in rows
    ]
    heads = [int(row[6]) - 1 for row in rows]
    if [row[0] for row in rows] != [str(i) for i in range(1, len(rows) + 1)]:
        raise ValueError("words that are not numbered one after the other")
    if not all(row[1].strip() for row in rows):
        raise ValueError("a word of no characters")
    _tree(heads)
    return Doc(
        vocab,
        words=[row[1] for row in rows],
        spaces=[not each for each in adheres],
        pos=[row[3] for row in rows],
        heads=[index if head < 0 else head for index, head in enumerate(heads)],
        deps=["ROOT" if row[7] == "root" else row[7] for row in rows],
        sent_starts=[index == 0 for index in range(len(rows))],
    )


def _tree(heads: list[int]) -> None:
    """Raises if heads, -1 for the root, make no tree: spaCy would not end, or make another."""
    good: set[int] = {-1}
    for word in range(len(heads)):
        way: list[int] = []
        while word not in good:
            if word in way or not -1 <= heads[word] < len(heads):
                raise ValueError(f"the word {word + 1} with the head {heads[word] + 1}, in no tree")
            way.append(word)
            word = heads[word]
        good.update(way)
