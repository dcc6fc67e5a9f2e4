"""A widget's script: one ES module made of several, as it is read by notebooks and by pages.

A notebook takes a widget's script as one text, and a page from the disk may not import files. So
modules that import each other by ``import { a, b } from "./name.js";`` are put one after the other,
those needed first, and share one scope: no name may be used twice.
"""

from __future__ import annotations

import re
from pathlib import Path

_IMPORT = re.compile(r'^import \{[^}]*\} from "(\.{1,2}/[\w/]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async |function|const|class))", re.MULTILINE)


def join(entry: Path) -> str:
    """The module `entry`, which has a default export, with all it imports."""
    order: list[Path] = []

    def visit(module: Path) -> None:
        if module in order:
            return
        for name in _IMPORT.findall(module.read_text(encoding="utf-8")):
            visit((module.parent / name).resolve())
        order.append(module)

    visit(entry.resolve())
    texts = (_IMPORT.sub("", module.read_text(encoding="utf-8")) for module in order)
    return "\n".join(_EXPORT.sub("", text).strip("\n") for text in texts) + "\n"
