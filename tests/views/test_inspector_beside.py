"""Runs that are not alike, side by side: what differs, what is lacking, what is comparable."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daamkit.maps.run import Run
from daamkit.views import fonts
from daamkit.views.facts import facts
from daamkit.views.inspector import Inspector
from daamkit.views.inspector.sheet import wrapped
from daamkit.views.png import data_uri
from tests import pictures
from tests.views.runs import made


def longer(run: Run, times: int = 2) -> Run:
    """The same run in as many times more passes, each with the same attention."""
    layers = {
        name: dataclasses.replace(layer, values=layer.values * times)
        for name, layer in run.maps.layers.items()
    }
    maps = dataclasses.replace(run.maps, layers=layers, steps=times * run.maps.steps)
    return Run(run.image, {"cond": maps}, record=run.record)


def pooled(run: Run, rule: str) -> Run:
    return Run(run.image, {"cond": dataclasses.replace(run.maps, rule=rule)}, record=run.record)


def test_prompts_that_differ_are_told() -> None:
    runs = [made("a red cat"), made("a blue dog")]
    inspector = Inspector(*runs)
    assert list(inspector.runs) == ['unguided, "a red cat"', 'unguided, "a blue dog"']
    named = Inspector(*runs, names=["one", "other"])
    assert [each.made for each in named._sheet().seen] == ["seed 0", '"a blue dog", seed 0']
    assert named._column_1["made"] == '"a blue dog", seed 0'
    assert '"a blue dog", seed 0' in [text.text for text in named._sheet().texts()[0]]
    assert "a blue dog</td>" in facts(named.runs)
    assert "a red cat</td>" not in facts({"one": runs[0], "two": runs[0]})
    beside = Inspector(runs[0])
    beside.append(runs[1])
    assert beside.columns == ["unguided", 'unguided, "a blue dog"']


def test_how_it_was_edited_and_guided_is_told() -> None:
    run = made("a cat", 0, "SynGen")
    guidance = [{"method": "SynGen", "settings": {"scale": 20.0, "layers": None}}]
    edits = [{"edit": "Silence", "settings": {"words": "<cat>", "layers": None}}]
    told = facts(
        {"one": Run(run.image, run.branches, record={"guidance": guidance, "edits": edits})}
    )
    assert "guided by</th><td colspan=1>SynGen(scale=20.0)</td>" in told
    assert "edits</th><td colspan=1>Silence(words=&#x27;&lt;cat&gt;&#x27;)</td>" in told


def test_sums_over_other_passes_are_compared_per_pass() -> None:
    run = made("a cat and a dog")
    inspector = Inspector(run, longer(run, 4), names=["short", "long"])
    short, long = (each.pixels for each in inspector._sheet().seen)
    assert np.array_equal(short, long)
    assert "opacity: the word's map per pass, to" in inspector._sheet().legend[-1][0]
    inspector.word = "cat"
    short, long = (each.pixels for each in inspector._sheet().seen)
    assert np.array_equal(short, long)
    assert "the map of cat per pass, to" in inspector._sheet().legend[-1][0]
    inspector.difference = True
    gap = inspector._sheet().seen[1].pixels
    assert (gap == gap[0, 0]).all()
    peaks = inspector.table("words").query("word == 'cat'")["peak"]
    assert peaks.iloc[1] == pytest.approx(4 * peaks.iloc[0])  # the table has the maps' own sums
    told = facts(inspector.runs)
    assert "peak per pass</th>" in told and "peak value" not in told
    cells = re.search(r"<th scope=row>cat</th>(.*?)</tr>", told)
    (*_, one, other) = re.findall("<td>([^<]*)</td>", cells[1] if cells else "")
    assert one == other == f"{peaks.iloc[0]:.3g}"
    alike = Inspector(run, run, names=["one", "other"])
    assert "peak value</th>" in facts(alike.runs)
    assert "per pass" not in alike._sheet().legend[-1][0]


def test_maps_pooled_otherwise_are_not_compared() -> None:
    run = made("a cat and a dog")
    weak = pooled(longer(run, 1), "daam")
    inspector = Inspector(run, weak, names=["paper", "daam"])
    assert "each pooling has a scale of its own" in inspector._sheet().legend[-1][0]
    assert inspector._sheet().seen[1].made == "seed 0, daam pooling"
    alone = Inspector(weak, names=["daam"])._sheet().seen[0].pixels
    assert np.array_equal(inspector._sheet().seen[1].pixels, alone)
    assert "peak" not in facts(inspector.runs).partition("</table>")[0]
    inspector.pins, inspector.difference = ["cat"], True
    assert inspector._sheet().seen[1].badge == "other pooling: no difference"


def test_a_bare_picture_says_what_it_lacks() -> None:
    inspector = Inspector(made("a cat and a dog"), made("a cat on a car"), names=["one", "other"])

    def badges() -> list[str]:
        return [each.badge for each in inspector._sheet().seen]

    assert badges() == ["", "not in its prompt: dog"]
    inspector.pins = ["a (2)", "cat"]
    assert badges() == ["", ""]
    inspector.word = "dog"
    assert badges() == ["", "not in its prompt"]
    assert "not in its prompt" in [text.text for text in inspector._sheet().texts()[0]]


def test_a_part_that_a_run_has_not_is_said() -> None:
    steps = ("step", "site", "head")
    runs = pictures.run("a cat", steps=3, keep=steps), pictures.run("a cat", steps=2, keep=steps)
    inspector = Inspector(*runs, names=["three", "two"])
    inspector.step = 1
    assert [each.badge for each in inspector._sheet().seen] == ["", ""]
    inspector.step = 2
    assert [each.badge for each in inspector._sheet().seen] == ["", "no map of this part"]
    assert np.array_equal(inspector._sheet().seen[1].pixels, np.asarray(runs[1].image))
    turned = Inspector(*runs[::-1], names=["two", "three"])
    turned.step, turned.word, turned.difference = 2, "cat", True
    assert turned._sheet().seen[1].badge == "no map in two: no difference"


@pytest.mark.parametrize(
    "uri",
    [
        "https://example.org/spy.png",
        "data:image/svg+xml;base64,PHN2Zy8+",
        "data:image/png;base64,AA AA",
        "data:image/png;base64,A",
        "data:image/png;base64,AAAA",
        None,
    ],
)
def test_a_preview_is_a_picture_in_itself(uri: str | None, tmp_path: Path) -> None:
    run = pictures.run("a cat", steps=2, keep=("step", "site", "head"))
    own = data_uri(Image.new("RGB", (8, 8), "red"))
    inspector = Inspector(
        Run(run.image, run.branches, record={**run.record, "previews": [own, uri]})
    )
    sent = inspector._column_0["previews"]
    assert sent[0] == own and sent[1] in ("", "data:image/png;base64,AAAA")
    inspector.step, inspector.pins = 1, ["a"]
    inspector.threshold = 1.0
    inspector.save(tmp_path / "seen.png")
    strange = Inspector(Run(run.image, run.branches, record={"previews": 3}))
    assert strange._column_0["previews"] == []


def test_captions_stay_under_their_pictures() -> None:
    names = ["stabilityai/" + "stable-diffusion-" * 6, "a long name of a run " * 6]
    runs = [made("a cat", 1), made("a cat", 2)]
    for run in runs:
        run.record["model"] = {"name": "of/" + "hub" * 40}
    sheet = Inspector(*runs, names=names)._sheet()
    texts, top, height = sheet.texts()
    found = [text for text in texts if text.y > top and text.y < height - 14]
    assert len(found) > 8
    for text in found:
        wide = fonts.font(text.size, text.text, text.bold).getlength(text.text)
        assert text.x in (16, 16 + 384 + 16) and wide <= 384
    said = ["".join(t.text for t in found if t.x == x and t.bold) for x in (16, 416)]
    assert said[0] == names[0] and said[1].replace(" ", "") == names[1].replace(" ", "")
    lowest = max(text.y for text in found)
    assert texts[-1].y >= lowest + 26


def test_lines_break_at_spaces() -> None:
    assert wrapped("", 90, 13, False) == []
    assert wrapped("a cat", 900, 13, False) == ["a cat"]
    lines = wrapped("one two three four", 60, 13, False)
    assert len(lines) > 1 and " ".join(lines) == "one two three four"
    pieces = wrapped("x" * 50, 60, 13, False)
    assert len(pieces) > 1 and "".join(pieces) == "x" * 50


def test_what_was_not_read_is_said_beside_the_prompt() -> None:
    run = made("a cat and a dog")
    prompt = dataclasses.replace(run.maps.prompt, cuts={"text_encoder": 9})
    cut = Run(run.image, {"cond": dataclasses.replace(run.maps, prompt=prompt)})
    said = "The model has read the prompt up to character 9; its limit is 77 tokens."
    assert f"<p>{said}</p>" in cut._repr_html_() and "has read" not in run._repr_html_()
    assert f">{said}<" in facts({"one": cut})
    assert f">cut: {said}<" in facts({"one": run, "cut": cut})
    assert Inspector(cut)._column_0["unread"] == said and Inspector(run)._column_0["unread"] == ""
