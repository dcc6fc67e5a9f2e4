"""A run: an image, its prompt, its maps, and how it was made. Saved without pickle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from daamkit.errors import DaamkitError
from daamkit.maps.heatmaps import HeatMaps, Layer
from daamkit.maps.selfmaps import SelfMaps
from daamkit.maps.words import Prompt

if TYPE_CHECKING:
    import pandas as pd

FORMAT, VERSION = "daamkit.run", 1
COLUMNS = (
    "word", "start", "end", "occurrence", "tokens", "mass", "area",
    "centre_y", "centre_x", "peak_y", "peak_x", "peak",
)  # fmt: skip


class RunFolderError(DaamkitError):
    """A folder that is not a run, or a damaged one, or one that cannot be written."""


@dataclass(frozen=True, eq=False)
class Run:
    """One generated image and what was observed while it was made.

    Attributes
    ----------
    image
        The image; None if the pipeline returned latents.
    branches
        Cross-attention by branch: "cond", and "uncond" or "negative" where they were asked for.
    self_attention
        Self-attention by branch, where it was asked for.
    record
        What is needed to make it again; see `daamkit.record`.
    """

    image: Image.Image | None
    branches: Mapping[str, HeatMaps]
    self_attention: Mapping[str, SelfMaps] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def maps(self) -> HeatMaps:
        """The maps of the prompt's words: branch "cond"."""
        return self.branch("cond")

    @property
    def prompt(self) -> str:
        """The prompt."""
        return self.maps.prompt.text

    def branch(self, name: str) -> HeatMaps:
        """The maps of a branch.

        Raises
        ------
        DaamkitError
            If it was not traced, or the pipeline had none.
        """
        if name not in self.branches:
            raise DaamkitError(
                wanted=f"maps of the branch {name!r}",
                got=f"{', '.join(self.branches)}",
                mend="trace with `branches=('cond', 'uncond')`; with a negative prompt the second "
                "is called 'negative'",
            )
        return self.branches[name]

    def table(self, threshold: float = 0.4) -> pd.DataFrame:
        """The words and where they are, one a row.

        Columns: word, start, end (characters), occurrence, tokens (their number), mass (share of
        all attention), area (share of the image within the mask at `threshold` of the maximum),
        centre_y, centre_x, peak_y, peak_x (pixels), peak (attention probability, summed over steps
        as the pooling has it).
        """
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for found in self.maps.words():
            word, columns = found.word, list(found.word.columns)
            (centre_y, centre_x), (peak_y, peak_x) = found.centre(), found.peak()
            rows.append(
                {
                    "word": word.text,
                    "start": word.start,
                    "end": word.end,
                    "occurrence": word.occurrence,
                    "tokens": len(columns),
                    "mass": float(self.maps.mass[columns].sum()),
                    "area": found.area(threshold),
                    "centre_y": centre_y,
                    "centre_x": centre_x,
                    "peak_y": peak_y,
                    "peak_x": peak_x,
                    "peak": float(found.values.max()),
                }
            )
        return pd.DataFrame(rows, columns=COLUMNS)

    def tokens(self, branch: str = "cond") -> pd.DataFrame:
        """All tokens, special ones too.

        Columns: column (on the key axis), encoder, text, start, end (characters), special,
        occurrence (how often the same text came before), mass. Two encoders share the columns, so
        the masses of each encoder's tokens sum to 1.
        """
        import pandas as pd

        frame = pd.DataFrame(_token_rows(self.branch(branch)))
        return frame.assign(
            special=frame["special"].astype(object).where(frame["special"].notna(), None)
        )

    def __repr__(self) -> str:
        height, width = self.maps.size
        return f"Run({self.prompt!r}, {width}x{height}, {self.maps.steps} passes)"

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``run.json``, ``maps.safetensors`` and ``image.png`` into a folder.

        An earlier run there is replaced, but only once the new one lies whole on the disk.

        Raises
        ------
        RunFolderError
            If the folder holds something else, or the disk is full.
        """
        place = Path(folder)
        if place.exists() and not (place.is_dir() and (_is_run(place) or not any(place.iterdir()))):
            raise RunFolderError(
                wanted="a new folder, an empty one, or an earlier run's",
                got=f"{place}, which holds something else",
                mend="name another folder",
            )
        part = None
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            part = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
            self._write(part)
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
                wanted=f"to save a run in {place}",
                got=f"{getattr(error, 'strerror', None) or error}",
                mend="free some space or name a folder on another disk; what lay there is whole",
            ) from error
        finally:
            if part is not None and part.exists():
                shutil.rmtree(part, ignore_errors=True)
        return place

    def _write(self, folder: Path) -> None:
        tensors = {}
        data: dict[str, Any] = {"format": FORMAT, "version": VERSION}
        kinds: tuple[tuple[str, Mapping[str, Any]], ...] = (
            ("cross", self.branches),
            ("self", self.self_attention),
        )
        for kind, branches in kinds:
            data[kind] = {}
            for branch, maps in branches.items():
                layers = []
                leading = [axis for axis in ("step", "head") if axis in maps.keep]
                last = ["token" if kind == "cross" else "key", "y", "x"]
                for layer in maps.layers.values():
                    name = f"{kind}/{branch}/{layer.name}"
                    tensors[name] = layer.values.detach().float().cpu().contiguous()
                    layers.append(
                        {
                            "name": layer.name,
                            "tensor": name,
                            "axes": leading + last,
                            "sites": list(layer.sites),
                            "stage": layer.stage,
                            "heads": layer.heads,
                        }
                    )
                entry = {"keep": sorted(maps.keep), "steps": maps.steps, "size": list(maps.size)}
                if isinstance(maps, HeatMaps):
                    entry |= {"base": maps.base, "rule": maps.rule, "chosen": maps.chosen}
                    entry["prompt"] = maps.prompt.to_json()
                    entry["prompt"]["tokens"] = _token_rows(maps)
                data[kind][branch] = entry | {"layers": layers}
        save_file(tensors, folder / "maps.safetensors")
        if self.image is not None:
            self.image.save(folder / "image.png")
        files = {file.name: _digest(file) for file in sorted(folder.iterdir())}
        data |= {"sha256": files, "record": dict(self.record)}
        (folder / "run.json").write_text(
            json.dumps(data, indent=1, ensure_ascii=False), encoding="utf-8"
        )


def open_run(folder: str | os.PathLike[str]) -> Run:
    """Read a run that `Run.save` has written. Needs no model and no diffusers.

    Raises
    ------
    RunFolderError
        If there is none, it is damaged, or a newer daamkit wrote it.
    """
    place = Path(folder)
    if not _is_run(place):
        raise RunFolderError(
            wanted=f"a run saved by daamkit in {place}",
            got="no such folder" if not place.exists() else "a folder without a daamkit run.json",
            mend="name the folder that `run.save()` wrote",
        )
    try:
        data = json.loads((place / "run.json").read_text(encoding="utf-8"))
        if data["version"] != VERSION:
            raise RunFolderError(
                wanted=f"a run of format version {VERSION}",
                got=f"version {data['version']}",
                mend="open it with the daamkit that wrote it, or a newer one",
            )
        for name, digest in data["sha256"].items():
            if _digest(place / Path(name).name) != digest:
                raise ValueError(f"{name} is not the file that was saved")
        tensors = load_file(place / "maps.safetensors")
        image = None
        if "image.png" in data["sha256"]:
            with Image.open(place / "image.png") as file:
                image = file.copy()
        cross = {name: _heat_maps(entry, tensors) for name, entry in data["cross"].items()}
        self_ = {name: _self_maps(entry, tensors) for name, entry in data["self"].items()}
        return Run(image, cross, self_, data["record"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError) as error:
        if isinstance(error, DaamkitError):
            raise
        raise RunFolderError(
            wanted=f"a whole run in {place}",
            got=f"a damaged one ({type(error).__name__}: {error})",
            mend="save the run again",
        ) from error


def _token_rows(maps: HeatMaps) -> list[dict[str, Any]]:
    seen: Counter[tuple[str, str]] = Counter()
    rows = []
    for token in maps.prompt.tokens:
        name = (token.encoder, token.special or token.text.casefold())
        row = {"occurrence": seen[name], "mass": float(maps.mass[token.column])}
        rows.append(vars(token) | row)
        seen[name] += 1
    return rows


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _is_run(place: Path) -> bool:
    try:
        head = (place / "run.json").read_text(encoding="utf-8", errors="replace")[:200]
    except OSError:
        return False
    return f'"{FORMAT}"' in head


def _layers(entry: Mapping[str, Any], tensors: Mapping[str, Any]) -> dict[str, Layer]:
    layers = {}
    for row in entry["layers"]:
        values = tensors[row["tensor"]]
        if values.ndim != len(row["axes"]):
            raise ValueError(f"{row['tensor']} has not the axes {row['axes']}")
        layers[row["name"]] = Layer(
            row["name"], tuple(row["sites"]), row["stage"], row["heads"], values
        )
    return layers


def _heat_maps(entry: Mapping[str, Any], tensors: Mapping[str, Any]) -> HeatMaps:
    return HeatMaps(
        Prompt.from_json(entry["prompt"]),
        _layers(entry, tensors),
        frozenset(entry["keep"]),
        entry["steps"],
        (entry["size"][0], entry["size"][1]),
        entry["base"],
        entry["rule"],
        entry["chosen"],
    )


def _self_maps(entry: Mapping[str, Any], tensors: Mapping[str, Any]) -> SelfMaps:
    height, width = entry["size"]
    return SelfMaps(
        _layers(entry, tensors), frozenset(entry["keep"]), entry["steps"], (height, width)
    )
