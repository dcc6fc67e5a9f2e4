"""Studies stopped, damaged and gone on with: the rows are those of an undisturbed run."""

import errno
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from daamkit import cli, resources
from daamkit import files as package_files
from daamkit.errors import DaamkitError
from daamkit.studies import instruments, runner, seals
from daamkit.studies.attribution import AttributionStudy
from daamkit.studies.faithfulness import Faithfulness
from daamkit.studies.interventions import Interventions
from daamkit.studies.locks import HeldError
from daamkit.studies.relations import Relations
from daamkit.studies.session import Session
from daamkit.studies.shards import DamagedError, ShardWarning, manifest, rows
from daamkit.studies.study import Study
from tests import stub_study
from tests.maps.test_saved import in_its_place
from tests.stub_study import ROWS, Other, Pipe, Stub

STARTS = range(0, Stub().n, 2)


def run(study: Study, out: Path | None = None, **options: Any) -> pd.DataFrame:
    """Small batches and one thread; the stub with a pipeline of its own."""
    if isinstance(study, Stub):
        options = {"pipe": Pipe()} | options
    options = {"batch_size": 2, "threads": 1, "progress": False} | options
    return runner.run(study, out, **options)


def assert_same(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    """Bit for bit, with the types."""
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)


def contents(folder: Path) -> dict[str, bytes]:
    """All files with their bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("cases-*.parquet"))


@pytest.fixture(scope="module")
def whole() -> pd.DataFrame:
    """The stub's rows."""
    return run(Stub())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a finished stub."""
    run(Stub(), tmp_path / "out")
    return tmp_path / "out"


# -- rows


def test_rows_carry_their_case_in_front_and_come_in_order(whole) -> None:
    assert whole.columns[0] == "case" and isinstance(whole.index, pd.RangeIndex)
    counts = [ROWS[i % len(ROWS)] for i in range(11)]
    assert whole["case"].tolist() == [i for i, count in enumerate(counts) for _ in range(count)]
    assert (whole["place"] == whole["case"]).all()


def test_a_folder_gives_the_same_rows_new_and_reopened_and_read(tmp_path, whole) -> None:
    out = tmp_path / "deep" / "n=11"  # a name that Parquet could take for a column
    assert_same(run(Stub(), out), whole)
    pipe = Pipe()
    assert_same(run(Stub(), out, pipe=pipe), whole)
    assert pipe.cases == []
    assert_same(runner.table(out), whole)
    names = [f"cases-{start:07d}.parquet" for start in STARTS]
    assert sorted(contents(out)) == [*names, "study.json"]


@pytest.mark.parametrize("size", [1, 3, 8, 100])
def test_batches_of_any_size_lose_nothing(tmp_path, whole, size) -> None:
    out = tmp_path / "out"
    found = run(Stub(), out, batch_size=size)
    assert len(shards(out)) == -(-11 // size)
    # types of a column with gaps follow the batch
    pd.testing.assert_frame_equal(found, whole, check_exact=True, check_dtype=False)
    shards(out)[-1].unlink()
    assert_same(run(Stub(), out, batch_size=size), found)


def test_a_study_that_finds_nothing_at_all_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Stub, "_rows", lambda self, case, pipe: [])
    again = [lambda: run(Stub(), tmp_path)] * 2
    for attempt in [lambda: run(Stub()), *again, lambda: runner.table(tmp_path)]:
        with pytest.raises(DaamkitError, match="something to measure"):
            attempt()
    assert len(shards(tmp_path)) == len(STARTS)


def test_a_shard_tells_where_it_is_from(folder) -> None:
    schema = pq.read_schema(shards(folder)[1])
    about = json.loads(schema.metadata[b"daamkit"])
    assert about["study"] == "stub" and about["start"] == 2 and about["made"]
    assert about["record"] == {"model": {"fingerprint": "one"}}


@pytest.mark.parametrize("option", ["batch_size", "threads", "workers"])
def test_none_at_a_time_is_refused(tmp_path, option) -> None:
    with pytest.raises(DaamkitError, match=f"{option}=0"):
        run(Stub(), tmp_path / "out", **{option: 0})
    assert not (tmp_path / "out").exists()


def test_a_study_that_forgets_a_case_is_stopped(monkeypatch) -> None:
    monkeypatch.setattr(Stub, "measure", lambda self, stage, cases: [[]])
    with pytest.raises(RuntimeError, match="measured 1 of 2"):
        run(Stub())


# -- kill -9


@pytest.fixture(scope="module")
def processes() -> Any:
    """Where processes come from in which all is imported already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["pytest", "spacy", "tests.tiny", "tests.stub_study", "daamkit.studies.relations"]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        first = context.Process(target=int)
        first.start()
        first.join(120)
    return context


def begin(processes: Any, study: Study, out: Path, **options: Any) -> Any:
    """A process that runs a study, as soon as it does."""
    here, there = processes.Pipe(duplex=False)
    options = {"batch_size": 2, "threads": 1} | options
    process = processes.Process(target=stub_study.go, args=(study, out, there), kwargs=options)
    process.start()
    assert here.poll(60) and here.recv() == "begun"
    return process


def await_shard(out: Path) -> int:
    """Wait for one more; how many there were."""
    before, latest = len(shards(out)), time.monotonic() + 60
    while len(shards(out)) == before and time.monotonic() < latest:
        time.sleep(0.005)
    return before


def kill(process: Any) -> None:
    """As `kill -9` does; it must not have ended by itself."""
    process.kill()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def test_killed_at_ten_random_moments_a_study_has_the_same_rows(processes, tmp_path) -> None:
    study, moments = Stub(n=160, pause=0.02), random.Random(9)
    done = []
    for i in range(10):
        process = begin(processes, study, tmp_path / "out", pipe=Pipe())
        if i % 2:  # the others may be killed before they have begun
            await_shard(tmp_path / "out")
        time.sleep(moments.uniform(0, 0.14))
        kill(process)
        done.append(len(shards(tmp_path / "out")))
    assert done == sorted(done) and 5 <= done[-1] < 80
    assert_same(run(study, tmp_path / "out"), run(Stub(n=160)))


def test_killed_twice_the_relations_of_the_toybox_are_the_same(processes, tmp_path, toybox) -> None:
    study, moments = Relations(n=16, steps=1, device="cpu"), random.Random(4)
    out = tmp_path / "out"
    for _ in range(2):
        process = begin(processes, study, out)
        before = await_shard(out)
        time.sleep(moments.uniform(0, 0.1))
        kill(process)
        assert before < len(shards(out)) < 8
    assert len(runner.table(out)) > 0  # what is done can be read at any time
    assert_same(run(study, out), run(study, pipe=toybox))


@pytest.mark.parametrize("done", range(len(STARTS) + 1))
def test_killed_between_writing_a_file_and_naming_it(processes, tmp_path, whole, done) -> None:
    out = tmp_path / "out"
    process = processes.Process(
        target=stub_study.go_and_die,
        args=(Stub(), out, done),
        kwargs={"batch_size": 2, "threads": 1, "pipe": Pipe()},
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert len([*out.glob(".*.part")]) == 1 and len(shards(out)) == max(done - 1, 0)
    pipe = Pipe()
    assert_same(run(Stub(), out, pipe=pipe), whole)
    assert pipe.cases == [*range(2 * max(done - 1, 0), 11)]
    assert not [*out.glob(".*")]


@pytest.mark.parametrize("rest", [b"", b"PAR1 half of it", None])
def test_a_part_is_swept_and_not_read(folder, whole, rest) -> None:
    first, other = shards(folder)[:2]
    part = folder / ".cases-0000000.parquet.part"
    part.write_bytes(other.read_bytes() if rest is None else rest)
    first.unlink()
    assert_same(run(Stub(), folder), whole)
    assert not part.exists()


# -- damage


def spoilt(content: bytes) -> dict[str, bytes]:
    """What can become of a shard."""
    half, flipped = len(content) // 2, bytearray(content)
    flipped[half : half + 8] = bytes(byte ^ 255 for byte in flipped[half : half + 8])
    data = bytearray(content)
    data[40] ^= 1
    return {
        "empty": b"",
        "half": content[:half],
        "one byte short": content[:-1],
        "no Parquet": b"a,b\n1,2\n",
        "flipped in the data": bytes(data),
        "flipped in the middle": bytes(flipped),
    }


DAMAGE = [*spoilt(bytes(100))]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_shard_is_named_and_made_again(folder, whole, damage) -> None:
    shard, before = shards(folder)[1], contents(folder)
    shard.write_bytes(spoilt(shard.read_bytes())[damage])
    pipe = Pipe()
    with pytest.warns(ShardWarning, match=re.escape(str(shard))) as told:
        found = run(Stub(), folder, pipe=pipe)
    assert len(told) == 1 and pipe.cases == [2, 3]
    assert_same(found, whole)
    assert_same(runner.table(folder), whole)
    after = contents(folder)
    assert after.keys() == before.keys()
    assert [name for name in after if after[name] != before[name]] in ([], [shard.name])


@pytest.mark.parametrize("damage", DAMAGE)
def test_read_names_a_damaged_shard_and_leaves_it(folder, damage) -> None:
    shard = shards(folder)[1]
    shard.write_bytes(spoilt(shard.read_bytes())[damage])
    before = contents(folder)
    with pytest.raises(DaamkitError, match=re.escape(str(shard))):
        runner.table(folder)
    assert contents(folder) == before


def test_any_flipped_bit_is_noticed(folder, whole) -> None:
    shard, chance = shards(folder)[0], random.Random(1)
    content = shard.read_bytes()
    for place in chance.sample(range(len(content)), 80):
        spoiled = bytearray(content)
        spoiled[place] ^= 1 << chance.randrange(8)
        shard.write_bytes(spoiled)
        with pytest.warns(ShardWarning, match=re.escape(str(shard))):
            found = run(Stub(), folder)
        assert_same(found, whole)


def test_all_damaged_shards_are_made_again(folder, whole) -> None:
    for shard, damage in zip(shards(folder), DAMAGE, strict=False):
        shard.write_bytes(spoilt(shard.read_bytes())[damage])
    with pytest.warns(ShardWarning) as told:
        found = run(Stub(), folder)
    assert len(told) == len(STARTS)
    assert_same(found, whole)


def test_a_whole_shard_of_something_else_is_refused_and_stays(folder, tmp_path) -> None:
    first, second = shards(folder)[:2]
    own = second.read_bytes()
    shutil.copy(first, second)
    before = contents(folder)
    for attempt in (lambda: run(Stub(), folder), lambda: runner.table(folder)):
        with pytest.raises(DaamkitError, match=re.escape(str(second)) + ".*start 0 and not 2"):
            attempt()
    assert contents(folder) == before
    second.write_bytes(own)
    run(Stub(seed=5), tmp_path / "else")
    shutil.copy(tmp_path / "else" / first.name, first)
    before = contents(folder)
    for attempt in (lambda: run(Stub(), folder), lambda: runner.table(folder)):
        with pytest.raises(DaamkitError, match=re.escape(str(first))):
            attempt()
    assert contents(folder) == before


def test_a_whole_parquet_of_somebody_else_is_refused_and_stays(folder) -> None:
    first, second = shards(folder)[:2]
    first.write_bytes(first.read_bytes()[:-9])  # nor is a damaged one taken away before that
    pd.DataFrame({"case": [2], "note": ["years of work"]}).to_parquet(second)
    before = contents(folder)
    with pytest.warns(ShardWarning), pytest.raises(DaamkitError, match=re.escape(str(second))):
        run(Stub(), folder)
    first.unlink()
    for attempt in (lambda: run(Stub(), folder), lambda: runner.table(folder)):
        with pytest.raises(DaamkitError, match=re.escape(str(second)) + ".*no study has written"):
            attempt()
    del before[first.name]
    assert contents(folder) == before


def test_a_shard_whose_provenance_is_spoilt_is_still_ours(folder) -> None:
    shard, told = shards(folder)[0], manifest(folder)
    content = shard.read_bytes()
    for text in (seals.KEY, b'"format"', b'"digest"', b"ARROW:schema"):
        place = content.rindex(text)
        for i in range(place, place + len(text)):
            spoiled = bytearray(content)
            spoiled[i] ^= 4
            shard.write_bytes(spoiled)
            with pytest.raises(DamagedError):
                rows(shard, told)


@pytest.mark.parametrize("digest", ["0" * 64, "a" * 64])
def test_a_prompt_that_looks_like_a_seal_is_a_prompt(tmp_path, monkeypatch, digest) -> None:
    text = f'say "digest": "{digest}"'
    cases = [{"prompt": text, "place": i, "seed": i} for i in range(11)]
    monkeypatch.setattr(Stub, "cases", lambda self: cases)
    found = run(Stub(), tmp_path)
    pipe = Pipe()
    assert_same(run(Stub(), tmp_path, pipe=pipe), found)
    assert pipe.cases == [] and set(found["prompt"]) == {text}


LIMITS = [(seals, "ROWS", 1), (seals, "BYTES", 99), (package_files, "MOST", 999)]


@pytest.mark.parametrize(("where", "limit", "most"), LIMITS)
def test_what_could_not_be_read_again_is_not_written(
    tmp_path, monkeypatch, whole, where, limit, most
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(where, limit, most)
        with pytest.raises(DaamkitError, match=r"more than .*Lower batch_size, which is 2"):
            run(Stub(), tmp_path)
    assert not contents(tmp_path)
    assert_same(run(Stub(), tmp_path), whole)


EDITS = {
    '"device": null': '"device": "cpu"',
    '"format"': '"note": "mine", "format"',
    '"prompts": null': '"prompts": "mine.txt"',
    '"version": 1': '"version": 1, "by": ["me"]',
}


@pytest.mark.parametrize("old", EDITS)
def test_an_edit_that_changes_nothing_loses_nothing(folder, whole, old) -> None:
    manifest = folder / "study.json"
    assert old in manifest.read_text()
    manifest.write_text(manifest.read_text().replace(old, EDITS[old], 1))
    before, pipe = contents(folder), Pipe()
    assert_same(run(Stub(), folder, pipe=pipe), whole)
    assert_same(runner.table(folder), whole)
    assert pipe.cases == [] and contents(folder) == before
    shards(folder)[1].unlink()
    assert_same(run(Stub(), folder), whole)


@pytest.mark.parametrize("old", ['"seed": 0', '"cases": 11', '"batch_size": 2', '"steps": 25'])
def test_an_edit_that_makes_another_study_is_refused(folder, old) -> None:
    manifest = folder / "study.json"
    manifest.write_text(manifest.read_text().replace(old, old + "1", 1))
    before = contents(folder)
    for attempt in (lambda: run(Stub(), folder), lambda: runner.table(folder)):
        with pytest.raises(DaamkitError):
            attempt()
    assert contents(folder) == before


NONSENSE: dict[str, list[Any]] = {
    "settings": [None, [1], 3, "x"],
    "threads": [-1, 0, True, 10**12, "2", None],
    "batch_size": [None, "2"],
    "study": [None, ["stub"]],
}


@pytest.mark.parametrize("name", NONSENSE)
@pytest.mark.parametrize("threads", [1, None])
def test_an_edit_that_makes_no_study_is_told(folder, name, threads) -> None:
    manifest = folder / "study.json"
    whole = json.loads(manifest.read_text())
    edits = [whole | {name: value} for value in NONSENSE[name]]
    for edited in [*edits, {k: v for k, v in whole.items() if k != name}]:
        manifest.write_text(json.dumps(edited))
        before = contents(folder)
        again = [lambda: run(Stub(), folder, threads=threads), lambda: runner.table(folder)]
        for attempt in again:
            with pytest.raises(DaamkitError, match=rf"study\.json; got {name} "):
                attempt()
        assert contents(folder) == before


@pytest.mark.parametrize("option", ["batch_size", "threads", "workers"])
@pytest.mark.parametrize("value", [True, -1])
def test_what_is_no_number_of_things_is_refused(option, value) -> None:
    with pytest.raises(DaamkitError, match=f"{option}={value}"):
        run(Stub(), **{option: value})


def test_more_threads_than_there_can_be_are_refused() -> None:
    with pytest.raises(DaamkitError, match="threads=1000000000000"):
        run(Stub(), threads=10**12)


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "far too large"])
def test_what_is_no_shard_and_no_file_is_refused_and_stays(folder, kind) -> None:
    for name in ("study.json", shards(folder)[1].name):
        own = (folder / name).read_bytes()
        in_its_place(kind, folder / name)
        start = time.monotonic()
        for attempt in (lambda: run(Stub(), folder), lambda: runner.table(folder)):
            with pytest.raises(DaamkitError, match=re.escape(str(folder))):
                attempt()
        assert time.monotonic() - start < 4
        where = folder / name
        where.rmdir() if kind == "folder" else where.unlink()
        where.write_bytes(own)


# -- several at once


def test_a_folder_that_is_written_to_says_by_whom(processes, tmp_path, whole) -> None:
    study, out = Stub(n=60, pause=0.1), tmp_path / "out"
    process = begin(processes, study, out, pipe=Pipe())
    await_shard(out)
    held = rf"nobody writes to, {re.escape(str(out))}; got process {process.pid} on .*since 20"
    with pytest.raises(DaamkitError, match=held):
        run(study, out)
    assert len(runner.table(out)) > 0  # to look is allowed
    process.join(60)
    assert process.exitcode == 0  # nobody dies
    assert_same(runner.table(out), run(Stub(n=60)))
    assert not [*out.glob(".*")]


def test_two_threads_in_one_folder(tmp_path) -> None:
    study, told = Stub(n=40, pause=0.05), []

    def go() -> None:
        try:
            told.append(run(study, tmp_path / "out"))
        except DaamkitError as error:
            told.append(error)

    threads = [threading.Thread(target=go) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    frames = [each for each in told if isinstance(each, pd.DataFrame)]
    assert len(frames) == 1 and len(told) == 3
    assert all(isinstance(each, HeldError) for each in told if each is not frames[0])


@pytest.mark.parametrize("name", [".daamkit.lock", ".lock"])  # and what it was called before
def test_a_lock_of_a_run_that_was_killed_holds_nobody_up(tmp_path, whole, name) -> None:
    for _ in range(2):  # a new folder, and a finished one
        (tmp_path / name).write_text('{"process": 1, "machine": "gone", "since": "2020"}')
        assert_same(run(Stub(), tmp_path), whole)
    assert not (tmp_path / ".daamkit.lock").exists()


def test_the_lock_of_another_program_stays(folder, tmp_path, whole) -> None:
    other = folder / ".lock"
    other.write_text("of another program, pid 4711")
    assert_same(run(Stub(), folder), whole)
    assert other.read_text() == "of another program, pid 4711"
    (tmp_path / "new").mkdir()
    other.rename(tmp_path / "new" / ".lock")
    with pytest.raises(DaamkitError, match="got something else"):
        run(Stub(), tmp_path / "new")
    assert contents(tmp_path / "new") == {".lock": b"of another program, pid 4711"}


@pytest.mark.skipif(os.geteuid() != 0, reason="users are changed by root alone")
def test_a_folder_that_another_user_holds_is_held(processes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        told, others = [], []
        for user in (4001, 4002):
            here, there = processes.Pipe()
            others.append(processes.Process(target=stub_study.hold, args=(folder, user, there)))
            others[-1].start()
            assert here.poll(60)
            told.append((here.recv(), here))
        assert told[0][0] == "in" and re.search(f"got process {others[0].pid} on", told[1][0])
        for _, here in told:
            here.send("enough")
        for each in others:
            each.join(60)
        assert not [*folder.iterdir()]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_is_full_or_read_only_is_told(tmp_path, monkeypatch, number) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DaamkitError, match=f"a folder to write to.*{os.strerror(number)}"):
        run(Stub(), tmp_path / "out")
    assert not [*(tmp_path / "out").iterdir()]


def test_read_wants_a_study_with_rows(tmp_path, monkeypatch) -> None:
    with pytest.raises(DaamkitError, match="no such folder"):
        runner.table(tmp_path / "nowhere")
    with pytest.raises(DaamkitError, match="something else"):
        runner.table(tmp_path)
    with pytest.raises(ValueError):
        run(Stub(), tmp_path / "out", pipe=Pipe(trap=0))
    with pytest.raises(DaamkitError, match=re.escape(str(tmp_path / "out"))):
        runner.table(tmp_path / "out")


# -- folders of others


@pytest.mark.parametrize(
    ("study", "options", "wanted", "got"),
    [
        (Other(), {}, "study 'other'", "study 'stub'"),
        (Stub(seed=1), {}, "seed 1", "seed 0"),
        (Stub(n=12), {}, "n 12", "n 11"),
        (Stub(steps=3), {}, "steps 3", "steps 25"),
        (Stub(guidance=2.0), {}, "guidance 2.0", "guidance None"),
        (Stub(model="another"), {}, "model 'another'", "model 'toybox'"),
        (Stub(dtype="bfloat16"), {}, "dtype 'bfloat16'", "dtype 'float32'"),
        (Stub(), {"batch_size": 3}, "batch_size 3", "batch_size 2"),
        (Stub(), {"threads": 2}, "threads 2", "threads 1"),
    ],
)
def test_a_folder_of_something_else_is_refused(folder, study, options, wanted, got) -> None:
    before, pipe = contents(folder), Pipe()
    with pytest.raises(DaamkitError) as refused:
        run(study, folder, pipe=pipe, **options)
    assert str(folder) in refused.value.wanted and wanted in refused.value.wanted
    assert got in refused.value.got
    assert contents(folder) == before and pipe.cases == []


def test_a_changed_file_of_prompts_is_refused(folder, monkeypatch) -> None:
    before = contents(folder)
    monkeypatch.setattr(Stub, "cases", lambda self: [{"prompt": "new", "seed": 0}] * 11)
    with pytest.raises(DaamkitError, match="earlier run of the same study"):
        run(Stub(), folder)
    assert contents(folder) == before


@pytest.mark.parametrize(
    "files",
    [
        {"notes.txt": "mine"},
        {".hidden": "mine"},
        {"cases-0000000.parquet": "mine", ".cases-0000002.parquet.part": "mine"},
        {"study.json": ""},
        {"study.json": '{"format": "daamkit.st'},
        {"study.json": "[1, 2]", "notes.txt": "mine"},
        {"study.json": '{"format": "another"}'},
    ],
)
def test_a_folder_of_no_study_is_refused_and_left_alone(tmp_path, files) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    before = contents(tmp_path)
    with pytest.raises(DaamkitError, match=re.escape(str(tmp_path))):
        run(Stub(), tmp_path)
    assert contents(tmp_path) == before


def test_a_file_in_place_of_a_folder_is_refused(tmp_path) -> None:
    file = tmp_path / "out"
    file.write_text("mine")
    for attempt in (lambda: run(Stub(), file), lambda: runner.table(file)):
        with pytest.raises(DaamkitError, match=re.escape(str(file))):
            attempt()
    assert file.read_text() == "mine"


def test_files_of_others_in_a_folder_of_ours_stay(folder, whole) -> None:
    others = {"notes.txt": b"mine", "stub.csv": b"1,2", ".film.part": b"half", "a/b.txt": b"c"}
    for name, content in others.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    shards(folder)[2].unlink()
    assert_same(run(Stub(), folder), whole)
    assert others.items() <= contents(folder).items()


def test_a_mistake_in_the_settings_does_not_take_the_folder(tmp_path, whole) -> None:
    with pytest.raises(DaamkitError, match="'nowhere'"):
        run(Stub(model="nowhere"), tmp_path / "out", pipe=None)
    assert_same(run(Stub(), tmp_path / "out"), whole)


# -- another model


def test_another_model_does_not_go_on(folder, whole) -> None:
    shards(folder)[3].unlink()
    before = contents(folder)
    with pytest.raises(DaamkitError, match="fingerprint.*one.*two"):
        run(Stub(), folder, pipe=Pipe("two"))
    assert contents(folder) == before
    assert_same(run(Stub(), folder), whole)


def test_shards_of_two_models_are_not_mixed(folder, tmp_path) -> None:
    run(Stub(), tmp_path / "two", pipe=Pipe("two"))
    shutil.copy(shards(tmp_path / "two")[1], shards(folder)[1])
    before = contents(folder)
    with pytest.raises(DaamkitError, match="fingerprint.*one.*two"):
        run(Stub(), folder)
    assert contents(folder) == before


def test_a_real_model_is_told_from_another(tmp_path, toybox, sd) -> None:
    study = Relations(n=3, steps=1)
    found = run(study, tmp_path, pipe=toybox)
    last = shards(tmp_path)[-1]
    last.unlink()
    with pytest.raises(DaamkitError, match="fingerprint"):
        run(study, tmp_path, pipe=sd)
    assert not last.exists()
    assert_same(run(study, tmp_path, pipe=toybox), found)


def test_rows_of_other_instruments_are_not_mixed(folder, whole, monkeypatch) -> None:
    shards(folder)[3].unlink()
    with pytest.raises(DaamkitError, match="instruments"), monkeypatch.context() as patch:
        patch.setattr(Stub, "instruments", lambda study: {"oracle": "another"})
        run(Stub(), folder)
    assert_same(run(Stub(), folder), whole)


def test_what_was_learned_of_a_model_is_an_instrument(tmp_path, monkeypatch) -> None:
    data, path = tmp_path / "data", resources.path
    monkeypatch.setattr(resources, "path", lambda *parts: data.joinpath(*parts))
    (data / "reliability").mkdir(parents=True)
    assert instruments.learned("reliability", "toybox") == "none"
    for name, text in (("toybox", "one"), ("toybox-2", "two")):
        (data / "reliability" / f"{name}.json").write_text(text)
    one, two = (instruments.learned("reliability", each) for each in ("toybox", "/at/toybox-2"))
    assert len({one, two, "none"}) == 3
    (data / "reliability" / "toybox.steps.json").write_text("three")
    assert instruments.learned("reliability", "toybox").split()[0] == one  # now with another beside
    assert len(instruments.learned("reliability", "toybox").split()) == 2
    assert instruments.learned("reliability", "toybox-2") == two
    monkeypatch.setattr(resources, "path", path)
    known = [AttributionStudy(methods=each).instruments() for each in (("daam",), ("paper",))]
    assert [each["methods"] for each in known] == ["daam", "paper"]
    assert known[0]["lessons"] == known[1]["lessons"] and len(known[0]["oracle"]) == 16


def test_who_is_not_asked_is_no_instrument() -> None:
    """Of drawn scenes the masks are known; what sees distances is of world 1."""
    one, two = (Faithfulness(world=world).instruments() for world in (1, 2))
    assert (
        "oracle" not in one
        and one["perceptual"] == two["perceptual"] == instruments.oracle(1)["oracle"]
    )
    assert "oracle" not in Interventions(world=2).instruments()


# -- exceptions


@pytest.mark.parametrize("error", [ValueError("no such picture"), KeyboardInterrupt()])
def test_what_is_finished_survives_an_exception(tmp_path, whole, error) -> None:
    before = torch.get_num_threads()
    pipe = Pipe(trap=5, error=error)
    with pytest.raises(type(error)):
        run(Stub(), tmp_path, pipe=pipe, threads=before + 1)
    assert pipe.threads == {before + 1} and torch.get_num_threads() == before
    done = contents(tmp_path)
    assert [p.name for p in shards(tmp_path)] == ["cases-0000000.parquet", "cases-0000002.parquet"]
    assert not [*tmp_path.glob(".*")]
    pipe = Pipe()
    assert_same(run(Stub(), tmp_path, pipe=pipe, threads=before + 1), whole)
    assert torch.get_num_threads() == before
    assert pipe.cases == [*range(4, 11)] and pipe.threads == {before + 1}
    assert done.items() <= contents(tmp_path).items()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_loses_one_batch(tmp_path, whole, monkeypatch, error) -> None:
    before, synced = torch.get_num_threads(), []

    def full(number: int) -> None:
        synced.append(number)
        if len(synced) == 4:
            raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(type(error)) as held:
            run(Stub(), tmp_path, threads=before + 1)
    assert torch.get_num_threads() == before, held  # also while the exception is looked at
    assert len(shards(tmp_path)) == 2
    pipe = Pipe()
    assert_same(run(Stub(), tmp_path, pipe=pipe, threads=before + 1), whole)
    assert pipe.cases == [*range(4, 11)]


def test_threads_are_those_of_the_folder_or_of_torch(tmp_path, whole) -> None:
    number = torch.get_num_threads()
    run(Stub(), tmp_path, pipe=(pipe := Pipe()), threads=None)
    assert pipe.threads == {number}
    torch.set_num_threads(number + 1)
    try:
        assert_same(run(Stub(), tmp_path, threads=None), whole)  # begun with others: gone on with
        shards(tmp_path)[0].unlink()
        run(Stub(), tmp_path, pipe=(pipe := Pipe()), threads=None)
        assert pipe.threads == {number}
        with pytest.raises(DaamkitError, match=f"threads {number + 1}; got threads {number}"):
            run(Stub(), tmp_path, threads=number + 1)
    finally:
        torch.set_num_threads(number)


# -- ray


def ray_processes() -> set[str]:
    """Numbers of processes that belong to Ray."""
    told = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
    lines = [line.split(None, 1) for line in told.stdout.splitlines()]
    return {line[0] for line in lines if re.search(r"ray::|raylet|gcs_server|/ray/", line[-1])}


@pytest.fixture
def own_ray(monkeypatch):
    """Ray that is started by the runner, and gone after it."""
    ray = pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    before, started = ray_processes(), []
    init = ray.init
    monkeypatch.setattr(ray, "init", lambda **options: started.append(init(**options)))
    assert not ray.is_initialized()
    yield
    assert len(started) == 1 and not ray.is_initialized()
    latest = time.monotonic() + 20
    while ray_processes() - before and time.monotonic() < latest:
        time.sleep(0.1)
    assert not ray_processes() - before


def test_two_workers_of_ray_find_the_same_rows(own_ray, tmp_path, toybox) -> None:
    study = Relations(n=8, steps=2, device="cpu")
    alone = run(study, pipe=toybox)
    assert_same(run(study, tmp_path, engine="ray", workers=2), alone)
    assert_same(runner.table(tmp_path), alone)
    assert len(shards(tmp_path)) == 4
    for shard in shards(tmp_path)[1:3]:
        shard.unlink()
    assert_same(run(study, tmp_path, pipe=toybox), alone)  # here, what a cluster has begun


def test_an_exception_in_a_worker_is_readable(own_ray, tmp_path) -> None:
    study = Relations(n=2, steps=1, device="cpu", model="nothing")
    with pytest.raises(DaamkitError, match="^wanted the name of a model; got 'nothing'.*toybox"):
        run(study, tmp_path, engine="ray", workers=1)
    assert not shards(tmp_path)


def test_a_worker_that_is_killed_for_the_third_time_is_told(tmp_path, whole, monkeypatch) -> None:
    """Ray has begun it again twice; what was done by then is kept."""
    ray, util = ModuleType("ray"), ModuleType("ray.util")
    names = ("RayTaskError", "RayActorError", "WorkerCrashedError")
    ray.exceptions = SimpleNamespace(**{name: type(name, (Exception,), {}) for name in names})
    ray.is_initialized, ray.cluster_resources = (lambda: True), dict
    actor = SimpleNamespace(remote=lambda study, threads: study)
    ray.remote = lambda **options: lambda kind: actor

    class Pool:
        def __init__(self, workers):
            (self.study,) = workers

        def map_unordered(self, work, items):
            session = Session(self.study, Pipe())
            for start, batch in items[:2]:
                yield start, runner._measure(self.study, session, start, batch)
            raise ray.exceptions.RayActorError(
                "The actor died unexpectedly.\n\tclass_name: _Worker"
            )

    util.ActorPool = Pool
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.util", util)
    told = r"one that was ended for the third time \(The actor died unexpectedly\.\)"
    with pytest.raises(DaamkitError, match=told):
        run(Stub(), tmp_path, engine="ray", workers=1, pipe=None)
    assert len(shards(tmp_path)) == 2
    assert_same(run(Stub(), tmp_path), whole)


def test_without_ray_the_error_says_how_to_get_it(monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DaamkitError, match=re.escape("pip install 'daamkit[ray]'")):
        run(Relations(n=2), tmp_path, engine="ray")


def test_an_open_pipeline_does_not_go_to_ray(tmp_path) -> None:
    with pytest.raises(DaamkitError, match="'ray' with an open pipeline"):
        run(Stub(), tmp_path / "out", engine="ray", pipe=Pipe())
    assert not (tmp_path / "out").exists()


# -- the command line


def study(out: Path, *arguments: str) -> int:
    return cli.main(
        ["study", "relations", "--out", str(out), "--steps", "1", "--batch-size", "2"]
        + ["--threads", "1", *arguments]
    )


def test_the_command_writes_shards_tables_and_a_plot(tmp_path, capfd, monkeypatch) -> None:
    assert study(tmp_path / "out", "--n", "4") == 0
    printed = capfd.readouterr()
    assert "miou" in printed.out and "all edges" in printed.out and "dominance" in printed.out
    assert "4/4" in printed.err
    made = contents(tmp_path / "out")
    assert made.keys() == {
        ".daamkit.json",
        "cases-0000000.parquet",
        "cases-0000002.parquet",
        "relations.csv",
        "relations.png",
        "study.json",
        "survives.csv",
        "sweep.csv",
    }
    assert made["relations.png"].startswith(b"\x89PNG")
    table = pd.read_csv(tmp_path / "out" / "relations.csv")
    assert {"relation", "pairs", "miou", "miou_low", "dominance_high"} <= {*table.columns}
    monkeypatch.setattr(runner, "Session", None)  # nothing is left to measure
    assert study(tmp_path / "out", "--n", "4") == 0
    assert capfd.readouterr().out == printed.out
    again = contents(tmp_path / "out")
    assert {k: v for k, v in again.items() if k[-3:] not in ("png", "son")} == {
        k: v for k, v in made.items() if k[-3:] not in ("png", "son")
    }


# -- tables


def test_tables_are_written_over_our_own_and_no_others(folder, whole) -> None:
    for n in (3, 5):  # anew, and again with others
        Stub().write(whole.head(n), folder)
        assert len(pd.read_csv(folder / "rows.csv")) == n
    table = folder / "rows.csv"
    table.write_text("mine")
    before = contents(folder)
    with pytest.raises(DaamkitError, match=r"stub study's, or were changed: rows\.csv"):
        Stub().write(whole, folder)
    assert contents(folder) == before


def test_tables_are_not_written_through_a_link(folder, tmp_path, whole) -> None:
    Stub().write(whole, folder)
    other, table = tmp_path / "paper.csv", folder / "rows.csv"
    other.write_text("mine")
    table.unlink()
    table.symlink_to(other)
    with pytest.raises(DaamkitError, match=r"rows\.csv"):
        Stub().write(whole, folder)
    assert other.read_text() == "mine" and table.is_symlink()


def test_tables_of_another_folder_are_left_alone(tmp_path, whole) -> None:
    (tmp_path / "rows.csv").write_text("mine")
    with pytest.raises(DaamkitError, match=r"rows\.csv"):
        Stub().write(whole, tmp_path)
    with pytest.raises(DaamkitError, match="got no folder"):
        Stub().write(whole, tmp_path / "rows.csv")
    assert contents(tmp_path) == {"rows.csv": b"mine"}


def prompts(name: str, text: str) -> Callable[[Path], list[str]]:
    """Arguments that name a file of prompts."""

    def write(folder: Path) -> list[str]:
        (folder / name).write_text(text)
        return ["--n", "2", "--prompts", str(folder / name)]

    return write


def taken(folder: Path) -> list[str]:
    """Arguments that name the folder of another study."""
    run(Stub(), folder / "out")
    return ["--n", "2"]


MISTAKES: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "no case": (lambda _: ["--n", "0"], r"n=0"),
    "batches of none": (lambda _: ["--n", "2", "--batch-size", "0"], r"batch_size=0"),
    "another study": (taken, r"out: study 'relations'; got study 'stub'"),
    "no column": (prompts("a.csv", "text\na cat\n"), r"column 'prompt' in .*a.csv; got 'text'"),
    "empty text": (prompts("a.txt", ""), r"prompts in .*a.txt; got an empty file"),
    "empty table": (prompts("a.csv", ""), r"prompts in .*a.csv; got an empty file"),
    "no file": (lambda _: ["--prompts", "nowhere.txt"], r"nowhere.txt; got No such file"),
    "no word": (prompts("a.txt", "...\na cat\n"), r"prompts? with words.*'\.\.\.'"),
    "nothing to relate": (prompts("a.txt", "cat\ndog\n"), r"prompts"),
    "no parser": (lambda _: ["--n", "2", "--parser", "no_parser"], r"pipeline 'no_parser'.*spacy"),
    "no model": (lambda _: ["--n", "2", "--model", "nothing"], r"name of a model; got 'nothing'"),
    "no precision": (lambda _: ["--n", "2", "--dtype", "float9"], r"float9"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_line(tmp_path, capfd, mistake) -> None:
    arguments, message = MISTAKES[mistake]
    given = arguments(tmp_path)
    before = contents(tmp_path)
    assert study(tmp_path / "out", *given) == 2
    printed = capfd.readouterr()
    assert printed.out == "" and "Traceback" not in printed.err
    assert re.search(f"^daamkit: .*{message}.*$", printed.err, re.MULTILINE)
    assert before.items() <= contents(tmp_path).items()


def test_an_unknown_study_is_told_with_those_there_are(tmp_path, capsys) -> None:
    assert cli.main(["study", "nothing", "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "nothing" in told and "relations" in told
    assert not (tmp_path / "out").exists()
