"""How long each study took, by when its shards were made; docs/tables.py puts it into a page.

    python -m benchmarks.hours build/studies

A shard's time is that since the one before it; the median counts, for a run may have rested.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from daamkit.studies import shards


def took(parts: Sequence[Path], told: Mapping[str, Any]) -> dict[str, float]:
    """Cases, seconds a case (of one process), and minutes in all, of a study's shards."""
    made = [
        datetime.fromisoformat(shards.rows(shard, told)[1]["made"]).timestamp() for shard in parts
    ]
    each = pd.Series(sorted(made)).diff().median() / told["batch_size"]
    cases = told["cases"]
    return {"cases": cases, "seconds": round(each, 1), "minutes": round(each * cases / 60)}


def studies(place: Path) -> Iterator[dict[str, object]]:
    """A line for each study that has ended, of two shards or more."""
    for file in sorted(place.glob("*/*/study.json")):
        folder, told = file.parent, shards.manifest(file.parent)
        made = [*folder.glob("cases-*.parquet")]
        if len(made) > 1 and len(made) * told["batch_size"] >= told["cases"]:
            yield {"model": folder.parent.name, "study": folder.name} | took(made, told)


def main() -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds a folder of each study")
    place = parser.parse_args().folder
    table = pd.DataFrame(studies(place))
    for model, own in table.groupby("model"):
        own.drop(columns="model").to_csv(place / str(model) / "hours.csv", index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
