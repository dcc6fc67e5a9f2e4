"""daamkit: which word made which pixels.

    import daamkit, torch
    pipe = daamkit.load("toybox")
    with daamkit.trace(pipe) as tracer:
        pipe("a red cat next to a blue car", generator=torch.Generator().manual_seed(0))
    tracer.run.maps.word("cat").mask(threshold=0.4)

Everything here is loaded when it is first used; importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not Path(__file__).is_file():
    raise ImportError(
        f"daamkit reads its data as files, and {Path(__file__).parent} lies in an archive. Install "
        "the wheel with pip, or unpack it and name that folder."
    )

if TYPE_CHECKING:
    from daamkit.attribution.attribute import attribute as attribute
    from daamkit.edits.blur import Blur as Blur
    from daamkit.edits.edit import edit as edit
    from daamkit.edits.exchange import Exchange as Exchange
    from daamkit.edits.heads import KnockOut as KnockOut
    from daamkit.edits.heads import KnockOutSelf as KnockOutSelf
    from daamkit.edits.identity import Identity as Identity
    from daamkit.edits.replay import Replay as Replay
    from daamkit.edits.silence import Silence as Silence
    from daamkit.errors import DaamkitError as DaamkitError
    from daamkit.guidance.attend_and_excite import AttendAndExcite as AttendAndExcite
    from daamkit.guidance.classifier import ClassifierGuidance as ClassifierGuidance
    from daamkit.guidance.denoising import guide as guide
    from daamkit.guidance.divide_and_bind import DivideAndBind as DivideAndBind
    from daamkit.guidance.perturbed import (
        PerturbedAttentionGuidance as PerturbedAttentionGuidance,
    )
    from daamkit.guidance.self_attention import SelfAttentionGuidance as SelfAttentionGuidance
    from daamkit.guidance.smoothed import SmoothedEnergyGuidance as SmoothedEnergyGuidance
    from daamkit.guidance.syngen import SynGen as SynGen
    from daamkit.maps.collection import Collection as Collection
    from daamkit.maps.collection import open_runs as open  # noqa: F401
    from daamkit.maps.heatmaps import HeatMaps as HeatMaps
    from daamkit.maps.run import Run as Run
    from daamkit.maps.wordmap import WordMap as WordMap
    from daamkit.tracing.trace import trace as trace
    from daamkit.views import plots as plots
    from daamkit.views.inspector import Inspector as Inspector
    from daamkit.views.playground import Playground as Playground
    from daamkit.views.rating import Rating as Rating
    from daamkit.views.still import html as html
    from daamkit.zoo import arguments as arguments
    from daamkit.zoo import load as load

__version__ = "0.1.0"

_WHERE = {
    "AttendAndExcite": "guidance.attend_and_excite:AttendAndExcite",
    "Blur": "edits.blur:Blur",
    "ClassifierGuidance": "guidance.classifier:ClassifierGuidance",
    "Collection": "maps.collection:Collection",
    "DaamkitError": "errors:DaamkitError",
    "DivideAndBind": "guidance.divide_and_bind:DivideAndBind",
    "Exchange": "edits.exchange:Exchange",
    "HeatMaps": "maps.heatmaps:HeatMaps",
    "Identity": "edits.identity:Identity",
    "Inspector": "views.inspector:Inspector",
    "KnockOut": "edits.heads:KnockOut",
    "KnockOutSelf": "edits.heads:KnockOutSelf",
    "PerturbedAttentionGuidance": "guidance.perturbed:PerturbedAttentionGuidance",
    "Playground": "views.playground:Playground",
    "Rating": "views.rating:Rating",
    "Replay": "edits.replay:Replay",
    "Run": "maps.run:Run",
    "SelfAttentionGuidance": "guidance.self_attention:SelfAttentionGuidance",
    "Silence": "edits.silence:Silence",
    "SmoothedEnergyGuidance": "guidance.smoothed:SmoothedEnergyGuidance",
    "SynGen": "guidance.syngen:SynGen",
    "WordMap": "maps.wordmap:WordMap",
    "arguments": "zoo:arguments",
    "attribute": "attribution.attribute:attribute",
    "edit": "edits.edit:edit",
    "guide": "guidance.denoising:guide",
    "html": "views.still:html",
    "load": "zoo:load",
    "open": "maps.collection:open_runs",
    "trace": "tracing.trace:trace",
}
_ROOMS = {"plots": "views.plots"}  # modules of the public face
__all__ = [*(name for name in _WHERE if name != "open"), *_ROOMS, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        globals()[name] = importlib.import_module(f"daamkit.{_ROOMS[name]}")
        return globals()[name]
    if name not in _WHERE:
        raise AttributeError(f"module 'daamkit' has no attribute {name!r}")
    module, attribute = _WHERE[name].split(":")
    value = getattr(importlib.import_module(f"daamkit.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_WHERE, *_ROOMS, "__version__"])
