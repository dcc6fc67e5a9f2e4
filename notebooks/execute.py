"""Run notebooks: each ``NN_name.py`` (jupytext, percent format) becomes ``NN_name.ipynb``.

    python notebooks/execute.py          # all of them
    python notebooks/execute.py 01 04    # those whose names begin so

The text is the source; what was in the ``.ipynb`` is replaced. Run again, little of it changes: one
thread, cells numbered, no times, no versions, no progress bars.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from pathlib import Path

import jupytext  # type: ignore[import-untyped]
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).parent
LIVE = "application/vnd.jupyter.widget-view+json"  # a widget that only its own kernel can draw
STILL = re.compile(r"(daamkit-still)-[0-9a-f]+")  # the name of its still picture, another each time
FORMS = ("text/html", "image/jpeg", "image/png")


def execute(source: Path, timeout: int = 300) -> NotebookNode:
    """Run the cells of a notebook in order, in a kernel of its own.

    Parameters
    ----------
    source
        A notebook as text.
    timeout
        Of one cell, in seconds.

    Returns
    -------
    notebook
        With its outputs.

    Raises
    ------
    nbclient.exceptions.CellExecutionError, nbclient.exceptions.CellTimeoutError
        If a cell fails, or takes too long.
    """
    notebook = jupytext.read(source)
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i}"
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        store_widget_state=False,
        record_timing=False,
        resources={"metadata": {"path": str(source.parent)}},
    )
    client.execute()
    return clean(notebook)


def clean(notebook: NotebookNode) -> NotebookNode:
    """Drop what another run would write otherwise, or no reader needs: the version of Python,
    progress bars, what a cell tagged "remove-stderr" warns of, the names of widgets, and of several
    forms of one picture all but the first of `FORMS`."""
    notebook.metadata.get("language_info", {}).pop("version", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            quiet = "remove-stderr" in cell.metadata.get("tags", [])
            cell.outputs = [
                output
                for output in cell.outputs
                if not (_bar(output) or (quiet and output.get("name") == "stderr"))
            ]
            for output in cell.outputs:
                data = output.get("data", {})
                for form in [LIVE, *[form for form in FORMS if form in data][1:]]:
                    data.pop(form, None)
                if "text/html" in data:
                    data["text/html"] = STILL.sub(r"\1", data["text/html"])
    return notebook


def _bar(output: NotebookNode) -> bool:
    """Whether it is a widget without a still picture, as a progress bar is."""
    data = output.get("data", {})
    return LIVE in data and not data.keys() & set(FORMS)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[""], help="beginnings; default all")
    names = parser.parse_args(arguments).names
    sources = [s for s in sorted(HERE.glob("[0-9]*.py")) if s.name.startswith(tuple(names))]
    if not sources:
        parser.error(f"no notebook begins with {' or '.join(names)}")
    os.environ["OMP_NUM_THREADS"] = "1"  # the same sums in the same order
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"  # says at every import what it could use instead
    for source in sources:
        start = time.monotonic()
        jupytext.write(execute(source), source.with_suffix(".ipynb"))
        print(f"{source.stem}: {time.monotonic() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
