"""What is needed to make a result again: versions, model, scheduler, arguments, seeds."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from daamkit import compat, files, fingerprint

PACKAGES = ("daamkit", "torch", "diffusers", "transformers", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    found = {package: _version(package) for package in PACKAGES}
    return {"python": platform.python_version()} | {k: v for k, v in found.items() if v is not None}


@cache
def _version(package: str) -> str | None:
    """Asked once: what was imported stays, whatever is installed meanwhile."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@runtime_checkable
class OfModel(Protocol):
    """What was learned of a model: the model's fingerprint, and those that it has where other
    versions of transformers build it."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def also(self) -> Sequence[str]: ...


Known = TypeVar("Known", bound=OfModel)


def learned(known: Iterable[Known], record: Mapping[str, Any]) -> Known | None:
    """The first that was learned of the model which a record names."""
    model = (record.get("model") or {}).get("fingerprint")
    return next((each for each in known if model in (each.fingerprint, *each.also)), None)


def write_learned(found: Any, file: Path, also: Iterable[str] = ()) -> Path:
    """Write what was learned of a model, a dataclass, as JSON, whole or not at all. The model's
    fingerprints under other versions are those in `also`, and those that the file had before, if
    it was of the same model.

    Raises
    ------
    DaamkitError
        If it cannot be written.
    """
    try:
        before = json.loads(file.read_text())
    except (OSError, ValueError):  # none, or something else
        before = {}
    if before.get("fingerprint") == found.fingerprint:
        also = (*also, *before.get("also", ()))
    known = asdict(replace(found, also=sorted({*found.also, *also})))
    return files.write(file, (json.dumps(known, indent=1) + "\n").encode())


def of_call(pipe: Any, arguments: Mapping[str, Any], samples: int = 1) -> list[dict[str, Any]]:
    """Describe a pipeline's call before it runs, as plain data, for each of its images.

    Parameters
    ----------
    pipe
        A diffusers pipeline.
    arguments
        Of its call, defaults filled in.
    samples
        How many images it makes.
    """
    shared = _of_all(pipe, arguments)
    generator = arguments.get("generator")
    return [
        shared | {"seed": _seed(generator, sample, pipe), "sample": sample}
        for sample in range(samples)
    ]


def _of_all(pipe: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What all images of a call have in common."""
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "pipeline": type(pipe).__name__,
        "model": _model(pipe),
        "dtype": str(_weight(pipe).dtype).removeprefix("torch."),
        "device": str(_weight(pipe).device),
        "scheduler": {
            "class": type(pipe.scheduler).__name__,
            "config": {key: plain(value) for key, value in pipe.scheduler.config.items()},
        },
        "arguments": {
            key: plain(value)
            for key, value in arguments.items()
            if value is not None and key != "generator"
        },
    }


def _weight(pipe: Any) -> Any:
    """The pipeline, which tells its type and device; or, of models without these, a weight."""
    if all(hasattr(pipe, name) for name in ("dtype", "device")):
        return pipe
    models = [part for part in pipe.components.values() if hasattr(part, "parameters")]
    return next(weight for model in models for weight in model.parameters())


def _model(pipe: Any) -> dict[str, Any]:
    """Name, revision and fingerprint; in the Hub's cache, paths of parts tell the revision."""
    name = str(getattr(pipe, "name_or_path", "") or compat.source(pipe.config))
    revision = None
    for part in (pipe, *pipe.components.values()):
        folders = Path(compat.source(getattr(part, "config", None))).parts
        if "snapshots" in folders[:-1]:
            revision = folders[folders.index("snapshots") + 1]
            cache = folders[folders.index("snapshots") - 1]
            name = cache.removeprefix("models--").replace("--", "/")
            break
    if Path(name).is_absolute():
        name = Path(name).name  # where somebody's files lie is nobody's business
    return {"name": name or None, "revision": revision, **fingerprint.model_facts(pipe)}


def _seed(generator: Any, sample: int, pipe: Any) -> dict[str, Any] | None:
    """The seed, and whether the generator was still fresh: if not, the seed alone is not enough,
    and a digest of its state is told too."""
    import torch

    many = isinstance(generator, list | tuple)
    if many:
        if sample >= len(generator):
            return None  # the pipeline will refuse it
        generator = generator[sample]
    source = torch.default_generator if generator is None else generator
    if generator is None and _weight(pipe).device.type == "cuda":
        source = torch.cuda.default_generators[_weight(pipe).device.index or 0]
    seed = source.initial_seed()
    state = source.get_state()
    fresh = torch.equal(state, torch.Generator(source.device).manual_seed(seed).get_state())
    used = {} if fresh else {"state": hashlib.sha256(state.numpy().tobytes()).hexdigest()[:16]}
    name = "global" if generator is None else "generator of the image" if many else "generator"
    return {"seed": seed, "fresh": fresh, "source": name} | used


def plain(value: Any) -> Any:
    """JSON's types as they are; anything else by its type and shape."""
    if isinstance(value, str | int | float | bool | None):
        return value
    if not getattr(value, "shape", True) and hasattr(value, "item"):  # a NumPy scalar
        return value.item()
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    shape = getattr(value, "shape", getattr(value, "size", None))
    return (
        f"<{type(value).__name__}{'' if shape is None or callable(shape) else f' {tuple(shape)}'}>"
    )
