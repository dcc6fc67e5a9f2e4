"""What several rounds say, and two checkouts of daamkit beside each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd


def told(values: Sequence[float], digits: int = 3) -> dict[str, Any]:
    """Their median, their range, and how many they are."""
    low, high = round(min(values), digits), round(max(values), digits)
    return {"median": round(median(values), digits), "range": [low, high], "rounds": len(values)}


def beside(before: Path, rounds: int) -> dict[str, dict[str, Any]]:
    """Run this command with another checkout's daamkit and with this one's, in turn.

    Parameters
    ----------
    before
        The other checkout's folder.
    rounds
        How many of each, the order turning; each in a process of its own, with ``--rounds 1``.

    Returns
    -------
    told
        By the name of each number that the command prints: what the rounds said of it "before" and
        "now", and of "now / before" round by round.
    """
    sides = {"before": before.resolve(), "now": Path(__file__).resolve().parents[1]}
    rows: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for index in range(rounds):
        for side in sides if index % 2 == 0 else reversed(sides):
            rows[side].append(_run(sides[side]))
    frames = {side: pd.json_normalize(each).select_dtypes("number") for side, each in rows.items()}
    frames["now / before"] = frames["now"] / frames["before"]
    return {
        name: {side: told(frame[name].tolist()) for side, frame in frames.items()}
        for name in frames["now"]
        if name in frames["before"]
    }


def _run(checkout: Path) -> dict[str, Any]:
    """One round with the daamkit of a checkout."""
    if not (checkout / "daamkit").is_dir():
        raise SystemExit(f"wanted a checkout of daamkit, got {checkout}; try `git worktree add`")
    command = [sys.executable, sys.argv[0], *_without(sys.argv[1:], "--before", "--rounds")]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    run = subprocess.run(
        [*command, "--rounds", "1", "--json"],
        env=environment, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    said: dict[str, Any] = json.loads(run.stdout)
    return said


def _without(arguments: Sequence[str], *options: str) -> list[str]:
    """A command's arguments without some options and their values."""
    kept, skip = [], False
    for each in arguments:
        if not skip and each.split("=")[0] not in options and each != "--json":
            kept.append(each)
        skip = not skip and each in options
    return kept
