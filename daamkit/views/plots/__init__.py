"""Plots. Of runs: pictures of their maps. Of tidy frames: means with 95% intervals.

Those of one axes draw into `ax`, or a new figure, and return the axes; those of several return the
figure. With ``hover=True``, `relations`, `sweep` and `guidance` return a plotly figure, whose
points say what they are.
"""

from daamkit.views.plots.files import save
from daamkit.views.plots.lines import frequency, sweep
from daamkit.views.plots.maps import grid, heads, steps
from daamkit.views.plots.pairs import guidance
from daamkit.views.plots.pictures import instances, overlay
from daamkit.views.plots.points import entanglement, relations

__all__ = [
    "entanglement",
    "frequency",
    "grid",
    "guidance",
    "heads",
    "instances",
    "overlay",
    "relations",
    "save",
    "steps",
    "sweep",
]
