"""What a start costs: seconds to import, load, draw and explain, megabytes of wheel and clone.

    python benchmarks/startup.py            # a table in Markdown
    python benchmarks/startup.py --json

Every figure but `draw` is of fresh processes, median of five: `load` with torch and diffusers
already imported, `explain` the whole command, imports too. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

MODELS = ("toybox", "toybox-2", "toybox-flux")
PROMPT = "a red cat next to a blue car"
HOUSE = Path(__file__).resolve().parent.parent
TIMED = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
IMPORT = TIMED.format("import daamkit")
LOAD = "import daamkit.toybox.pipeline, daamkit.toybox.flux;" + TIMED.format(
    "import daamkit; daamkit.load({!r})"
)
DRAW = """
import statistics, time, daamkit
from daamkit import zoo
pipe = daamkit.load({!r})
pipe.set_progress_bar_config(disable=True)
took = []
for _ in range(6):
    t = time.perf_counter()
    pipe(**zoo.arguments(pipe, [{!r}], None), num_inference_steps=25)
    took.append(time.perf_counter() - t)
print(statistics.median(took[1:]))
"""


def said(code: str) -> float:
    """What the code prints last, in a process of its own."""
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(run.stdout.split()[-1])


def explained(model: str) -> float:
    """Seconds of `daamkit explain`."""
    command = [str(Path(sys.executable).parent / "daamkit"), "explain", PROMPT, "--model", model]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run([*command, "--out", folder], capture_output=True, check=True)
        return time.perf_counter() - started


def sizes() -> dict[str, float]:
    """Megabytes of the wheel, of a clone's files, and of its history."""
    with tempfile.TemporaryDirectory() as place:
        wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", str(HOUSE)]
        subprocess.run([*wheel, "--wheel-dir", place], check=True, capture_output=True)
        clone = ["git", "clone", "--quiet", "--no-local", str(HOUSE), f"{place}/clone"]
        subprocess.run(clone, check=True, capture_output=True)
        (built,) = Path(place).glob("*.whl")
        found = {"wheel": built.stat().st_size, "clone": 0, "its history": 0}
        for file in Path(place, "clone").rglob("*"):
            if file.is_file():
                found["its history" if ".git" in file.parts else "clone"] += file.stat().st_size
    return {name: round(each / 1e6, 1) for name, each in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()

    def median(measure: Callable[[str], float], given: str) -> float:
        return round(statistics.median(measure(given) for _ in range(asked.rounds)), 2)

    imported, megabytes = median(said, IMPORT), sizes()
    models = {
        model: {
            "`daamkit.load`": median(said, LOAD.format(model)),
            "an image of 25 steps": round(said(DRAW.format(model, PROMPT)), 2),
            "`daamkit explain`": median(explained, model),
        }
        for model in MODELS
    }
    if asked.json:
        print(json.dumps({"import": imported, "models": models, "megabytes": megabytes}))
        return
    print("| seconds | " + " | ".join(MODELS) + " |")
    print("| --- |" + " --- |" * len(MODELS))
    for what in models[MODELS[0]]:
        print(f"| {what} | " + " | ".join(f"{own[what]:g}" for own in models.values()) + " |")
    sizes_ = ", ".join(f"{name} {size:g} MB" for name, size in megabytes.items())
    print(f"\n`import daamkit`: {imported:g} s; {sizes_}")


if __name__ == "__main__":
    main()
