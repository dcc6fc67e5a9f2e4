"""The reference as it reads on GitHub, with no build: each public name and method, and what it is.

    python docs/listing.py

writes it into ``docs/reference.md`` and the pages of ``docs/reference``, below a line that says so.
The site shows whole docstrings there instead.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import daamkit

DOCS = Path(__file__).parent
ROOT = DOCS.parent
MARK = "<!-- Below: python docs/listing.py -->\n"
Named = ast.ClassDef | ast.FunctionDef


def pages() -> dict[Path, str]:
    """What stands below the line on each page."""
    found = {DOCS / "reference.md": face()}
    for page in sorted((DOCS / "reference").glob("*.md")):
        found[page] = package(page.stem)
    return found


def face() -> str:
    """What `import daamkit` gives."""
    told = {}
    for name, place in sorted(daamkit._WHERE.items(), key=lambda row: row[0].casefold()):
        module, _, attribute = place.partition(":")
        file = _file(f"daamkit.{module}")
        files = file.parent.glob("*.py") if file.name == "__init__.py" else [file]
        own = {each.name: each for some in files for each in public(_read(some))}
        told |= said(name, own[attribute])
    for name, module in daamkit._ROOMS.items():
        told[name] = sentence(_read(_file(f"daamkit.{module}")))
    return _table(told)


def package(name: str) -> str:
    """A folder of the package, or a file, module by module."""
    place, text = ROOT / "daamkit" / name, ""
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    for file in files:
        things = public(_read(file))
        if things:
            path = file.relative_to(ROOT)
            module = ".".join(path.with_suffix("").parts)
            told = {name: text for each in things for name, text in said(each.name, each).items()}
            text += f"## [`{module}`](../../{path.as_posix()})\n\n{sentence(_read(file))}\n\n"
            text += f"{_table(told)}\n"
    return text


def public(thing: ast.Module | ast.ClassDef) -> list[Named]:
    """Classes and functions of a file, methods and properties of a class, but for private ones."""
    return [each for each in thing.body if isinstance(each, Named) and each.name[0] != "_"]


def said(name: str, thing: Named) -> dict[str, str]:
    """The sentence of a thing, and of a class those of its methods that say what they do."""
    methods = public(thing) if isinstance(thing, ast.ClassDef) else []
    told = {f"{name}.{each.name}": sentence(each) for each in methods}
    return {name: sentence(thing)} | {method: text for method, text in told.items() if text}


def sentence(thing: ast.Module | Named) -> str:
    """The first sentence of a docstring."""
    text = " ".join((ast.get_docstring(thing) or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.?!])\s(?=[A-Z])", text)[0]


def _file(module: str) -> Path:
    place = ROOT.joinpath(*module.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def _read(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _table(told: dict[str, str]) -> str:
    rows = [f"| `{name}` | {text.replace('|', chr(92) + '|')} |" for name, text in told.items()]
    return "\n".join(["| name | what it is |", "|---|---|", *rows, ""])


def main() -> None:
    """Write the pages."""
    for page, text in pages().items():
        above = page.read_text(encoding="utf-8").partition(MARK)[0].rstrip()
        page.write_text(f"{above}\n\n{MARK}\n{text.rstrip()}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
