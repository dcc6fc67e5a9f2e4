"""A run as one HTML page, or as a notebook's picture. No script, no network."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from daamkit.maps.run import Run
from daamkit.views import palettes, plots

_STYLE = Path(__file__).with_name("report.css").read_text(encoding="utf-8")


def page(run: Run, threshold: float = 0.4) -> str:
    """A self-contained report: the image, an overlay per word, the table, how it was made."""
    prompt = escape(run.prompt) or "(empty prompt)"
    cuts = run.maps.prompt.cuts
    cut = (
        f"<p class=note>The model has read the prompt up to character {min(cuts.values())}; "
        f"its limit is {run.maps.prompt.limit} tokens.</p>"
        if cuts
        else ""
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{prompt} - daamkit</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{prompt}</h1>
<p class=note>Which word made which pixels: attention of every word, summed while the image was
made (DAAM).</p>
{cut}
</header>
<main>
<div class=maps>{_figure(run.image, "image", f"generated image: {prompt}", 320)}
<div class=how>{_how(run)}</div></div>
<h2>Words over the image</h2>
<p class=note>Dark blue is a word's lowest attention, yellow its highest; the white line
encloses what reaches {threshold:g} of the highest.</p>
<div class=maps>{_words(run, 192, threshold)}</div>
<div class=maps>{_scale()}</div>
<h2>Words as numbers</h2>
<div class=scroll>{_table(run, threshold)}</div>
<p class=note>mass: share of all attention the word receives. area: share of the image within the
white line. centre and peak: (y, x) in pixels. A map shows where the model looked for a word; that
the word caused what is seen there is a further claim.</p>
</main>
</body>
</html>
"""


def html(run: Run) -> str:
    """A run in a notebook: the image and its word maps."""
    image = _figure(run.image, "image", f"generated image: {escape(run.prompt)}", 128)
    style = "display:flex;flex-wrap:wrap;gap:.75rem;text-align:center"
    return (
        f"<div><p><b>{escape(run.prompt)}</b></p>"
        f'<div style="{style}">{image}{_words(run, 128, None)}</div></div>'
    )


def _words(run: Run, width: int, threshold: float | None) -> str:
    figures = []
    for word in run.maps.words():
        picture = plots.overlay(run.image, word, threshold=threshold)
        text = escape(word.word.text)
        figures.append(_figure(picture, text, f"attention of the word {text}", width))
    return "".join(figures) or "<p>The prompt has no words.</p>"


def _figure(image: Image.Image | None, caption: str, alt: str, width: int) -> str:
    """Caption and alternative text are HTML already."""
    if image is None:
        return f"<figure><p>(latents only)</p><figcaption>{caption}</figcaption></figure>"
    return (
        f'<figure style="margin:0"><img src="{_data_uri(image)}" alt="{alt}" width="{width}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _scale() -> str:
    bar = palettes.colours(np.tile(np.linspace(0, 1, 192, dtype=np.float32), (10, 1)))
    return _figure(Image.fromarray(bar), "lowest to highest", "colour scale", 192)


def _table(run: Run, threshold: float) -> str:
    rows = []
    for row in run.table(threshold).to_dict("records"):
        cells = (
            escape(row["word"]),
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
