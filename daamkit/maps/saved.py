"""Runs from the disk: nothing in a folder is believed before it is checked.

``run.json`` carries a digest of itself and of the other files, so that no changed bit passes. What
could have been sealed anew is checked too: names, axes, shapes, that values are finite and not
negative, that each token's attention is as much as was noted; the picture is a PNG of the run's
size. So a folder from somebody else costs no more than its own bytes, and no other decoder.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from daamkit import files
from daamkit.errors import DaamkitError
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.layers import Layer
from daamkit.maps.pooling import Pooling
from daamkit.maps.prompt import Prompt
from daamkit.maps.related import MEAN, Related, opened
from daamkit.maps.selfmaps import SelfMaps
from daamkit.maps.tokens import Special

FORMAT, VERSION = "daamkit.run", 2
JSON, MAPS, IMAGE = "run.json", "maps.safetensors", "image.png"
FRAME = "frame-{:05d}.png"
BUDGET = 4 * 2**30  # bytes of maps
KEPT = ("step", "site", "head")
AXIS = {"cross": "token", "self": "key", "concept": "token", "related": "source"}  # of columns
_SEAL = '"seal": "%s"'  # in run.json: its SHA-256 with zeros in place of this
OPEN = _SEAL % ("0" * 64)


class RunFolderError(DaamkitError):
    """A folder that is not a run, or a damaged one, or one that cannot be written."""


def seal(written: bytes) -> bytes:
    """A ``run.json`` with the digest of itself in it."""
    digest = hashlib.sha256(written).hexdigest()
    return written.replace(OPEN.encode(), (_SEAL % digest).encode(), 1)


def digests(place: Path) -> dict[str, str]:
    """What a whole ``run.json`` tells of the files of its run, itself among them; else nothing."""
    try:
        written = files.content(place / JSON, files.MOST // 4)
        told = {str(name): str(digest) for name, digest in _data(written)["sha256"].items()}
        return told | {JSON: hashlib.sha256(written).hexdigest()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RunFolderError):
        return {}


def is_run(place: Path) -> bool:
    """Whether a folder has a ``run.json`` of ours in it."""
    try:
        return f'"{FORMAT}"'.encode() in files.content(place / JSON)[:200]
    except (OSError, ValueError):
        return False


def open_run(
    place: Path, budget: int | None
) -> tuple[
    Image.Image | None,
    dict[str, HeatMaps],
    dict[str, SelfMaps],
    dict[str, Any],
    dict[str, Related],
    tuple[Image.Image, ...],
]:
    """Image, cross-attention, self-attention, record, relations and video of a saved run.

    Raises
    ------
    RunFolderError
        If there is none, it is damaged or too large, or another version of daamkit wrote it.
    """
    if not is_run(place):
        raise RunFolderError(
            wanted=f"a run saved by daamkit in {place}",
            got="no such folder" if not place.exists() else "a folder without a daamkit run.json",
            mend="name the folder that `run.save()` wrote",
        )
    try:
        data = _data(files.content(place / JSON, files.MOST // 4))
        tensors = _tensors(place, data, budget)
        cross = {name: _heat_maps(entry, tensors) for name, entry in data["cross"].items()}
        selves = {name: _self_maps(entry, tensors) for name, entry in data["self"].items()}
        for name, entry in data.get("concept", {}).items():
            cross[name] = replace(cross[name], concepts=_heat_maps(entry, tensors))
        related = {
            name: _related(name, entry, tensors) for name, entry in data.get("related", {}).items()
        }
        every: list[Any] = [*cross.values(), *selves.values(), *related.values()]
        sizes = {maps.size for maps in every}
        _check(len(sizes) == 1, "branches of one size")
        image = files.picture(place / IMAGE, *sizes) if IMAGE in data["sha256"] else None
        video = tuple(files.picture(place / name, *sizes) for name in _frames(data))
        _check(isinstance(data["record"], dict), "a record")
        return image, cross, selves, data["record"], related, video
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OverflowError,
        SafetensorError,
    ) as error:
        if isinstance(error, DaamkitError):
            raise
        raise RunFolderError(
            wanted=f"a whole run in {place}",
            got=f"a damaged one ({type(error).__name__}: {error})",
            mend="save the run again, into another folder",
        ) from error


def _check(true: bool, what: str) -> None:
    if not true:
        raise ValueError(f"not {what}")


def _data(written: bytes) -> dict[str, Any]:
    """What stands in ``run.json``, if no bit of it has changed."""
    data = files.plain(written)
    if data["version"] != VERSION:
        raise RunFolderError(
            wanted=f"a run of format version {VERSION}",
            got=f"version {data['version']}",
            mend="open it with the daamkit that wrote it, or a newer one",
        )
    found = re.search((_SEAL % r"(\w{64})").encode(), written)
    blank = written.replace(found[0], OPEN.encode(), 1) if found else b""
    sealed = found and hashlib.sha256(blank).hexdigest().encode() == found[1]
    _check(bool(sealed), f"the {JSON} that was saved")
    _check({MAPS} <= set(data["sha256"]) <= {MAPS, IMAGE, *_frames(data)}, "the files of a run")
    return data


def _frames(data: Mapping[str, Any]) -> list[str]:
    """The files of a video's frames, in their order."""
    return [
        name
        for number in range(len(data["sha256"]))
        if (name := FRAME.format(number)) in data["sha256"]
    ]


def _tensors(place: Path, data: Mapping[str, Any], budget: int | None) -> dict[str, Tensor]:
    """The maps, if they are as large as they should be, the same bytes, and as they are named."""
    layers = [
        layer for kind in AXIS for entry in data.get(kind, {}).values() for layer in entry["layers"]
    ]
    shapes = {layer["tensor"]: _whole(layer["shape"]) for layer in layers}
    _check(0 < len(shapes) == len(layers), "a tensor for each layer")
    large = sum(4 * math.prod(shape) for shape in shapes.values())
    if budget is not None and large > budget:
        raise RunFolderError(
            wanted=f"at most {budget:,} bytes of maps",
            got=f"{large:,} in {place}",
            mend="raise `budget=` of `daamkit.open`, or keep fewer axes in the trace",
        )
    heading = files.size(place / MAPS) - large
    _check(8 < heading < 2**20 + 1000 * len(layers), f"the size of {MAPS}")
    for name, wanted in data["sha256"].items():
        fits = name == MAPS or files.size(place / name) <= 4 * files.PIXELS
        _check(fits, f"the size of {name}")
        _check(files.digest(place / name) == wanted, f"{name} as it was saved")
    tensors = load_file(place / MAPS)
    _check(tensors.keys() == shapes.keys(), "the tensors that are listed")
    for name, values in tensors.items():
        _check(values.dtype == torch.float32, f"float32 in {name}")
        _check(values.shape == shapes[name], f"the shape {shapes[name]} of {name}")
        check(name, values)
    return tensors


def check(name: str, values: Tensor) -> None:
    """Refuse sums of attention that cannot be such.

    Raises
    ------
    ValueError
        If one is not finite, or negative.
    """
    low, high = torch.aminmax(values)  # of a NaN both are NaN
    _check(bool(low >= 0) and bool(high < math.inf), f"finite attention from 0 on in {name}")


def _whole(numbers: Any, least: int = 1) -> tuple[int, ...]:
    """Whole numbers from `least` on, as a tuple."""
    _check(isinstance(numbers, list), "a list of whole numbers")
    _check(all(type(n) is int and least <= n < 2**31 for n in numbers), "whole numbers in a list")
    return tuple(numbers)


def _text(value: Any) -> str:
    _check(isinstance(value, str) and value != "", "a name")
    return str(value)


def _layers(
    entry: Mapping[str, Any], tensors: Mapping[str, Tensor], columns: int | None, axis: str
) -> dict[str, Layer]:
    """Layers whose axes are those that were kept; without columns, each cell is one."""
    keep, (steps,) = entry["keep"], _whole([entry["steps"]])
    _check(isinstance(keep, list) and {*keep} <= {*KEPT} and len({*keep}) == len(keep), "axes")
    leading = [axis for axis in ("step", "head") if axis in keep]
    layers: dict[str, Layer] = {}
    for row in entry["layers"]:
        name, sites, values = _text(row["name"]), row["sites"], tensors[row["tensor"]]
        moves = ["frame"] if axis in ("token", "source") and "frame" in row["axes"] else []
        last = [*moves, axis, "y", "x"]
        _check(row["axes"] == leading + last and values.ndim == len(row["axes"]), "those axes")
        _check(isinstance(sites, list) and len(sites) > 0, "sites")
        (heads,) = _whole([row["heads"]])
        *kept, many, y, x = values.shape
        frames = kept.pop() if moves else 0
        _check(many == (y * x if columns is None else columns), f"the columns of {name}")
        _check("step" not in keep or kept[0] == steps, f"the steps of {name}")
        each = heads // len(sites)
        _check(each * len(sites) == heads, f"the heads of {name}")
        _check("head" not in keep or kept[-1] == each, f"the heads of {name}")
        _check(name not in layers, "layers of their own names")
        (order,) = _whole([row["order"]], 0)
        out, named = tuple(map(_text, row["left_out"])), tuple(map(_text, sites))
        _check({*out} <= {*get_args(Pooling), MEAN}, "pooling rules")
        ran = _whole(row["ran"], 0) if "ran" in row else None
        _check(ran is None or (ran != () and {*ran} <= {*range(steps)}), f"the steps of {name}")
        group = _text(row["group"])
        layers[name] = Layer(name, named, group, heads, values, order, out, frames, ran)
    _check(len(layers) > 0, "a layer")
    _check(len({layer.frames for layer in layers.values()}) == 1, "layers of as many frames")
    return layers


def _size(entry: Mapping[str, Any]) -> tuple[int, int]:
    height, width = _whole(entry["size"])
    _check(height * width <= files.PIXELS, "an image of a size that can be")
    return height, width


def _heat_maps(entry: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> HeatMaps:
    prompt = _prompt(entry["prompt"])
    (base,) = _whole([entry["base"]])
    _check(base <= 4096 and entry["rule"] in get_args(Pooling), "a pooling rule")
    _check(isinstance(entry["chosen"], bool), "whether layers were chosen")
    maps = HeatMaps(
        prompt,
        _layers(entry, tensors, prompt.columns, "token"),
        frozenset(entry["keep"]),
        entry["steps"],
        _size(entry),
        base,
        entry["rule"],
        entry["chosen"],
    )
    for stored, row in zip(entry["prompt"]["tokens"], token_rows(maps), strict=True):
        same = stored["occurrence"] == row["occurrence"]
        near = math.isclose(stored["mass"], row["mass"], rel_tol=1e-3, abs_tol=1e-6)
        _check(same and near, f"the attention that token {row['column']} received")
    return maps


def _self_maps(entry: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> SelfMaps:
    layers = _layers(entry, tensors, None, "key")
    return SelfMaps(layers, frozenset(entry["keep"]), entry["steps"], _size(entry))


def _related(name: str, entry: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Related:
    prompt, count = _prompt(entry["prompt"]), len(entry["words"]) + len(entry["pixels"])
    some = count or (entry["layers"][0]["shape"][-3] if name.endswith("text") else None)
    layers = _layers(entry, tensors, some, "source")
    return opened(name, entry, prompt, layers, _size(entry))


def _prompt(data: Mapping[str, Any]) -> Prompt:
    """A prompt whose tokens stand where they say."""
    prompt = Prompt.from_json(data)
    texts, special = prompt.texts, (None, *get_args(Special))
    _check(len(texts) > 0 and all(isinstance(text, str) for text in texts.values()), "texts")
    _whole([prompt.limit, 1 + max(token.column for token in prompt.tokens)])
    _whole([*prompt.cuts.values()], 0)
    _check(prompt.cuts.keys() <= texts.keys(), "cuts of the texts")
    places: set[tuple[str, int]] = set()
    for token in prompt.tokens:
        text = texts[token.encoder]
        column, start, end = _whole([token.column, token.start, token.end], 0)
        place = (token.encoder, column)
        _check(place not in places and start <= end <= len(text), "tokens in their places")
        _check(token.special in special, "a token of a known kind")
        _check(token.special is not None or token.text == text[start:end], "tokens of the text")
        places.add(place)
    return prompt


def token_rows(maps: HeatMaps) -> list[dict[str, Any]]:
    """All tokens of a prompt, how often the same came before, and the attention each received."""
    seen: Counter[tuple[str, str]] = Counter()
    rows = []
    for token in maps.prompt.tokens:
        name = (token.encoder, token.special or token.text.casefold())
        row = {"occurrence": seen[name], "mass": float(maps.mass[token.column])}
        rows.append(vars(token) | row)
        seen[name] += 1
    return rows
