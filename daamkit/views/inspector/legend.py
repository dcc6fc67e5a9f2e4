"""What the colours of the inspector's picture mean, in words: as `sheet.js` says it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from daamkit.maps.run import Run
from daamkit.views.inspector.contents import matched
from daamkit.views.inspector.state import State, unlike
from daamkit.views.labels import labels


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
    shared, maps = state.scale == "shared", [run.maps for run in runs.values()]
    to = "the strongest word's maximum" if shared else "its own maximum"
    uneven = state.step is None and len({each.steps for each in maps}) > 1
    per = " per pass" if uneven else ""
    said = []
    if label is not None:
        said.append(f"the map of {label}{per}, to {to}")
    elif state.words:
        said.append(f"opacity: the word's map{per}, to {to}")
    if shared and len({each.rule for each in maps}) > 1:
        said.append("each pooling has a scale of its own")
    bases = dict.fromkeys(state.bases[name] for name in state.columns if state.bases[name] != name)
    if label is not None and state.difference and bases:
        said.append(f"red: more than in {', '.join(bases)}, blue: less")
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


def badge(state: State, runs: Mapping[str, Run], name: str) -> str:
    """What a column lacks of what is shown, or what is subtracted in it; else empty."""
    run, single, base = runs[name], state.single, state.bases[name]
    label = dict(zip(state.words, labels(state.words), strict=True))
    words = [word for word, _ in state.shown] if single is None else [single]
    absent = [word for word in words if matched(run.maps.prompt, word) is None]
    said = []
    if absent:
        named = "" if single else f": {', '.join(label[word] for word in absent)}"
        said.append(f"not in its prompt{named}")
    if any(state.map(run, word) is None for word in words if word not in absent):
        said.append("no map of this part")
    if said or single is None or not state.difference or base == name:
        return "; ".join(said)
    if state.map(runs[base], single) is None:
        return f"no map in {base}: no difference"
    return unlike(run, runs[base]) or f"{name} - {base}"


def site_name(site: str, runs: Mapping[str, Run]) -> str:
    """A layer's name for people: of many blocks its stage and numbers, "up 1.0.0"."""
    if "_block" not in site:
        return site
    layers = [run.maps.layers[site] for run in runs.values() if site in run.maps.layers]
    return f"{layers[0].group if layers else ''} {'.'.join(re.findall(r'[0-9]+', site)[:3])}"
