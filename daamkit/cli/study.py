"""`daamkit study`: run a study, with a study's own settings as options."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import sys
from pathlib import Path
from typing import Any

from daamkit import registry
from daamkit.cli.shell import Help, quiet
from daamkit.errors import DaamkitError

_TYPES: dict[str, Any] = {"int": int, "float": float, "str": str}


def add(verbs: Any) -> None:
    study = verbs.add_parser(
        "study",
        help="run a study of many images, or go on with one",
        description="Run a study and write its rows, tables and plot. Killed at any moment, the "
        "same command goes on where it was. `daamkit study NAME --help` tells its settings.",
    )
    study.add_argument(
        "study",
        metavar="NAME",
        help=f"{', '.join(registry.studies.names())}, or my_package:MyStudy",
    )
    study.add_argument("settings", nargs=argparse.REMAINDER)
    study.set_defaults(run=_study)


def _settings(name: str, kind: Any) -> argparse.ArgumentParser:
    """What a study can be told; made only when it is asked for, because studies load torch."""
    about = str(sys.modules[kind.__module__].__doc__)
    parser = argparse.ArgumentParser(
        prog=f"daamkit study {name}", description=about, formatter_class=Help
    )
    parser.add_argument("--out", type=Path, help="folder, new or to go on with; has to be named")
    parser.add_argument(
        "--draw", type=Path, metavar="FOLDER", help="draw the images for people, measure nothing"
    )
    parser.add_argument("--batch-size", type=int, default=8, help="cases at a time")
    parser.add_argument(
        "--threads", type=int, help="of the CPU, for each worker (default: those of torch)"
    )
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="here, or on a Ray cluster"
    )
    parser.add_argument("--workers", type=int, default=2, help="of the engine ray")
    told = _attributes(kind)
    for field in dataclasses.fields(kind):
        _add_field(parser, field, told.get(field.name, ""))
    return parser


def _attributes(kind: Any) -> dict[str, str]:
    """What the docstrings of a class and of those it derives from say of its settings; "As in" one
    of these is said there."""
    told: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        own: dict[str, str] = {}
        names: list[str] = []
        for line in (
            inspect.cleandoc(each.__doc__ or "").partition("Attributes\n---")[2].split("\n")
        ):
            if re.fullmatch(r"\w+(, \w+)*", line):
                names = line.split(", ")
                own |= dict.fromkeys(names, "")
            elif line.startswith(" "):
                own |= {name: f"{own[name]} {line.strip()}".strip() for name in names}
            else:
                names = []
        told |= {name: text for name, text in own.items() if not text.startswith("As in ")}
    return {name: text.replace("%", "%%") for name, text in told.items()}


def _add_field(parser: argparse.ArgumentParser, field: dataclasses.Field[Any], told: str) -> None:
    """An option for a study's setting."""
    option = f"--{field.name.replace('_', '-')}"
    named = field.type.__name__ if isinstance(field.type, type) else str(field.type)
    kind = named.split(" | ")[0]
    several = re.fullmatch(r"tuple\[(\w+), \.\.\.\]", kind)
    if kind == "bool":
        parser.add_argument(option, action="store_true", help=told)
    elif several and several[1] in _TYPES:
        each = _TYPES[several[1]]
        parser.add_argument(option, nargs="*", type=each, default=field.default, help=told)
    elif kind in _TYPES:
        parser.add_argument(option, type=_TYPES[kind], default=field.default, help=told)
    else:
        raise DaamkitError(
            wanted=f"a setting that can be written in a shell, {field.name!r}",
            got=f"one of the type {named}",
            mend=f"annotate it as bool, tuple[str, ...], {', '.join(_TYPES)}, or run the study "
            "from Python",
        )


def _study(asked: argparse.Namespace) -> int:
    from daamkit import studies
    from daamkit.studies import runner

    name = asked.study
    if registry.is_path(name):  # as `python -m` does: what lies in this folder is found
        sys.path.insert(0, str(Path.cwd()))
    kind = studies.find(name)

    asked = _settings(name, kind).parse_args(asked.settings)
    quiet()
    given = {field.name: getattr(asked, field.name) for field in dataclasses.fields(kind)}
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    study = kind(**given)
    if asked.draw is not None:
        files = runner.draw(study, asked.draw)
        print(f"{len(files)} images in {asked.draw}")
        return 0
    if asked.out is None:
        raise DaamkitError(wanted="a folder for the rows", got="none", mend="name one with --out")
    rows = study.run(
        asked.out,
        batch_size=asked.batch_size,
        threads=asked.threads,
        engine=asked.engine,
        workers=asked.workers,
    )
    for title, table in study.write(rows, asked.out).items():
        if title not in ("sweep", "frequency"):  # long; their files have them
            text = table.to_string(index=False, float_format=lambda x: f"{x:.3f}")
            print(f"\n{title}\n{text}")
    print(f"\nrows, tables and {study.name}.png in {asked.out}")
    return 0
