"""What words and runs are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from daamkit.maps.prompt import Prompt
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


def method(run: Run) -> str:
    """What was done to it: the methods that guided it and its edits, "SynGen + Silence(cat)"; or
    "unguided"."""
    done = [run.method] if run.record.get("guidance") else []
    for row in run.record.get("edits", ()):
        words = row.get("settings", {}).get("words")
        named = ", ".join(map(str, [words] if isinstance(words, str) else words or ()))
        done.append(f"{row['edit']}({named})" if named else row["edit"])
    return " + ".join(done) or "unguided"


def made(run: Run, name: str = "", first: Run | None = None) -> str:
    """By which model, method, seed and steps: "toybox, SynGen, seed 51, 25 steps", as far as they
    are known and its name does not tell them; its prompt and pooling where the first run's are
    others."""
    record, done = run.record, method(run)
    seed = (record.get("seed") or {}).get("seed")
    steps = record.get("arguments", {}).get("num_inference_steps")
    prompt = quoted(run.prompt)
    facts = (
        prompt if first is not None and run.prompt != first.prompt and prompt not in name else None,
        record.get("model", {}).get("name"),
        done if done != "unguided" and done not in name else None,
        f"seed {seed}" if seed is not None else None,
        f"{steps} steps" if steps else None,
        f"{run.maps.rule} pooling" if first and run.maps.rule != first.maps.rule else None,
    )
    return ", ".join(str(fact) for fact in facts if fact and fact not in name.split(", "))


def quoted(prompt: str, most: int | None = None) -> str:
    """A prompt in quotes on one line; of so many letters at most, its beginning and end."""
    text = " ".join(prompt.split())
    if most is not None and len(text) > most:
        text = f"{text[: most - most // 3]}…{text[-(most // 3 - 1) :]}"
    return f'"{text}"'


def called(runs: Iterable[Run], prompts: bool = False) -> list[str]:
    """Names of runs: what was done to each; its seed where runs of one method have several; and,
    where these are asked for and differ, its prompt."""
    each = list(runs)
    seeds: dict[str, set[int | None]] = {}
    for run in each:
        seeds.setdefault(method(run), set()).add(run.seed)
    several = prompts and len({run.prompt for run in each}) > 1
    return told_apart(
        ", ".join(
            [done := method(run)]
            + ([f"seed {run.seed}"] if len(seeds[done]) > 1 and run.seed is not None else [])
            + ([quoted(run.prompt, 60)] if several else [])
        )
        for run in each
    )


def unread(prompt: Prompt) -> str:
    """What the model has not read of its prompt, as a sentence; empty where it has read all."""
    cuts = prompt.cuts
    if not cuts:
        return ""
    every = cuts.keys() >= prompt.texts.keys()
    if every and len({*cuts.values()}) == 1:
        (at,) = {*cuts.values()}
        return (
            f"The model has read the prompt up to character {at}; its limit is {prompt.limit} "
            "tokens."
        )
    each = ", ".join(f"{name} up to character {at}" for name, at in cuts.items())
    return f"The prompt was read by {each}{'.' if every else ', and to its end by the rest.'}"
