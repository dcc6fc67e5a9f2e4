"""The card of models of world 2, on models and an oracle that know nothing yet."""

import json

import pandas as pd
import pytest
from safetensors.torch import save_file

from daamkit import cli
from daamkit.errors import DaamkitError
from daamkit.studies import card, drawing, prompts
from daamkit.studies.prompts import PromptCase
from daamkit.toybox import claims, heldout, oracle
from daamkit.toybox.clauses import VERBS
from daamkit.toybox.sprites import EVERYTHING
from daamkit.toybox.training import latents, loop
from tests import tiny


def test_every_group_has_a_prompt_for_every_seed() -> None:
    cases = card.asked(range(30, 50))
    groups = {(case.kind, composition) for composition, case in cases}
    assert len(groups) == 7 + 2 * (1 + 4 + 3 + 1) and len(cases) == 20 * len(groups)
    for composition, case in cases:
        assert composition == "single" or prompts.held_out(case.claims) == (
            composition == "held-out"
        )
        names = [thing.name for thing in case.claims.things]
        two = 2 if case.kind in (*card.SIDES, "verb") else 1
        assert len(names) == card.SEVERAL.get(case.kind, two)
        assert set(names) <= set(EVERYTHING)
        if case.kind in card.SEVERAL and composition == "seen":
            assert not heldout.is_held_out(names)
    assert card.asked(range(30, 50)) == cases != card.asked(range(31, 51))


def test_who_does_what_is_held_out_by_the_role_alone() -> None:
    acts = [
        (held, case.claims.things) for held, case in card.asked(range(40)) if case.kind == "verb"
    ]
    assert {target.relation for _, (_, target) in acts} == set(VERBS)
    for composition, (actor, target) in acts:
        assert not heldout.is_held_out([actor.name, target.name])
        roles = {(target.relation, "subject", actor.name), (target.relation, "object", target.name)}
        assert bool(roles & heldout.roles) == (composition == "held-out")


def test_what_else_is_asked() -> None:
    said: dict[str, list[PromptCase]] = {}
    for _, case in card.asked(range(30)):
        said.setdefault(case.kind, []).append(case)
    things = {kind: [case.claims.things[0] for case in own] for kind, own in said.items()}
    assert {thing.count for thing in things["count"]} == {2, 3, 4, 5}
    assert {thing.size for thing in things["very"]} == {"very small", "very big"}
    assert {thing.manner for thing in things["half hidden"]} == {"half hidden"}
    assert {thing.manner for thing in things["brightly coloured"]} == {"brightly coloured"}
    assert all(len(case.claims.absent) == 1 for case in said["without"])


def test_how_long_what_is_very_small_or_very_big_may_be() -> None:
    def right(text: str, length: int) -> list[float]:
        seen = {"kind": "thing", "name": "cat", "colour": "own", "area": 400, "left": 10, "top": 20}
        reading = pd.DataFrame([seen | {"right": 10 + length, "bottom": 25}])
        rows = drawing.check(PromptCase("very", claims.parse(text), 0), reading)
        return [row["value"] for row in rows if row["measure"] == "length"]

    assert [right("a very small cat", length) for length in (30, 50)] == [[1], [0]]
    assert [right("a very big cat", length) for length in (70, 100)] == [[0], [1]]
    assert right("a small cat", 30) == right("a very small dog", 30) == []


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    file = tmp_path_factory.mktemp("oracle") / "oracle-2.safetensors"
    weights = {name: 0 * value for name, value in oracle.Oracle(2).state_dict().items()}
    save_file(weights, file)  # it sees nothing anywhere
    return file


def test_the_command_writes_models_side_by_side(reader, tmp_path, capsys, monkeypatch) -> None:
    models = {"one": tiny.sd(0), "other": tiny.sd(1)}
    monkeypatch.setattr("daamkit.load", models.get)
    told = ["--model", *models, "--oracle", str(reader), "--out", str(tmp_path), "--steps", "1"]
    told += ["--world", "2", "--seeds", "0:2", "--batch", "36", "--scenes", "4"]
    assert cli.main(["toybox", "evaluate", *told]) == 0
    text = (tmp_path / "card.md").read_text()
    assert capsys.readouterr().out.strip() == text.strip()
    assert "| group | composition | measure | one | other |" in text
    written = json.loads((tmp_path / "card.json").read_text())["models"]
    assert set(written) == {"one", "other"}
    named = ("group", "composition", "measure")
    rows = {tuple(row[name] for name in named): row for row in written["one"]["card"]}
    for measured in (("thing", "present"), ("place", "place"), ("half hidden", "present")):
        row = rows[measured[0], "single", measured[1]]
        assert 0 <= row["low"] <= row["mean"] <= row["high"] <= 1 and row["n"] == 2
        assert row["mean"] == 0 < row["high"]  # a share of none has a width too
    assert rows["thing", "single", "extra"]["mean"] == 0
    assert rows["without", "single", "absent"]["mean"] == 1
    for group in card.SEVERAL:
        assert {rows[group, each, "all_present"]["n"] for each in ("seen", "held-out")} == {2}
    failures = written["one"]["failures"]
    assert failures["thing"] and failures["place"] and failures["coloured"] == []  # none is there
    assert "| samples seen in training |  |  |" in text and "| things missing in most" in text
    oracles = json.loads((tmp_path / "card.json").read_text())["oracle"]
    assert oracles["scenes"] == 4 and "The oracle, on 4 drawn scenes" in text
    parts = (models["one"].unet, models["one"].vae, models["one"].text_encoder)
    counts = [each.numel() for part in parts for each in part.parameters()]
    assert written["one"]["parameters"] == sum(counts)


def test_what_a_model_has_learned_from_is_told_beside_it(tmp_path) -> None:
    assert card.learned(str(tmp_path)) == card.learned("nowhere") == {}
    loop.tell_how_far(tmp_path, 640, 1000, 320)
    assert card.learned(str(tmp_path)) == {"seen": 640, "scenes": 320}
    assert loop.how_far(tmp_path) == 640
    (tmp_path / "latents-000.safetensors").touch()
    assert latents.count(tmp_path) == 1600


def test_what_is_missing_is_told(capsys) -> None:
    with pytest.raises(DaamkitError, match=r"world 2; got no file nowhere.*--world 2"):
        oracle.trained(2, "nowhere")
    several = ["toybox", "evaluate", "--model", "toybox", "toybox-flux"]
    assert cli.main(several) == 2 and "--world 2" in capsys.readouterr().err


@pytest.fixture
def evaluate(monkeypatch):
    """The command with a card that costs nothing; what was evaluated."""
    times: list[int] = []

    def evaluated(*_):
        times.append(1)
        return pd.DataFrame({"n": [len(times)]}), {"seen": 1}

    monkeypatch.setattr(oracle, "trained", lambda *_: None)
    monkeypatch.setattr(card, "evaluate", evaluated)
    monkeypatch.setattr(card, "markdown", lambda *_: f"the card, {len(times)}")
    monkeypatch.setattr("daamkit.load", lambda _: tiny.sd(0))
    told = ["toybox", "evaluate", "--world", "2", "--model", "toybox-2", "--seeds", "0:2"]
    return lambda out: (cli.main([*told, "--scenes", "0", "--out", str(out)]), len(times))


@pytest.mark.parametrize("name", ["card.json", "card.md"])
def test_somebody_elses_card_is_refused_before_anything_is_drawn(
    evaluate, tmp_path, capsys, name
) -> None:
    (tmp_path / name).write_text("mine")
    assert evaluate(tmp_path) == (2, 0) and name in capsys.readouterr().err
    assert evaluate(tmp_path / name) == (2, 0)  # no folder
    assert [file.read_text() for file in tmp_path.iterdir()] == ["mine"]


def test_our_own_card_is_written_anew_beside_the_files_of_others(evaluate, tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for time in (1, 2):
        assert evaluate(tmp_path / "new") == (0, time)
        assert (tmp_path / "new" / "card.md").read_text() == f"the card, {time}"
        models = json.loads((tmp_path / "new" / "card.json").read_text())["models"]
        assert models["toybox-2"]["card"] == [{"n": time}]
    assert evaluate(tmp_path) == (0, 3) and (tmp_path / "notes.txt").read_text() == "mine"


def test_what_cannot_be_written_is_printed_all_the_same(
    evaluate, tmp_path, capsys, monkeypatch
) -> None:
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert evaluate(tmp_path)[0] == 2
    printed = capsys.readouterr()
    assert printed.out == "the card, 1\n" and "No space left" in printed.err
    assert not [*tmp_path.iterdir()]
