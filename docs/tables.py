"""Write the tables of finished studies into the pages that show them.

    python docs/tables.py build/studies

A page says in a comment which table it shows, and how; what stands between that and the closing
comment is written anew:

    <!-- table {"from": "layers/layers", "rows": ["part"], "columns": "set", "show": ["ap"]} -->
    <!-- end -->

- "from": the study's folder and its table, without ``.csv``; or of each model, {"toybox-2":
  "toybox-2/layers/layers", ...}: the lines of those that are there, with a column "model".
- "rows": columns whose values begin a line; "columns": one, or several, whose values are columns of
  the page.
- "show": what a cell tells, a mean with its 95 % interval where there is one; several as columns.
- "where": only lines in which columns have these values.
- "called": other names for heads and for what begins a line.
- "beside": columns that the study does not know, {"the paper": {"nsubj": "head", ...}}: by what
  begins a line.

Tables of studies that are not in the folder stay as they are, and are told; where models stand side
by side, the columns of those that are not there.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

PAGES = Path(__file__).parent
BLOCK = re.compile(r"(<!-- table (\{.*?\}) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def cell(lines: pd.DataFrame, measure: str) -> str:
    """The value of a line with its interval, if it has one: "0.714 [0.693, 0.736]"; nothing where
    it is NaN.

    Raises
    ------
    ValueError
        If there are several lines.
    """
    if len(lines) > 1:
        raise ValueError(f"{len(lines)} lines for one cell: name more columns in rows or in where")
    if not len(lines) or pd.isna(value := lines[measure].iloc[0]):
        return ""
    if isinstance(value, str) or lines[measure].dtype.kind in "iu":
        return str(value)
    ends = ["low", "high"] if measure in ("mean", "miou") else [f"{measure}_low", f"{measure}_high"]
    sign = "+" if "over" in measure or "gain" in measure else ""
    low, high = (lines[end].iloc[0] if end in lines else None for end in ends)
    shown = "" if low is None or pd.isna(low) else f" [{low:{sign}.3f}, {high:{sign}.3f}]"
    return f"{value:{sign}.3f}{shown}"


def markdown(frame: pd.DataFrame, spec: dict[str, Any]) -> str:
    """The lines of a table as its comment describes it.

    Raises
    ------
    KeyError, ValueError
        If the table has no such column, or several lines for one cell.
    """
    called = spec.get("called", {})
    for column, value in spec.get("where", {}).items():
        frame = frame[frame[column].isin(value if isinstance(value, list) else [value])]
    rows, across = spec["rows"], spec.get("columns", [])
    across = [across] if isinstance(across, str) else across
    kinds = list(dict.fromkeys(map(tuple, frame[across].to_numpy()))) if across else [()]
    beside = spec.get("beside", {})
    heads = [*rows, *beside]
    for kind in kinds:
        for show in spec["show"]:
            named = [called.get(show, show)] if len(spec["show"]) > 1 or not across else []
            told = [str(called.get(each, each)) for each in kind]
            heads.append(", ".join(filter(None, told + named)))
    lines = [[called.get(head, head) for head in heads], ["---"] * len(heads)]
    for names, part in frame.groupby(rows, sort=False, dropna=False):
        line = [str(called.get(name, name)) for name in names]
        line += [known.get(names[0], "") for known in beside.values()]
        for kind in kinds:
            own = part[(part[across] == list(kind)).all(axis=1)]
            line += [cell(own, show) for show in spec["show"]]
        lines.append(line)
    return written(lines)


def written(lines: Sequence[Sequence[str]]) -> str:
    """Cells, line by line, as Markdown."""
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def joined(new: str, old: str, begins: int, gone: Sequence[str], first: bool) -> str:
    """A table, and beside it what an older one says of other models.

    Parameters
    ----------
    new, old
        Both tables' lines.
    begins
        How many columns begin a line.
    gone, first
        The other models, and whether they stand before those of the new table.
    """
    made, known = frame(new, begins), frame(old, begins)
    kept = [head for head in known if head.split(", ")[0] in gone]
    if not kept or known.index.names != made.index.names:
        return new
    both = pd.concat([known[kept], made] if first else [made, known[kept]], axis=1).fillna("")
    told = both.reset_index()
    return written([[*told], ["---"] * len(told.columns), *told.to_numpy().tolist()])


def frame(table: str, begins: int) -> pd.DataFrame:
    """The cells of a table as text, by what begins each line."""
    lines = [line[2:-2] for line in table.splitlines() if line.startswith("|")]
    heads, _, *cells = [[cell.strip() for cell in line.split(" | ")] for line in lines] or [[], []]
    found = pd.DataFrame(cells, columns=heads)
    return found.set_index(heads[:begins]) if heads else found


def fill(text: str, folder: Path) -> tuple[str, list[str]]:
    """A page with its tables made anew, and the tables that the folder lacks."""
    lacking: list[str] = []

    def made(match: re.Match[str]) -> str:
        spec = json.loads(match[2])
        of = spec["from"] if isinstance(spec["from"], dict) else {"": spec["from"]}
        files = {model: folder / f"{table}.csv" for model, table in of.items()}
        lacking.extend(table for model, table in of.items() if not files[model].exists())
        found = [pd.read_csv(file).assign(model=m) for m, file in files.items() if file.exists()]
        if not found:
            return match[0]
        table = markdown(pd.concat(found), spec)
        if gone := [model for model, file in files.items() if not file.exists()]:
            begins = len(spec["rows"]) + len(spec.get("beside", {}))
            table = joined(table, match[3], begins, gone, gone[0] == [*files][0])
        return f"{match[1]}{table}{match[4]}"

    return BLOCK.sub(made, text), lacking


def main() -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="holds a folder of each study")
    asked = parser.parse_args()
    for page in sorted(PAGES.glob("*.md")):
        before = page.read_text(encoding="utf-8")
        after, lacking = fill(before, asked.folder)
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(f"{page.name}: written")
        for name in lacking:
            print(f"{page.name}: no {name}, left as it is")


if __name__ == "__main__":
    main()
