"""What stands under an inspector's page: the words as numbers, and how each run was made."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from daamkit.maps.run import Run


def facts(runs: Mapping[str, Run], threshold: float = 0.4) -> str:
    """A section of HTML a run; its name is told where there are several."""
    parts = []
    for name, run in runs.items():
        of = f": {escape(name)}" if len(runs) > 1 else ""
        cuts = run.maps.prompt.cuts
        cut = (
            f"<p class=note>The model has read the prompt up to character {min(cuts.values())}; "
            f"its limit is {run.maps.prompt.limit} tokens.</p>"
            if cuts
            else ""
        )
        parts.append(
            f"<section><h2>Words as numbers{of}</h2>{cut}"
            f'<div class=scroll tabindex=0 role=region aria-label="words as numbers{of}">'
            f"{_table(run, threshold)}</div>"
            f"<h2>How it was made{of}</h2>{_how(run)}</section>"
        )
    return "".join(parts) + _NOTE.format(threshold)


_NOTE = """<p class=note>tokens: how many pieces the model reads the word in. mass: share of all
attention that the word receives. area: share of the image in its mask at {:g} of its maximum.
centre (of the map's weight) and peak at (where it is highest): (y, x) in pixels. peak value: the
attention there, a probability, summed over steps as the pooling has it. A map shows where the model
looked for a word (DAAM); that the word caused what is seen there is a further claim.</p>"""


def _table(run: Run, threshold: float) -> str:
    rows, words = [], run.maps.prompt.words()
    for word, row in zip(words, run.table(threshold).to_dict("records"), strict=True):
        cells = (
            escape(word.label),
            str(row["tokens"]),
            f"{row['mass']:.3f}",
            f"{row['area']:.1%}",
            f"{row['centre_y']:.0f}, {row['centre_x']:.0f}",
            f"{row['peak_y']}, {row['peak_x']}",
            f"{row['peak']:.3g}",
        )
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    names = ("word", "tokens", "mass", "area", "centre", "peak at", "peak value")
    head = "".join(f"<th scope=col>{name}</th>" for name in names)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _how(run: Run) -> str:
    record, arguments = run.record, run.record.get("arguments", {})
    if not record:
        return ""
    model, seed = record.get("model", {}), record.get("seed") or {}
    fresh = "" if seed.get("fresh", True) else ", used before"
    facts = {
        "model": model.get("name"),
        "revision": model.get("revision"),
        "seed": f"{seed['seed']}{fresh}" if seed else None,
        "steps": arguments.get("num_inference_steps"),
        "passes": run.maps.steps,
        "guidance": arguments.get("guidance_scale"),
        "negative prompt": arguments.get("negative_prompt"),
        "scheduler": record.get("scheduler", {}).get("class"),
        "size": f"{run.maps.size[1]} x {run.maps.size[0]}",
        "precision": record.get("dtype"),
        "pooling": run.maps.rule,
        "versions": ", ".join(f"{name} {v}" for name, v in record.get("versions", {}).items()),
    }
    rows = "".join(
        f"<dt>{name}</dt><dd>{escape(str(value))}</dd>"
        for name, value in facts.items()
        if value not in (None, "")
    )
    return f"<dl>{rows}</dl>"
