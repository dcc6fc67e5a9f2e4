"""A run: an image, its prompt, its maps, and how it was made. Saved without pickle."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import save_file

from daamkit.errors import DaamkitError
from daamkit.maps import saved
from daamkit.maps.heatmaps import HeatMaps, Pooling
from daamkit.maps.saved import RunFolderError as RunFolderError
from daamkit.maps.selfmaps import SelfMaps
from daamkit.maps.wordmap import Rule

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "word", "start", "end", "occurrence", "tokens", "mass", "area",
    "centre_y", "centre_x", "peak_y", "peak_x", "peak",
)  # fmt: skip


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

        frame = pd.DataFrame(saved.token_rows(self.branch(branch)))
        return frame.assign(
            special=frame["special"].astype(object).where(frame["special"].notna(), None)
        )

    def guidance(self) -> pd.DataFrame:
        """What guidance methods noted while the image was made, a row for each method and step.

        Columns: method, step, and the methods' own numbers; none but these two where the image was
        not guided.
        """
        import pandas as pd

        rows = [
            {"method": entry["method"]} | numbers
            for entry in self.record.get("guidance", [])
            for numbers in entry["steps"]
        ]
        return pd.DataFrame(rows, columns=None if rows else ["method", "step"])

    def relations(
        self,
        threshold: float | Sequence[float] | Rule = 0.4,
        rule: Rule | Literal["soft"] = "max",
        *,
        others: bool = False,
        parser: Any = None,
        pooling: Pooling | None = None,
    ) -> pd.DataFrame:
        """The prompt's heads and dependents and what their maps share (arXiv 2210.04885, sec. 4).

        Parameters
        ----------
        threshold, rule
            How a map is cut, as in `WordMap.mask`; several thresholds give rows for each.
        others
            Also pronouns with what they mean ("coreferent") and content words with no edge between
            them ("unrelated").
        parser
            A spaCy pipeline, by name or open; default the one that ships.
        pooling
            "daam" or "paper"; default the run's.

        Returns
        -------
        frame
            A row a pair and threshold, with prompt and seed, as `plots.relations` and `plots.sweep`
            take them; its columns are those of `measures.syntax.relations`, which makes it.

        Raises
        ------
        DaamkitError
            If the prompt has no word, or the model has not read all of it.
        """
        from daamkit.measures import syntax

        return syntax.relations(
            self, threshold, rule, others=others, parser=parser, pooling=pooling
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: the image and the maps of the words."""
        from daamkit.views import still

        return still.html(self)

    def __repr__(self) -> str:
        height, width = self.maps.size
        return f"Run({self.prompt!r}, {width}x{height}, {self.maps.steps} passes)"

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``run.json``, ``maps.safetensors`` and ``image.png`` into a folder.

        An earlier run there is replaced, but only once the new one lies whole on the disk. Of a
        link to a folder, the folder is meant.

        Raises
        ------
        RunFolderError
            If the folder holds anything else, the maps are not finite, or the disk is full.
        """
        part = None
        try:
            place = Path(os.path.realpath(folder, strict=False))
            _free(place)
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

    def _write(self, folder: Path) -> None:
        tensors = {}
        data: dict[str, Any] = {"format": saved.FORMAT, "version": saved.VERSION, "seal": "0" * 64}
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
                    saved.check(name, tensors[name])
                    layers.append(
                        {
                            "name": layer.name,
                            "tensor": name,
                            "axes": leading + last,
                            "shape": list(layer.values.shape),
                            "sites": list(layer.sites),
                            "group": layer.group,
                            "order": layer.order,
                            "left_out": list(layer.left_out),
                            "heads": layer.heads,
                        }
                    )
                entry = {"keep": sorted(maps.keep), "steps": maps.steps, "size": list(maps.size)}
                if isinstance(maps, HeatMaps):
                    entry |= {"base": maps.base, "rule": maps.rule, "chosen": maps.chosen}
                    entry["prompt"] = maps.prompt.to_json()
                    entry["prompt"]["tokens"] = saved.token_rows(maps)
                data[kind][branch] = entry | {"layers": layers}
        save_file(tensors, folder / saved.MAPS)
        if self.image is not None:
            self.image.save(folder / saved.IMAGE)
        files = {file.name: saved.digest(file) for file in sorted(folder.iterdir())}
        data |= {"sha256": files, "record": dict(self.record)}
        written = json.dumps(data, indent=1, ensure_ascii=False).encode()
        (folder / saved.JSON).write_bytes(saved.seal(written))


def _free(place: Path) -> None:
    """Refuse to put a run where something else lies."""
    if not place.exists():
        return
    own = {saved.JSON, saved.MAPS, saved.IMAGE}
    there = {each.name for each in place.iterdir()} if place.is_dir() else {place.name}
    if not place.is_dir() or (there and not (saved.is_run(place) and there <= own)):
        others = ", ".join(sorted(there - own if saved.is_run(place) else there)[:3])
        raise RunFolderError(
            wanted="a new folder, an empty one, or an earlier run's",
            got=f"{place}, which holds something else ({others})",
            mend="name another folder",
        )


@runtime_checkable
class HasRuns(Protocol):
    """A tracer."""

    runs: list[Run]


Runs = Run | HasRuns | Iterable[Run | HasRuns]


def several(*given: Any) -> list[Run]:
    """The runs among runs, lists of runs, and tracers, in order.

    Raises
    ------
    DaamkitError
        If one is something else, or there is none.
    """
    found: list[Run] = []
    for each in given:
        if isinstance(each, Run):
            found.append(each)
        elif isinstance(each, HasRuns):
            found.extend(each.runs)
        elif isinstance(each, Iterable) and not isinstance(each, str | bytes | Mapping):
            found.extend(several(*each) if (each := list(each)) else [])
        else:
            raise DaamkitError(
                wanted="runs, lists of runs, or tracers",
                got=f"{type(each).__name__}",
                mend="give `tracer.run`, or open a saved one with `daamkit.open(folder)`",
            )
    if not found:
        raise DaamkitError(
            wanted="a run", got="none", mend="call the traced pipeline before, inside the context"
        )
    return found


def open_run(folder: str | os.PathLike[str], *, budget: int | None = saved.BUDGET) -> Run:
    """Read a run that `Run.save` has written. Needs no model and no diffusers.

    Parameters
    ----------
    folder
        Where it lies. It may come from anybody: nothing in it is run, and only PNG is decoded.
    budget
        Most bytes of maps to read; None reads any number.

    Raises
    ------
    RunFolderError
        If there is none, it is damaged or over the budget, or another version wrote it.
    """
    return Run(*saved.read(Path(folder), budget))
