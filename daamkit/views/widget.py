"""A widget that leaves a still picture where no script runs or no kernel lives."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython.display import display

from daamkit import compat

COLOURS = Path(__file__).with_name("widget.css").read_text(encoding="utf-8")
LIVE = "application/vnd.jupyter.widget-view+json"


class Widget(anywidget.AnyWidget):
    """An anywidget with a still picture; its script hides elements of the class `_still`.

    It ends with its last name, as any object does; what a page shows of it stays there.
    """

    _still = traitlets.Unicode().tag(sync=True)

    @traitlets.default("_still")
    def _name(self) -> str:
        return f"daamkit-still-{uuid.uuid4().hex[:12]}"

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        compat.let_go(self)

    def __del__(self) -> None:
        """Nothing is closed: a picture in a page outlives the name of its widget."""

    def picture(self) -> dict[str, Any]:
        """The still picture by media type: "text/html" and, base64, perhaps "image/png"."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget, and beside it what shows where there is none."""
        live = super()._repr_mimebundle_(**kwargs)
        bundle, about = live if live is not None else ({}, {})
        return {**bundle, "text/plain": repr(self), **self.picture()}, about

    def _ipython_display_(self) -> None:
        """The still picture, then the widget, whose script puts the picture away.

        Two outputs, because converters, and notebooks without a kernel, choose the widget of one
        output with both, and show nothing.
        """
        bundle, about = self._repr_mimebundle_()
        live = bundle.pop(LIVE)
        bundle["text/html"] = f'<div class="{self._still}">{bundle["text/html"]}</div>'
        display(bundle, raw=True)
        display({LIVE: live, "text/plain": repr(self)}, metadata=about, raw=True)
