"""Silver: texts parsed by a larger pipeline and converted, as a treebank to train the shipped one.

    python -m daamkit.language.silver --pipeline en_core_web_md --second en_core_web_sm \\
        --prompts prompts/*.jsonl --recombined 20000 --glosses 12000 --out build/silver.conllu

Of the prompts every third, by a checksum of its text, is left out: `daamkit.language.evaluate`
measures on those. More are made of the others: a noun, with all that hangs on it, gives way to one
of another prompt in the same relation. WordNet's definitions of things are phrases without a
verb, like captions. Of both, a text is taken where the two pipelines agree on its heads.
"""

from __future__ import annotations

import argparse
import json
import random
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from daamkit.language import coreference, parsing, taxonomy
from daamkit.language.parsing import Parse

THINGS = "noun.animal noun.artifact noun.food noun.object noun.person noun.plant"
AGREE = 0.9  # of a text's heads, to be taken


def held_out(text: str) -> bool:
    """Whether a prompt is kept for measuring, and never trained on: every third."""
    return zlib.crc32(text.encode()) % 3 == 0


def prompts(files: Iterable[Path]) -> list[str]:
    """The prompts of files with a JSON string a line, spaces made one, each once."""
    lines = (line for file in files for line in file.read_text("utf-8").splitlines())
    return list(dict.fromkeys(" ".join(json.loads(line).split()) for line in lines))


def glosses(number: int, seed: int = 0) -> list[str]:
    """Definitions of physical things in WordNet, drawn at random."""
    every = [
        each.definition()
        for each in taxonomy.wordnet().all_synsets("n")
        if each.lexname() in THINGS.split()
    ]
    found = random.Random(seed).sample(every, min(number, len(every)))
    texts = (text.split(";")[0].strip() for text in found)
    return [text for text in dict.fromkeys(texts) if "(" not in text and len(text.split()) > 3]


def recombined(parses: Sequence[Parse], number: int, seed: int = 0, longest: int = 7) -> list[str]:
    """Prompts in which one or two nouns, each with all that hangs on it (at most `longest` words),
    have given way to nouns of other prompts in the same relation.

    >>> from daamkit.language.parsing import parse_all
    >>> recombined(parse_all(["a red cat on a chair", "two dogs on the wet grass"]), 2)
    ['two dogs on a chair', 'a red cat on the wet grass']
    """
    spans = [_exchangeable(parse, longest) for parse in parses]
    known: dict[str, list[str]] = {}
    for parse, places in zip(parses, spans, strict=True):
        for relation, start, end in places:
            known.setdefault(relation, []).append(parse.text[start:end])
    rng, made = random.Random(seed), dict[str, None]()
    usable = [at for at, places in enumerate(spans) if places]
    for _ in range(20 * number):
        if len(made) == number or not usable:
            break
        at = rng.choice(usable)
        text, before = parses[at].text, len(parses[at].text) + 1
        chosen = rng.sample(spans[at], min(len(spans[at]), rng.choice((1, 2))))
        for relation, start, end in sorted(chosen, key=lambda span: -span[1]):
            if end < before:  # not one within the other
                text, before = text[:start] + rng.choice(known[relation]) + text[end:], start
        if text != parses[at].text:
            made[text] = None
    return list(made)


def _exchangeable(parse: Parse, longest: int) -> list[tuple[str, int, int]]:
    """Nouns that depend on something: their relations, and where their words begin and end."""
    found = []
    for token in parse.tokens:
        under = [t for t in parse.tokens if token in (t, *coreference.above(parse.tokens, t))]
        first, last = under[0], under[-1]
        whole = last.index - first.index + 1 == len(under) <= longest
        hangs = token.head != token.index and token.relation not in ("compound", "flat")
        if token.pos == "NOUN" and hangs and whole:
            found.append((token.relation, first.start, last.end))
    return found


def agreement(one: Parse, other: Parse) -> float:
    """The share of words, marks left out, that hang on the same one in both; 0 if cut otherwise."""
    words = [(token.start, token.end) for token in one.tokens]
    if words != [(token.start, token.end) for token in other.tokens]:
        return 0.0
    pairs = [
        (a.head, b.head) for a, b in zip(one.tokens, other.tokens, strict=True) if a.pos != "PUNCT"
    ]
    return sum(a == b for a, b in pairs) / max(1, len(pairs))


def conllu(parse: Parse) -> str:
    """A parse as CoNLL-U: a document, its sentences by its roots."""
    text = f"# newdoc\n# text = {parse.text}\n"
    rows: dict[int, list[int]] = {}
    for token in parse.tokens:
        root = token
        while root.head != root.index:
            root = parse.tokens[root.head]
        rows.setdefault(root.index, []).append(token.index)
    for indices in rows.values():
        place = {index: number for number, index in enumerate(indices, 1)}
        for index in indices:
            token = parse.tokens[index]
            head = 0 if token.head == index else place[token.head]
            last = index + 1 == len(parse.tokens)
            spaced = last or token.end < parse.tokens[index + 1].start
            fields = [str(place[index]), token.text, "_", token.pos, "_", "_", str(head)]
            fields += [token.basic, "_", "_" if spaced else "SpaceAfter=No"]
            text += "\t".join(fields) + "\n"
        text += "\n"
    return text


def whole(parse: Parse) -> bool:
    """Whether each root's words stand together, so that they are sentences."""
    heads = [token.head for token in parse.tokens]
    roots = []
    for index in range(len(heads)):
        while heads[index] != index:
            index = heads[index]
        roots.append(index)
    return roots == sorted(roots)


def sentences(
    texts: list[str], pipeline: Any, second: Any = None, labels: Iterable[str] = ()
) -> Iterator[str]:
    """The texts' parses as CoNLL-U.

    Parameters
    ----------
    texts
        Documents, one string each.
    pipeline
        The spaCy pipeline that parses them.
    second
        Where given, a text is taken only if it agrees on `AGREE` of the heads.
    labels
        Where given, a text is taken only if it has no other relation.
    """
    known = set(labels)
    parses = parsing.parse_all(texts, pipeline)
    others = parses if second is None else parsing.parse_all(texts, second)
    for parse, other in zip(parses, others, strict=True):
        fits = not known or {token.basic for token in parse.tokens} <= known
        if fits and whole(parse) and agreement(parse, other) >= AGREE:
            yield conllu(parse)


def main(argv: list[str] | None = None) -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pipeline", required=True, help="a spaCy pipeline, by name or folder")
    parser.add_argument("--second", required=True, help="another, which must agree on definitions")
    parser.add_argument("--prompts", type=Path, nargs="+", required=True, help="JSON, one a line")
    parser.add_argument("--recombined", type=int, default=0, help="prompts to make of others")
    parser.add_argument("--glosses", type=int, default=12000, help="definitions to draw")
    parser.add_argument("--out", type=Path, default=Path("build/silver.conllu"))
    asked = parser.parse_args(argv)
    labels = {"root", *parsing.spacy_pipeline().get_pipe("parser").labels}
    written = [text for text in prompts(asked.prompts) if not held_out(text)]
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    with asked.out.open("w", encoding="utf-8") as file:
        file.writelines(sentences(written, asked.pipeline, labels=labels))
        made = recombined(parsing.parse_all(written, asked.pipeline), asked.recombined)
        for drawn in (made, glosses(asked.glosses)):
            file.writelines(sentences(drawn, asked.pipeline, asked.second, labels=labels))


if __name__ == "__main__":
    main()
