"""How many cases a minute does a study measure at each batch size?

    python benchmarks/studies.py --rounds 3

The study `relations` on the toybox, 25 steps, the same cases for each size, sizes in turn; median
and best of the rounds. The pipeline is opened before. With --device cuda on a GPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import daamkit
from daamkit.studies import runner
from daamkit.studies.relations import Relations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--cases", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    pipe = daamkit.load("toybox").to(asked.device)
    taken: dict[int, list[float]] = {size: [] for size in asked.sizes}
    for number in range(asked.rounds + 1):
        for size in asked.sizes:
            study = Relations(n=asked.cases if number else size)  # the first round warms up
            started = time.perf_counter()
            runner.run(study, batch_size=size, threads=asked.threads, pipe=pipe, progress=False)
            if number:
                taken[size].append(60 * asked.cases / (time.perf_counter() - started))
    for name, of in {"median": statistics.median, "best": max}.items():
        print(json.dumps({"rounds": name} | {n: round(of(each), 1) for n, each in taken.items()}))


if __name__ == "__main__":
    main()
