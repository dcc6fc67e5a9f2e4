"""The folder of a study: what study it is, and a shard for each batch that is done.

A shard appears whole or not at all, and carries a digest of itself, the study's settings and how
its images were made.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from daamkit.errors import DaamkitError
from daamkit.studies.session import Case

if TYPE_CHECKING:
    from daamkit.studies.study import Study

_KEY = b"daamkit"  # of a shard's provenance
_SEAL = b'"digest": "%b"'  # in it: SHA-256 of the shard with zeros in place of this
_OPEN = _SEAL % (b"0" * 64)
HOW = ("model", "dtype", "device", "scheduler", "versions")  # of a record: must stay the same


class ShardWarning(UserWarning):
    """A damaged shard, which is made again."""


class Folder:
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
        self.manifest = json.loads(json.dumps(self.manifest))  # tuples are lists
        rest = place / ".study.json.part"  # of a run that was killed at once
        self.begun = place.exists() and (
            not place.is_dir() or any(each != rest for each in place.iterdir())
        )
        if self.begun:
            there = manifest(place)
            self._compare(there)
            self.manifest = there
        else:
            place.mkdir(parents=True, exist_ok=True)

    def _compare(self, there: Mapping[str, Any]) -> None:
        own, old = dict(self.manifest), dict(there)
        settings: Any = own.pop("settings"), old.pop("settings", {})
        study = {"study": own.pop("study")}, old
        for mine, theirs in (study, settings, (own, old)):  # what follows from others comes last
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
        for name in ("study.json", *(self._shard(start).name for start in starts)):
            (self.place / f".{name}.part").unlink(missing_ok=True)
        found = {}
        for start in starts:
            shard = self._shard(start)
            if not shard.exists():
                continue
            try:
                frame, about = read(shard, self.manifest)
            except (pa.ArrowException, ValueError) as error:
                reason = str(error).splitlines()[0]
                warnings.warn(
                    f"{shard} is damaged ({reason}); its cases are measured again",
                    ShardWarning,
                    stacklevel=4,
                )
                shard.unlink()
                continue
            self._same_model(about["record"])
            found[start] = frame
        return found

    def write(self, start: int, table: pa.Table, record: Mapping[str, Any]) -> None:
        """Keep a batch."""
        self._same_model(record)
        if not self.begun:
            _write(self.place / "study.json", json.dumps(self.manifest, indent=1).encode())
            self.begun = True
        about = self.manifest | {
            "start": start,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "record": dict(record),
            "digest": "0" * 64,
        }
        metadata = (table.schema.metadata or {}) | {_KEY: json.dumps(about).encode()}
        sink = pa.BufferOutputStream()
        pq.write_table(table.replace_schema_metadata(metadata), sink)
        content = sink.getvalue().to_pybytes()
        seal = _SEAL % hashlib.sha256(content).hexdigest().encode()
        _write(self._shard(start), content.replace(_OPEN, seal, 1))

    def _same_model(self, record: Mapping[str, Any]) -> None:
        """Rows made in another way do not mix."""
        found = {name: record.get(name) for name in HOW}
        found["device"] = str(found["device"]).split(":")[0]
        found = json.loads(json.dumps(found))
        unread = [k for k, v in ((found["model"] or {}).get("parts") or {}).items() if v is None]
        if unread:
            raise DaamkitError(
                wanted="a model that can be told from another, to keep its rows",
                got=f"{', '.join(unread)}, whose weights are nowhere to be read",
                mend="load it without that way of offloading, or run with no folder",
            )
        for name, value in (self.record or {}).items():
            if found[name] != value:
                wanted, got = _unlike(value, found[name])
                raise DaamkitError(
                    wanted=f"what began {self.place}: {name} {wanted}",
                    got=f"{got}",
                    mend="name another folder: rows made in two ways do not mix",
                )
        self.record = found


def _unlike(one: Any, other: Any) -> tuple[Any, Any]:
    """Two values; of mappings only what differs."""
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        return one, other
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    pairs = {key: _unlike(one.get(key), other.get(key)) for key in keys}
    return {key: pair[0] for key, pair in pairs.items()}, {k: pair[1] for k, pair in pairs.items()}


def manifest(folder: Path) -> dict[str, Any]:
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


def read(shard: Path, told: Mapping[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Its rows and its provenance, if it is whole and of this study."""
    content = shard.read_bytes()
    seal = re.search(_SEAL % rb"(\w{64})", content)
    if seal is None:
        raise ValueError("no shard of a study, or a part of one")
    blank = content.replace(seal[0], _OPEN, 1)
    if hashlib.sha256(blank).hexdigest().encode() != seal[1]:
        raise ValueError("other bytes than were written")
    table = pq.read_table(pa.BufferReader(content))
    about = json.loads(table.schema.metadata[_KEY])
    wanted = {**told, "start": int(shard.stem.removeprefix("cases-"))}
    if any(about.get(key) != value for key, value in wanted.items()):
        raise ValueError("of another study or other cases")
    return table.to_pandas(), about


def _write(place: Path, content: bytes) -> None:
    """Whole or not at all, also when the machine stops."""
    part = place.with_name(f".{place.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(place)
