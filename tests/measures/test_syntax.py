"""Maps of heads and dependents: known overlaps on maps painted by hand, and a real run."""

import inspect
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

import daamkit
from daamkit.errors import DaamkitError
from daamkit.language import parsing
from daamkit.language.parsing import Pair
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.layers import Layer
from daamkit.maps.run import Run
from daamkit.maps.words import WordError
from daamkit.measures import syntax
from daamkit.measures.syntax import Cut
from daamkit.views import plots
from tests.clip import prompt as read
from tests.views.runs import made

SIDE = 64
CUTS: list[Cut] = [("max", 0.3), ("minmax", 0.5), ("quantile", 0.8), ("absolute", 0.6)]
CUTS += [("otsu", 0.0), ("soft", 0.0)]


def maps(text: str, painted: dict[str | int, np.ndarray]) -> HeatMaps:
    """Maps of a prompt; words are given by their text or by the character they begin with."""
    prompt = read(text)
    values = torch.zeros(1, prompt.columns, SIDE, SIDE)
    for name, picture in painted.items():
        found = prompt.word(name, "all") if isinstance(name, str) else prompt.span(name, name + 1)
        values[0, list(found.columns)] = torch.from_numpy(picture).float()
    layer = Layer("up", ("up",), "up", 1, values)
    return HeatMaps(prompt, {"up": layer}, frozenset({"site", "head"}), 1, (SIDE, SIDE))


def box(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    picture = np.zeros((SIDE, SIDE), np.float32)
    picture[top:bottom, left:right] = 1
    return picture


def random_maps(text: str, seed: int = 0) -> HeatMaps:
    rng = np.random.default_rng(seed)
    prompt = read(text)
    starts = [token.start for token in prompt.tokens if not token.special]
    return maps(text, {start: rng.random((SIDE, SIDE), np.float32) for start in starts})


def overlaps(heat: HeatMaps, cuts: Sequence[Cut]) -> list[dict]:
    return syntax.overlaps(heat, parsing.parse(heat.prompt.text).edges(), cuts)


def test_a_collar_on_a_dog() -> None:
    dog, red = box(10, 40, 10, 40), box(5, 20, 20, 40)  # 900 pixels and 300, 200 of them shared
    row = overlaps(maps("red dog", {"dog": dog, "red": red}), [("max", 0.4)])[0]
    assert (row["head"], row["dependent"], row["relation"]) == ("dog", "red", "amod")
    assert (row["head_pos"], row["dependent_pos"]) == ("NOUN", "ADJ")
    assert (row["head_start"], row["dependent_start"]) == (4, 0)
    assert row["iou"] == pytest.approx(200 / 1000)
    assert row["iod"] == pytest.approx(200 / 300)
    assert row["ioh"] == pytest.approx(200 / 900)


def test_a_word_of_several_tokens_is_one_word() -> None:
    text = "three elephants"
    assert len(read(text).word("elephants").columns) > 1
    painted = {"three": box(0, 20, 0, 20), "elephants": box(0, 20, 10, 40)}
    row = overlaps(maps(text, painted), [("max", 0.4)])[0]
    assert (row["head"], row["iod"], row["ioh"]) == ("elephants", 0.5, pytest.approx(1 / 3))


def test_soft_maps_are_not_cut() -> None:
    dog, red = box(0, 20, 0, 20), box(0, 20, 0, 10)
    dog[:, :10] /= 2
    row = overlaps(maps("red dog", {"dog": dog, "red": red}), [("soft", 0.0)])[0]
    # the dog: 200 pixels of 1/2 and 200 of 1; red: 200 of 1, on the dog's half ones
    assert row["iou"] == pytest.approx(100 / (300 + 200 - 100), abs=1e-6)
    assert row["iod"] == pytest.approx(100 / 200, abs=1e-6)
    assert row["ioh"] == pytest.approx(100 / 300, abs=1e-6)


def test_every_pair_has_a_row_a_cut_in_their_order() -> None:
    heat = random_maps("a red cat next to a blue car")
    edges = parsing.parse(heat.prompt.text).edges()
    rows = syntax.overlaps(heat, edges, CUTS)
    assert [(row["rule"], row["tau"]) for row in rows] == CUTS * len(edges)
    assert [row["dependent"] for row in rows[:: len(CUTS)]] == [p.dependent.text for p in edges]
    one = [row for cut in CUTS for row in syntax.overlaps(heat, edges[:1], [cut])]
    assert rows[: len(CUTS)] == one
    assert syntax.overlaps(heat, edges, []) == syntax.overlaps(heat, [], CUTS) == []


def test_head_and_dependent_swap_their_shares() -> None:
    heat = random_maps("a red cat next to a blue car", seed=1)
    edges = parsing.parse(heat.prompt.text).edges()
    swapped = [Pair(pair.dependent, pair.head, pair.relation) for pair in edges]
    rows = zip(
        syntax.overlaps(heat, edges, CUTS), syntax.overlaps(heat, swapped, CUTS), strict=True
    )
    for one, other in rows:
        assert (one["iou"], one["iod"], one["ioh"]) == (other["iou"], other["ioh"], other["iod"])
        assert 0 <= one["iou"] <= min(one["iod"], one["ioh"]) <= 1


def test_words_that_stand_twice_have_their_own_maps() -> None:
    text = "a cat and a cat"
    painted = {2: box(0, 20, 0, 20), 12: box(10, 30, 0, 20)}
    rows = syntax.relations(Run(None, {"cond": maps(text, painted)}))
    row = rows[rows["relation"] == "conj:and"].iloc[0]
    assert (row["head_start"], row["dependent_start"]) == (2, 12)
    assert (row["iod"], row["ioh"], row["iou"]) == (0.5, 0.5, pytest.approx(1 / 3))


def test_a_word_without_a_map_shares_nothing() -> None:
    rows = syntax.relations(Run(None, {"cond": maps("red dog", {"dog": box(0, 9, 0, 9)})}))
    assert rows[["iou", "iod", "ioh"]].to_numpy().tolist() == [[0, 0, 0]]


def test_punctuation_has_maps() -> None:
    text = "a cat, a dog"
    rows = syntax.relations(Run(None, {"cond": maps(text, {",": box(0, 9, 0, 9)})}))
    mark = rows[rows["dependent"] == ","].iloc[0]
    assert (mark["relation"], mark["dependent_pos"]) == ("punct", "PUNCT")


def test_words_that_share_a_token_are_no_pair() -> None:
    heat = random_maps("cats don't run")
    do, shortened, run = parsing.parse(heat.prompt.text).tokens[1:4]
    assert (do.text, shortened.text, run.text) == ("do", "n't", "run")
    pairs = [Pair(run, do, "aux"), Pair(do, shortened, "unrelated"), Pair(run, shortened, "advmod")]
    rows = syntax.overlaps(heat, pairs, [("max", 0.4)])
    assert [row["relation"] for row in rows] == ["aux", "advmod"]


def test_a_prompt_of_one_word_has_no_pair() -> None:
    rows = syntax.relations(Run(None, {"cond": maps("cat", {})}), others=True)
    assert rows.empty and tuple(rows.columns) == syntax.COLUMNS


def test_pairs_that_the_model_has_not_read_are_left_out_and_counted() -> None:
    text = "a cat and " * 30 + "a red dog"
    heat = random_maps(text)
    frame = syntax.relations(Run(None, {"cond": heat}))
    edges = parsing.parse(text).edges()
    limit = heat.prompt.cuts["text_encoder"]
    unread = [pair for pair in edges if max(pair.head.end, pair.dependent.end) > limit]
    assert frame.attrs["unread"] == len(unread) > 0
    assert len(frame) == len(edges) - len(unread) > 0
    assert frame[["head_start", "dependent_start"]].max().max() < limit
    with pytest.raises(WordError, match="cut at the model's limit of 77 tokens"):
        syntax.overlaps(heat, unread[:1], [("max", 0.4)])
    assert syntax.relations(Run(None, {"cond": random_maps("a red cat")})).attrs["unread"] == 0


def test_cut_pooling_and_parser_are_the_callers() -> None:
    run = Run(None, {"cond": random_maps("a red cat")})
    frame = syntax.relations(run, 0.6, "minmax")
    assert set(zip(frame["rule"], frame["tau"], strict=True)) == {("minmax", 0.6)}
    with pytest.raises(DaamkitError, match="threshold"):
        syntax.relations(run, 1.5)
    with pytest.raises(DaamkitError, match="en_core_web_none"):
        syntax.relations(run, parser="en_core_web_none")


@pytest.fixture(scope="module")
def run(toybox) -> Run:
    with daamkit.trace(toybox) as tracer:
        toybox(
            "a dog wearing its crown, a red cat and a blue car",
            num_inference_steps=2,
            generator=torch.Generator().manual_seed(0),
        )
    return tracer.run


def test_the_relations_of_a_run(run: Run) -> None:
    frame = syntax.relations(run)
    assert tuple(frame.columns) == syntax.COLUMNS
    assert len(frame) == len(parsing.parse(run.prompt).tokens) - 1
    assert {"amod", "det", "conj:and", "nmod:poss", "punct", "cc"} <= set(frame["relation"])
    shares = frame[["iou", "iod", "ioh"]].to_numpy()
    assert ((shares >= 0) & (shares <= 1)).all()
    for row in frame.itertuples():
        assert run.prompt[row.head_start :].startswith(row.head)
        assert run.prompt[row.dependent_start :].startswith(row.dependent)


def test_others_come_after_the_edges(run: Run) -> None:
    edges, both = syntax.relations(run), syntax.relations(run, others=True)
    assert both.iloc[: len(edges)].equals(edges)
    others = both.iloc[len(edges) :]
    assert set(others["relation"]) == {"coreferent", "unrelated"}
    its = others[others["relation"] == "coreferent"].iloc[0]
    assert (its["head"], its["dependent"]) == ("dog", "its")


def test_the_papers_pooling_gives_other_maps(run: Run) -> None:
    assert not syntax.relations(run, pooling="paper").equals(syntax.relations(run))
    assert syntax.relations(run, pooling="daam").equals(syntax.relations(run))


def test_a_run_knows_its_relations(run: Run) -> None:
    import daamkit

    assert daamkit.Run is type(run)  # the face ties it to the run
    assert run.relations(0.5, others=True).equals(syntax.relations(run, 0.5, others=True))


def test_relations_at_several_thresholds_feed_their_own_plots() -> None:
    runs = [made("a red cat on a blue car", seed) for seed in (3, 4)]
    taus = [0.3, 0.5]
    frame = pd.concat([run.relations(taus) for run in runs], ignore_index=True)
    assert frame["tau"].unique().tolist() == taus and frame["seed"].unique().tolist() == [3, 4]
    assert (frame["prompt"] == runs[0].prompt).all()
    for tau in taus:
        alone = pd.concat([run.relations(tau) for run in runs], ignore_index=True)
        assert frame[frame["tau"] == tau].reset_index(drop=True).equals(alone)
        plots.relations(alone)
    plots.sweep(frame)
    plt.close("all")
    one = runs[0].relations("otsu").query("dependent == 'red'").iloc[0]
    head, dependent = (runs[0].maps.word(one[name]) for name in ("head", "dependent"))
    assert one["iou"] == head.iou(dependent, "otsu") and one["ioh"] == head.ioa(dependent, "otsu")
    assert runs[0].relations(rule="soft")["rule"].unique().tolist() == ["soft"]
    with pytest.raises(DaamkitError, match="wanted a threshold; got none"):
        runs[0].relations([])
    assert "threshold" in inspect.signature(Run.relations).parameters
