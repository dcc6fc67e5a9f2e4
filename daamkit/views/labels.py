"""What words and runs are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

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


def labels(words: Iterable[Word]) -> list[str]:
    """What words are called: see `Word.label`."""
    return [word.label for word in words]


def made(run: Run, name: str = "") -> str:
    """By which model, seed and steps: "toybox, seed 51, 25 steps", as far as they are known and its
    name does not tell them."""
    record = run.record
    seed = (record.get("seed") or {}).get("seed")
    steps = record.get("arguments", {}).get("num_inference_steps")
    facts = (
        record.get("model", {}).get("name"),
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
