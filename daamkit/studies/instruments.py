"""What a study measures with, told apart: rows that other instruments measured do not mix."""

from __future__ import annotations

from pathlib import Path

from daamkit import files, resources
from daamkit.toybox import oracle as reader


def oracle(world: int, use: str = "oracle") -> dict[str, str]:
    """The oracle of a toy world and what it is used for, as `Study.instruments` tells it."""
    return {use: _digest("oracle", reader.called(world))}


def learned(kind: str, model: str) -> str:
    """What ships of a model in the folder of a kind ("attribution", "reliability"), by a digest;
    "none" if nothing does."""
    name = f"{Path(model).name}.json"
    return _digest(kind, name) if (resources.path(kind) / name).exists() else "none"


def _digest(*parts: str) -> str:
    return files.digest(resources.path(*parts))[:16]
