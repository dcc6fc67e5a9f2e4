"""`daamkit explain`, as a person calls it."""

import json
import re

import pytest

from daamkit import cli


def explain(*arguments: str) -> int:
    return cli.main(["explain", *arguments, "--steps", "2"])


def test_explain_writes_everything(tmp_path, capfd):
    out = tmp_path / "out"
    assert explain("a red cat next to a blue car", "--out", str(out), "--seed", "3") == 0
    printed = capfd.readouterr()
    assert str(out / "report.html") in printed.out and "cat" in printed.out
    assert re.search(r"generating: 100%.*2/2 \[\d\d:\d\d<\d\d:\d\d", printed.err)  # time left
    assert {p.name for p in out.iterdir()} == {
        "image.png",
        "report.html",
        "run",
        "words",
        "words.csv",
    }
    assert len(list((out / "words").iterdir())) == 8
    page = (out / "report.html").read_text()
    assert page.count('<img src="data:image/png') == 8 + 1  # where no script runs: words, image
    page = page.replace("http://www.w3.org/2000/svg", "")  # a name; nothing is fetched
    assert not re.search(r"https?://|<script[^>]* src|<link|@import|[^.]url\(", page)
    (out / "words" / "mine.png").write_text("not daamkit's")
    assert explain("two dogs", "--out", str(out)) == 0  # again, over the earlier one
    (out / "words" / "mine.png").unlink()
    assert len(list((out / "words").iterdir())) == 2


def test_json(tmp_path, capfd):
    assert explain("a cat", "--out", str(tmp_path), "--json", "--threshold", "0.5") == 0
    data = json.loads(capfd.readouterr().out)
    assert [row["word"] for row in data["words"]] == ["a", "cat"]
    assert data["threshold"] == 0.5 and data["record"]["seed"]["seed"] == 0


def test_a_prompt_with_html_in_it_shows_as_text(tmp_path):
    prompt = "a <script>alert(1)</script> \"cat\" & 'dog' <img src=x onerror=alert(2)>"
    assert explain(prompt, "--out", str(tmp_path)) == 0
    page = (tmp_path / "report.html").read_text()
    assert page.count("<script") == 2 and "<img src=x" not in page  # its own: state and code
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_an_empty_prompt(tmp_path):
    assert explain("", "--out", str(tmp_path)) == 0
    assert "no words" in (tmp_path / "report.html").read_text()


def test_a_cut_prompt_is_told(tmp_path, capfd):
    prompt = "a cat and " * 30 + "a dog"
    assert explain(prompt, "--out", str(tmp_path), "--dtype", "bfloat16") == 0
    assert re.search("the model has not read '.*a dog'", capfd.readouterr().err)
    assert "read the prompt up to character" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a cat", "--threshold", "1.5"], r"threshold in \[0, 1\]; got 1.5"),
        (["a cat", "--model", "nothing"], r"name of a model; got 'nothing'.*toybox"),
        (["a cat", "--out", "/proc/nowhere"], r"folder to write.*--out"),
        (["a cat", "--height", "64"], r"both --height and --width"),
        (["a cat", "--height", "100", "--width", "128"], r"arguments that the pipeline takes"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path, capfd, arguments, message):
    status = explain(*(["--out", str(tmp_path)] if "--out" not in arguments else []), *arguments)
    printed = capfd.readouterr()
    assert status == 2 and printed.out == ""
    assert re.search("daamkit: .*" + message, printed.err) and "Traceback" not in printed.err
