"""Drawn scenes as a data set: Parquet that pandas, polars and Hugging Face `datasets` open.

    daamkit toybox scenes --n 10000 --seed 0 --out toy-scenes

and then ``datasets.load_dataset("parquet", data_files="toy-scenes/*.parquet")``.

Pictures and masks are PNG, which `datasets` decodes by itself.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from daamkit import files
from daamkit.errors import DaamkitError
from daamkit.toybox import scenes
from daamkit.toybox.captions import CaptionWord
from daamkit.toybox.scenes import Scene, Thing

_PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_THING = [(name, pa.string()) for name in ("name", "colour", "texture", "size")]
_DRAWN = [("box", pa.list_(pa.int32())), ("hidden", pa.bool_())]
_WORD = [("text", pa.string()), ("start", pa.int32()), ("end", pa.int32()), ("pos", pa.string())]
_WORD += [("head", pa.int32()), ("relation", pa.string()), ("things", pa.list_(pa.int32()))]
SCHEMA = pa.schema(
    [
        ("image", _PICTURE),
        ("caption", pa.string()),
        ("words", pa.list_(pa.struct(_WORD))),
        ("things", pa.list_(pa.struct([*_THING, *_DRAWN]))),
        ("masks", pa.list_(_PICTURE)),
        ("ground", _PICTURE),
        ("place", pa.string()),
        ("relation", pa.string()),
    ]
)


def write(
    folder: Path, n: int, seed: int, shard: int = 1000, world: int = 1, split: str = "any"
) -> Iterator[int]:
    """Draw scenes into ``scenes-00000.parquet`` and so on, file by file as the result is taken,
    which tells how many are written.

    Parameters
    ----------
    folder
        To write to; made if missing.
    n, seed, world, split
        The i-th scene is the i-th of ``scenes.sample(n, seed, world=world, split=split)``.
    shard
        How many scenes one file holds.

    Raises
    ------
    DaamkitError
        If there is nothing to draw, the seed is negative, or the folder holds scenes already, also
        such as somebody has written there meanwhile; or nothing can be written.
    """
    if n < 1 or shard < 1 or seed < 0:
        raise DaamkitError(
            wanted="at least one scene, and a seed from 0",
            got=f"n={n}, shard={shard}, seed={seed}",
            mend="ask for n >= 1 and seed >= 0",
        )
    with files.told(f"a folder to write scenes to, {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("scenes-*.parquet")):
        raise _taken(folder)
    return _shards(folder, n, seed, shard, world, split)


def _shards(folder: Path, n: int, seed: int, shard: int, world: int, split: str) -> Iterator[int]:
    schema = SCHEMA.with_metadata({"huggingface": json.dumps({"info": {"features": _FEATURES}})})
    for number, start in enumerate(range(0, n, shard)):
        stop = min(start + shard, n)
        rows = [
            _row(scenes.draw(np.random.default_rng((seed, i)), None, world, split))
            for i in range(start, stop)
        ]
        table = pa.Table.from_pylist(rows, schema=schema)
        sink = pa.BufferOutputStream()
        parquet.write_table(table, sink)
        place = folder / f"scenes-{number:05d}.parquet"
        with files.told(f"a folder to write scenes to, {folder}"):
            if not _is_new(place, sink.getvalue().to_pybytes()):
                raise _taken(folder)
        yield stop


def _is_new(place: Path, written: bytes) -> bool:
    """Write a file whole, if there is none of its name; whether there was none."""
    with tempfile.TemporaryDirectory(prefix=".scenes-", suffix=".part", dir=place.parent) as own:
        part = Path(own) / place.name
        files.replace(part, written)
        try:
            os.link(part, place)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            try:
                place.open("xb").close()
            except FileExistsError:
                return False
            part.replace(place)
    return True


def _taken(folder: Path) -> DaamkitError:
    return DaamkitError(
        wanted=f"a folder without scenes, {folder}",
        got="one that has some",
        mend="name another, or remove them",
    )


def scenes_of(file: Path) -> list[Scene]:
    """The scenes of one file.

    Raises
    ------
    DaamkitError
        If they are none, or a picture of theirs is no PNG.
    """
    try:
        return [_scene(row) for row in parquet.read_table(file).to_pylist()]
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
        raise DaamkitError(
            wanted=f"scenes that `daamkit toybox scenes` has written, {file}",
            got=(str(error) or type(error).__name__).splitlines()[0],
            mend="name a file of such",
        ) from error


def _row(scene: Scene) -> dict[str, Any]:
    return {
        "image": _png(scene.image),
        "caption": scene.caption,
        "words": [vars(word) for word in scene.words],
        "things": [vars(thing) for thing in scene.things],
        "masks": [_png(mask) for mask in scene.masks],
        "ground": _png(scene.ground),
        "place": scene.place,
        "relation": scene.relation,
    }


def _scene(row: dict[str, Any]) -> Scene:
    words = [CaptionWord(**word | {"things": tuple(word["things"])}) for word in row["words"]]
    return Scene(
        image=_pixels(row["image"]),
        caption=row["caption"],
        words=tuple(words),
        things=tuple(Thing(**thing | {"box": tuple(thing["box"])}) for thing in row["things"]),
        masks=np.stack([_pixels(mask) for mask in row["masks"]]),
        ground=_pixels(row["ground"]),
        place=row["place"],
        relation=row["relation"],
    )


def _png(pixels: np.ndarray) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return {"bytes": file.getvalue(), "path": None}


def _pixels(picture: dict[str, Any]) -> np.ndarray:
    return np.array(files.decode(picture["bytes"]))


def _feature(kind: pa.DataType) -> Any:
    """A type in the words of `datasets`, which finds them in the file's metadata."""
    if kind == _PICTURE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return [_feature(kind.value_type)]
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"dtype": str(kind), "_type": "Value"}


_FEATURES = {field.name: _feature(field.type) for field in SCHEMA}
