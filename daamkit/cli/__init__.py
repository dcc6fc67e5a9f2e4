"""The command line: `daamkit explain "a red cat next to a blue car"`."""

from __future__ import annotations

import argparse
import warnings
from typing import Any

from daamkit import __version__
from daamkit.cli import explain, play, score, study, toybox
from daamkit.cli.shell import tell
from daamkit.errors import DaamkitError


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="daamkit", description="Which word made which pixels.")
    parser.add_argument("--version", action="version", version=f"daamkit {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True)
    explain.add(verbs)
    play.add(verbs)
    toybox.add(verbs)
    study.add(verbs)
    score.add(verbs)
    asked = parser.parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            return int(asked.run(asked))
    except (DaamkitError, OSError) as error:
        tell(str(error))
        return 2
    except KeyboardInterrupt:
        tell("interrupted")
        return 130


_show = warnings.showwarning


def _warn(message: Any, category: type[Warning], *where: Any, **options: Any) -> None:
    """Our own warnings in a line, as errors are told; those of others as ever."""
    if category.__module__.startswith("daamkit"):
        tell(str(message))
    else:
        _show(message, category, *where, **options)
