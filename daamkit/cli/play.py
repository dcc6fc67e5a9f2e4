"""`daamkit play`: the playground in the browser."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from typing import Any

from daamkit.cli.shell import Help


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
    play.add_argument("--in", dest="program", choices=("voila", "lab"), help="what shows it")
    play.set_defaults(run=_play)


def _play(asked: argparse.Namespace) -> int:
    from daamkit.views.playground import opening

    command = opening.command(asked.notebook, asked.program)
    opening.write(asked.notebook, asked.model)
    return subprocess.run(command, check=False).returncode
