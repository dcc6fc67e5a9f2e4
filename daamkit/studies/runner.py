"""Run a study: batch after batch into Parquet shards, to be gone on with whenever it was stopped.

A folder holds ``study.json``, which says what study it is, and a shard for each batch that is done.
Which cases make a batch depends on their index alone, and a shard appears whole or not at all: so a
run that was killed goes on with the same rows as one that was not.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm.auto import tqdm

from daamkit.errors import DaamkitError
from daamkit.studies import truths
from daamkit.studies.study import AT_ONCE, Case, Row, Stage, Study

Engine = Literal["local", "ray"]
_KEY = b"daamkit"  # of a shard's provenance
HOW = ("model", "dtype", "device", "scheduler", "versions")  # of a record: must stay the same
Done = tuple[list[Row], Mapping[str, Any]]  # a batch's rows, and the record of the model


class ShardWarning(UserWarning):
    """A damaged shard, which is made again."""


def run(
    study: Study,
    out: str | os.PathLike[str] | None = None,
    *,
    batch_size: int = 8,
    threads: int = 2,
    engine: Engine = "local",
    workers: int = 2,
    pipe: Any = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Measure all cases that are not done yet.

    Parameters
    ----------
    study
        What to do.
    out
        A folder, new or of an earlier run of the same study; None keeps nothing.
    batch_size
        Cases at a time. Another size rounds differently: a folder keeps to one.
    threads
        Of the CPU, for each worker; for the same reason a folder keeps to one number.
    engine, workers
        "local": here, one batch after the other. "ray": on a Ray cluster (the one of RAY_ADDRESS,
        or one started here), `workers` pipelines at once, each on a GPU of its own if there are
        any; that needs ``pip install 'daamkit[ray]'``.
    pipe
        An open pipeline in place of the study's model; local only.
    progress
        Show how far it is.

    Returns
    -------
    rows
        Tidy, a column "case" in front.

    Raises
    ------
    DaamkitError
        If the folder is another study's, or ray is wanted and not there.
    """
    if batch_size < 1 or threads < 1 or workers < 1:
        raise DaamkitError(
            wanted="at least one case at a time, one thread and one worker",
            got=f"batch_size={batch_size}, threads={threads}, workers={workers}",
            mend="try 8, 2 and 2",
        )
    if engine not in ("local", "ray") or (engine == "ray" and pipe is not None):
        raise DaamkitError(
            wanted="the engine 'local', or 'ray' with a model's name",
            got=f"{engine!r}{' with an open pipeline' if pipe is not None else ''}",
            mend="name one; a pipeline cannot be sent to workers, its name can",
        )
    cases = study.cases()
    study.check()
    folder = None if out is None else _Folder(Path(out), study, cases, batch_size, threads)
    batches = {
        start: cases[start : start + batch_size] for start in range(0, len(cases), batch_size)
    }
    frames = {} if folder is None else folder.frames(list(batches))
    left = {start: batch for start, batch in batches.items() if start not in frames}
    if left:
        source = (
            _local(study, left, threads, pipe)
            if engine == "local"
            else _on_ray(study, left, threads, workers)
        )
        done = sum(len(batches[start]) for start in frames)
        with tqdm(
            total=len(cases), initial=done, desc=study.name, unit="case", disable=not progress
        ) as bar:
            for start, (rows, record) in source:
                table = _table(rows)
                if folder is not None:
                    folder.write(start, table, record)
                frames[start] = table.to_pandas()
                bar.update(len(batches[start]))
    return _join([frames[start] for start in batches])


def draw(study: Study, folder: str | os.PathLike[str], pipe: Any = None) -> list[Path]:
    """Draw a study's images and measure nothing: for people to annotate.

    Parameters
    ----------
    study
        Whose images.
    folder
        Where they go, as PNG with the names of `truths.stem`; those that are there are left.
    pipe
        An open pipeline in place of the study's model.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    files = {place / f"{truths.stem(*each)}.png": each for each in study.pictures()}
    left = [(file, each) for file, each in files.items() if not file.exists()]
    stage = Stage(study, pipe) if left else None
    for start in tqdm(range(0, len(left), AT_ONCE), study.name, disable=None):
        part = left[start : start + AT_ONCE]
        assert stage is not None
        runs = stage.runs([prompt for _, (prompt, _) in part], [seed for _, (_, seed) in part])
        for (file, _), run in zip(part, runs, strict=True):
            assert run.image is not None
            run.image.save(file)
    return list(files)


def read(out: str | os.PathLike[str]) -> pd.DataFrame:
    """The rows of a folder, as far as it is done.

    Raises
    ------
    DaamkitError
        If it holds no study, nothing yet, or a damaged shard.
    """
    folder = Path(out)
    _manifest(folder)
    frames = []
    for shard in sorted(folder.glob("cases-*.parquet")):
        try:
            frames.append(_open(shard).to_pandas())
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DaamkitError(
                wanted=f"a whole shard, {shard}",
                got=f"a damaged one ({str(error).splitlines()[0]})",
                mend="run the study again with the same settings: it makes what is missing",
            ) from error
    if not frames:
        raise DaamkitError(
            wanted=f"rows in {folder}", got="no shard yet", mend="run the study, or wait for it"
        )
    return _join(frames)


def _table(rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pandas(pd.DataFrame(list(rows)), preserve_index=False)


def _join(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    some = [frame for frame in frames if len(frame)]
    if not some:
        raise DaamkitError(
            wanted="something to measure",
            got="no row of any case: nothing that the study looks for is in these prompts, or the "
            "truth cannot tell",
            mend="give it other prompts, or another truth",
        )
    return pd.concat(some, ignore_index=True)


# -- engines


def _measure(study: Study, stage: Stage, start: int, batch: Sequence[Case]) -> Done:
    found = study.measure(stage, batch)
    if len(found) != len(batch):
        raise RuntimeError(f"{study.name} measured {len(found)} of {len(batch)} cases")
    rows = [{"case": start + i} | row for i, each in enumerate(found) for row in each]
    return rows, stage.record


def _local(
    study: Study, batches: Mapping[int, Sequence[Case]], threads: int, pipe: Any
) -> Iterator[tuple[int, Done]]:
    with _threads(threads):
        stage = Stage(study, pipe)
        for start, batch in batches.items():
            yield start, _measure(study, stage, start, batch)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Worker:
    """One pipeline on a Ray cluster."""

    def __init__(self, study: Study, threads: int) -> None:
        torch.set_num_threads(threads)
        self.study, self.stage = study, Stage(study)

    def measure(self, start: int, batch: Sequence[Case]) -> tuple[int, Done]:
        """A batch's rows."""
        return start, _measure(self.study, self.stage, start, batch)


def _on_ray(
    study: Study, batches: Mapping[int, Sequence[Case]], threads: int, workers: int
) -> Iterator[tuple[int, Done]]:
    try:
        import ray
        from ray.util import ActorPool
    except ImportError as error:
        raise DaamkitError(
            wanted="ray, for `engine='ray'`",
            got="no such package here",
            mend="pip install 'daamkit[ray]'",
        ) from error
    own = not ray.is_initialized()
    if own:
        size = None if "RAY_ADDRESS" in os.environ else workers
        ray.init(
            num_cpus=size, include_dashboard=False, log_to_driver=False, configure_logging=False
        )
    try:
        there = 0 if study.device == "cpu" else int(ray.cluster_resources().get("GPU", 0))
        many = min(workers, there or workers, len(batches))  # more than there are would never start
        actor = ray.remote(num_cpus=1, num_gpus=min(there, 1), max_restarts=2, max_task_retries=2)(
            _Worker
        )
        pool = ActorPool([actor.remote(study, threads) for _ in range(many)])
        yield from pool.map_unordered(
            lambda worker, item: worker.measure.remote(*item), list(batches.items())
        )
    finally:
        if own:
            ray.shutdown()


# -- the folder


class _Folder:
    """Where a study's shards lie."""

    def __init__(
        self, place: Path, study: Study, cases: Sequence[Case], batch_size: int, threads: int
    ) -> None:
        self.place = place
        said = json.dumps(cases, sort_keys=True).encode()
        self.manifest = {
            "format": "daamkit.study",
            "version": 1,
            "study": study.name,
            "settings": {f.name: getattr(study, f.name) for f in fields(study)},
            "batch_size": batch_size,
            "threads": threads,
            "cases": len(cases),
            "sha256": hashlib.sha256(said).hexdigest(),
        }
        self.loose = {f.name for f in fields(study) if not f.metadata.get("compare", True)}
        self.record: dict[str, Any] | None = None
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            self._compare(_manifest(place))
        else:
            place.mkdir(parents=True, exist_ok=True)
            _write(place / "study.json", json.dumps(self.manifest, indent=1).encode())

    def _compare(self, there: Mapping[str, Any]) -> None:
        own = json.loads(json.dumps(self.manifest))
        settings = own.pop("settings"), there.get("settings", {})
        for mine, theirs in ((own, there), settings):
            for key, value in mine.items():
                if key not in self.loose and theirs.get(key) != value:
                    raise DaamkitError(
                        wanted=f"an earlier run of the same study in {self.place}: {key} {value!r}",
                        got=f"{key} {theirs.get(key)!r}",
                        mend="name another folder, or take its settings to go on with it",
                    )

    def _shard(self, start: int) -> Path:
        return self.place / f"cases-{start:07d}.parquet"

    def frames(self, starts: Sequence[int]) -> dict[int, pd.DataFrame]:
        """What is done, by each batch's first case; damaged shards are named and taken away."""
        for rest in self.place.glob(".*.part"):
            rest.unlink()
        found = {}
        for start in starts:
            shard = self._shard(start)
            if not shard.exists():
                continue
            try:
                table = _open(shard)
            except (pa.ArrowException, ValueError) as error:
                reason = str(error).splitlines()[0]
                warnings.warn(
                    f"{shard} is damaged ({reason}); its cases are measured again",
                    ShardWarning,
                    stacklevel=4,
                )
                shard.unlink()
                continue
            self._same_model(json.loads(table.schema.metadata[_KEY])["record"])
            found[start] = table.to_pandas()
        return found

    def write(self, start: int, table: pa.Table, record: Mapping[str, Any]) -> None:
        """Keep a batch."""
        self._same_model(record)
        about = {
            "study": self.manifest["study"],
            "start": start,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "record": dict(record),
        }
        metadata = (table.schema.metadata or {}) | {_KEY: json.dumps(about).encode()}
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata(metadata), sink, write_page_checksum=True)
        _write(self._shard(start), sink.getvalue().to_pybytes())

    def _same_model(self, record: Mapping[str, Any]) -> None:
        """Rows made in another way do not mix."""
        found = {name: record.get(name) for name in HOW}
        found["device"] = str(found["device"]).split(":")[0]
        found = json.loads(json.dumps(found))
        for name, value in (self.record or {}).items():
            if found[name] != value:
                raise DaamkitError(
                    wanted=f"what began {self.place}: {name} {value}",
                    got=f"{found[name]}",
                    mend="name another folder: rows made in two ways do not mix",
                )
        self.record = found


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        if found["format"] == "daamkit.study":
            return found
    except (OSError, ValueError, LookupError, TypeError):
        pass
    raise DaamkitError(
        wanted=f"a new folder, an empty one, or one of a study: {folder}",
        got="something else" if folder.exists() else "no such folder",
        mend="name another; nothing in it was touched",
    )


def _open(shard: Path) -> pa.Table:
    table = pq.read_table(shard, page_checksum_verification=True)
    if _KEY not in (table.schema.metadata or {}):
        raise ValueError("not a shard of a study")
    return table


def _write(place: Path, content: bytes) -> None:
    """Whole or not at all, also when the machine stops."""
    part = place.with_name(f".{place.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(place)
