"""Questions asked of a model, with controls and intervals; only the command line imports them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from daamkit.errors import DaamkitError

if TYPE_CHECKING:
    from daamkit.studies.study import Study

STUDIES = {
    "objects": "Objects",
    "parts_of_speech": "PartsOfSpeech",
    "relations": "Relations",
    "cohyponyms": "Cohyponyms",
    "adjectives": "Adjectives",
    "neglect": "Neglect",
    "self_attention": "SelfAttention",
    "guidance_effects": "GuidanceEffects",
}


def find(name: str) -> type[Study]:
    """A study by name.

    Raises
    ------
    DaamkitError
        If there is none.
    """
    if name not in STUDIES:
        raise DaamkitError(
            wanted="the name of a study", got=repr(name), mend=f"name one of {', '.join(STUDIES)}"
        )
    return getattr(importlib.import_module(f"daamkit.studies.{name}"), STUDIES[name])
