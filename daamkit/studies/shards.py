"""The folder of a study: what study it is, and a shard for each batch that is done.

A shard appears whole or not at all, and carries a digest of itself, the study's settings and how
its images were made. One of ours that fails its digest is made again, and so is what is no Parquet
at all; anything else is never taken away: the folder is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from daamkit import files
from daamkit.errors import DaamkitError
from daamkit.studies import locks, seals
from daamkit.studies.session import Case

if TYPE_CHECKING:
    from daamkit.studies.study import Study

HOW = (
    "model",
    "dtype",
    "device",
    "scheduler",
    "versions",
    "instruments",
)  # of a record: must stay the same
THREADS = 2**12  # of the CPU, at most
_PART = re.compile(r"\.([0-9a-f]{16}|study\.json\..*|cases-\d{7}\.parquet.*)\.part")
TOLD: dict[str, type] = {  # what every study.json has
    "study": str, "settings": dict, "batch_size": int, "threads": int, "cases": int, "sha256": str,
}  # fmt: skip


class FolderError(DaamkitError, OSError):
    """A folder that cannot be read or written."""


class DamagedError(DaamkitError):
    """A shard that fails its digest."""

    def __init__(self, shard: Path, got: str) -> None:
        super().__init__(
            wanted=f"a whole shard, {shard}",
            got=f"a damaged one ({got})",
            mend="run the study again with the same settings: it makes what is missing",
        )
        self.shard, self.reason = shard, got

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.shard, self.reason)


class ShardWarning(UserWarning):
    """A damaged shard, which is made again."""


class ShardFolder:
    """Where a study's shards lie."""

    def __init__(
        self,
        place: Path,
        study: Study,
        cases: Sequence[Case],
        batch_size: int,
        threads: int | None,
        default: int = 1,
    ) -> None:
        self.place, self._any_threads = place, threads is None
        said = json.dumps(cases, sort_keys=True).encode()
        self.manifest: dict[str, Any] = {
            "format": seals.FORMAT,
            "version": 1,
            "study": study.name,
            "settings": {f.name: getattr(study, f.name) for f in fields(study)}
            | {"model": study.model_name},
            "batch_size": batch_size,
            "threads": threads or default,
            "cases": len(cases),
            "sha256": hashlib.sha256(said).hexdigest(),
        }
        self.loose = {f.name for f in fields(study) if not f.metadata.get("compare", True)}
        self.record: dict[str, Any] | None = None
        self.manifest = json.loads(json.dumps(self.manifest))  # tuples are lists
        self.begun = False
        self._look()

    def _look(self) -> None:
        """Whose folder it is."""
        try:
            self.begun = self.place.exists() and (
                not self.place.is_dir() or any(not _is_rest(each) for each in self.place.iterdir())
            )
            if not self.begun:
                self.place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(self.place, error) from error
        if self.begun:
            there = manifest(self.place)
            if self._any_threads:
                self.manifest["threads"] = there["threads"]
            self._compare(there)
            self.manifest = there

    @property
    def threads(self) -> int:
        """Of the CPU, for each worker: as asked for, else as the folder was begun with."""
        return int(self.manifest["threads"])

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else writes into the folder.

        Raises
        ------
        locks.HeldError
            If somebody does.
        """
        try:
            with locks.held(self.place):
                self._look()  # what was there may be another's now
                yield
        except OSError as error:
            if isinstance(error, DaamkitError):
                raise
            raise _unusable(self.place, error) from error

    def _compare(self, there: Mapping[str, Any]) -> None:
        own, old = dict(self.manifest), dict(there)
        settings = own.pop("settings"), old.pop("settings")
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
        """What is done, by each batch's first case; damaged shards are named and taken away.

        Raises
        ------
        DaamkitError
            If a file with a shard's name is none, or of another study, other cases, or another
            model.
        """
        found, damaged = {}, []
        for start in starts:
            shard = self._shard(start)
            if not shard.exists():
                continue
            try:
                frame, about = rows(shard, self.manifest, self.loose)
            except DamagedError as error:
                warnings.warn(
                    f"{shard} is damaged ({error.reason}); its cases are measured again",
                    ShardWarning,
                    stacklevel=4,
                )
                damaged.append(shard)
                continue
            self._same_model(about["record"])
            found[start] = frame
        damaged += [file for file in self.place.glob(".*") if _PART.fullmatch(file.name)]
        for file in damaged:  # now that nothing is refused
            file.unlink(missing_ok=True)
        return found

    def write(self, start: int, table: pa.Table, record: Mapping[str, Any]) -> None:
        """Keep a batch.

        Raises
        ------
        DaamkitError
            If it is too large to be read again, of another model, or cannot be written.
        """
        self._same_model(record)
        content = self._sealed(start, table, record)
        if not self.begun:
            self._write(self.place / "study.json", json.dumps(self.manifest, indent=1).encode())
            self.begun = True
        self._write(self._shard(start), content)

    def _sealed(self, start: int, table: pa.Table, record: Mapping[str, Any]) -> bytes:
        """A batch as the bytes of a shard."""
        about = self.manifest | {
            "start": start,
            "loose": sorted(self.loose),
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "record": dict(record),
        }
        try:
            return seals.sealed(table, about)
        except ValueError as error:
            raise DaamkitError(
                wanted=f"rows of a batch that a shard can hold, {self._shard(start)}",
                got=str(error),
                mend=f"lower batch_size, which is {self.manifest['batch_size']}, in a new folder",
            ) from error

    def _write(self, place: Path, content: bytes) -> None:
        try:
            files.replace(place, content)
        except OSError as error:
            raise _unusable(place, error) from error

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


def _is_rest(file: Path) -> bool:
    """Whether a file is left of a run that was killed at once."""
    if file.name in (locks.NAME, locks.OLD):
        return locks.is_ours(file)
    return _PART.fullmatch(file.name) is not None


def _unusable(place: Path, error: OSError) -> FolderError:
    return FolderError(
        wanted=f"a folder to write to, {place}",
        got=f"{error.strerror or error}",
        mend="free some space or name another; what is done is kept, and the same command goes on",
    )


def manifest(folder: Path) -> dict[str, Any]:
    """What study a folder is of.

    Raises
    ------
    DaamkitError
        If it is of none, or its study.json was changed to what none can be.
    """
    place = folder / "study.json"
    try:
        found = files.plain(files.content(place))
        is_study = found["format"] == seals.FORMAT
    except (OSError, ValueError, LookupError, TypeError):
        is_study = False
    if not is_study:
        raise DaamkitError(
            wanted=f"a new folder, an empty one, or one of a study: {folder}",
            got="something else" if folder.exists() else "no such folder",
            mend="name another; nothing in it was touched",
        )
    wrong = [name for name, kind in TOLD.items() if type(found.get(name)) is not kind]
    if not wrong and not 0 < found["threads"] <= THREADS:
        wrong = ["threads"]
    if wrong:
        raise DaamkitError(
            wanted=f"what a run has written into {place}",
            got=f"{wrong[0]} {found.get(wrong[0])!r:.60}",
            mend="put back what was there; nothing was touched",
        )
    return dict(found)


def rows(
    shard: Path, told: Mapping[str, Any], loose: Collection[str] | None = None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Its rows and its provenance, if it is whole and of this study.

    Parameters
    ----------
    shard
        The Parquet file of one batch of cases.
    told
        What the folder is of.
    loose
        Settings that may differ; default those that the shard names.

    Raises
    ------
    DamagedError
        If it fails its digest.
    DaamkitError
        If it is whole and of something else, or no file.
    """
    try:
        content = files.content(shard)
    except (OSError, ValueError) as error:
        raise _strange(shard, str(getattr(error, "strerror", None) or error)) from error
    if not seals.is_whole(content):
        if seals.is_foreign(content):
            raise _strange(shard, "a Parquet that no study has written")
        raise DamagedError(shard, "other bytes than were written, or a part of them")
    try:
        file = seals.opened(content)
        about = files.plain(file.schema_arrow.metadata[seals.KEY])
        start = int(shard.stem.removeprefix("cases-"))
        known = about.get("loose", ()) if loose is None else loose
        _same(about, {**told, "start": start}, known)
        about["record"].get("model")
        return file.read().to_pandas(), about
    except (pa.ArrowException, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _strange(shard, str(error).splitlines()[0]) from error


def _same(about: Mapping[str, Any], told: Mapping[str, Any], loose: Collection[str]) -> None:
    """Raises if a shard is of another study, leaving out what may differ and what people noted."""
    keys = ("study", "batch_size", "threads", "cases", "sha256", "start")
    pairs = [(key, about.get(key), told.get(key)) for key in keys]
    own, other = about["settings"], told["settings"]
    tight = [name for name in {**own, **other} if name not in loose]
    pairs += [(name, own.get(name), other.get(name)) for name in tight]
    for name, mine, theirs in pairs:
        if mine != theirs:
            raise ValueError(f"one of {name} {mine!r} and not {theirs!r}")


def _strange(shard: Path, got: str) -> DaamkitError:
    return DaamkitError(
        wanted=f"a shard of this study, {shard}",
        got=got,
        mend="take it out of the folder, or put back the study.json that it belongs to; nothing "
        "was touched",
    )
