"""Golden numbers of whole families: a folder laid out as its README says."""

import importlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file

FOLDER = Path(
    os.environ.get("DAAMKIT_FAMILIES_GOLDEN", Path(__file__).parents[1] / "golden" / "families")
)


SCRIPTS = Path(  # of pipelines that cannot be saved
    os.environ.get("DAAMKIT_FAMILIES_SCRIPTS", FOLDER.parent.parent / "scripts" / "tiny_pipelines")
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


def here() -> list[str]:
    """The families that the folder has, of those whose pipelines can be opened or built."""
    found = []
    for meta in sorted(FOLDER.glob("*/meta.json")):
        told = json.loads(meta.read_text())
        if told["saved"] or (SCRIPTS / f"{_script(told)}.py").is_file():
            found.append(meta.parent.name)
    return found


def _script(meta: dict[str, Any]) -> str:
    return str(meta["build"].split(".")[0])


def _built(meta: dict[str, Any]) -> Any:
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module(_script(meta)).build(meta["weights_seed"])
    finally:
        sys.path.remove(str(SCRIPTS))


def read(family: str) -> Golden:
    place = FOLDER / family
    meta = json.loads((place / "meta.json").read_text())
    if meta["saved"]:
        pipe = DiffusionPipeline.from_pretrained(place / "pipeline", low_cpu_mem_usage=False)
    else:
        pipe = _built(meta)
    for name, value in meta["attributes"].items():
        setattr(pipe, name, value)
    pipe.set_progress_bar_config(disable=True)
    maps: dict[str, torch.Tensor] = {}
    for file in ("maps", "explicit"):
        if (place / f"{file}.safetensors").is_file():
            maps |= load_file(place / f"{file}.safetensors")
    entries = [*meta.get("maps", ()), *meta.get("explicit", ())]
    return Golden(pipe, meta, [each for each in entries if each["key"] in maps], maps)
