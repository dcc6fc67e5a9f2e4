"""A drawn scene shows what it says; a reading that lacks or changes something is found out."""

import numpy as np
import pandas as pd
import pytest

from daamkit.errors import DaamkitError
from daamkit.measures import intervals
from daamkit.studies import drawing, prompts
from daamkit.studies.prompts import PromptCase
from daamkit.toybox import claims, scenes
from daamkit.toybox.scenes import Scene
from daamkit.toybox.sprites import FAMILIES

BOX = ("left", "top", "right", "bottom")


def truth(scene: Scene) -> pd.DataFrame:
    """What a perfect oracle reads."""
    rows = [
        {
            "kind": "thing",
            "name": thing.name,
            "colour": thing.colour or "own",
            "texture": thing.texture or "plain",
            **dict(zip(BOX, thing.box, strict=True)),
            "area": int(mask.sum()),
            "mask": mask,
        }
        for thing, mask in zip(scene.things, scene.masks, strict=True)
    ]
    if scene.place:
        area = int(scene.ground.sum())
        rows.append({"kind": "place", "name": scene.place, "area": area, "mask": scene.ground})
    return pd.DataFrame(rows)


def test_what_is_said_is_found(drawn: list[Scene]) -> None:
    seen: set[str] = set()
    for scene in drawn[:600]:
        case = PromptCase("any", claims.parse(scene.caption), 0)
        for row in drawing.check(case, truth(scene)):
            expected = 0.0 if row["measure"] in ("extra", "neglect") else 1.0
            assert row["value"] == expected, (scene.caption, row)
            seen.add(row["measure"])
    assert seen == {
        "present", "colour", "own_colour", "texture", "count", "relation", "place",
        "all_present", "neglect", "extra",
    }  # fmt: skip


def test_what_world_2_says_is_found() -> None:
    seen: set[str] = set()
    for scene in scenes.sample(400, 77, world=2):
        case = PromptCase("any", claims.parse(scene.caption), 0)
        for row in drawing.check(case, truth(scene)):
            if row["measure"] == "own_colour" and any(thing.colour for thing in scene.things):
                continue  # of two things of one name, one may have the other's colour
            expected = 0.0 if row["measure"] in ("extra", "neglect") else 1.0
            assert row["value"] == expected, (scene.caption, row)
            seen.add(row["measure"])
    assert {"absent", "not_colour", "vivid", "count", "relation"} <= seen


def test_a_thing_that_must_not_be_there_is_found_out() -> None:
    rows = check("a cat without a crown", thing("cat", 0, 0), thing("crown", 80, 40))
    assert value(rows, "absent") == [0] and value(rows, "extra") == [0]
    assert value(check("a cat without a crown", thing("cat", 0, 0)), "absent") == [1]


def test_a_group_may_have_more_and_a_number_may_not() -> None:
    four = [thing("apple", 0, 40 * i) for i in range(4)]
    assert value(check("a group of apples", *four), "count") == [1]
    assert value(check("three apples", *four), "count") == [0]
    assert value(check("a group of apples", *four[:2]), "count") == [0]


def value(rows: list[dict], measure: str) -> list[float]:
    return [row["value"] for row in rows if row["measure"] == measure]


def thing(name: str, left: int, top: int, colour: str = "own") -> dict:
    box = {"left": left, "top": top, "right": left + 40, "bottom": top + 40, "area": 1600}
    looks = {"colour": colour, "texture": "plain"}
    return {"kind": "thing", "name": name, **looks, **box, "mask": np.ones((2, 2), bool)}


def check(prompt: str, *things: dict) -> list[dict]:
    case = PromptCase("any", claims.parse(prompt), 0)
    return drawing.check(case, pd.DataFrame(things, columns=list(thing("cat", 0, 0))))


def test_neglect_is_found() -> None:
    rows = check("a bear and a lion", thing("lion", 0, 40), thing("lion", 80, 40))
    assert value(rows, "present") == [0, 1]
    assert value(rows, "neglect") == [1] and value(rows, "all_present") == [0]
    assert value(check("a cat"), "present") == [0]


def test_a_colour_on_the_wrong_thing_is_found() -> None:
    drawn = thing("cat", 0, 40, "blue"), thing("car", 80, 40, "red")
    assert value(check("a red cat next to a blue car", *drawn), "colour") == [0, 0]
    assert value(check("a blue cat next to a car", *drawn), "colour") == [1]
    assert value(check("a blue cat next to a car", *drawn), "own_colour") == [0]


def test_two_claims_of_one_name_take_two_instances() -> None:
    drawn = thing("cat", 0, 40, "blue"), thing("cat", 80, 40, "red")
    assert value(check("a red cat and a blue cat", *drawn), "colour") == [1, 1]
    rows = check("a red cat and a blue cat", drawn[0])
    assert sorted(value(rows, "present")) == [0, 1]


@pytest.mark.parametrize(
    ("relation", "right", "wrong"),
    [
        ("above", (40, 0), (40, 80)),
        ("below", (40, 80), (40, 0)),
        ("to the left of", (0, 40), (80, 40)),
        ("to the right of", (80, 40), (0, 40)),
        ("next to", (0, 44), (40, 0)),
    ],
)
def test_a_relation_drawn_wrong_is_found(relation: str, right: tuple, wrong: tuple) -> None:
    other = thing("dog", 40, 44)
    assert value(check(f"a cat {relation} a dog", thing("cat", *right), other), "relation") == [1]
    assert value(check(f"a cat {relation} a dog", thing("cat", *wrong), other), "relation") == [0]
    assert value(check(f"a cat {relation} a dog", other), "relation") == []


def test_a_lone_red_cat_is_the_red_one() -> None:
    rows = check("a cat and a red cat", thing("cat", 0, 40, "red"))
    assert value(rows, "present") == [0, 1] and value(rows, "colour") == [1]
    assert value(rows, "own_colour") == []


def test_of_two_red_cats_both_are_asked_for_their_colour() -> None:
    rows = check("two red cats", thing("cat", 0, 40, "red"), thing("cat", 80, 40, "blue"))
    assert sorted(value(rows, "colour")) == [0, 1] and value(rows, "count") == [1]
    assert value(check("two red cats", thing("cat", 0, 40, "red")), "count") == [0]


def test_what_nobody_asked_for_is_extra() -> None:
    drawn = thing("frog", 0, 40), thing("dog", 80, 40), thing("dog", 40, 0)
    assert value(check("a cat and a dog", *drawn), "extra") == [2]
    assert value(check("two dogs", *drawn), "extra") == [1]


def test_next_to_is_as_far_as_the_world_sets_it() -> None:
    scenes_ = [s for s in scenes.sample(1500, seed=3, kind="pair") if s.relation == "next to"]
    assert len(scenes_) > 100
    for scene in scenes_:
        a, b = pd.DataFrame([dict(zip(BOX, t.box, strict=True)) for t in scene.things]).itertuples()
        assert drawing.holds("next to", a, b), scene.caption


def test_summary_counts_values_and_prompts() -> None:
    rows = []
    for prompt, things in {
        "a cat and a dog": [thing("cat", 0, 0)],
        "a cat and a lion": [thing("cat", 0, 0), thing("lion", 80, 0)],
        "a cat and a frog": [thing("cat", 0, 0), thing("frog", 80, 0)],
    }.items():
        rows += check(prompt, *things) * 2  # two seeds
    table = drawing.summary(pd.DataFrame(rows)).set_index("measure")
    assert table.loc["neglect", "mean"] == pytest.approx(1 / 3)
    assert table.loc["neglect", ["n", "prompts"]].tolist() == [6, 3]
    assert 0 < table.loc["neglect", "low"] < 1 / 3 < table.loc["neglect", "high"] < 1


def test_images_of_the_same_things_are_one_cluster_in_whatever_order() -> None:
    rows = []
    for i, name in enumerate(("dog", "lion", "bird", "frog", "horse", "mouse")):
        drawn = [thing("cat", 0, 0)] + [thing(name, 80, 0)] * (i > 2)  # half of the pairs lack one
        rows += check(f"a cat and a {name}", *drawn) + check(f"a {name} and a cat", *drawn)
    frame = pd.DataFrame(rows)
    assert frame["things"].nunique() == 6 < frame["prompt"].nunique() == 12
    told = drawing.summary(frame).set_index("measure").loc["all_present"]
    by_prompt = intervals.means(frame, ["measure"], "value").set_index("measure")
    assert told["high"] - told["low"] > 1.2 * np.ptp(by_prompt.loc["all_present", ["low", "high"]])
    assert drawing.together("a red cat", ["cat"]) == "a red cat"


def test_cases_depend_on_their_seed_alone() -> None:
    both, one = prompts.drawn(range(5, 7)), prompts.drawn([6])
    assert both[len(prompts.KINDS) :] == one
    assert [case.kind for case in one] == list(prompts.KINDS)


def test_cohyponyms_are_of_one_family_and_unrelated_things_of_none() -> None:
    for case in prompts.drawn(range(30)):
        if case.kind in ("cohyponyms", "unrelated"):
            pair = {claim.name for claim in case.claims.things}
            kin = any(pair <= {*family} for family in FAMILIES)
            assert len(pair) == 2 and kin == (case.kind == "cohyponyms")
            assert " a apple" not in f" {case.prompt}" and " a elephant" not in f" {case.prompt}"


def test_prompts_from_a_file(tmp_path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("a cat\n\n a red dog above a bear \n")
    cases = prompts.from_file(file, range(2))
    assert [(case.prompt, case.seed) for case in cases] == [
        ("a cat", 0),
        ("a red dog above a bear", 0),
        ("a cat", 1),
        ("a red dog above a bear", 1),
    ]


@pytest.mark.parametrize("text", ["", "5", "5:", "a:b", "7:7", "9:2", "-1:3"])
def test_bad_seeds(text: str) -> None:
    with pytest.raises(DaamkitError, match="seeds as A:B"):
        prompts.span(text)


def test_bad_files(tmp_path) -> None:
    with pytest.raises(DaamkitError, match="a file of prompts"):
        prompts.from_file(tmp_path / "none.txt", [0])
    empty = tmp_path / "empty.txt"
    empty.write_text("\n \n")
    with pytest.raises(DaamkitError, match="an empty file"):
        prompts.from_file(empty, [0])
    empty.write_text("a unicorn")
    with pytest.raises(DaamkitError, match="'unicorn'"):
        prompts.from_file(empty, [0])
