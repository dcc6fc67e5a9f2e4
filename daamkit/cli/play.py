"""`daamkit play`: the playground in the browser."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from typing import Any

from daamkit.cli.shell import Help, tell


def add(verbs: Any) -> None:
    """The verb and its options."""
    play = verbs.add_parser(
        "play",
        formatter_class=Help,
        help="open the playground in the browser",
        description="Write a notebook that shows the playground, and open it: in Voila where it is "
        "installed, else in JupyterLab, where its cell is to be run (Shift+Enter).",
    )
    play.add_argument("--model", default="toybox", help="toybox, a folder, or a Hub id")
    play.add_argument(
        "--notebook", type=Path, default=Path("play.ipynb"), help="made if it is not there"
    )
    play.add_argument("--device", help="cpu, cuda, mps; default a GPU by CUDA if there is one")
    play.add_argument(
        "--dtype", choices=("float32", "float16", "bfloat16"), default="float32", help="precision"
    )
    play.add_argument("--in", dest="program", choices=("voila", "lab"), help="what shows it")
    play.set_defaults(run=_play)


def _play(asked: argparse.Namespace) -> int:
    from daamkit import zoo
    from daamkit.views.playground import opening

    command, file = opening.command(asked.notebook, asked.program), asked.notebook
    device = asked.device or zoo.usual_device()
    model = (asked.model, f"torch.{asked.dtype}", device)
    if missing := opening.missing(file, *model):
        tell(
            f"{file} is there and stays as it is, without {', '.join(missing)}: change its cell, "
            "or name another with --notebook"
        )
    opening.write(file, *model)
    if "jupyterlab" in command:
        tell("in JupyterLab, run the cell: Shift+Enter")
    return subprocess.run(command, check=False).returncode
