"""The card of models of world 2, on models and an oracle that know nothing yet."""

import json

import pandas as pd
import pytest
from safetensors.torch import save_file

from daamkit import cli
from daamkit.errors import DaamkitError
from daamkit.studies import card, prompts
from daamkit.toybox import heldout, oracle, scenes
from daamkit.toybox.sprites import EVERYTHING
from tests import tiny


def test_every_group_has_a_prompt_for_every_seed() -> None:
    cases = card.asked(range(30, 50))
    groups = {(case.kind, composition) for composition, case in cases}
    assert len(groups) == 2 + 2 * (1 + 4 + 3) and len(cases) == 20 * len(groups)
    for composition, case in cases:
        assert composition == "single" or prompts.held_out(case.claims) == (
            composition == "held-out"
        )
        names = [thing.name for thing in case.claims.things]
        assert len(names) == card.SEVERAL.get(case.kind, 2 if case.kind in card.SIDES else 1)
        assert set(names) <= set(EVERYTHING)
        if case.kind in card.SEVERAL and composition == "seen":
            assert not heldout.is_held_out(names)
    assert card.asked(range(30, 50)) == cases != card.asked(range(31, 51))


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    file = tmp_path_factory.mktemp("oracle") / "oracle-2.safetensors"
    weights = {name: 0 * value for name, value in oracle.Oracle(2).state_dict().items()}
    save_file(weights, file)  # it sees nothing anywhere
    return file


def test_the_command_writes_models_side_by_side(reader, tmp_path, capsys, monkeypatch) -> None:
    models = {"one": tiny.sd(0), "other": tiny.sd(1)}
    monkeypatch.setattr("daamkit.load", models.get)
    monkeypatch.setattr(scenes, "SIDE", 64)
    told = ["--model", *models, "--oracle", str(reader), "--out", str(tmp_path), "--steps", "1"]
    told += ["--world", "2", "--seeds", "0:2", "--batch", "36"]
    assert cli.main(["toybox", "evaluate", *told]) == 0
    text = (tmp_path / "card.md").read_text()
    assert capsys.readouterr().out.strip() == text.strip()
    assert "| group | composition | measure | one | other |" in text
    written = json.loads((tmp_path / "card.json").read_text())["models"]
    assert set(written) == {"one", "other"}
    rows = {(row["group"], row["composition"]): row for row in written["one"]["card"]}
    for group in ("thing", "place"):
        row = rows[group, "single"]
        assert 0 <= row["low"] <= row["mean"] <= row["high"] <= 1 and row["n"] == 2
        assert row["mean"] == 0 < row["high"]  # a share of none has a width too
    for group in card.SEVERAL:
        assert {rows[group, each]["n"] for each in ("seen", "held-out")} == {2}
    parts = (models["one"].unet, models["one"].vae, models["one"].text_encoder)
    counts = [each.numel() for part in parts for each in part.parameters()]
    assert written["one"]["parameters"] == sum(counts)


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
    told = ["toybox", "evaluate", "--world", "2", "--seeds", "0:2", "--out"]
    return lambda out: (cli.main([*told, str(out)]), len(times))


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
        assert models["toybox"]["card"] == [{"n": time}]
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
