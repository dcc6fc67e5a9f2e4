"""The inspector's picture: its legend says what is shown, its prompt runs as it is read."""

import pytest

from daamkit.maps.run import Run
from daamkit.views.inspector import Inspector
from daamkit.views.inspector.sheet import Sheet
from tests import pictures
from tests.views.runs import made

PROMPT = "a red cat next to a blue car"


@pytest.fixture(scope="module")
def run() -> Run:
    return pictures.run(PROMPT, keep=("step", "site", "head"))


@pytest.fixture
def pair(run: Run) -> Inspector:
    return Inspector(run, pictures.run(PROMPT, seed=1), names=["one", "other"])


def coloured(sheet: Sheet) -> list[str]:
    return [text for text, hue in sheet.prompt if hue is not None]


def test_words_in_colour_are_named_with_what_opacity_means(pair: Inspector) -> None:
    sheet = pair._sheet()
    assert coloured(sheet) == ["cat", "car"]
    assert sheet.legend == [
        ("cat", 0),
        ("car", 1),
        ("opacity: the word's map, to the strongest word's maximum; threshold 0.400", None),
    ]


def test_a_map_by_itself_colours_no_word(pair: Inspector) -> None:
    pair.word, pair.scale, pair.threshold = "a (2)", "own", 0.25
    sheet = pair._sheet()
    assert not coloured(sheet)
    assert sheet.legend == [("the map of a (2), to its own maximum; threshold 0.250", None)]


@pytest.mark.parametrize(
    ("columns", "told"), [(["one", "other"], True), (["other"], True), (["one"], False)]
)
def test_a_difference_is_told_where_one_is_seen(columns, told, pair: Inspector) -> None:
    pair.difference, pair.columns = True, columns
    assert "red" not in pair._sheet().legend[-1][0]  # two nouns in colour
    pair.pins = ["car"]
    sheet = pair._sheet()
    ((text, _),) = sheet.legend
    assert text.startswith("the map of car, to the strongest word's maximum; ")
    assert ("red: more than in one, blue: less; " in text) == told
    assert not coloured(sheet)


def test_what_narrows_the_view_is_told(pair: Inspector, run: Run) -> None:
    def told() -> str:
        return pair._sheet().legend[-1][0].partition("; ")[2]

    pair.step, pair.region, pair.pixel = 2, (1, 2, 30, 40), (5, 6)
    box = "box 1\N{EN DASH}30, 2\N{EN DASH}40"
    assert told() == f"threshold 0.400; step 3; {box}; pixel 5, 6"
    pair.region = pair.pixel = None
    pair.site = next(name for name in run.maps.layers if name.startswith("up_blocks.1"))
    assert told() == "threshold 0.400; layer up 1.0.0"
    pair.head = 2
    assert told() == "threshold 0.400; head 2 of up 1.0.0"
    other = Inspector(made("a cat"))
    other.site = "up"  # a name that is no path
    assert other._sheet().legend[-1][0].endswith("; layer up")


@pytest.mark.parametrize(
    ("prompt", "right"),
    [
        ("一只 猫 和 一只 狗", False),
        ("חתול אדום וכלב", True),
        ("קט " * 40, True),
        ("a cat \N{DOG FACE} on a bench", False),
        ("3 קט", True),
        ("", False),
    ],
)
def test_prompts_run_as_they_are_read(prompt: str, right: bool, tmp_path) -> None:
    sheet = (inspector := Inspector(made(prompt)))._sheet()
    texts, top, _ = sheet.texts()
    words = texts[: len(prompt.split())]
    assert [each.text for each in words] == prompt.split()
    assert all(each.right == right for each in words)
    lines: dict[float, list[float]] = {}
    for each in words:
        lines.setdefault(each.y, []).append(sheet.width - each.x if right else each.x)
    assert all(xs[0] == 16 and xs == sorted(set(xs)) for xs in lines.values())
    assert (len(lines) > 1) == (len(words) == 40)
    assert top == max([30.0, *lines]) + 14
    assert (' direction="rtl"' in inspector.save(tmp_path / "seen.svg").read_text()) == right


def test_what_is_read_from_the_right_ends_on_the_right() -> None:
    def ink(prompt: str) -> list[int]:
        page = Inspector(made(prompt))._sheet().png().convert("L")
        columns = page.crop((0, 0, page.width, 40)).point(lambda grey: 255 * (grey < 128))
        left, _, end, _ = columns.getbbox()
        return [left, page.width - end]

    left, right = ink("קט")
    assert right < 20 < 400 < left
    left, right = ink("a cat")
    assert left < 20 < 400 < right


def test_a_seed_that_the_name_tells_is_not_said_again() -> None:
    inspector = Inspector(made("a cat", 1), made("a cat", 2))
    texts, _, _ = inspector._sheet().texts()
    said = [text.text for text in texts]
    assert "unguided, seed 1" in said and "unguided, seed 2" in said
    assert not any(text.startswith("seed") for text in said)
    alone = [text.text for text in Inspector(made("a cat", 1))._sheet().texts()[0]]
    assert "unguided" in alone and "seed 1" in alone
