"""`daamkit play`: a notebook of one cell, and the program that shows it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from daamkit import files
from daamkit.errors import DaamkitError
from daamkit.views.playground.recipe import FLOAT32, loading

PROGRAMS = {"voila": "voila", "lab": "jupyterlab"}  # what is asked for, and its package


def write(file: Path, model: str, dtype: str = FLOAT32, device: str = "cpu") -> Path:
    """A notebook whose one cell shows the playground; one that is there stays as it is.

    Parameters
    ----------
    file
        The notebook.
    model, dtype, device
        As `loading`.
    """
    if file.exists():
        return file
    load = loading(model, dtype, device)
    torch = "import torch\n" * ("torch." in load)
    source = f"import daamkit\n{torch}\ndaamkit.Playground({load})"
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": "play",
        "metadata": {},
        "outputs": [],
        "source": source.splitlines(keepends=True),
    }
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    page = {"cells": [cell], "metadata": about, "nbformat": 4, "nbformat_minor": 5}
    return files.write(file, (json.dumps(page, indent=1, ensure_ascii=False) + "\n").encode())


def missing(file: Path, model: str, dtype: str = FLOAT32, device: str = "cpu") -> list[str]:
    """What of a model, its precision and device the cells of a notebook that is there lack."""
    try:
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        source = "".join(line for cell in cells for line in cell["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return []  # none is there, or what opens it will say so
    asked = [repr(model), *[dtype] * (dtype != FLOAT32), *[repr(device)] * (device != "cpu")]
    return [each for each in asked if each not in source.replace('"', "'")]


def command(file: Path, program: str | None = None) -> list[str]:
    """What opens a notebook: Voila, which shows the playground alone, where it is installed, else
    JupyterLab, in which the cell is to be run.

    Parameters
    ----------
    file
        The notebook to open.
    program
        "voila" or "lab"; default the first that is installed.

    Raises
    ------
    DaamkitError
        If it is not installed, or neither is.
    """
    asked = list(PROGRAMS) if program is None else [program]
    for name in asked:
        if importlib.util.find_spec(PROGRAMS[name]) is not None:
            return [sys.executable, "-m", PROGRAMS[name], str(file)]
    raise DaamkitError(
        wanted=f"{' or '.join(PROGRAMS[name] for name in asked)}, to show the playground",
        got="a Python without",
        mend=f"run `pip install {PROGRAMS[asked[-1]]}`",
    )
