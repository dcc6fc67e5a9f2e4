"""A study: settings, cases, what is measured of each, the tables and the plot that follow."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
import torch

from daamkit import zoo
from daamkit.errors import DaamkitError
from daamkit.language import parsing
from daamkit.maps import folders
from daamkit.studies import balance, prompts, runner
from daamkit.studies.session import Case, Row, Session

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DTYPES = ("float32", "float16", "bfloat16")


def not_compared(default: Any) -> Any:
    """A setting that may differ when a study is resumed: what it decides is compared itself (the
    cases that follow from `prompts`), or only the tables need it."""
    return field(default=default, metadata={"compare": False})


@dataclass(frozen=True, kw_only=True)
class Study:
    """Settings that every study has, and what a study must be able to do.

    Attributes
    ----------
    model
        "toybox", a folder, or an id of the Hub. A safety checker is taken off, because its black
        images would be measured as if drawn. Or an open pipeline, which stays as it is.
    prompts
        A file of prompts (`prompts.texts`); None: captions of the toy world.
    n
        How many cases.
    seed
        Seed of the choice of prompts; case i draws its image with seed + i.
    steps
        Number of steps of each generation.
    guidance
        Guidance scale of each generation; None: the model's own (`zoo.arguments`).
    parser
        A spaCy pipeline by name; None: the one that ships.
    device
        Where to run; None: a GPU if there is one.
    dtype
        The precision: "float32", "float16" or "bfloat16".
    """

    name: ClassVar[str] = ""
    fewest: ClassVar[int] = 1  # cases
    model: str | Any = "toybox"
    prompts: str | None = not_compared(None)
    n: int = 200
    seed: int = 0
    steps: int = 25
    guidance: float | None = None
    parser: str | None = None
    device: str | None = not_compared(None)
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.n < self.fewest or self.steps < 1 or self.seed < 0 or self.dtype not in DTYPES:
            raise DaamkitError(
                wanted=f"{self.fewest} or more cases, a step, a seed from 0, and a dtype of "
                f"{', '.join(DTYPES)}",
                got=f"n={self.n}, steps={self.steps}, seed={self.seed}, dtype={self.dtype!r}",
                mend="try n=200, steps=25, seed=0, dtype='float32'",
            )

    @property
    def pipe(self) -> Any:
        """The open pipeline that `model` is; None if it is a name."""
        return None if isinstance(self.model, str | os.PathLike) else self.model

    @property
    def model_name(self) -> str:
        """What the model is called."""
        if self.pipe is None:
            return str(self.model)
        return f"an open {type(self.pipe).__name__}"

    @property
    def resolved_device(self) -> str:
        """The device that `device` means."""
        return self.device or zoo.usual_device()

    def open(self) -> Any:
        """The pipeline that `model` names, on its device."""
        pipe = zoo.load(self.model, dtype=getattr(torch, self.dtype))
        return zoo.move(pipe, self.resolved_device)

    def check(self) -> None:
        """Open what `measure` will need, so that what is missing is said before an image is drawn.

        Raises
        ------
        DaamkitError
            If the parser is not there.
        """
        parsing.spacy_pipeline(self.parser)

    def instruments(self) -> dict[str, str]:
        """What rows are measured with besides the model, by a digest or a name: an oracle, what was
        learned of a model. Rows of others do not mix."""
        return {}

    def cases(self) -> list[Case]:
        """All cases, in order; the same settings give the same. Unless told otherwise, a prompt
        each."""
        texts = prompts.texts(self.prompts, self.n, self.seed)
        return [{"prompt": text, "seed": self.seed + i} for i, text in enumerate(texts)]

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """What is found in a batch of cases: some rows for each."""
        raise NotImplementedError

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """What the rows say, with intervals: tables by name, the main one first. Unless
        overridden, the rows themselves."""
        return {"rows": rows}

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure | None:
        """The tables as a figure; None, unless overridden."""
        return None

    def write(self, rows: pd.DataFrame, folder: str | os.PathLike[str]) -> dict[str, pd.DataFrame]:
        """Write each table as ``TABLE.csv`` and the plot as ``NAME.png``; returns the tables.

        Raises
        ------
        DaamkitError
            If files of these names are another's or were changed, or nothing can be written.
        """
        tables = self.tables(rows)
        names = [f"{title}.csv" for title in tables]
        belongs = re.compile("|".join(map(re.escape, [*names, f"{self.name}.png"])))
        kind = folders.Kind(f"{self.name} study", names[0], belongs=belongs)

        def draw(place: Path) -> None:
            for title, table in tables.items():
                table.to_csv(place / f"{title}.csv", index=False)
            figure = self.plot(tables)
            if figure is not None:
                figure.savefig(place / f"{self.name}.png", dpi=110)

        folders.write(folder, kind, draw)
        return tables

    def pictures(self) -> list[tuple[str, int]]:
        """Prompt and seed of every image that the study draws."""
        return [(case["prompt"], case["seed"]) for case in self.cases()]

    def run(self, out: str | os.PathLike[str] | None = None, **options: Any) -> pd.DataFrame:
        """All rows; see `runner.run` for the options.

        Parameters
        ----------
        out
            A folder that keeps what is done, to go on after an interruption; None keeps nothing.
        """
        return runner.run(self, out, **options)


def in_world(number: int) -> None:
    """Refuse what is no toy world's number."""
    if number not in (1, 2):
        raise DaamkitError(wanted="world 1 or 2", got=f"world={number}", mend="take one")


@dataclass(frozen=True, kw_only=True)
class Captioned(Study):
    """Settings of a study of captions; see `Study` for the others.

    Attributes
    ----------
    world
        The toy world of the captions, where no file is named: 1, or 2, whose captions have all the
        relations and parts of speech of the DAAM paper (`balance.captions`).
    """

    rare: ClassVar[tuple[str, ...]] = ()  # what must have cases enough
    world: int = not_compared(1)

    def __post_init__(self) -> None:
        super().__post_init__()
        in_world(self.world)

    def cases(self) -> list[Case]:
        """A prompt each."""
        if self.world == 1 or self.prompts is not None:
            return super().cases()
        found = balance.captions(self.n, self.seed, self.rare)
        return [{"prompt": text, "seed": self.seed + i} for i, text in enumerate(found)]
