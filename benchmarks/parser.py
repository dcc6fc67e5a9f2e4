"""How well does a parser parse? Gold words of a treebank in, all words counted, also punctuation.

    python benchmarks/parser.py test.conllu build/held-out.conllu --model build/parser/model-best

UAS: the right head; LAS: and the whole relation, subtypes included; POS: the part of speech. Speed
in words a second, one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import spacy
from spacy.tokens import Doc

from daamkit.language import treebank


def measure(file: Path, model: str) -> dict[str, float]:
    """Shares of words, and speed."""
    nlp = spacy.load(model)
    gold = list(treebank.read(file, nlp.vocab))
    blank = [
        Doc(nlp.vocab, [t.text for t in doc], [bool(t.whitespace_) for t in doc]) for doc in gold
    ]
    started = time.perf_counter()
    parsed = list(nlp.pipe(blank, batch_size=128))
    seconds = time.perf_counter() - started
    pairs = [pair for two in zip(gold, parsed, strict=True) for pair in zip(*two, strict=True)]
    heads = [g.head.i == p.head.i for g, p in pairs]
    labels = [g.dep_.upper() == p.dep_.upper() for g, p in pairs]
    return {
        "words": len(pairs),
        "uas": round(sum(heads) / len(pairs), 4),
        "las": round(sum(h and r for h, r in zip(heads, labels, strict=True)) / len(pairs), 4),
        "pos": round(sum(g.pos == p.pos for g, p in pairs) / len(pairs), 4),
        "words_a_second": round(len(pairs) / seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", help="CoNLL-U")
    parser.add_argument("--model", required=True, help="a spaCy pipeline, by name or folder")
    asked = parser.parse_args()
    print(json.dumps({file.name: measure(file, asked.model) for file in asked.files}, indent=1))


if __name__ == "__main__":
    main()
