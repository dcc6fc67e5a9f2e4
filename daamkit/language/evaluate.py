"""How well the language side does, on treebanks and on real prompts.

    python -m daamkit.language.evaluate treebank test.conllu --parser data/parser
    python -m daamkit.language.evaluate prompts prompts/parti.jsonl --against en_core_web_md
    python -m daamkit.language.evaluate speed prompts/parti.jsonl
    python -m daamkit.language.evaluate pairs --parser en_core_web_md
    python -m daamkit.language.evaluate kin
    python -m daamkit.language.evaluate disagreements prompts/*.jsonl --against en_core_web_md \\
        --out build/disagreements
    python -m daamkit.language.evaluate judged

``treebank``: gold words, punctuation left out; LAS counts relations without subtypes, as the CoNLL
2018 shared task does, ``las_full`` with them; CLEAR is converted. ``prompts``: crashes, words
missing, spans beside the text, and on prompts held out of training (`silver.held_out`) agreement
with another parser. ``speed``: words of parsed prompts by the clock and, which other programs
disturb less, by the processor's time. ``pairs``: "conj:and" in "a photo of A and B". ``kin``: the
rule against the DAAM authors' groups. ``disagreements``: words where two parsers differ, in random
order, for a person to judge; ``judged``: what the person said.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

from spacy.tokens import Doc

from daamkit import resources
from daamkit.language import parsing, silver, taxonomy, treebank
from daamkit.language.parse import Parse

Numbers = dict[str, Any]


def on_treebank(file: Path, parser: Any = None) -> Numbers:
    """UAS, LAS and speed on a treebank's words, marks left out."""
    nlp = parsing.spacy_pipeline(parser)
    gold = list(treebank.documents(file, nlp.vocab))
    blank = [Doc(nlp.vocab, [t.text for t in d], [bool(t.whitespace_) for t in d]) for d in gold]
    started = time.perf_counter()
    documents = list(nlp.pipe(blank, batch_size=128))
    seconds = time.perf_counter() - started
    found = scores(gold, documents, parsing.is_clear(nlp))
    return found | {"words_a_second": round(sum(map(len, gold)) / seconds)}


def scores(gold: list[Doc], documents: list[Doc], clear: bool) -> Numbers:
    """UAS and LAS of parsed documents with the gold ones' words, marks left out."""
    counts: Counter[str] = Counter()
    for one, other in zip(gold, documents, strict=True):
        parse = parsing.from_spacy(other, clear)
        for right, said in zip(one, parse.tokens, strict=True):
            if right.pos_ != "PUNCT":
                head = right.head.i == said.head
                relation = right.dep_.replace("ROOT", "root")
                counts["words"] += 1
                counts["uas"] += head
                counts["las"] += head and relation.split(":")[0] == said.basic.split(":")[0]
                counts["las_full"] += head and relation == said.basic
    shares = {name: round(counts[name] / counts["words"], 4) for name in ("uas", "las", "las_full")}
    return {"words": counts["words"], **shares}


def on_prompts(texts: list[str], parser: Any = None, against: Any = None) -> Numbers:
    """Faults on prompts; and agreement with another parser on those held out of training."""
    counts: Counter[str] = Counter(crashes=0, missing=0, beside=0)
    for text in texts:
        try:
            parse = parsing.parse(text, parser)
        except Exception:  # whatever it is, it is a crash
            counts["crashes"] += 1
            continue
        counts["words"] += len(parse.tokens)
        seen = "".join(token.text for token in parse.tokens)
        counts["missing"] += seen != "".join(text.split())
        counts["beside"] += sum(text[t.start : t.end] != t.text for t in parse.tokens)
    found: Numbers = {"prompts": len(texts), **counts}
    if against is not None:
        kept = [text for text in texts if silver.held_out(text)]
        pairs = list(_both(kept, parser, against))
        heads = sum(a.head == b.head for a, b in pairs)
        found |= {"held_out": len(kept), "compared": len(pairs), "agree": heads / len(pairs)}
    return found


def speed(texts: list[str], parser: Any = None) -> Numbers:
    """Words a second, of prompts parsed together, from text to parse; what is opened once for all
    (the pipeline, WordNet) is open."""
    parsing.parse_all(texts[:1], parser)
    taxonomy.wordnet()
    clock, processor = time.perf_counter(), time.process_time()
    words = sum(len(parse.tokens) for parse in parsing.parse_all(texts, parser))
    spent = time.perf_counter() - clock, time.process_time() - processor
    names = "words_a_second", "words_a_processor_second"
    return {"words": words} | {k: round(words / s) for k, s in zip(names, spent, strict=True)}


def _both(texts: list[str], parser: Any, against: Any) -> Any:
    """The words of both parses, marks left out, of prompts that both cut alike."""
    two = zip(parsing.parse_all(texts, parser), parsing.parse_all(texts, against), strict=True)
    for one, other in two:
        if [t.start for t in one.tokens] == [t.start for t in other.tokens]:
            words = zip(one.tokens, other.tokens, strict=True)
            yield from ((a, b) for a, b in words if "PUNCT" not in (a.pos, b.pos))


def on_pairs(parser: Any = None) -> Numbers:
    """How many of "a photo of A and B" keep "conj:and" between A and B, over COCO's classes."""
    asked = pairs()
    parses = parsing.parse_all([text for text, _ in asked], parser)
    kept = sum(joined(parse, end) for (_, end), parse in zip(asked, parses, strict=True))
    return {"prompts": len(asked), "conj:and": kept}


def pairs() -> list[tuple[str, int]]:
    """ "a photo of A and B", of any two of COCO's classes, each with where A ends."""
    names = itertools.chain(*taxonomy.COCO.values())
    both = [(f"a photo of {_a(a)}", _a(b)) for a, b in itertools.combinations(names, 2)]
    return [(f"{first} and {last}", len(first)) for first, last in both]


def joined(parse: Parse, end: int) -> bool:
    """Whether the last word hangs as "conj:and" on the one that ends there, or the other way."""
    ends = [token for token in parse.tokens if token.end in (end, len(parse.text))]
    return any(t.relation == "conj:and" and parse.tokens[t.head] in ends for t in ends)


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def on_kin() -> Numbers:
    """The rule's co-hyponyms among COCO's classes against the DAAM authors' pairs."""
    rule, authors = (
        {frozenset(pair) for pair in zip(table["a"], table["b"], strict=True)}
        for table in (taxonomy.cohyponyms(), taxonomy.grouped())
    )
    grouped = set(itertools.chain(*taxonomy.DAAM.values()))
    within = {pair for pair in rule if pair <= grouped}
    both = len(rule & authors)
    return {
        "authors": len(authors),
        "rule": len(rule),
        "both": both,
        "recall": round(both / len(authors), 3),
        "precision": round(both / len(rule), 3),
        "precision_within_the_authors_classes": round(both / len(within), 3),
    }


def disagreements(
    texts: list[str], parser: Any, against: Any, number: int = 60, seed: int = 0
) -> tuple[list[Numbers], list[str]]:
    """Words on whose head two parsers differ, one a held-out prompt, and which of them is "a"."""
    kept = [text for text in texts if silver.held_out(text)]
    random.Random(seed).shuffle(kept)
    ours, theirs = parsing.parse_all(kept, parser), parsing.parse_all(kept, against)
    rng = random.Random(seed + 1)
    rows: list[Numbers] = []
    key = []
    for one, other in zip(ours, theirs, strict=True):
        cut = [t.start for t in one.tokens] == [t.start for t in other.tokens]
        both = zip(one.tokens, other.tokens, strict=True) if cut else ()
        differ = [a.index for a, b in both if a.head != b.head and "PUNCT" not in (a.pos, b.pos)]
        if differ and len(rows) < number:
            index = rng.choice(differ)
            first = rng.choice(("ours", "theirs"))
            said = [_said(one, index), _said(other, index)]
            if first == "theirs":
                said.reverse()
            word = {"prompt": one.text, "word": one.tokens[index].text}
            rows.append(word | {"start": one.tokens[index].start, "a": said[0], "b": said[1]})
            key.append(first)
    return rows, key


def _said(parse: Parse, index: int) -> str:
    token = parse.tokens[index]
    head = "ROOT" if token.head == index else parse.tokens[token.head].text
    return f"{token.relation} of {head}"


def judged() -> Numbers:
    """How often each parser was right in `data/language/disagreements.jsonl`."""
    lines = resources.path("language", "disagreements.jsonl").read_text("utf-8").splitlines()
    counts: Counter[str] = Counter()
    for row in map(json.loads, lines):
        first = row["first"]
        second = "theirs" if first == "ours" else "ours"
        right = {"a": (first,), "b": (second,), "both": (first, second)}.get(row["right"], ())
        counts.update(right)
    return {"judged": len(lines), "ours": counts["ours"], "theirs": counts["theirs"]}


def main(argv: list[str] | None = None) -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what",
        choices=["treebank", "prompts", "speed", "pairs", "kin", "disagreements", "judged"],
    )
    parser.add_argument("files", type=Path, nargs="*", help="CoNLL-U, or JSON, a prompt a line")
    parser.add_argument("--parser", help="a spaCy pipeline; default the one that ships")
    parser.add_argument("--against", help="another, to compare with")
    parser.add_argument("--out", type=Path, help="where to write disagreements")
    asked = parser.parse_args(argv)
    if asked.what == "treebank":
        found: Numbers = {f.name: on_treebank(f, asked.parser) for f in asked.files}
    elif asked.what == "prompts":
        found = {
            f.name: on_prompts(silver.prompts([f]), asked.parser, asked.against)
            for f in asked.files
        }
    elif asked.what == "speed":
        found = {f.name: speed(silver.prompts([f]), asked.parser) for f in asked.files}
    elif asked.what == "disagreements":
        texts = silver.prompts(asked.files)
        rows, key = disagreements(texts, asked.parser, asked.against)
        asked.out.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (asked.out / "blind.jsonl").write_text(lines, "utf-8")
        (asked.out / "key.json").write_text(json.dumps(key), "utf-8")
        found = {"written": len(rows)}
    elif asked.what == "pairs":
        found = on_pairs(asked.parser)
    else:
        found = on_kin() if asked.what == "kin" else judged()
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
