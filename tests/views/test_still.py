"""Where no script runs: what nbconvert makes of a notebook with an inspector in it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from nbconvert import HTMLExporter, MarkdownExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output

from daamkit.views import widget
from daamkit.views.inspector import Inspector
from tests import pictures

STATE = "application/vnd.jupyter.widget-state+json"


def shown(inspector: Inspector, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A notebook whose only cell shows it, as a kernel hands it over."""
    outputs: list[Any] = []

    def display(data: dict[str, Any], metadata: Any = None, raw: bool = False) -> None:
        outputs.append(new_output("display_data", data, metadata=metadata or {}))

    monkeypatch.setattr(widget, "display", display)
    inspector._ipython_display_()
    return new_notebook(cells=[new_code_cell("inspector", outputs=outputs)])


@pytest.mark.parametrize("kept", [False, True], ids=["no widget state", "widget state kept"])
def test_picture_and_words_are_in_plain_html(kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    inspector = Inspector(pictures.run("a cat & <b>dog</b>"))
    notebook = shown(inspector, monkeypatch)
    if kept:  # as `jupyter nbconvert --execute` leaves it: the widget then wants its script
        model = {"model_name": "AnyModel", "model_module": "anywidget", "state": {}}
        state = {"version_major": 2, "version_minor": 0, "state": {inspector.model_id: model}}
        notebook.metadata["widgets"] = {STATE: state}
    page, _ = HTMLExporter().from_notebook_node(notebook)
    body = page[page.index("<main") :]
    for alt in ("generated image: a cat &amp; &lt;b&gt;dog", "attention of the word cat"):
        assert f'alt="{alt}' in body
    assert body.count('src="data:image/png;base64,') == 1 + len(inspector.words)
    assert "<b>dog</b>" not in body


def test_picture_is_there_where_no_html_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    inspector = Inspector(pictures.run("a cat"))
    notebook = shown(inspector, monkeypatch)
    for output in notebook.cells[0].outputs:
        output.data.pop("text/html", None)
    _, resources = MarkdownExporter().from_notebook_node(notebook)
    (png,) = resources["outputs"].values()
    assert png == base64.b64decode(inspector.picture()["image/png"])
