"""Run a study: batch after batch into Parquet shards, to be gone on with whenever it was stopped.

Which cases make a batch depends on their index alone, and a shard appears whole or not at all: so a
run that was killed goes on with the same rows as one that was not.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import pyarrow as pa
import torch
from tqdm.auto import tqdm

from daamkit import files
from daamkit.errors import DaamkitError
from daamkit.studies import shards, truths
from daamkit.studies.session import AT_ONCE, Case, Row, Session

if TYPE_CHECKING:
    from daamkit.studies.study import Study

Engine = Literal["local", "ray"]
Done = tuple[list[Row], Mapping[str, Any]]  # a batch's rows, and the record of the model


def run(
    study: Study,
    out: str | os.PathLike[str] | None = None,
    *,
    batch_size: int = 8,
    threads: int | None = None,
    engine: Engine = "local",
    workers: int = 2,
    pipe: Any = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Measure all cases that are not done yet.

    Parameters
    ----------
    study
        The study to run.
    out
        A folder, new or of an earlier run of the same study; None keeps nothing.
    batch_size
        Cases at a time. Another size rounds differently: a folder keeps to one.
    threads
        Of the CPU, for each worker; for the same reason a folder keeps to one number. None: that of
        the folder, else as many as torch has (OMP_NUM_THREADS), shared by the workers.
    engine, workers
        "local": here, one batch after the other. "ray": on a Ray cluster (the one of RAY_ADDRESS,
        or one started here), `workers` pipelines at once, each on a GPU of its own if there are
        any; that needs ``pip install 'daamkit[ray]'``.
    pipe
        An open pipeline in place of the study's model; local only.
    progress
        Show how far it is.

    Returns
    -------
    rows
        Tidy, a column "case" in front.

    Raises
    ------
    DaamkitError
        If the folder is another study's, or ray is wanted and not there.
    """
    numbers = [batch_size, workers, *([] if threads is None else [threads])]
    if any(type(each) is not int or each < 1 for each in numbers) or (
        threads is not None and threads > shards.THREADS
    ):
        raise DaamkitError(
            wanted="at least one case at a time, one worker and one thread, and not more than "
            f"{shards.THREADS} threads",
            got=f"batch_size={batch_size}, threads={threads}, workers={workers}",
            mend="try 8, 2 and 2",
        )
    pipe = study.pipe if pipe is None else pipe
    if engine not in ("local", "ray") or (engine == "ray" and pipe is not None):
        raise DaamkitError(
            wanted="the engine 'local', or 'ray' with a model's name",
            got=f"{engine!r}{' with an open pipeline' if pipe is not None else ''}",
            mend="name one; a pipeline cannot be sent to workers, its name can",
        )
    cases = study.cases()
    study.check()
    default = max(1, torch.get_num_threads() // (workers if engine == "ray" else 1))
    folder = None
    if out is not None:
        folder = shards.ShardFolder(Path(out), study, cases, batch_size, threads, default)
    batches = {
        start: cases[start : start + batch_size] for start in range(0, len(cases), batch_size)
    }
    with nullcontext() if folder is None else folder.held():
        threads = (threads or default) if folder is None else folder.threads
        frames = {} if folder is None else folder.frames(list(batches))
        left = {start: batch for start, batch in batches.items() if start not in frames}
        if left:
            source = (
                _local(study, left, threads, pipe)
                if engine == "local"
                else _on_ray(study, left, threads, workers)
            )
            done = sum(len(batches[start]) for start in frames)
            with (
                closing(source),
                tqdm(
                    total=len(cases),
                    initial=done,
                    desc=study.name,
                    unit="case",
                    disable=not progress,
                ) as bar,
            ):
                for start, (rows, record) in source:
                    table = _table(rows)
                    if folder is not None:
                        folder.write(start, table, record)
                    frames[start] = table.to_pandas()
                    bar.update(len(batches[start]))
    return _join([frames[start] for start in batches])


def draw(study: Study, folder: str | os.PathLike[str], pipe: Any = None) -> list[Path]:
    """Draw a study's images and measure nothing: for people to annotate.

    Parameters
    ----------
    study
        The study whose images are drawn.
    folder
        Where they go, as PNG with the names of `truths.stem`; those that are there whole are left.
    pipe
        An open pipeline in place of the study's model.

    Raises
    ------
    DaamkitError
        If they cannot be written.
    """
    place = Path(folder)
    with files.told(f"a folder to write, {place}"):
        place.mkdir(parents=True, exist_ok=True)
    pictures = {place / f"{truths.stem(*each)}.png": each for each in study.pictures()}
    left = [(file, each) for file, each in pictures.items() if files.missing(file)]
    if not left:
        return list(pictures)
    session = Session(study, pipe)
    for start in tqdm(range(0, len(left), AT_ONCE), study.name, disable=None):
        part = left[start : start + AT_ONCE]
        runs = session.runs([prompt for _, (prompt, _) in part], [seed for _, (_, seed) in part])
        for (file, _), run in zip(part, runs, strict=True):
            assert run.image is not None
            files.write(file, files.encoded(run.image))
    return list(pictures)


def table(out: str | os.PathLike[str]) -> pd.DataFrame:
    """The rows of a folder, as far as it is done.

    Raises
    ------
    DaamkitError
        If it holds no study, nothing yet, or a damaged shard.
    """
    folder = Path(out)
    told = shards.manifest(folder)
    frames = [shards.rows(shard, told)[0] for shard in sorted(folder.glob("cases-*.parquet"))]
    if not frames:
        raise DaamkitError(
            wanted=f"rows in {folder}", got="no shard yet", mend="run the study, or wait for it"
        )
    return _join(frames)


def _table(rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pandas(pd.DataFrame(list(rows)), preserve_index=False)


def _join(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    some = [frame for frame in frames if len(frame)]
    if not some:
        raise DaamkitError(
            wanted="something to measure",
            got="no row of any case: nothing that the study looks for is in these prompts, or the "
            "truth cannot tell",
            mend="give it other prompts, or another truth",
        )
    return pd.concat(some, ignore_index=True)


# -- engines


def _measure(study: Study, session: Session, start: int, batch: Sequence[Case]) -> Done:
    size = session.at_once
    found = [
        rows
        for first in range(0, len(batch), size)
        for rows in study.measure(session, batch[first : first + size])
    ]
    if len(found) != len(batch):
        raise RuntimeError(f"{study.name} measured {len(found)} of {len(batch)} cases")
    rows = [{"case": start + i} | row for i, each in enumerate(found) for row in each]
    told = study.instruments()
    return rows, {**session.record, **({"instruments": told} if told else {})}


def _local(
    study: Study, batches: Mapping[int, Sequence[Case]], threads: int, pipe: Any
) -> Generator[tuple[int, Done], None, None]:
    with _threads(threads):
        session = Session(study, pipe)
        for start, batch in batches.items():
            yield start, _measure(study, session, start, batch)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(number)
        yield
    finally:
        torch.set_num_threads(before)


class _Worker:
    """One pipeline on a Ray cluster."""

    def __init__(self, study: Study, threads: int) -> None:
        torch.set_num_threads(threads)
        self.study = study
        self.session: Session | None = None

    def measure(self, start: int, batch: Sequence[Case]) -> tuple[int, Done]:
        """A batch's rows."""
        self.session = self.session or Session(self.study)  # an actor that fails to begin says less
        return start, _measure(self.study, self.session, start, batch)


def _on_ray(
    study: Study, batches: Mapping[int, Sequence[Case]], threads: int, workers: int
) -> Generator[tuple[int, Done], None, None]:
    try:
        import ray
        from ray.util import ActorPool
    except ImportError as error:
        raise DaamkitError(
            wanted="ray, for `engine='ray'`",
            got="no such package here",
            mend="run `pip install 'daamkit[ray]'`",
        ) from error
    own = not ray.is_initialized()
    try:
        if own:
            size = None if "RAY_ADDRESS" in os.environ else workers
            ray.init(
                num_cpus=size, include_dashboard=False, log_to_driver=False, configure_logging=False
            )
        there = 0 if study.device == "cpu" else int(ray.cluster_resources().get("GPU", 0))
        many = min(workers, there or workers, len(batches))  # more than there are would never start
        actor = ray.remote(num_cpus=1, num_gpus=min(there, 1), max_restarts=2, max_task_retries=2)(
            _Worker
        )
        pool = ActorPool([actor.remote(study, threads) for _ in range(many)])
        yield from pool.map_unordered(
            lambda worker, item: worker.measure.remote(*item), list(batches.items())
        )
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, DaamkitError):
            raise error.cause from error
        raise
    except (ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError) as error:
        raise DaamkitError(
            wanted="workers that live until all is measured",
            got=f"one that was ended for the third time ({str(error).splitlines()[0]})",
            mend="run the same command again, with fewer workers or a smaller batch if memory is "
            "short: what is done is kept",
        ) from error
    finally:
        if own:
            ray.shutdown()
