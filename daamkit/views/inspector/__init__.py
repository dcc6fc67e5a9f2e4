"""The attention inspector: which word made which pixels, seen and measured by hand."""

from daamkit.views.inspector.inspector import Inspector as Inspector
