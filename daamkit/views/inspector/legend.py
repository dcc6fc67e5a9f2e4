"""What the colours of the inspector's picture mean, in words: as `sheet.js` says it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from daamkit.maps.run import Run
from daamkit.views.inspector.state import State


def told(state: State, label: str | None, runs: Mapping[str, Run]) -> str:
    """What lies over the images, and what the view is narrowed to.

    Parameters
    ----------
    state
        What is looked at.
    label
        What the word is called whose map is shown by itself; None if there is none.
    runs
        All columns by name, the first first.
    """
    to = "the strongest word's maximum" if state.scale == "shared" else "its own maximum"
    first = next(iter(runs))
    said = []
    if label is not None:
        said.append(f"the map of {label}, to {to}")
    elif state.words:
        said.append(f"opacity: the word's map, to {to}")
    if label is not None and state.difference and any(name != first for name in state.columns):
        said.append(f"red: more than in {first}, blue: less")
    said.append(f"threshold {state.threshold:.3f}")
    if state.step is not None:
        said.append(f"step {state.step + 1}")
    if state.site is not None:
        part = "layer" if state.head is None else f"head {state.head} of"
        said.append(f"{part} {site_name(state.site, runs)}")
    if state.region is not None:
        top, left, bottom, right = state.region
        said.append(f"box {top}\N{EN DASH}{bottom}, {left}\N{EN DASH}{right}")
    if state.pixel is not None:
        said.append(f"pixel {state.pixel[0]}, {state.pixel[1]}")
    return "; ".join(said)


def site_name(site: str, runs: Mapping[str, Run]) -> str:
    """A layer's name for people: of many blocks its stage and numbers, "up 1.0.0"."""
    if "_block" not in site:
        return site
    layers = [run.maps.layers[site] for run in runs.values() if site in run.maps.layers]
    return f"{layers[0].group if layers else ''} {'.'.join(re.findall(r'[0-9]+', site)[:3])}"
