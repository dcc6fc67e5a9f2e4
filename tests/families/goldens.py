"""Golden numbers of whole families: a folder laid out as its README says."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file

FOLDER = Path(
    os.environ.get("DAAMKIT_FAMILIES_GOLDEN", Path(__file__).parents[1] / "golden" / "families")
)


@dataclass
class Golden:
    """One family's pipeline, the call that was made, and what came of it.

    Attributes
    ----------
    entries
        Each attention map's description: relation, layer, call, q_range, k_range.
    maps
        Their numbers by key, (rows, queries, keys), a mean over heads.
    """

    pipe: Any
    meta: dict[str, Any]
    entries: list[dict[str, Any]]
    maps: dict[str, torch.Tensor]

    def run(self) -> torch.Tensor:
        """Make the call; its latents."""
        generator = torch.Generator().manual_seed(self.meta["noise_seed"])
        output = self.pipe(**self.meta["call"], output_type="latent", generator=generator)
        return output[0]


def here(*families: str) -> list[str]:
    """Which of some families the folder has."""
    return [name for name in families if (FOLDER / name / "meta.json").is_file()]


def read(family: str) -> Golden:
    place = FOLDER / family
    meta = json.loads((place / "meta.json").read_text())
    pipe = DiffusionPipeline.from_pretrained(place / "pipeline", low_cpu_mem_usage=False)
    for name, value in meta["attributes"].items():
        setattr(pipe, name, value)
    pipe.set_progress_bar_config(disable=True)
    maps: dict[str, torch.Tensor] = {}
    for file in ("maps", "explicit"):
        if (place / f"{file}.safetensors").is_file():
            maps |= load_file(place / f"{file}.safetensors")
    entries = [*meta.get("maps", ()), *meta.get("explicit", ())]
    return Golden(pipe, meta, [each for each in entries if each["key"] in maps], maps)
