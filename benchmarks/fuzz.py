"""Spoil what daamkit reads, many times: `python benchmarks/fuzz.py --cases 100000`.

Each reader gets a good file with random damage: bits, slices, tokens that JSON, CSV, CoNLL-U, PNG
and Parquet give a meaning. It may refuse it with the library's own error, or take it; a sealed file
(a run, a shard) may not be taken at all. Anything else, more than `SECONDS` or `MEMORY`, is a
failure, told with the number of the case, which makes it again.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

import daamkit
from daamkit.errors import DaamkitError
from daamkit.language import treebank
from daamkit.maps import folders, notes, saved
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.layers import Layer
from daamkit.maps.prompt import Prompt
from daamkit.maps.run import Run
from daamkit.maps.tokens import Token
from daamkit.measures import ratings
from daamkit.studies import predictions, promptfiles, shards
from daamkit.vision.annotation import MaskFolder

SECONDS, MEMORY = 2.0, 500 * 2**20  # of one case
TOKENS = (
    *b"\0 \n \t , ; \" \' [ ] { } : - + 0 1 9 \xff \x7f".split(b" "),
    b"NaN", b"-Infinity", b"1e999", b"-1", b"0.5", b"null", b"true", b"[]", b"{}", b"\xed\xa0\x80",
    b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"1-999999999", b"\xef\xbb\xbf", b"prompt", b"../",
    b"2147483648", b"IDAT", b"iCCP", b"zTXt", b"PAR1", b"\xff\xff\xff\x7f",
)  # fmt: skip
SENTENCE = "".join(
    f"{i}\t{word}\t{word}\t{pos}\t_\t_\t{head}\t{relation}\t_\t_\n"
    for i, (word, pos, head, relation) in enumerate(
        [("a", "DET", 2, "det"), ("cat", "NOUN", 0, "root"), ("on", "ADP", 4, "case")]
        + [("grass", "NOUN", 2, "nmod")],
        1,
    )
)


@dataclass
class Report:
    """What became of a reader's cases."""

    reader: str
    cases: int = 0
    taken: int = 0
    refused: int = 0
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)


def spoil(content: bytes, rng: np.random.Generator) -> bytes:
    """Random damage, of one to four kinds."""
    found = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        size = len(found)
        a, b = sorted(int(at) for at in rng.integers(0, size + 1, 2))
        b = min(b, a + int(rng.integers(1, 64)))
        match int(rng.integers(7)):
            case 0 if size:
                found[a % size] ^= 1 << int(rng.integers(8))
            case 1:
                del found[a:b]
            case 2:
                found[a:a] = rng.bytes(int(rng.integers(1, 16)))
            case 3:
                found[a:a] = found[a:b]
            case 4:
                found[a : a + int(rng.integers(3))] = TOKENS[int(rng.integers(len(TOKENS)))]
            case 5:
                found[a:b] = bytes(b - a)
            case 6 if rng.random() < 0.2:
                del found[a:]
    return bytes(found)


def _run() -> Run:
    """A small run made by hand."""
    rng = np.random.default_rng(0)
    words = [("a", 0, 1), ("cat", 2, 5)]
    tokens = [Token(0, "text_encoder", "", 0, 0, "SOS")]
    tokens += [Token(i, "text_encoder", text, a, b) for i, (text, a, b) in enumerate(words, 1)]
    tokens += [Token(3, "text_encoder", "", 0, 0, "EOS")]
    prompt = Prompt({"text_encoder": "a cat"}, tuple(tokens), {}, 77)
    values = torch.from_numpy(rng.random((4, 4, 4), np.float32))
    layers = {"up": Layer("up", ("up",), "up", 1, values)}
    maps = HeatMaps(prompt, layers, frozenset(), 1, (16, 16), base=16, rule="paper")
    return Run(Image.new("RGB", (16, 16), "red"), {"cond": maps}, {}, {"seed": {"seed": 0}})


@contextmanager
def readers(place: Path) -> Iterator[dict[str, tuple[bytes, Callable[[bytes], Any], bool]]]:
    """By name: good content, what reads it, whether it is sealed."""
    run = _run().save(place / "run")
    frame = pd.DataFrame({"prompt": ["a cat", "two dogs"], "n": [1, 2]})
    frame.to_parquet(place / "p.parquet")
    for noun in ("cat", "dog"):
        Image.new("L", (16, 16), 255).save(place / f"m--{noun}.png")
    answer = {"prompt": "a cat", "seed": 3, "start": 2, "end": 5, "rater": "ada", "score": 4}
    answer["made"] = "2026-01-02T03:04:05+00:00"
    told, shard = _shard(place / "study")
    kind, noted = folders.Kind("fuzz", "b.txt"), place / "noted"
    folders.write(noted, kind, _two_texts)
    (place / "coco" / "annotations").mkdir(parents=True)
    np.save(place / "0.npy", np.random.default_rng(0).random((8, 8), np.float32))
    scored = SimpleNamespace(word="cat", prompt="a cat")
    vocab = _vocab()

    def in_run(name: str) -> tuple[bytes, Callable[[bytes], Any], bool]:
        good = (run / name).read_bytes()

        def read(content: bytes) -> Any:
            (run / name).write_bytes(content)
            try:
                return daamkit.open(run)
            finally:
                (run / name).write_bytes(good)

        return good, read, True

    def sealed_anew(content: bytes) -> Any:
        good = (run / saved.JSON).read_bytes()
        (run / saved.JSON).write_bytes(saved.seal(content))
        try:
            return daamkit.open(run)
        finally:
            (run / saved.JSON).write_bytes(good)

    def file(name: str, read: Callable[[Path], Any]) -> Callable[[bytes], Any]:
        def go(content: bytes) -> Any:
            (place / name).write_bytes(content)
            return read(place / name)

        return go

    blank = json.loads((run / saved.JSON).read_text()) | {"seal": "0" * 64}
    rows = "".join(json.dumps({"prompt": text}) + "\n" for text in frame["prompt"]).encode()
    coco = json.dumps({"annotations": [{"caption": text} for text in frame["prompt"]]}).encode()
    yield {
        "run.json": in_run(saved.JSON),
        "maps.safetensors": in_run(saved.MAPS),
        "image.png": in_run(saved.IMAGE),
        "run.json, sealed anew": (json.dumps(blank).encode(), sealed_anew, False),
        "shard": (
            shard.read_bytes(),
            file(f"study/{shard.name}", lambda p: shards.rows(p, told)),
            1,
        ),
        "study.json": (
            json.dumps(told).encode(),
            file("study/study.json", lambda p: shards.manifest(p.parent)),
            False,
        ),
        "ratings": (
            (json.dumps(answer) + "\n").encode() * 2,
            file("r.jsonl", ratings.answers),
            False,
        ),
        "mask": (
            (place / "m--cat.png").read_bytes(),
            file("m--cat.png", lambda p: MaskFolder(place).mask("m", "cat", (16, 16))),
            False,
        ),
        "prompts .txt": (b"a cat\ntwo dogs\n", file("p.txt", promptfiles.prompts_in), False),
        "prompts .csv": (
            frame.to_csv(index=False).encode(),
            file("p.csv", promptfiles.prompts_in),
            False,
        ),
        "prompts .tsv": (
            frame.to_csv(index=False, sep="\t").encode(),
            file("p.tsv", promptfiles.prompts_in),
            False,
        ),
        "prompts .jsonl": (rows, file("p.jsonl", promptfiles.prompts_in), False),
        "prompts .json": (coco, file("p.json", promptfiles.prompts_in), False),
        "prompts of a folder": (
            coco,
            file(
                "coco/annotations/captions_val2017.json",
                lambda p: promptfiles.prompts_in(p.parents[1]),
            ),
            False,
        ),
        "note": (
            (noted / notes.NOTE).read_bytes(),
            file(f"noted/{notes.NOTE}", lambda p: folders.claim(p.parent, kind)),
            False,
        ),
        "prompts .parquet": (
            (place / "p.parquet").read_bytes(),
            file("p.parquet", promptfiles.prompts_in),
            False,
        ),
        "map of daamkit score": (
            (place / "0.npy").read_bytes(),
            file("0.npy", lambda p: predictions.array(p, scored)),
            False,
        ),
        "CoNLL-U": (
            f"# text = a cat on grass\n{SENTENCE}\n{SENTENCE}\n".encode(),
            file("t.conllu", lambda p: list(treebank.documents(p, vocab))),
            False,
        ),
    }


def _two_texts(place: Path) -> None:
    for name in "ab":
        (place / f"{name}.txt").write_text(name)


def _vocab() -> Any:
    import spacy

    return spacy.blank("en").vocab


def _shard(place: Path) -> tuple[dict[str, Any], Path]:
    """A study's manifest and a shard of it."""
    import pyarrow as pa

    from daamkit.studies.relations import Relations

    study = Relations(n=2, steps=1)
    cases = [{"prompt": "a cat", "seed": 0}, {"prompt": "two dogs", "seed": 1}]
    folder = shards.ShardFolder(place, study, cases, 2, 1)
    folder.write(0, pa.table({"case": [0, 1], "iou": [0.25, 0.5]}), {"model": {}})
    return shards.manifest(place), next(place.glob("cases-*"))


def fuzz(
    cases: int, seed: int = 0, only: str = "", seconds: float = float("inf")
) -> Iterator[Report]:
    """Spoil what each reader reads, `cases` times, or as often as `seconds` allow for each."""
    place = Path(tempfile.mkdtemp(prefix="daamkit-fuzz-"))
    try:
        with readers(place) as known, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, parts in known.items():
                if only in name:
                    yield _fuzz(name, *parts, cases, seed, seconds)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _fuzz(
    name: str,
    good: bytes,
    read: Callable[[bytes], Any],
    sealed: bool,
    cases: int,
    seed: int,
    seconds: float,
) -> Report:
    report = Report(name)
    read(good)
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for case in range(cases):
        if time.monotonic() - started > seconds:
            break
        content = spoil(good, np.random.default_rng((seed, case)))
        if content == good:
            continue
        report.cases += 1
        start = time.process_time()
        try:
            read(content)
            report.taken += 1
            if sealed:
                report.failures.append(f"case {case}: taken, though it was changed")
        except DaamkitError:
            report.refused += 1
        except Exception as error:  # what is looked for
            report.failures.append(f"case {case}: {type(error).__name__}: {str(error)[:200]}")
        took = time.process_time() - start
        report.slowest = max(report.slowest, took)
        if took > SECONDS:
            report.failures.append(f"case {case}: {took:.1f} s")
        grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        if grown > MEMORY:
            report.failures.append(f"case {case}: {grown:,} bytes")
            break
    return report


def main() -> int:
    """Print a line a reader; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="readers with this in their names")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for each reader")
    asked = parser.parse_args()
    failed = False
    for report in fuzz(asked.cases, asked.seed, asked.only, asked.seconds):
        print(
            f"{report.reader:24s} {report.cases:7d} cases: {report.taken} taken, {report.refused} "
            f"refused, {len(report.failures)} failed, slowest {1e3 * report.slowest:.0f} ms",
            flush=True,
        )
        for failure in report.failures[:5]:
            print(f"    {failure}")
        failed |= bool(report.failures)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
