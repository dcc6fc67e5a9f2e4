"""The reference as it reads on GitHub, with no build: each public name and what it is.

    python docs/listing.py

writes it into ``docs/reference.md`` and the pages of ``docs/reference``, below a line that says so.
The site shows whole docstrings there instead.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import daamkit

DOCS = Path(__file__).parent
MARK = "<!-- Below: python docs/listing.py -->\n"


def pages() -> dict[Path, str]:
    """What stands below the line on each page."""
    found = {DOCS / "reference.md": face()}
    for page in sorted((DOCS / "reference").glob("*.md")):
        found[page] = package(f"daamkit.{page.stem}")
    return found


def face() -> str:
    """What `import daamkit` gives."""
    names = sorted([*daamkit._WHERE, *daamkit._ROOMS], key=str.casefold)
    return _table({name: getattr(daamkit, name) for name in names})


def package(name: str) -> str:
    """A package and its modules, those first that have something to show."""
    module, text = import_module(name), ""
    inside = [found.name for found in pkgutil.iter_modules(getattr(module, "__path__", []))]
    for each in [name, *(f"{name}.{part}" for part in inside if part[0] != "_")]:
        own = import_module(each)
        things = dict(public(own))
        if not things:
            continue
        path = Path("..") / Path(inspect.getfile(own)).relative_to(DOCS.parent)
        place = Path("..") / path
        text += f"## [`{each}`]({place.as_posix()})\n\n{sentence(own)}\n\n{_table(things)}\n"
    return text


def public(module: Any) -> Iterator[tuple[str, Any]]:
    """Classes and functions that are a module's own, or that it lists as its face."""
    listed = vars(module).get("__all__")
    for name, thing in vars(module).items():
        own = getattr(thing, "__module__", None) == module.__name__
        kind = inspect.isclass(thing) or inspect.isfunction(thing)
        if kind and name[0] != "_" and (own if listed is None else name in listed):
            yield name, thing


def sentence(thing: Any) -> str:
    """The first sentence of a docstring."""
    text = " ".join(inspect.cleandoc(thing.__doc__ or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.?!])\s(?=[A-Z])", text)[0]


def _table(things: dict[str, Any]) -> str:
    rows = [
        f"| `{name}` | {sentence(thing).replace('|', chr(92) + '|')} |"
        for name, thing in things.items()
    ]
    return "\n".join(["| name | what it is |", "|---|---|", *rows, ""])


def main() -> None:
    """Write the pages."""
    for page, text in pages().items():
        above = page.read_text(encoding="utf-8").partition(MARK)[0].rstrip()
        page.write_text(f"{above}\n\n{MARK}\n{text.rstrip()}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
