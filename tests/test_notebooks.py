"""The notebooks as they lie here: text and pages say the same, and the pages were run whole."""

import re
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output

from notebooks.execute import LIVE, clean

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py"))
LARGEST = 400_000  # bytes
RANDOM = re.compile(r" at 0x[0-9a-f]{6,}|/home/|/tmp/|" + re.escape(f"{ROOT}/"))

each = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)


def page(source: Path) -> NotebookNode:
    return nbformat.read(source.with_suffix(".ipynb"), 4)


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(source: Path) -> list[NotebookNode]:
    return [output for cell in code(page(source)) for output in cell.outputs]


def test_there_are_notebooks():
    assert [source.name[:2] for source in SOURCES] == [f"{i + 1:02}" for i in range(len(SOURCES))]
    assert len(SOURCES) >= 6


@each
def test_page_has_the_cells_of_the_text(source):
    def said(notebook):
        return [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in notebook.cells]

    assert said(page(source)) == said(jupytext.read(source))


@each
def test_parameters_come_first(source):
    first = code(jupytext.read(source))[0]
    assert first.metadata.get("tags") == ["parameters"]
    assert 'MODEL = "toybox"' in first.source


@each
def test_cells_were_run_in_order_and_none_failed(source):
    cells = code(page(source))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for output in outputs(source)}
    assert kinds <= {"execute_result", "display_data", "stream"}
    assert not [o.text for o in outputs(source) if o.get("name") == "stderr"]


@each
def test_page_is_small_still_and_the_same_when_made_again(source):
    found = page(source)
    assert source.with_suffix(".ipynb").stat().st_size <= LARGEST
    assert "widgets" not in found.metadata
    assert not [o for o in outputs(source) if LIVE in o.get("data", {})]
    assert [cell.id for cell in found.cells] == [f"cell-{i}" for i in range(len(found.cells))]
    assert not [cell.id for cell in found.cells if "execution" in cell.metadata]
    assert not RANDOM.findall(nbformat.writes(found))


@each
def test_page_shows_a_picture_without_a_kernel(source):
    shown = [output.get("data", {}) for output in outputs(source)]
    assert any(
        data.keys() & {"image/png", "image/jpeg"} or "<img" in data.get("text/html", "")
        for data in shown
    )


def test_clean_drops_bars_and_keeps_one_still_picture_of_a_widget():
    bar = new_output("display_data", {LIVE: {"model_id": "a"}, "text/plain": "10%"})
    widget = new_output("display_data", {LIVE: {}, "image/png": "AA==", "text/html": "still"})
    word = new_output("stream", name="stdout", text="word")
    cleaned = clean(new_notebook(cells=[new_code_cell("1", outputs=[bar, widget, word])]))
    left = cleaned.cells[0].outputs
    assert [output.get("data") for output in left] == [{"text/html": "still"}, None]


def test_a_notebook_with_a_broken_cell_fails(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")  # the project's own settings stay out
    for name, text in (("sound", "1 + 1"), ("broken", "1 / 0")):
        notebook = new_notebook(cells=[new_code_cell("x = 1"), new_code_cell(text)])
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbmake", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert found.returncode == pytest.ExitCode.TESTS_FAILED
    assert "1 failed, 1 passed" in found.stdout
    assert "broken.ipynb" in found.stdout and "ZeroDivisionError" in found.stdout
