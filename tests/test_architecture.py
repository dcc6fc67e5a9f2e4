"""The house keeps its order. Who may import what is checked by import-linter; this is the rest."""

import ast
import inspect
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import daamkit
from daamkit.maps.run import Run
from daamkit.measures import syntax


def python(code: str, **options) -> str:
    told = [sys.executable, "-c", code]
    done = subprocess.run(told, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_saved_run_opens_is_measured_and_shown_without_any_pipeline_library(
    toybox, tmp_path
) -> None:
    import torch

    with daamkit.trace(toybox, self_attention=True) as tracer:
        toybox("a red cat", num_inference_steps=1, generator=torch.manual_seed(0))
    tracer.run.save(tmp_path / "run")
    python(
        "import sys\n"
        "for name in ('diffusers', 'transformers'): sys.modules[name] = None\n"
        "import daamkit\n"
        "from daamkit.views import plots, report\n"
        "run = daamkit.open('run')\n"
        "assert run.maps.word('cat').mask(0.4).any()\n"
        "assert len(run.table()) == 3 and len(run.relations()) == 2\n"
        "assert '<img' in run._repr_html_()\n"
        "plots.grid(run); plots.heads(run, 'cat')\n"
        "report.write(run, 'out')\n"
        "daamkit.Inspector(run)\n",
        cwd=tmp_path,
    )
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("first", ["daamkit.maps.run", "daamkit", "daamkit.views.still"])
def test_the_methods_of_a_run_are_its_own_whatever_was_imported_first(first) -> None:
    python(
        f"import {first}\n"
        "from daamkit.maps.run import Run\n"
        "assert {'relations', '_repr_html_', 'table', 'save'} <= set(vars(Run))\n"
        "before = dict(vars(Run))\n"
        "import daamkit\n"
        "for name in daamkit.__all__: getattr(daamkit, name)\n"
        "assert dict(vars(Run)) == before\n"
    )


def test_run_relations_says_what_the_function_behind_it_says() -> None:
    own = list(inspect.signature(Run.relations).parameters.values())[1:]
    theirs = list(inspect.signature(syntax.relations).parameters.values())[1:]
    assert own == theirs
    assert all(each.name in str(Run.relations.__doc__) for each in own)


PACKAGE = Path(daamkit.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LONG = {  # files of more than 300 lines, and why
    "maps/run.py": "the face of a run: methods of a line or two with their whole docstrings",
    "maps/saved.py": "what a saved run holds, and every check of it in one place",
    "attention/families/single.py": "models of one sequence of text and image, a class each",
    "studies/shards.py": "what is written is checked by what reads it",
    "vision/segmentation.py": "five kinds of segmenters, a class each, behind one way to open them",
}


def test_a_file_reads_in_a_few_screens() -> None:
    """The bar of 300 lines is the package's; a test's file is as long as its cases are many."""
    lengths = {str(file.relative_to(PACKAGE)): file.read_text().count("\n") for file in FILES}
    assert {name for name, lines in lengths.items() if lines > 300} == set(LONG)
    assert len(LONG) <= 5 and np.median(list(lengths.values())) < 150


def test_no_two_classes_have_one_name() -> None:
    trees = {file: ast.parse(file.read_text()) for file in FILES}
    names = [
        each.name for tree in trees.values() for each in tree.body if type(each) is ast.ClassDef
    ]
    assert len(names) > 100
    assert [name for name, count in Counter(names).items() if count > 1] == []


MADE = {"arange", "as_tensor", "empty", "eye", "full", "linspace", "ones", "rand", "randint",
        "randn", "randperm", "tensor", "zeros"}  # fmt: skip


def made_anywhere(code: str) -> list[int]:
    """The lines that let torch's default device decide where a tensor lies."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {f"torch.{name}" for name in MADE}
        and "device" not in {each.arg for each in node.keywords}
    ]


def test_every_tensor_names_its_device() -> None:
    """But in the training, whose scripts are nobody's notebook."""
    assert made_anywhere("torch.zeros(2)\ntorch.rand(2, device=x.device)\nx.zeros(2)") == [1]
    names = {file: file.relative_to(PACKAGE).as_posix() for file in FILES}
    found = {name: made_anywhere(file.read_text()) for file, name in names.items()}
    left = {name for name, lines in found.items() if lines}
    assert {name for name in left if not name.startswith("toybox/training/")} == set()


MODELS = re.compile(r"unet|(up|down)_blocks|mid_block|transformer_blocks|\bmid\b", re.IGNORECASE)
WORDS = {  # where users write or read such words
    "registry.py": "names of families",
    "studies/variants.py": "settings of a study",
}


def test_no_model_is_known_outside_of_the_families() -> None:
    """Docstrings and comments may give examples; code may not."""
    found = set()
    for file in FILES:
        name = file.relative_to(PACKAGE).as_posix()
        if name.startswith(("attention/families/", "toybox/")):
            continue
        nodes = list(ast.walk(ast.parse(file.read_text())))
        said = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            for field in ("id", "attr", "arg", "name", "module", "value"):
                text = getattr(node, field, None)
                if isinstance(text, str) and id(node) not in said and MODELS.search(text):
                    found.add(name)
    assert found == set(WORDS)
