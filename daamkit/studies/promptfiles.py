"""Files of prompts: lines, tables, COCO's captions."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from daamkit import files
from daamkit.errors import DaamkitError


def prompts_in(file: Path) -> list[str]:
    """The prompts of a file, which is read as what its name ends in, in capitals or not.

    Parameters
    ----------
    file
        A text file with a prompt a line (.txt, .prompts, .md, no ending); a table (.csv, .tsv,
        .jsonl, .parquet) with one column "prompt" of text; COCO's captions (.json), or the folder
        with COCO's ``annotations`` in it, whose validation captions are taken.

    Raises
    ------
    DaamkitError
        If it is missing, no file, empty, of another kind, or something in it is no prompt.
    """
    if file.is_dir():
        known = sorted([*file.glob("captions_*.json"), *file.glob("annotations/captions_*.json")])
        if not known:
            raise DaamkitError(
                wanted=f"COCO's captions in the folder {file}",
                got="no annotations/captions_*.json",
                mend="name the folder that COCO's annotations were unpacked in, or a file",
            )
        file = next((each for each in known if "val" in each.name), known[0])
    try:
        reader = _READERS.get(file.suffix.lower())
        if reader is None:
            raise ValueError(f"a name that ends in {file.suffix!r}, not {', '.join(_READERS)}")
        found = reader(file)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        csv.Error,
        pa.ArrowException,
    ) as error:
        raise DaamkitError(
            wanted=f"a file of prompts, {file}",
            got=_what(error),
            mend="give a prompt a line in UTF-8, or a table with a column 'prompt'",
        ) from error
    found = [" ".join(text.split()) for text in found]
    if not any(found):
        raise DaamkitError(
            wanted=f"prompts in {file}", got="an empty file", mend="write a prompt a line"
        )
    for text in found:
        if text and not any(character.isalnum() for character in text):
            raise DaamkitError(
                wanted=f"prompts with words in {file}", got=repr(text), mend="leave that line out"
            )
    return [text for text in found if text]


def _what(error: Exception) -> str:
    """Why a file could not be read."""
    if isinstance(error, FileNotFoundError):
        return "No such file"
    if isinstance(error, KeyError | TypeError | AttributeError):
        return "no captions in COCO's way"
    return getattr(error, "strerror", None) or (str(error).splitlines() or [repr(error)])[0]


# -- readers, by what a name ends in


def _lines(file: Path) -> list[str]:
    text = files.text(file, encoding="utf-8-sig")
    if "\0" in text:
        raise ValueError("a file of bytes, not of text")
    return text.splitlines()


def _captions(file: Path) -> list[str]:
    """COCO's."""
    entries = files.plain(files.content(file, 2 * files.MOST))["annotations"]
    return [_prompt(entry["caption"], i) for i, entry in enumerate(entries)]


def _separated(file: Path, mark: str) -> list[str]:
    """A column of a table with one separator."""
    text = files.text(file, encoding="utf-8-sig")
    table = [
        (row, number)
        for number, row in enumerate(csv.reader(io.StringIO(text), delimiter=mark, strict=True), 1)
        if row
    ]
    if not table:
        return []
    names = table[0][0]
    place = _column(names, file)
    for row, number in table[1:]:
        if len(row) != len(names):
            raise ValueError(
                f"{len(row)} fields in row {number} under {len(names)} names: put quotes around "
                "prompts with commas"
            )
    return [row[place] for row, _ in table[1:]]


def _objects(file: Path) -> list[str]:
    """The field of an object a line; other lines may lack it, or have null."""
    rows = []
    for number, line in enumerate(files.text(file, encoding="utf-8-sig").split("\n"), 1):
        if line.strip():
            row = files.plain(line)
            if not isinstance(row, dict):
                raise ValueError(f"no object in line {number}")
            rows.append((row, number))
    if rows:
        _column(list(dict.fromkeys(name for row, _ in rows for name in row)), file)
    said = [(row.get("prompt"), number) for row, number in rows]
    return [_prompt(text, number) for text, number in said if text is not None]


def _parquet(file: Path) -> list[str]:
    import pyarrow.parquet as pq

    table = pq.ParquetFile(pa.BufferReader(files.content(file, 2 * files.MOST)))
    names = table.schema_arrow.names
    if not names:
        return []
    place = _column(names, file)
    kind = table.schema_arrow.field(place).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise ValueError(f"a column 'prompt' of {kind}, not of text")
    groups = [table.metadata.row_group(i) for i in range(table.metadata.num_row_groups)]
    if table.metadata.num_rows > files.ENTRIES or sum(g.total_byte_size for g in groups) > 2**28:
        raise ValueError(f"more than {files.ENTRIES:,} rows or {2**28:,} bytes")
    found: list[Any] = table.read(columns=["prompt"]).column(0).to_pylist()
    return [text for text in found if text is not None]


def _prompt(value: Any, place: int) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{json.dumps(value)[:60]}, which is no text, in place {place}")
    return value


def _column(names: Sequence[str], file: Path) -> int:
    """Where the prompts are."""
    many = list(names).count("prompt")
    if many != 1:
        raise DaamkitError(
            wanted=f"{'one' if many else 'a'} column 'prompt' in {file}",
            got=f"{', '.join(map(repr, names)) or 'no column'}",
            mend="name the column with the prompts 'prompt', and no other",
        )
    return list(names).index("prompt")


_READERS: dict[str, Callable[[Path], list[str]]] = {
    **dict.fromkeys(("", ".txt", ".prompts", ".md"), _lines),
    ".csv": partial(_separated, mark=","),
    ".tsv": partial(_separated, mark="\t"),
    ".jsonl": _objects,
    ".parquet": _parquet,
    ".json": _captions,
}
