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

OWN = Path(__file__).parents[1] / "golden" / "families"
FOLDER = Path(os.environ.get("DAAMKIT_FAMILIES_GOLDEN") or OWN).resolve()
SCRIPTS = os.environ.get("DAAMKIT_FAMILIES_SCRIPTS")  # of pipelines that cannot be saved


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
    """The families that the folder has; "" if none, of which `read` says so."""
    found = {file.parent.name for name in ("meta.json", "*.safetensors") for file in
             FOLDER.glob(f"*/{name}")}  # fmt: skip
    return sorted(found) or [""]


def _built(meta: dict[str, Any]) -> Any:
    name = str(meta["build"].split(".")[0])
    beside = [FOLDER, FOLDER.parent, FOLDER.parent.parent / "scripts" / "tiny_pipelines"]
    known = [Path(SCRIPTS).resolve()] if SCRIPTS else beside
    scripts = next((place for place in known if (place / f"{name}.py").is_file()), None)
    assert scripts is not None, (
        f"wanted {name}.py, which builds a pipeline that cannot be saved; got none in "
        f"{', '.join(map(str, known))}; name its folder in DAAMKIT_FAMILIES_SCRIPTS"
    )
    sys.path.insert(0, str(scripts))
    try:
        return importlib.import_module(name).build(meta["weights_seed"])
    finally:
        sys.path.remove(str(scripts))


def read(family: str) -> Golden:
    """A family of the folder.

    Raises
    ------
    AssertionError
        If its description, or what builds its pipeline, is not there.
    """
    place = FOLDER / family
    assert (place / "meta.json").is_file(), (
        f"wanted a folder for each family, with its meta.json, in {FOLDER}; got "
        f"{f'{family} without' if family else 'none that can be read'}; name another in "
        "DAAMKIT_FAMILIES_GOLDEN"
    )
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
