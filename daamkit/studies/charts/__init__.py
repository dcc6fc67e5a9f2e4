"""Charts of the studies' tables. Points are means, or numbers of whole sets, lines through them 95%
intervals."""

from daamkit.studies.charts.attributions import (
    adjectives,
    cohyponyms,
    likeness,
    objects,
    parts_of_speech,
    relations,
)
from daamkit.studies.charts.explanations import (
    agreement,
    attribution,
    binding,
    faithfulness,
    interventions,
    layers,
    necessity,
)
from daamkit.studies.charts.guided import effects, neglect, self_attention
from daamkit.studies.charts.probabilities import reliability

__all__ = [
    "adjectives",
    "agreement",
    "attribution",
    "binding",
    "cohyponyms",
    "effects",
    "faithfulness",
    "interventions",
    "layers",
    "likeness",
    "necessity",
    "neglect",
    "objects",
    "parts_of_speech",
    "relations",
    "reliability",
    "self_attention",
]
