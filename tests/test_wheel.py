"""The wheel: its licences, its data, and every Python that is there."""

import os
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import daamkit

ROOT = Path(__file__).parent.parent
VERSIONS = ("3.11", "3.12", "3.13")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built as pip builds it, with the build system that it fetches."""
    place = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", place, ROOT]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode and "CI" not in os.environ:
        pytest.skip(f"no wheel could be built here: {made.stderr.strip().splitlines()[-1]}")
    assert made.returncode == 0, made.stderr
    return next(place.glob("daamkit-*.whl"))


def interpreter(version: str) -> str | None:
    """A Python of that version: on the path, or as pyenv keeps them."""
    found = shutil.which(f"python{version}")
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    for each in (found, *map(str, kept)):
        if each and not subprocess.run([each, "-c", "import ssl"], capture_output=True).returncode:
            return each
    return None


def test_licences_are_told_and_enclosed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        home = next(name for name in names if name.endswith("METADATA"))
        told = message_from_bytes(archive.read(home))
    assert (
        told["License-Expression"] == "MIT AND Apache-2.0 AND CC-BY-SA-4.0 AND LicenseRef-WordNet"
    )
    folders = ("sprites", "wordnet", "parser", "language")
    enclosed = {name.partition("/licenses/")[2] for name in names if "/licenses/" in name}
    assert {"LICENSE"} | {f"data/{x}/LICENSE" for x in folders} == enclosed
    assert told.get_all("Project-URL") and told["Version"] == daamkit.__version__
    for file in (ROOT / "data").rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            assert f"daamkit/{file.relative_to(ROOT).as_posix()}" in names


@pytest.mark.parametrize("version", VERSIONS)
def test_it_installs_and_runs_on_every_python_that_is_there(wheel, tmp_path, version) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    subprocess.run([python, "-m", "venv", tmp_path / "env"], check=True)
    own = tmp_path / "env" / "bin"
    pip = [own / "python", "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", wheel], check=True)
    code = (
        "import compileall, daamkit, pathlib, sys; from daamkit import resources, registry, errors;"
        "assert compileall.compile_dir(pathlib.Path(daamkit.__file__).parent, quiet=1);"
        "print(resources.path('toybox').name, '.'.join(map(str, sys.version_info[:2])))"
    )
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    options = {"capture_output": True, "text": True, "check": True, "cwd": tmp_path, "env": clean}
    said = subprocess.run([own / "python", "-W", "error", "-c", code], **options)
    assert said.stdout.split() == ["toybox", version]
    said = subprocess.run([own / "daamkit", "--version"], **options)
    assert said.stdout == f"daamkit {daamkit.__version__}\n"


def test_within_an_archive_the_error_says_what_to_do(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "daamkit.zip", "w") as archive:
        archive.write(ROOT / "daamkit" / "__init__.py", "daamkit/__init__.py")
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'daamkit.zip')!r}); import daamkit"
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    said = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd=tmp_path, env=clean
    )
    assert said.returncode == 1
    assert "ImportError: daamkit reads its data as files" in said.stderr
    assert "Install the wheel with pip" in said.stderr
