"""Pictures of runs' maps, and plots of tidy frames: means with 95% intervals.

Those of runs take one run or several, a word, and which of its occurrences: ``plots.steps(runs,
"cat", occurrence=1)``; several runs share one scale. Plots with one axes draw into `ax`, or a new
figure, and return the axes; those with several return the figure; `overlay` returns a picture,
`animate` a `Movie`; `save` writes any of them. With ``hover=True``, `relations`, `sweep` and
`guidance` return a plotly figure, whose points say what they are.
"""

from daamkit.views.plots.files import save
from daamkit.views.plots.heads import heads
from daamkit.views.plots.lines import frequency, sweep
from daamkit.views.plots.maps import grid, steps
from daamkit.views.plots.movies import Movie, animate
from daamkit.views.plots.pairs import guidance
from daamkit.views.plots.pictures import instances, overlay
from daamkit.views.plots.points import entanglement, relations
from daamkit.views.plots.words import word

__all__ = [
    "Movie",
    "animate",
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
    "word",
]
