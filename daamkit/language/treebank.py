"""Treebanks in CoNLL-U as spaCy documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spacy.tokens import Doc
from spacy.vocab import Vocab

from daamkit.errors import DaamkitError


def read(file: Path, vocab: Vocab) -> Iterator[Doc]:
    """The sentences of a file, a document each, with part of speech, head and relation.

    Words as the treebank has them: "don't" is "do" and "n't". Empty nodes are left out.

    Parameters
    ----------
    file
        UTF-8, CoNLL-U.
    vocab
        Of the pipeline that the documents are for.

    Raises
    ------
    DaamkitError
        If a line has not ten fields.
    """
    rows: list[list[str]] = []
    joined: dict[int, bool] = {}  # by a multiword token's last word: whether the next adheres to it
    inside: set[int] = set()  # words that are followed by another of their multiword token
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate([*lines, "\n"], 1):
            line = line.rstrip("\n")
            if not line:
                if rows:
                    yield _document(rows, inside, joined, vocab)
                rows, joined, inside = [], {}, set()
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
                    inside |= set(range(first, last))
                    joined[last] = "SpaceAfter=No" in fields[9]
                elif "." not in fields[0]:
                    rows.append(fields)


def _document(
    rows: list[list[str]], inside: set[int], joined: dict[int, bool], vocab: Vocab
) -> Doc:
    adheres = [
        int(row[0]) in inside or joined.get(int(row[0]), "SpaceAfter=No" in row[9]) for row in rows
    ]
    heads = [int(row[6]) - 1 for row in rows]
    return Doc(
        vocab,
        words=[row[1] for row in rows],
        spaces=[not each for each in adheres],
        pos=[row[3] for row in rows],
        heads=[index if head < 0 else head for index, head in enumerate(heads)],
        deps=["ROOT" if row[7] == "root" else row[7] for row in rows],
        sent_starts=[index == 0 for index in range(len(rows))],
    )
