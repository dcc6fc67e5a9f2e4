"""Runs, however they are given: one, a list, a tracer, folders; and many of them as one thing."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload, runtime_checkable

from daamkit.errors import DaamkitError
from daamkit.maps import saved
from daamkit.maps.run import Run, RunFolderError

if TYPE_CHECKING:
    import pandas as pd

_PATTERN = set("*?[")
_OF = ("prompt", "seed", "method")  # what tells whose row it is


@runtime_checkable
class HasRuns(Protocol):
    """A tracer."""

    runs: list[Run]


Runs = Run | HasRuns | Iterable[Run | HasRuns]


def several(*given: Any) -> list[Run]:
    """The runs among runs, lists of runs, and tracers, in order.

    Raises
    ------
    DaamkitError
        If one is something else, or there is none.
    """
    found: list[Run] = []
    for each in given:
        if isinstance(each, Run):
            found.append(each)
        elif isinstance(each, HasRuns):
            found.extend(each.runs)
        elif isinstance(each, Iterable) and not isinstance(each, str | bytes | Mapping):
            found.extend(several(*each) if (each := list(each)) else [])
        else:
            raise DaamkitError(
                wanted="runs, lists of runs, or tracers",
                got=f"{type(each).__name__}",
                mend="give `tracer.run`, or open a saved one with `daamkit.open(folder)`",
            )
    if not found:
        raise DaamkitError(
            wanted="a run", got="none", mend="call the traced pipeline before, inside the context"
        )
    return found


class Collection(Sequence[Run]):
    """Runs that are read together.

    Runs on the disk are opened each time they are asked for, one after the other, so that a
    thousand of them take the memory of one.

    Parameters
    ----------
    runs
        Runs, lists of runs, tracers; or folders of saved runs.
    budget
        Most bytes of maps to read of one run; see `daamkit.open`.

    Raises
    ------
    DaamkitError
        If there is no run, or something is given that is not one.

    Examples
    --------
    >>> import daamkit, torch
    >>> pipe = daamkit.load("toybox")
    >>> with daamkit.trace(pipe) as tracer:
    ...     for seed in (0, 1):
    ...         _ = pipe("a red cat", num_inference_steps=2, generator=torch.manual_seed(seed))
    >>> daamkit.Collection(tracer).table()["seed"].tolist()
    [0, 0, 0, 1, 1, 1]
    """

    def __init__(self, *runs: Any, budget: int | None = saved.BUDGET) -> None:
        self._budget = budget
        self._kept: list[Run | Path] = []
        for given in runs:
            each = given if isinstance(given, list | tuple) else [given]
            folders = [one for one in each if isinstance(one, str | os.PathLike)]
            whole = bool(folders) and len(folders) == len(each)
            self._kept += map(Path, folders) if whole else several(given)
        if not self._kept:
            several()  # says that there is none

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> Collection: ...
    def __getitem__(self, index: int | slice) -> Run | Collection:
        """A run, or some of them."""
        if isinstance(index, slice):
            other = Collection.__new__(Collection)
            other._budget, other._kept = self._budget, self._kept[index]
            return other
        kept = self._kept[index]
        return kept if isinstance(kept, Run) else _opened(kept, self._budget)

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Run]:
        return (self[index] for index in range(len(self)))

    def table(self, threshold: float = 0.4) -> pd.DataFrame:
        """`Run.table` of every run, a row for each word.

        Columns: run (its place in the collection), prompt, seed, method, then those of `Run.table`.
        """
        return self._joined(lambda run: run.table(threshold))

    def relations(self, *given: Any, **options: Any) -> pd.DataFrame:
        """`Run.relations` of every run, a row for each pair; for `plots.relations`, `plots.sweep`.

        Parameters
        ----------
        given, options
            Passed on to `Run.relations` of each run.

        Returns
        -------
        frame
            Columns: run (its place in the collection), prompt, seed, method, then those of
            `Run.relations`.
        """
        return self._joined(lambda run: run.relations(*given, **options))

    def _joined(self, rows: Callable[[Run], pd.DataFrame]) -> pd.DataFrame:
        import pandas as pd

        frames = []
        for place, run in enumerate(self):
            frame = rows(run)
            rest = [column for column in frame.columns if column not in _OF]
            known = {"run": place, "prompt": run.prompt, "seed": run.seed, "method": run.method}
            frames.append(frame.assign(**known)[[*known, *rest]])
        whole = [frame for frame in frames if len(frame)] or frames[:1]
        return pd.concat(whole, ignore_index=True)

    def _repr_html_(self) -> str:
        """What a notebook shows: each image, small, with its prompt."""
        from daamkit.views import still

        return still.gallery(self)

    def __repr__(self) -> str:
        return f"Collection({len(self)} run{'s' * (len(self) != 1)})"


def _opened(folder: str | os.PathLike[str], budget: int | None) -> Run:
    return Run(*saved.open_run(Path(folder), budget))


def open_runs(
    folder: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    budget: int | None = saved.BUDGET,
) -> Any:
    """Read what `Run.save` has written. Needs no model and no diffusers.

    Parameters
    ----------
    folder
        The folder of a run; or a pattern such as "runs/*", or several folders. A run may come from
        anybody: nothing in it is executed, and only PNG is decoded.
    budget
        Most bytes of maps to read of one run; None: no limit.

    Returns
    -------
    run or collection
        A `Run`; for a pattern a `Collection` in the order of the folders' names, for several
        folders one in the order given.

    Raises
    ------
    RunFolderError
        If there is no run, or it is damaged, over the budget, or written by another version.
    """
    if isinstance(folder, str | os.PathLike):
        name = os.fspath(folder)
        if Path(name).exists() or not _PATTERN & set(name):
            return _opened(name, budget)
        found = sorted(glob.glob(name))  # noqa: PTH207 - `Path.glob` takes no absolute pattern
        places = [place for place in map(Path, found) if saved.is_run(place)]
        if not places:
            raise RunFolderError(
                wanted=f"saved runs at {name}",
                got="none",
                mend="give a pattern of the folders that `run.save()` wrote, such as 'runs/*'",
            )
        return Collection(places, budget=budget)
    if not isinstance(folder, Iterable):
        raise RunFolderError(
            wanted="folders that `run.save()` wrote", got=repr(folder), mend="give their names"
        )
    return Collection([Path(each) for each in folder], budget=budget)
