"""Seconds to import daamkit and to load the toybox, each in a fresh process, medians.

python benchmarks/startup.py
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

IMPORT = "import time; t = time.perf_counter(); import daamkit; print(time.perf_counter() - t)"
LOAD = (
    "import time, daamkit; from daamkit.toybox import pipeline; t = time.perf_counter();"
    "daamkit.load('toybox'); print(time.perf_counter() - t)"
)


def seconds(code: str, rounds: int = 5) -> float:
    """Median of what the code prints last."""
    command = [sys.executable, "-c", code]
    runs = [
        subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(rounds)
    ]
    return round(statistics.median(float(run.stdout.split()[-1]) for run in runs), 4)


if __name__ == "__main__":
    print(json.dumps({"import_daamkit": seconds(IMPORT), "load_toybox": seconds(LOAD)}))
