"""`daamkit score`: maps that anybody made, against scenes whose truth is known."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from daamkit.cli.shell import Help
from daamkit.errors import DaamkitError


def add(verbs: Any) -> None:
    score = verbs.add_parser(
        "score",
        formatter_class=Help,
        help="score maps that you made, by whatever means",
        description="Score a folder of NumPy arrays, one for each word of 300 drawn scenes, by the "
        "scenes' exact masks. --truth writes the scenes.",
    )
    score.add_argument("folder", nargs="?", type=Path, help="with ID.npy for each row of the truth")
    score.add_argument(
        "--truth", type=Path, metavar="FOLDER", help="write truth.parquet there, and score nothing"
    )
    score.add_argument("--world", type=int, default=1, help="whose scenes: 1 or 2")
    score.add_argument("--json", action="store_true", help="print one JSON object and no more")
    score.set_defaults(run=_score)


def _score(asked: argparse.Namespace) -> int:
    from daamkit.studies import predictions

    if (asked.folder is None) == (asked.truth is None):
        raise DaamkitError(
            wanted="a folder of maps, or --truth and a folder to write to",
            got="both" if asked.folder else "neither",
            mend="try `daamkit score --truth truth`, then `daamkit score maps`",
        )
    if asked.truth is not None:
        words = len(predictions.truth(asked.world))
        print(f"{words} words in {predictions.write(asked.truth, asked.world)}")
        return 0
    table, about = predictions.score(asked.folder, asked.world), predictions.about(asked.world)
    if asked.json:
        print(json.dumps({"truth": about, "scores": json.loads(table.to_json(orient="records"))}))
        return 0
    print(table.to_string(index=False, float_format=lambda x: f"{x:.3f}"))
    print("truth of version {version}, world {world}, {sha256:.12}".format(**about))
    return 0
