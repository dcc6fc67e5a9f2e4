"""Write `parses/`: what spaCy's own English models say of prompts, before it is converted.

    python -m tests.golden.parses sm=en_core_web_sm md=en_core_web_md [--prompts parti.jsonl]

For each model "captions" (the 40 of `tests/language/captions.conllu`, in their words), "pairs" (all
of `evaluate.pairs`), and, where a file is named, "prompts" (its first 100 that are held out of
training). `tests/language/test_recorded.py` reads them, without the models.
"""

import argparse
from pathlib import Path

from spacy.tokens import Doc, DocBin

from daamkit.language import evaluate, parsing, silver, treebank

HERE = Path(__file__).parent
FOLDER = HERE / "parses"
CAPTIONS = HERE.parent / "language" / "captions.conllu"
KEPT = ["POS", "HEAD", "DEP", "SENT_START", "SPACY", "ENT_IOB", "ENT_TYPE"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", metavar="NAME=PIPELINE")
    parser.add_argument("--prompts", type=Path)
    asked = parser.parse_args()
    for name, _, model in (each.partition("=") for each in asked.models):
        nlp = parsing.spacy_pipeline(model)
        texts = {"pairs": [text for text, _ in evaluate.pairs()]}
        if asked.prompts is not None:
            held = filter(silver.held_out, silver.prompts([asked.prompts]))
            texts["prompts"] = list(held)[:100]
        documents = {name: list(nlp.pipe(each)) for name, each in texts.items()}
        gold = treebank.documents(CAPTIONS, nlp.vocab)
        blank = (
            Doc(nlp.vocab, [t.text for t in d], [bool(t.whitespace_) for t in d]) for d in gold
        )
        documents["captions"] = list(nlp.pipe(blank))
        for what, docs in documents.items():
            DocBin(attrs=KEPT, docs=docs).to_disk(FOLDER / f"{name}-{what}.spacy")


if __name__ == "__main__":
    main()
