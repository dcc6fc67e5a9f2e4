"""A widget as one HTML file: its script, its state and its data, with no kernel and no network."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

_SHELL = Path(__file__).parent
_POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)


def page(
    title: str, script: str, style: str, state: Mapping[str, Any], still: str, after: str = ""
) -> str:
    """A self-contained page.

    Parameters
    ----------
    title
        The page's title, as plain text.
    script
        An ES module with ``export default { render };`` on a line (`modules.join`).
    style
        Style rules, as CSS.
    state
        The widget's traits: plain data, and bytes in it, which the script gets as a ``DataView``.
    still
        HTML that is shown where scripts do not run, and until they do.
    after
        HTML that is shown beneath it.
    """
    packed = {name: _pack(value) for name, value in state.items()}
    data = json.dumps(packed, ensure_ascii=False).replace("<", "\\u003c")
    runs = script.replace("export default", "const widget =")
    shell = (_SHELL / "page.js").read_text(encoding="utf-8")
    for text in (runs, shell, style):
        if "</s" in text.lower():
            raise ValueError("a script or style that would end its own element")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="daamkit">
<title>{escape(title)}</title>
<style>{style}
{(_SHELL / "page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<main><h1>{escape(title)}</h1>
<div id="widget">{still}</div>
{after}</main>
<script type="application/json" id="state">{data}</script>
<script type="module">
{runs}
{shell}</script>
</body>
</html>
"""


def _pack(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _pack(each) for name, each in value.items()}
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
