"""Train the parser that ships with daamkit: parts of speech and Universal Dependencies.

    python -m daamkit.toybox.conllu --n 5000 --without below holding --out build/captions.conllu
    python -m daamkit.language.training --train train.conllu build/captions.conllu \\
        --dev dev.conllu --out build/parser
    python -m daamkit.language.training --train train.conllu build/captions.conllu \\
        build/silver.conllu --dev dev.conllu --start build/parser/model-best --out build/silver

The treebank is UD English EWT (CC BY-SA 4.0); for silver see `daamkit.language.silver`. What is
best on the dev set lies in ``build/parser/model-best``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import spacy
from spacy.cli.train import train
from spacy.tokens import DocBin
from spacy.util import load_model_from_config
from thinc.api import Config

from daamkit.language import treebank

CONFIG = """
[paths]
train = null
dev = null

[system]
seed = 0

[nlp]
lang = "en"
pipeline = ["tok2vec", "morphologizer", "parser"]
batch_size = 256

[components]
{components}
[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${{paths.train}}
gold_preproc = false

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = ${{paths.dev}}
gold_preproc = true

[training]
seed = ${{system.seed}}
dropout = 0.2
patience = 0
max_epochs = {epochs}
max_steps = 0
eval_frequency = 500
train_corpus = "corpora.train"
dev_corpus = "corpora.dev"

[training.batcher]
@batchers = "spacy.batch_by_words.v1"
size = {words}
tolerance = 0.2
discard_oversize = false

[training.optimizer]
@optimizers = "Adam.v1"
use_averages = true

[training.optimizer.learn_rate]
@schedules = "warmup_linear.v1"
warmup_steps = 250
total_steps = {steps}
initial_rate = {rate}

[training.score_weights]
pos_acc = 0.3
dep_uas = 0.2
dep_las = 0.5
"""

NEW = """
[components.tok2vec]
factory = "tok2vec"

[components.tok2vec.model]
@architectures = "spacy.Tok2Vec.v2"

[components.tok2vec.model.embed]
@architectures = "spacy.MultiHashEmbed.v2"
width = {width}
attrs = ["NORM", "PREFIX", "SUFFIX", "SHAPE"]
rows = [6000, 1500, 3000, 1500]
include_static_vectors = false

[components.tok2vec.model.encode]
@architectures = "spacy.MaxoutWindowEncoder.v2"
width = {width}
depth = {depth}
window_size = 1
maxout_pieces = 3

[components.morphologizer]
factory = "morphologizer"

[components.morphologizer.model]
@architectures = "spacy.Tagger.v2"

[components.morphologizer.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = {width}

[components.parser]
factory = "parser"
min_action_freq = 10

[components.parser.model]
@architectures = "spacy.TransitionBasedParser.v2"
state_type = "parser"
extra_state_tokens = false
hidden_width = 96
maxout_pieces = 2
use_upper = true

[components.parser.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = {width}

"""
GOING_ON = """
[components.tok2vec]
source = "{start}"

[components.morphologizer]
source = "{start}"

[components.parser]
source = "{start}"
"""


def convert(files: list[Path], place: Path, most: int = 1) -> int:
    """Write treebanks as one file of spaCy's, one to `most` sentences a document.

    Returns the number of words.
    """
    vocab = spacy.blank("en").vocab
    documents = DocBin(attrs=["POS", "HEAD", "DEP", "SENT_START", "SPACY"])
    words = 0
    for file in files:
        for document in treebank.joined(file, vocab, most):
            documents.add(document)
            words += len(document)
    documents.to_disk(place)
    return words


def main(argv: list[str] | None = None) -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="CoNLL-U files")
    parser.add_argument("--dev", type=Path, nargs="+", required=True, help="CoNLL-U files")
    parser.add_argument("--out", type=Path, default=Path("build/parser"))
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--words", type=int, default=600, help="a batch")
    parser.add_argument("--start", type=Path, help="go on from this pipeline's weights")
    parser.add_argument("--rate", type=float, default=0.002, help="of learning, at its highest")
    asked = parser.parse_args(argv)
    asked.out.mkdir(parents=True, exist_ok=True)
    words = convert(asked.train, asked.out / "train.spacy", most=3)
    convert(asked.dev, asked.out / "dev.spacy")
    parts = NEW if asked.start is None else GOING_ON
    text = CONFIG.format(
        components=parts.format(width=asked.width, depth=asked.depth, start=asked.start),
        epochs=asked.epochs,
        words=asked.words,
        rate=asked.rate,
        steps=words * asked.epochs // asked.words,
    )
    config = Config().from_str(text, interpolate=False)
    filled = load_model_from_config(config, auto_fill=True).config
    if asked.start is not None:  # filled, they are new ones of the same make
        filled["components"] = config["components"]
    filled.to_disk(asked.out / "config.cfg")
    corpora = {f"paths.{name}": str(asked.out / f"{name}.spacy") for name in ("train", "dev")}
    train(asked.out / "config.cfg", asked.out, overrides=corpora)


if __name__ == "__main__":
    main()
