"""Learn what signs of a map mean, from the rows of a study on a toy model.

    daamkit study reliability --n 420 --split seen --seed 50000 --out build/reliability
    python -m daamkit.studies.calibrate build/reliability --out toybox.json

The study's prompts are of the split "seen"; the calibration is measured on the other one, by the
same study with other seeds. It takes the signs that all rows have: of a study with ``--by-step``
or ``--silenced`` also those which most runs lack, so that such a calibration is one more file.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from daamkit import record
from daamkit.errors import DaamkitError
from daamkit.measures.regression import fit
from daamkit.measures.reliability import TARGETS, Calibration, conditions, design
from daamkit.measures.signs import SIGNS
from daamkit.studies import runner, shards

PRIOR = 1.0  # weight of the squares of slopes, in standard deviations of signs
LEARNED = ("drawn", "noise")  # the other maps of nothing are for measuring


def learn(
    rows: pd.DataFrame,
    model: str,
    digest: str,
    under: Mapping[str, Any],
    without: Collection[str] = (),
) -> Calibration:
    """A calibration from rows of `studies.reliability`: of drawn maps, and of noise, which is a map
    of nothing whatever is in the image.

    Parameters
    ----------
    rows
        The study's.
    model, digest, under
        The model's name and fingerprint, and how its images were asked for.
    without
        Signs not to learn from, besides those that some row lacks.
    """
    rows = rows[rows["maps"].isin(LEARNED)]
    drawn = rows[rows["maps"] == "drawn"]
    taken = [name for name in SIGNS if name not in without and rows[name].notna().all()]
    mean = {name: float(drawn[name].mean()) for name in taken}
    deviation = {name: float(drawn[name].std()) or 1.0 for name in taken}
    x, of_something = design(rows, mean, deviation), rows["maps"].to_numpy() == "drawn"
    weights = {
        target: fit(x, of_something & (rows[target].to_numpy(float) > 0), PRIOR).round(6).tolist()
        for target in TARGETS
    }
    images = len(drawn[["prompt", "seed"]].drop_duplicates())
    return Calibration(model, digest, images, len(drawn), mean, deviation, weights, under)


def main(argv: list[str] | None = None) -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the study's")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--also", nargs="*", default=[], help="fingerprints under other versions")
    parser.add_argument("--without", nargs="*", default=[], help="signs not to learn from")
    asked = parser.parse_args(argv)
    told = shards.manifest(asked.folder)
    first = _require_whole(asked.folder, told)
    rows, (_, about) = runner.table(asked.folder), shards.rows(first, told)
    model, made = Path(told["settings"]["model"]).name, about["record"]
    found = learn(rows, model, made["model"]["fingerprint"], conditions(made), asked.without)
    record.write_learned(found, asked.out, asked.also)
    print(f"{asked.out}: {found.words} words of {found.images} images")
    print(f"signs: {', '.join(found.mean)}; under {found.under}")
    if left := [name for name in SIGNS if name not in (*found.mean, *asked.without)]:
        print(f"left out, because some words lack them: {', '.join(left)}")


def _require_whole(folder: Path, told: Mapping[str, Any]) -> Path:
    """The first shard of a study's folder that can be learned from.

    Raises
    ------
    DaamkitError
        If it is of another study, of the split that calibrations are measured on, or not done.
    """
    name, split = told["study"], told["settings"].get("split")
    done = sorted(folder.glob("cases-*.parquet"))
    wanted = -(-told["cases"] // told["batch_size"])
    if name != "reliability" or split == "held-out" or len(done) < wanted:
        raise DaamkitError(
            wanted="a whole study 'reliability', not of the split that is measured on",
            got=f"{name!r} of the split {split!r}, with {len(done)} of {wanted} shards",
            mend="run `daamkit study reliability --split seen` to its end, in a folder of its own",
        )
    return done[0]


if __name__ == "__main__":
    main()
