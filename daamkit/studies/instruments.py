"""What a study measures with, told apart: rows that other instruments measured do not mix."""

from __future__ import annotations

from pathlib import Path

from daamkit import files, resources
from daamkit.toybox import oracle as reader


def oracle(world: int, use: str = "oracle") -> dict[str, str]:
    """The oracle of a toy world and what it is used for, as `Study.instruments` tells it."""
    return {use: _digest("oracle", reader.called(world))}


def learned(kind: str, model: str) -> str:
    """What ships of a model in the folder of a kind ("attribution", "reliability"), by digests:
    MODEL.json, and files beside it, MODEL.WHAT.json; "none" if nothing does."""
    name, folder = Path(model).name, resources.path(kind)
    found = [*folder.glob(f"{name}.json"), *sorted(folder.glob(f"{name}.*.json"))]
    return " ".join(_digest(kind, each.name) for each in found) or "none"


def _digest(*parts: str) -> str:
    return files.digest(resources.path(*parts))[:16]
