"""Learn what signs of a map mean, from the rows of a study on a toy model.

    daamkit study reliability --n 420 --split seen --seed 50000 --out build/reliability
    python -m daamkit.studies.calibrate build/reliability --out toybox.json

The study's prompts are of the split "seen"; the calibration is measured on the other one, by the
same study with other seeds.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd

from daamkit import fingerprint, record, zoo
from daamkit.measures.regression import fit
from daamkit.measures.reliability import SIGNS, TARGETS, Calibration, design
from daamkit.studies import runner

PRIOR = 1.0  # weight of the squares of slopes, in standard deviations of signs


def learn(rows: pd.DataFrame, model: str, digest: str) -> Calibration:
    """A calibration from rows of `studies.reliability`: of drawn maps, and of noise, which is a map
    of nothing whatever is in the image."""
    drawn = rows[rows["maps"] == "drawn"]
    mean = {name: float(drawn[name].mean()) for name in SIGNS}
    deviation = {name: float(drawn[name].std()) or 1.0 for name in SIGNS}
    x, of_something = design(rows, mean, deviation), rows["maps"].to_numpy() == "drawn"
    weights = {
        target: fit(x, of_something & (rows[target].to_numpy(float) > 0), PRIOR).round(6).tolist()
        for target in TARGETS
    }
    images = len(drawn[["prompt", "seed"]].drop_duplicates())
    return Calibration(model, digest, images, len(drawn), mean, deviation, weights)


def main(argv: list[str] | None = None) -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the study's")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--also", nargs="*", default=[], help="fingerprints under other versions")
    asked = parser.parse_args(argv)
    settings = json.loads((asked.folder / "study.json").read_text(encoding="utf-8"))["settings"]
    digest = fingerprint.model_facts(zoo.load(settings["model"]))["fingerprint"]
    found = learn(runner.table(asked.folder), Path(settings["model"]).name, digest)
    found = replace(found, also=asked.also)
    record.write_learned(found, asked.out)
    print(f"{asked.out}: {found.words} words of {found.images} images")


if __name__ == "__main__":
    main()
