"""Maps that anybody made, by whatever means, scored against drawn scenes.

    daamkit score --truth truth          # pictures, captions, words and exact masks, as Parquet
    daamkit score maps                   # a folder with one NumPy array for each of its rows
    daamkit score maps --world 2         # of the scenes of world 2, `--truth truth --world 2`

The scenes are drawn from seeds, the same everywhere, so that no file has to be had from elsewhere;
a digest tells that they are the same.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from jaxtyping import Float
from PIL import Image
from pyarrow import parquet

from daamkit import files
from daamkit.errors import DaamkitError
from daamkit.maps import folders
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word
from daamkit.measures import intervals, ranking
from daamkit.studies import cuts, localisation
from daamkit.studies.denoised import both, exact
from daamkit.studies.study import in_world
from daamkit.toybox import claims
from daamkit.toybox.scenes import SPLITS

VERSION, MANY, SEED = 1, 300, 0
DIGESTS = {  # of the scenes, by world
    1: "0cdaeff33b0c81e3c5da0a759f14e190b1c1fe6c9de72e9588ee097cb9325cc4",
    2: "cb3878a2fbb54caae026c4997f07e398aa6e46831fd16a1275363ded1d2b0532",
}
TRUTH = folders.Kind("truth", "truth.json", belongs=re.compile(r"truth\.(parquet|json)"))
YOURS = "yours"
LARGEST = 4096  # of an array's side
COLUMNS = ("id", "prompt", "word", "start", "end", "split", "image", "mask")


@cache
def truth(world: int = 1) -> pd.DataFrame:
    """What is to be found, a row a word of a scene of a toy world.

    Columns: id ("012-1": the scene, and which of its things; of world 2 "2-012-1"), prompt, word,
    start and end (where it stands in the prompt), split ("training": a composition that the toy
    models' training has seen; "held-out"), image (height, width, 3) uint8, mask (height, width)
    bool.

    Raises
    ------
    DaamkitError
        If the scenes are not those of this version, or there is no such world.
    """
    in_world(world)
    rows: list[dict[str, Any]] = []
    own = "" if world == 1 else f"{world}-"  # or maps of one world could be taken for another's
    for number, scene in enumerate(both(MANY, SEED, world)):
        asked = claims.parse(scene.caption)
        for noun, mask in exact(scene).items():
            start, end = asked.things[noun].start, asked.things[noun].end
            row: dict[str, Any] = {"id": f"{own}{number:03}-{noun}", "prompt": scene.caption}
            row |= {"word": scene.caption[start:end], "start": start, "end": end}
            row |= {"split": SPLITS[1 + number % 2], "image": scene.image, "mask": mask}
            rows.append(row)
    frame = pd.DataFrame(rows, columns=[*COLUMNS])
    if (found := digest(frame)) != DIGESTS[world]:
        raise DaamkitError(
            wanted=f"the scenes of version {VERSION} of world {world}, {DIGESTS[world][:12]}",
            got=f"others, {found[:12]}",
            mend="take the version of daamkit that is named beside the numbers to compare with",
        )
    return frame


def digest(frame: pd.DataFrame) -> str:
    """SHA-256 of all that `truth` says."""
    known = hashlib.sha256()
    for row in frame.to_dict("records"):
        said = [row[name] for name in COLUMNS[:-2]]
        known.update(json.dumps(said).encode())
        known.update(row["image"].tobytes() + np.packbits(row["mask"]).tobytes())
    return known.hexdigest()


def write(folder: Path, world: int = 1) -> Path:
    """Write ``truth.parquet``, its pictures and masks as the bytes of PNGs, and ``truth.json`` with
    version, world and digests.

    Raises
    ------
    DaamkitError
        If something else lies there, or nothing can be written.
    """
    frame = truth(world)
    rows = frame.to_dict("records")
    for row in rows:
        row["image"] = files.encoded(Image.fromarray(row["image"]))
        row["mask"] = files.encoded(Image.fromarray(row["mask"].astype(np.uint8) * 255))

    def draw(place: Path) -> None:
        parquet.write_table(pa.Table.from_pylist(rows), place / "truth.parquet")
        told: dict[str, Any] = about(world) | {"rows": len(rows)}
        told |= {"file": files.digest(place / "truth.parquet")}
        (place / "truth.json").write_text(json.dumps(told, indent=1) + "\n", "utf-8")

    folders.write(folder, TRUTH, draw)
    return Path(folder) / "truth.parquet"


def about(world: int) -> dict[str, Any]:
    """Which truth it is: version, world and digest."""
    return {"version": VERSION, "world": world, "sha256": DIGESTS[world]}


def score(folder: Path, world: int = 1) -> pd.DataFrame:
    """How well arrays find the words of `truth`, beside maps that know nothing.

    Parameters
    ----------
    folder
        With ``ID.npy`` for each id of the truth: a map (y, x) of finite numbers, of any size and
        unit, more where the word is; it is enlarged to the image's size.
    world
        Whose scenes they are of.

    Returns
    -------
    table
        For each split, both together ("all") and of these the words beside which another thing is
        named ("several things"), and for each method ("yours", "centre prior", "other word": yours
        of another thing in the picture, if there is one): n (words), ap and iou (at a cut that is
        best on other prompts), each with its 95% interval over prompts.

    Raises
    ------
    DaamkitError
        If a map is missing, is none, or the folder cannot be read.
    """
    known = truth(world)
    maps = {row.id: _map(Path(folder), row) for row in known.itertuples()}
    rows: list[dict[str, Any]] = []
    for scene, part in known.groupby(known["id"].str.rsplit("-", n=1).str[0], sort=False):
        own = {_noun(row.id): maps[row.id] for row in part.itertuples()}
        for row in part.itertuples():
            noun = _noun(row.id)
            given = {YOURS: own[noun]} | localisation.without_noise(own, noun, world)
            named = {"split": row.split, "prompt": row.prompt, "image": scene, "noun": noun}
            for method, found in given.items():
                ap = ranking.average_precision(found.expand(absolute=True).numpy(), row.mask)
                line = named | {"method": method, "ap": ap}
                rows += [line | cut for cut in cuts.scores(found, row.mask)]
    every = pd.DataFrame(rows)
    pairs = every.loc[every["method"] == "other word", ["image", "noun"]].drop_duplicates()
    parts = {"all": every, "several things": every.merge(pairs)}
    parts |= dict(list(every.groupby("split", sort=False)))
    return pd.concat([_summary(part).assign(split=name) for name, part in parts.items()])[
        ["split", "method", "n", "ap", "ap_low", "ap_high", "iou", "iou_low", "iou_high", "cuts"]
    ].reset_index(drop=True)


def _noun(id_: str) -> int:
    return int(id_.rsplit("-", 1)[1])


def _summary(rows: pd.DataFrame) -> pd.DataFrame:
    found = localisation.summary(rows)[["method", "miou", "low", "high", "cuts"]]
    found.columns = pd.Index(["method", "iou", "iou_low", "iou_high", "cuts"])
    once = rows.drop_duplicates(["image", "noun", "method"])
    means = intervals.means(once, ["method"], "ap", within=(0, 1))
    means = means.rename(columns={"mean": "ap", "low": "ap_low", "high": "ap_high"})
    return found.merge(means, on="method")


def _map(folder: Path, row: Any) -> WordMap:
    file = folder / f"{row.id}.npy"
    values = array(file, row)
    word = Word(row.word, row.start, row.end, ())
    return WordMap(torch.from_numpy(values), word, row.mask.shape)


def array(file: Path, row: Any) -> Float[np.ndarray, "y x"]:
    """A prediction.

    Raises
    ------
    DaamkitError
        If there is none.
    """
    wanted = f"a map of {row.word!r} in {row.prompt!r}, {file}"
    try:
        raw = files.content(file, 8 * LARGEST**2 + 4096)
        values = np.load(io.BytesIO(raw), allow_pickle=False)
    except Exception as error:  # NumPy's for broken files are of many kinds
        missing = isinstance(error, FileNotFoundError)
        raise DaamkitError(
            wanted=wanted,
            got="no such file" if missing else f"{type(error).__name__}: {error}",
            mend="write one with `numpy.save` for each id of the truth, "
            "`daamkit score --truth FOLDER`",
        ) from error
    fits = isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype.kind in "fiub"
    if not fits or not 1 <= min(values.shape) <= max(values.shape) <= LARGEST:
        raise DaamkitError(
            wanted=wanted,
            got=f"{getattr(values, 'dtype', type(values).__name__)} of the shape "
            f"{getattr(values, 'shape', None)}",
            mend="save an array of numbers with two axes, y and x",
        )
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise DaamkitError(
            wanted=wanted, got="numbers that are not finite", mend="save numbers alone"
        )
    return values
