"""What stands under an inspector's page: the words as numbers, and how each run was made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

from daamkit.maps.run import Run
from daamkit.views.labels import unread

MEASURES: dict[str, Callable[[dict[str, Any]], str]] = {
    "tokens": lambda row: str(row["tokens"]),
    "mass": lambda row: f"{row['mass']:.3f}",
    "area": lambda row: f"{row['area']:.1%}",
    "centre": lambda row: f"{row['centre_y']:.0f}, {row['centre_x']:.0f}",
    "peak at": lambda row: f"{row['peak_y']}, {row['peak_x']}",
    "peak value": lambda row: f"{row['peak']:.3g}",
    "peak per pass": lambda row: f"{row['peak'] / row['passes']:.3g}",
}


def facts(runs: Mapping[str, Run], threshold: float = 0.4) -> str:
    """Two tables as HTML, each with a column a run."""
    return (
        f"<section><h2>Words as numbers</h2>{_cuts(runs)}"
        '<div class=scroll tabindex=0 role=region aria-label="words as numbers">'
        f"{_words(runs, threshold)}</div>{_note(runs, threshold)}{_made(runs)}</section>"
    )


MEANT = {
    "tokens": "how many pieces the model reads the word in",
    "mass": "share of all attention that the word receives",
    "area": "share of the image in its mask at {:g} of its maximum",
    "centre": "(y, x) of the map's weight, in pixels",
    "peak at": "(y, x) of the map's maximum, in pixels",
    "peak value": "the map's maximum, a probability, summed over steps as the pooling has it",
    "peak per pass": "the map's maximum, a probability, as the pooling has it, over passes",
}
CLAIM = (
    "A map shows where the model looked for a word (DAAM); that the word caused what is seen there "
    "is a further claim."
)


def _note(runs: Mapping[str, Run], threshold: float) -> str:
    told = " ".join(f"{name}: {MEANT[name]}." for name in _measures(runs))
    return f"<p class=note>{told.format(threshold)} {CLAIM}</p>"


def _measures(runs: Mapping[str, Run]) -> tuple[str, ...]:
    """All of one run; of several what compares them: of sums over unlike passes the mean, and no
    peak of unlike poolings."""
    if len(runs) == 1:
        return tuple(name for name in MEASURES if name != "peak per pass")
    if len({run.maps.rule for run in runs.values()}) > 1:
        return "mass", "area"
    uneven = len({run.maps.steps for run in runs.values()}) > 1
    return "mass", "area", "peak per pass" if uneven else "peak value"


def _cuts(runs: Mapping[str, Run]) -> str:
    """What models have not read of their prompts."""
    told = ""
    for name, run in runs.items():
        if said := unread(run.maps.prompt):
            told += f"<p class=note>{escape(f'{name}: {said}' if len(runs) > 1 else said)}</p>"
    return told


def _words(runs: Mapping[str, Run], threshold: float) -> str:
    """A row a word, all measures of one run, or those compared of several."""
    measures = _measures(runs)
    tables = [_by_label(run, threshold) for run in runs.values()]
    labels = dict.fromkeys(label for table in tables for label in table)
    body = ""
    for label in labels:
        rows = [table.get(label) for table in tables]
        cells = "".join(
            f"<td>{'' if row is None else MEASURES[measure](row)}</td>"
            for measure in measures
            for row in rows
        )
        body += f"<tr><th scope=row>{escape(label)}</th>{cells}</tr>"
    if len(runs) == 1:
        head = _heads(("word", *measures))
    else:
        head = "<td></td>" + "".join(
            f"<th scope=colgroup colspan={len(runs)}>{measure}</th>" for measure in measures
        )
        head += f"</tr><tr>{_heads(('word', *[*runs] * len(measures)))}"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _by_label(run: Run, threshold: float) -> dict[str, dict[str, Any]]:
    rows = run.table(threshold).to_dict("records")
    words = run.maps.prompt.words()
    return {
        word.label: row | {"passes": run.maps.steps} for word, row in zip(words, rows, strict=True)
    }


def _heads(names: tuple[str, ...]) -> str:
    return "".join(f"<th scope=col>{escape(name)}</th>" for name in names)


def _made(runs: Mapping[str, Run]) -> str:
    """A row a fact; what all runs share is told once, and prompts where they differ."""
    made = [_how(run) for run in runs.values()]
    if len({run.prompt for run in runs.values()}) > 1:
        made = [{"prompt": r.prompt} | how for r, how in zip(runs.values(), made, strict=True)]
    known = dict.fromkeys(name for facts in made for name in facts)
    if not known:
        return ""
    body = ""
    for name in known:
        values = [facts.get(name, "") for facts in made]
        shared = len(set(values)) == 1
        cells = (
            f"<td colspan={len(runs)}>{escape(values[0])}</td>"
            if shared
            else "".join(f"<td>{escape(value)}</td>" for value in values)
        )
        body += f"<tr><th scope=row>{name}</th>{cells}</tr>"
    head = f"<thead><tr><td></td>{_heads(tuple(runs))}</tr></thead>" if len(runs) > 1 else ""
    return (
        '<h2>How it was made</h2><div class=scroll tabindex=0 role=region aria-label="how it was '
        f'made"><table class=made>{head}<tbody>{body}</tbody></table></div>'
    )


def _how(run: Run) -> dict[str, str]:
    record, arguments = run.record, run.record.get("arguments", {})
    if not record:
        return {}
    model, seed = record.get("model", {}), record.get("seed") or {}
    fresh = "" if seed.get("fresh", True) else ", used before"
    told = {
        "model": model.get("name"),
        "revision": model.get("revision"),
        "seed": f"{seed['seed']}{fresh}" if seed else None,
        "steps": arguments.get("num_inference_steps"),
        "passes": run.maps.steps,
        "guidance": record.get("scale", arguments.get("guidance_scale")),
        "guided by": _told(record.get("guidance", ()), "method"),
        "edits": _told(record.get("edits", ()), "edit"),
        "negative prompt": arguments.get("negative_prompt"),
        "scheduler": record.get("scheduler", {}).get("class"),
        "size": f"{run.maps.size[1]} x {run.maps.size[0]}",
        "precision": record.get("dtype"),
        "pooling": run.maps.rule,
        "versions": ", ".join(f"{name} {v}" for name, v in record.get("versions", {}).items()),
    }
    return {name: str(value) for name, value in told.items() if value not in (None, "")}


def _told(rows: Iterable[Mapping[str, Any]], kind: str) -> str:
    """Methods or edits, each with its settings as far as it has any."""
    return "; ".join(
        f"{row[kind]}("
        + ", ".join(f"{k}={v!r}" for k, v in row.get("settings", {}).items() if v is not None)
        + ")"
        for row in rows
    )
