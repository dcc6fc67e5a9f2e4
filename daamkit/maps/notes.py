"""A note in a folder: which of its files are whose, by the digests that they had when written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from daamkit import files

NOTE, FORMAT = ".daamkit.json", "daamkit.files"
Noted = dict[str, list[str]]  # the digests of each file: an old one's, a new one's


def by_kind(folder: Path) -> dict[str, Noted] | None:
    """What a folder's note tells of each kind of folder; None if there is none, or another's."""
    try:
        data: Any = files.plain(files.content(folder / NOTE))
        if (folder / NOTE).is_symlink() or data["format"] != FORMAT:
            return None
        return {
            str(kind): {str(name): [*map(str, digests)] for name, digests in found.items()}
            for kind, found in data["files"].items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def changed(folder: Path, kind: str, digests: Iterable[Mapping[str, str]]) -> bytes:
    """A folder's note with other files of one kind; empty if it would tell of none."""
    found: Noted = {}
    for each in digests:
        for name, digest in each.items():
            found.setdefault(name, []).append(digest)
    kinds = {**(by_kind(folder) or {}), kind: found}
    kinds = {name: noted for name, noted in kinds.items() if noted}
    data = {"format": FORMAT, "files": kinds}
    return json.dumps(data, indent=1, ensure_ascii=False).encode() if kinds else b""
