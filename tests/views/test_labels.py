"""What runs are called: by what tells them apart."""

from daamkit.maps.run import Run
from daamkit.views.labels import differing, made
from tests.views.runs import made as run_of

PLAIN = ("a cat", "seed 1", "unguided", "whole")


def test_they_are_called_by_what_differs() -> None:
    guided, other = ("a cat", "seed 1", "SynGen", "whole"), ("a dog", "seed 1", "SynGen", "stopped")
    assert differing([PLAIN, guided]) == ["unguided", "SynGen"]
    assert differing([guided, other]) == ["a cat, whole", "a dog, stopped"]
    assert differing([PLAIN]) == ["a cat, seed 1, unguided, whole"]
    assert differing([PLAIN, PLAIN]) == [
        "a cat, seed 1, unguided, whole", "a cat, seed 1, unguided, whole (2)",
    ]  # fmt: skip
    assert differing([]) == []


def test_what_a_name_tells_is_not_said_again() -> None:
    plain = run_of("a cat")
    record = {"model": {"name": "toy"}, "guidance": [{"method": "SynGen"}], "seed": {"seed": 1}}
    run = Run(plain.image, plain.branches, record=record)
    assert made(run) == "toy, SynGen, seed 1"
    assert made(run, "SynGen") == "toy, seed 1"
    assert made(run, "a cat, seed 1") == "toy, SynGen"
