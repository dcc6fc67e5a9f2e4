"""A thousand spoiled files for all readers together; `benchmarks/fuzz.py` has as many as wanted."""

import pytest

from benchmarks import fuzz


@pytest.mark.parametrize("seed", [0])
def test_spoiled_files_are_refused_or_read_but_nothing_else(seed: int) -> None:
    reports = list(fuzz.fuzz(cases=80, seed=seed))
    assert sum(report.cases for report in reports) >= 1000
    assert {report.reader: report.failures for report in reports if report.failures} == {}
