"""A run onto the disk: an earlier one stays whole until the new one is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from daamkit import files
from daamkit.maps import folders, saved
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.layers import Layer
from daamkit.maps.related import Related
from daamkit.maps.saved import RunFolderError

if TYPE_CHECKING:
    from daamkit.maps.run import Run

RUN = folders.Kind("run", saved.JSON, error=RunFolderError, digests=saved.digests)


def save(run: Run, folder: str | os.PathLike[str], beside: Mapping[str, str] | None = None) -> Path:
    """Write a run into a folder: see `Run.save`.

    Parameters
    ----------
    run
        The run that is written.
    folder
        Where to; it is made.
    beside
        Texts to write as further files, by name.
    """
    if not isinstance(folder, str | os.PathLike):
        raise RunFolderError(wanted="a folder to save in", got=repr(folder), mend="give its name")

    def drawn(place: Path) -> None:
        draw(run, place)
        for name, text in (beside or {}).items():
            (place / name).write_text(text, encoding="utf-8")

    folders.write(folder, RUN, drawn)
    return Path(folder)


def draw(run: Run, folder: Path) -> None:
    """Write a run's files into an empty folder.

    Raises
    ------
    OSError
        If they cannot be written.
    RunFolderError
        If the maps are not finite, or the record is no plain data.
    """
    try:
        _draw(run, folder)
    except (TypeError, ValueError) as error:
        raise RunFolderError(
            wanted="a run of finite maps, with a record of plain data",
            got=f"{error}",
            mend="generate in bfloat16 or float32 if the model has overflowed",
        ) from error


def _draw(run: Run, folder: Path) -> None:
    tensors: dict[str, Tensor] = {}
    data: dict[str, Any] = {"format": saved.FORMAT, "version": saved.VERSION, "seal": "0" * 64}
    concepts = {name: maps.concepts for name, maps in run.branches.items() if maps.concepts}
    kinds: dict[str, Mapping[str, Any]] = {"cross": run.branches, "self": run.self_attention}
    kinds |= {"concept": concepts} if concepts else {}
    kinds |= {"related": run.related} if run.related else {}
    for kind, named in kinds.items():
        data[kind] = {}
        for name, maps in named.items():
            layers = [
                _layer(f"{kind}/{name}", maps, each, tensors) for each in maps.layers.values()
            ]
            entry = {"keep": sorted(maps.keep), "steps": maps.steps, "size": list(maps.size)}
            if isinstance(maps, HeatMaps):
                entry |= {"base": maps.base, "rule": maps.rule, "chosen": maps.explicit_layers}
                entry["prompt"] = maps.prompt.to_json()
                entry["prompt"]["tokens"] = saved.token_rows(maps)
            if isinstance(maps, Related):
                entry["prompt"] = maps.prompt.to_json()
                entry["words"] = [asdict(word) for word in maps.words]
                entry["pixels"] = [list(pixel) for pixel in maps.pixels]
            data[kind][name] = entry | {"layers": layers}
    try:
        save_file(tensors, folder / saved.MAPS)
    except SafetensorError as error:  # a full disk, told as a text
        raise OSError(f"{error}") from error
    if run.image is not None:
        run.image.save(folder / saved.IMAGE)
    for number, frame in enumerate(run.video):
        frame.save(folder / saved.FRAME.format(number))
    digests = {file.name: files.digest(file) for file in sorted(folder.iterdir())}
    data |= {"sha256": digests, "record": dict(run.record)}
    written = json.dumps(data, indent=1, ensure_ascii=False).encode()
    (folder / saved.JSON).write_bytes(saved.seal(written))


def _layer(place: str, maps: Any, layer: Layer, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """What is written of a layer beside its tensor, which is added to the others."""
    name = f"{place}/{layer.name}"
    tensors[name] = layer.values.detach().float().cpu().contiguous()
    saved.check(name, tensors[name])
    axes = [axis for axis in ("step", "head") if axis in maps.keep]
    axes += ["frame"] if layer.frames else []
    ran = {} if layer.ran is None else {"ran": list(layer.ran)}
    return ran | {
        "name": layer.name,
        "tensor": name,
        "axes": [*axes, saved.AXIS[place.split("/")[0]], "y", "x"],
        "shape": list(layer.values.shape),
        "sites": list(layer.sites),
        "group": layer.group,
        "order": layer.order,
        "left_out": list(layer.left_out),
        "heads": layer.heads,
    }
