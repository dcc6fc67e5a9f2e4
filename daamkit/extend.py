"""What an extension imports. These names stay where modules inside daamkit move.

| to write | derive from or be like | register with |
|---|---|---|
| a guidance method | `Method` | `guidance_methods` |
| an edit of a branch's attention | `Edit`, in `daamkit.edit` | |
| something that watches attention | `Tap`, in `attach` | |
| a study | `Study` | `studies` |
| who knows where things are | `Truth` | `truths` |
| a segmenter | `Segmenter` | `segmenters` |
| a captioner | `Captioner` | `captioners` |
| a method of attribution | `Attribution` | `attributions` |
| a family of models | `Family` | `families` |

Registering is needed for names only: ``my_package:MyStudy`` is known without. All of it, each as a
few lines that run: docs/extending.md.
"""

from __future__ import annotations

from daamkit.attention.calls import Call, Pass
from daamkit.attention.families.asked import Scale
from daamkit.attention.families.encoder import Encoder
from daamkit.attention.families.family import Family, Reading
from daamkit.attention.hooks import Ended, attach, extra_passes
from daamkit.attention.sites import Layout, Site, Span
from daamkit.attention.taps import Attention, Image, Output, Tap
from daamkit.attribution.method import Again, Attribution
from daamkit.attribution.occlusion import Occlusion
from daamkit.edits.edit import Edit
from daamkit.edits.replay import Tape
from daamkit.errors import DaamkitError
from daamkit.guidance.aggregation import attend
from daamkit.guidance.denoising import Latents, Method, count, denoise, is_first_pass
from daamkit.guidance.subjects import find as find_subjects
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.prompt import Prompt
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word
from daamkit.registry import (
    attributions,
    captioners,
    families,
    guidance_methods,
    segmenters,
    studies,
    truths,
)
from daamkit.studies.session import Case, Row, Session
from daamkit.studies.study import Study, not_compared
from daamkit.studies.truths import Truth
from daamkit.vision.captioning import Captioner
from daamkit.vision.segmentation import ClassError, Segmenter

__all__ = [
    "Again",
    "Attention",
    "Attribution",
    "Call",
    "Captioner",
    "Case",
    "ClassError",
    "DaamkitError",
    "Edit",
    "Encoder",
    "Ended",
    "Family",
    "HeatMaps",
    "Image",
    "Latents",
    "Layout",
    "Method",
    "Occlusion",
    "Output",
    "Pass",
    "Prompt",
    "Reading",
    "Row",
    "Run",
    "Scale",
    "Segmenter",
    "Session",
    "Site",
    "Span",
    "Study",
    "Tap",
    "Tape",
    "Truth",
    "Word",
    "WordMap",
    "attach",
    "attend",
    "attributions",
    "captioners",
    "count",
    "denoise",
    "extra_passes",
    "families",
    "find_subjects",
    "guidance_methods",
    "is_first_pass",
    "not_compared",
    "segmenters",
    "studies",
    "truths",
]
