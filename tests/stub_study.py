"""A study that costs nothing, to be stopped and spoiled; in a module, for other processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar

import torch

from daamkit.studies import locks, runner
from daamkit.studies.session import Case, Row, Session
from daamkit.studies.study import Study

ROWS = (2, 0, 1, 3, 0, 0, 1)  # of a case, by its place: the third batch of two has none


class Pipe:
    """In place of a pipeline: of which model, what it fails at, and what it has seen."""

    device = torch.device("cpu")

    def __init__(
        self, fingerprint: str = "one", trap: int | None = None, error: BaseException | None = None
    ) -> None:
        self.fingerprint, self.trap, self.error = fingerprint, trap, error
        self.cases: list[int] = []
        self.threads: set[int] = set()

    def set_progress_bar_config(self, **options: Any) -> None:
        """There is none."""


@dataclass(frozen=True, kw_only=True)
class Stub(Study):
    """Some numbers for each case; `pause` seconds a batch."""

    name: ClassVar[str] = "stub"
    n: int = 11
    pause: float = 0.0

    def check(self) -> None:
        """It needs nothing."""

    def cases(self) -> list[Case]:
        return [{"prompt": f"case {i}", "place": i, "seed": self.seed + i} for i in range(self.n)]

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        session.record = {"model": {"fingerprint": session.pipe.fingerprint}}
        time.sleep(self.pause)
        return [self._rows(case, session.pipe) for case in cases]

    def _rows(self, case: Case, pipe: Pipe) -> list[Row]:
        if case["place"] == pipe.trap:
            raise pipe.error or ValueError("no such picture")
        pipe.cases.append(case["place"])
        pipe.threads.add(torch.get_num_threads())
        many = ROWS[case["place"] % len(ROWS)]
        drawn = torch.rand(many, 3, generator=torch.Generator().manual_seed(case["seed"])).double()
        return [
            case
            | {"word": "abc"[i], "a": float(a), "there": bool(a > b), "count": int(9 * b)}
            | {"maybe": float(c) if many > 1 else None}
            for i, (a, b, c) in enumerate(drawn.tolist())
        ]


@dataclass(frozen=True, kw_only=True)
class Other(Stub):
    """The same under another name."""

    name: ClassVar[str] = "other"


def go(study: Study, out: Path, told: Connection | None = None, **options: Any) -> None:
    """Run in a process of its own, and say when it begins."""
    if told is not None:
        told.send("begun")
    runner.run(study, out, progress=False, **options)


def hold(folder: Path, user: int, told: Connection) -> None:
    """Hold a folder as another user until something comes; how that went."""
    os.setuid(user)
    try:
        with locks.held(folder):
            told.send("in")
            told.poll(60)
    except locks.HeldError as error:
        told.send(str(error))


def go_and_die(study: Study, out: Path, done: int, **options: Any) -> None:
    """The same, killed when a file is written and has not got its name, after some that have."""
    rename, names = Path.replace, iter(range(done))

    def replace(self: Path, target: Path) -> Path:
        if next(names, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(self, target)

    Path.replace = replace
    runner.run(study, out, progress=False, **options)
