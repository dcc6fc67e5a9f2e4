"""The bytes of a shard: a Parquet that says where it is from, sealed with a digest of itself."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from daamkit import files

KEY = b"daamkit"  # of a shard's provenance
FORMAT = "daamkit.study"
_MARK = b'"format": "%b"' % FORMAT.encode()  # in it
_SEAL = b'"digest": "%b"'  # in it: SHA-256 of the shard with zeros in place of this
_OPEN = _SEAL % (b"0" * 64)
ROWS, BYTES = 2**22, 2**28  # of a shard, unpacked; packed it has `files.MOST` bytes at most


def sealed(table: pa.Table, about: Mapping[str, Any]) -> bytes:
    """Rows and their provenance as the bytes of a shard.

    Raises
    ------
    ValueError
        If they are more than is read again.
    """
    told = {name: value for name, value in about.items() if name != "digest"}
    said = json.dumps(told | {"format": FORMAT, "digest": "0" * 64}).encode()
    metadata = (table.schema.metadata or {}) | {KEY: said}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink)
    content = sink.getvalue().to_pybytes()
    if len(content) > files.MOST:
        raise ValueError(f"more than {files.MOST:,} bytes")
    opened(content)
    seal = _SEAL % hashlib.sha256(content).hexdigest().encode()
    return _with(content, seal, content.rindex(_OPEN))


def is_whole(content: bytes) -> bool:
    """Whether a file has a seal, and no other bytes than were sealed.

    The seal is the last text of its kind: the provenance comes after the rows and what Parquet
    says of them, and within it JSON tells a text like a seal from one.
    """
    seal = None
    for seal in re.finditer(_SEAL % rb"(\w{64})", content):  # noqa: B007
        pass
    if seal is None:
        return False
    blank = _with(content, _OPEN, seal.start())
    return hashlib.sha256(blank).hexdigest().encode() == seal[1]


def opened(content: bytes) -> pq.ParquetFile:
    """A Parquet.

    Raises
    ------
    ValueError
        If it has more rows or bytes than a shard.
    """
    file = pq.ParquetFile(pa.BufferReader(content))
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    if sum(group.total_byte_size for group in groups) > BYTES or file.metadata.num_rows > ROWS:
        raise ValueError(f"more than {ROWS:,} rows or {BYTES:,} bytes")
    return file


def is_foreign(content: bytes) -> bool:
    """Whether a file is a Parquet that no study has written."""
    try:
        metadata = pq.ParquetFile(pa.BufferReader(content)).metadata.metadata or {}
    except (pa.ArrowException, OSError, ValueError):
        return False  # no Parquet at all
    return KEY not in metadata and not any(_MARK in value for value in metadata.values())


def _with(content: bytes, seal: bytes, place: int) -> bytes:
    return b"".join((content[:place], seal, content[place + len(seal) :]))
