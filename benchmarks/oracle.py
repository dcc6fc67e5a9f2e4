"""How well does the oracle read scenes that it has not seen? Their masks and looks are known.

    python benchmarks/oracle.py --json
    python benchmarks/oracle.py --world 2 --oracle build/toybox-2/oracle-2.safetensors

Pixels: the mean IoU over all classes (nothing, the things, the places' grounds), and the least.
Things, with 95% intervals over scenes: which are found, each name's recall, that of half hidden
things, names, colours and patterns that are right, counts of up to five, instances of nothing
(`daamkit.studies.reading`).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from daamkit.studies import reading
from daamkit.toybox import oracle, scenes


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object and no more")
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=9001)
    parser.add_argument("--world", type=int, default=1, choices=[1, 2])
    parser.add_argument("--oracle", type=Path, help="weights; default the shipped ones")
    asked = parser.parse_args(argv)
    drawn = scenes.sample(asked.scenes, asked.seed, world=asked.world)
    table, facts = reading.measure(drawn, oracle.trained(asked.world, asked.oracle))
    if asked.json:
        print(json.dumps(facts | {"reading": json.loads(table.to_json(orient="records"))}))
        return
    print(json.dumps(facts, indent=1))
    print(table.to_string(index=False, float_format=lambda x: f"{x:.3f}"))


if __name__ == "__main__":
    main()
