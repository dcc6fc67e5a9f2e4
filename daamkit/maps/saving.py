"""A run onto the disk: an earlier one stays whole until the new one is."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from daamkit.maps import saved
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.layers import Layer
from daamkit.maps.related import Related
from daamkit.maps.saved import RunFolderError

if TYPE_CHECKING:
    from daamkit.maps.run import Run


def save(run: Run, folder: str | os.PathLike[str]) -> Path:
    """Write a run into a folder: see `Run.save`."""
    if not isinstance(folder, str | os.PathLike):
        raise RunFolderError(wanted="a folder to save in", got=repr(folder), mend="give its name")
    part = None
    try:
        place = Path(os.path.realpath(folder, strict=False))
        _free(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
        _write(run, part)
        part.chmod(0o755)
        if place.exists():
            old = part.with_name(part.name + "-old")
            place.rename(old)
            try:
                part.rename(place)
            except BaseException:
                old.rename(place)
                raise
            shutil.rmtree(old, ignore_errors=True)
        else:
            part.rename(place)
    except (OSError, SafetensorError) as error:
        raise RunFolderError(
            wanted=f"to save a run in {folder}",
            got=f"{getattr(error, 'strerror', None) or error}",
            mend="free some space or name a folder on another disk; what lay there is whole",
        ) from error
    except (TypeError, ValueError) as error:
        raise RunFolderError(
            wanted="a run of finite maps, with a record of plain data",
            got=f"{error}",
            mend="generate in bfloat16 or float32 if the model has overflowed",
        ) from error
    finally:
        if part is not None and part.exists():
            shutil.rmtree(part, ignore_errors=True)
    return Path(folder)


def _write(run: Run, folder: Path) -> None:
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
    save_file(tensors, folder / saved.MAPS)
    if run.image is not None:
        run.image.save(folder / saved.IMAGE)
    for number, frame in enumerate(run.video):
        frame.save(folder / saved.FRAME.format(number))
    files = {file.name: saved.digest(file) for file in sorted(folder.iterdir())}
    data |= {"sha256": files, "record": dict(run.record)}
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


def _free(place: Path) -> None:
    """Refuse to put a run where something else lies."""
    if not place.exists():
        return
    there = {each.name for each in place.iterdir()} if place.is_dir() else {place.name}
    frames = {saved.FRAME.format(number) for number in range(len(there))}
    own = {saved.JSON, saved.MAPS, saved.IMAGE} | frames
    if not place.is_dir() or (there and not (saved.is_run(place) and there <= own)):
        others = ", ".join(sorted(there - own if saved.is_run(place) else there)[:3])
        raise RunFolderError(
            wanted="a new folder, an empty one, or an earlier run's",
            got=f"{place}, which holds something else ({others})",
            mend="name another folder",
        )
