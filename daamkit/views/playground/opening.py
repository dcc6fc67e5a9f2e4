"""`daamkit play`: a notebook of one cell, and the program that shows it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from daamkit import files
from daamkit.errors import DaamkitError

PROGRAMS = {"voila": "voila", "lab": "jupyterlab"}  # what is asked for, and its package


def write(file: Path, model: str) -> Path:
    """A notebook whose one cell shows the playground; one that is there stays as it is."""
    if file.exists():
        return file
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": "play",
        "metadata": {},
        "outputs": [],
        "source": ["import daamkit\n", "\n", f"daamkit.Playground({model!r})"],
    }
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    page = {"cells": [cell], "metadata": about, "nbformat": 4, "nbformat_minor": 5}
    return files.write(file, (json.dumps(page, indent=1, ensure_ascii=False) + "\n").encode())


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
