"""The documentation site: `sphinx-build -W --keep-going -b html docs build/docs`.

Pages are Markdown that also reads on GitHub; notebooks are shown as they were executed; nothing is
fetched. A site has one folder of sources, so ``docs/notebooks`` is a copy, which git ignores.
"""

from __future__ import annotations

import json
import os
import pkgutil
import re
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import daamkit

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

import listing  # noqa: E402 - this folder's, as `pictures` is

NOTEBOOKS, COPIES = DOCS.parent / "notebooks", DOCS / "notebooks"
LIVE = Path("_static") / "live"
LEFT_OUT = ("charts", "facts", "modules", "page", "pieces")  # what studies and pages are made of

FACE = """
```{toctree}
:hidden:

reference/maps
reference/attention
reference/measures
reference/vision
reference/language
reference/guidance
reference/edits
reference/attribution
reference/views
reference/studies
reference/toybox
reference/errors
```

```{eval-rst}
.. automodule:: daamkit
   :imported-members:

.. autofunction:: daamkit.open
```
"""

project = "daamkit"
author = copyright = "The daamkit authors"  # noqa: A001
version = release = daamkit.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
default_role = "literal"  # single backticks in docstrings are code

html_theme = "furo"
html_title = "daamkit"
html_static_path, html_css_files = ["_static"], ["tables.css"]
html_copy_source = html_show_sourcelink = False
html_math_renderer = None  # MathJax would be fetched

myst_heading_anchors = 4
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, Any] = {}  # widgets show their still pictures
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_attr_annotations = False
napoleon_use_ivar = True
napoleon_use_rtype = False
python_maximum_signature_line_length = 88


def copy_notebooks(app: Any) -> None:
    """Bring the notebooks into the sources, untouched where nothing changed."""
    found = {place.name: place for place in NOTEBOOKS.glob("*.ipynb")}
    COPIES.mkdir(exist_ok=True)
    for old in COPIES.glob("*.ipynb"):
        if old.name not in found:
            old.unlink()
    for name, place in found.items():
        copy = COPIES / name
        if not copy.exists() or copy.read_bytes() != place.read_bytes():
            shutil.copyfile(place, copy)


def live_inspectors(app: Any) -> None:
    """Make the pages that stand for pictures of inspectors here: themselves, to be tried."""
    pipe = daamkit.load("toybox")
    pipe.set_progress_bar_config(disable=True)
    for name, made in inspectors(pipe).items():
        made.save(DOCS / LIVE / f"{name}.html")


def inspectors(pipe: Any) -> dict[str, daamkit.Inspector]:
    """By the page that shows it; those of notebooks as they are made there."""
    import pictures

    words = ["monkey", "turtle"]
    excite = daamkit.AttendAndExcite(words, out_of=50)
    turtles = [pictures.draw(pipe, "a monkey and a turtle", 56, *by) for by in ((), (excite,))]
    return {
        "inspector": pictures.inspector(pipe),
        "01_first_map": daamkit.Inspector(pictures.draw(pipe, "a red cat next to a blue car", 0)),
        "08_attend_and_excite": daamkit.Inspector(*turtles, names=["none", "Attend-and-Excite"]),
    }


def reference(package: str) -> str:
    """Markdown that takes in the docstrings of a package and its modules."""
    module = import_module(package)
    inside = [found.name for found in pkgutil.iter_modules(getattr(module, "__path__", []))]
    shown = [name for name in inside if name[0] != "_" and not name.endswith(LEFT_OUT)]
    text = ""
    for name in [package, *(f"{package}.{name}" for name in shown)]:
        faces = _faces(name, name == package)
        title = "" if name == package else f"\n## `{name}`\n"
        text += f"{title}\n```{{eval-rst}}\n.. automodule:: {name}\n{faces}```\n"
    return text


def _faces(name: str, whole: bool) -> str:
    """What a module with a list of its public names shows: of a package all, of a module those that
    are its own, since the others stand under theirs."""
    module = import_module(name)
    public = vars(module).get("__all__")
    if public is None:
        return ""
    if whole:
        return "   :imported-members:\n"
    others = [each for each in public if getattr(vars(module)[each], "__module__", name) != name]
    return f"   :exclude-members: {', '.join(others)}\n" if others else ""


def site(path: Path) -> Path:
    """Where a file of the repository lies for the site."""
    return COPIES / path.name if path.parent == NOTEBOOKS and path.suffix == ".ipynb" else path


def read(app: Any, name: str, source: list[str]) -> None:
    """Links that lead somewhere on GitHub lead there on the site; reference pages are filled."""
    own = (DOCS / name).parent
    here = NOTEBOOKS if name.startswith("notebooks/") else own

    def lead(link: re.Match[str]) -> str:
        path = Path(os.path.normpath(here / link[1]))
        if not path.exists():
            return link[0]
        there = site(path)
        kind = "" if DOCS in there.parents else "path:"  # of no page: to download
        return f"]({kind}{os.path.relpath(there, own)}"

    page = DOCS / LIVE / f"{Path(name).name}.html"
    place = os.path.relpath(page if page.exists() else page.with_name("inspector.html"), own)
    frame = f'<iframe src="{place}" title="live inspector" loading="lazy" class="live"></iframe>'
    link = rf'<a href="{place}">\1</a>\n\nClick it: there it is alive.'
    alive = frame if page.exists() else link
    source[0] = re.sub(r"\[(!\[.*\]\(images/inspector\.png\))\]\(.*\)", alive, source[0])
    if name.startswith("notebooks/") and page.exists():
        source[0] = living(source[0], frame)
    source[0] = re.sub(r"\]\((?!https?:|#)([^)#\s]+)", lead, source[0])
    if name.startswith("reference"):  # the site shows whole docstrings instead of the list
        source[0] = source[0].partition(listing.MARK)[0] + (FACE if name == "reference" else "")
    if name.startswith("reference/"):
        source[0] += reference("daamkit." + name.removeprefix("reference/"))


def living(notebook: str, frame: str) -> str:
    """A notebook with this in place of its inspector's still picture."""
    page = json.loads(notebook)
    for output in (each for cell in page["cells"] for each in cell.get("outputs", [])):
        data = output.get("data", {})
        if "".join(data.get("text/plain", "")).startswith("Inspector("):
            data["text/html"] = frame
    return json.dumps(page)


def skip(app: Any, what: str, name: str, member: Any, skipped: bool, options: Any) -> bool | None:
    """The public face is described once, on its own page; what others made, not at all."""
    if what != "module":
        return None
    face = (getattr(daamkit, known) for known in daamkit._WHERE)
    again = app.env.current_document.docname != "reference" and any(member is it for it in face)
    foreign = not str(getattr(member, "__module__", "daamkit")).startswith("daamkit")
    return True if again or foreign else None


def prose(app: Any, what: str, name: str, member: Any, options: Any, lines: list[str]) -> None:
    """In docstrings | and * are themselves, and what a module's docstring indents is code.

    References are numbered by docstring, not by page: a list.
    """
    text = re.sub(r"^\.\. (?=\[\d+\])", "-  ", "\n".join(lines), flags=re.MULTILINE)
    said, title, fields = text.partition("Attributes\n----------\n")
    # Sphinx takes all but the last word of a field for its type: several names are written as one
    text = said + title + re.sub(r"(?<=\w), (?=[\w, ]+\n    )", ",", fields)
    parts = re.sub(r"(\[\d+\])_", r"\1", text).split("\n\n")
    for index, part in enumerate(parts):
        if what == "module" and part.startswith("    "):
            parts[index] = f"::\n\n{part}"
        elif ">>>" not in part:
            parts[index] = re.sub(
                r"(`+)(.+?)\1|([|*])",
                lambda m: rf"\{m[3]}" if m[3] else m[0],
                part,
                flags=re.DOTALL,
            )
    lines[:] = "\n\n".join(parts).split("\n")


def signature(app: Any, what: str, name: str, obj: Any, options: Any, args: Any, back: Any) -> Any:
    """A default made anew for each object is no syntax."""
    return (args.replace("<factory>", "..."), back) if args else None


def setup(app: Any) -> None:
    app.connect("builder-inited", copy_notebooks)
    app.connect("builder-inited", live_inspectors)
    app.connect("source-read", read)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", prose, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", signature)
