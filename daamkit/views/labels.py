"""What words and runs are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from daamkit.maps.run import Run
from daamkit.maps.words import Word


def told_apart(names: Iterable[str]) -> list[str]:
    """Names of their own: the second "unguided" is "unguided (2)"."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found


def differing(rows: Sequence[Sequence[str]]) -> list[str]:
    """Of equally many facts each those that not all share; all facts where none differ. Names of
    their own."""
    apart = [at for at, facts in enumerate(zip(*rows, strict=True)) if len({*facts}) > 1]
    chosen = apart or range(len(rows[0]) if rows else 0)
    return told_apart(", ".join(row[at] for at in chosen) for row in rows)


def labels(words: Iterable[Word]) -> list[str]:
    """What words are called: see `Word.label`."""
    return [word.label for word in words]


def made(run: Run, name: str = "") -> str:
    """By which model, method, seed and steps: "toybox, SynGen, seed 51, 25 steps", as far as they
    are known and its name does not tell them."""
    record = run.record
    seed = (record.get("seed") or {}).get("seed")
    steps = record.get("arguments", {}).get("num_inference_steps")
    facts = (
        record.get("model", {}).get("name"),
        run.method if record.get("guidance") and run.method not in name else None,
        f"seed {seed}" if seed is not None else None,
        f"{steps} steps" if steps else None,
    )
    return ", ".join(str(fact) for fact in facts if fact and fact not in name.split(", "))


def called(runs: Iterable[Run]) -> list[str]:
    """Names of runs: what guided each, and its seed where runs of one method have several."""
    each = list(runs)
    seeds: dict[str, set[int | None]] = {}
    for run in each:
        seeds.setdefault(run.method, set()).add(run.seed)
    return told_apart(
        f"{run.method}, seed {run.seed}"
        if len(seeds[run.method]) > 1 and run.seed is not None
        else run.method
        for run in each
    )
