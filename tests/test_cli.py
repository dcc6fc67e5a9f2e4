"""`daamkit explain`, as a person calls it."""

import dataclasses
import json
import re
import subprocess
import sys

import pytest

import daamkit
from daamkit import cli, registry
from daamkit.cli import study as cli_study
from tests.families import tiny_joint


def explain(*arguments: str) -> int:
    return cli.main(["explain", *arguments, "--steps", "2"])


def test_explain_writes_everything(tmp_path, capfd):
    out = tmp_path / "out"
    assert explain("a red cat next to a blue car", "--out", str(out), "--seed", "3") == 0
    printed = capfd.readouterr()
    assert str(out / "report.html") in printed.out and "cat" in printed.out
    named = [line.split(" 0.")[0].strip() for line in printed.out.splitlines()[1:9]]
    assert (named[0], named[2], named[5]) == ("a", "cat", "a (2)")
    assert re.search(r"generating: 100%.*2/2 \[\d\d:\d\d<\d\d:\d\d", printed.err)  # time left
    assert {p.name for p in out.iterdir()} == {
        ".daamkit.json",
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


@pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning")
def test_a_transformer_of_ones_own_in_a_folder(tmp_path, capfd):
    tiny_joint.flux1().save_pretrained(tmp_path / "model")
    model = ("--model", str(tmp_path / "model"), "--height", "48", "--width", "32")
    assert explain("a red cat", "--out", str(tmp_path / "out"), "--json", *model) == 0
    told = json.loads(capfd.readouterr().out)
    assert [row["word"] for row in told["words"]] == ["a", "red", "cat"]
    assert daamkit.open(tmp_path / "out" / "run").maps.size == (48, 32)


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


MINE = ("image.png", "words.csv", "report.html", "words/01-holiday.png")


@pytest.mark.parametrize("name", [*MINE, "words", "run", "run/run.json"])
def test_what_is_not_its_own_is_neither_overwritten_nor_taken_away(tmp_path, capfd, name):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")
    assert explain("a cat", "--out", str(tmp_path)) == 2
    printed = capfd.readouterr().err
    assert "files that are no report's" in printed and name.split("/")[0] in printed
    assert "generating" not in printed  # told before the image is made
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [file] and file.read_text() == "mine"


@pytest.mark.parametrize("name", ["image.png", "words/01-cat.png", "words.csv"])
def test_what_somebody_has_changed_is_no_more_its_own(tmp_path, capfd, name):
    assert explain("a cat", "--out", str(tmp_path)) == 0
    (tmp_path / name).write_bytes(b"retouched")
    capfd.readouterr()
    assert explain("a dog", "--out", str(tmp_path)) == 2
    assert f"were changed: {name}." in capfd.readouterr().err
    assert (tmp_path / name).read_bytes() == b"retouched"
    assert len([*(tmp_path / "words").iterdir()]) == 2


def test_a_link_in_its_place_is_not_written_through(tmp_path, capfd):
    (tmp_path / "photo.png").write_bytes(b"mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "image.png").symlink_to(tmp_path / "photo.png")
    assert explain("a cat", "--out", str(tmp_path / "out")) == 2
    assert (tmp_path / "photo.png").read_bytes() == b"mine"


def test_an_earlier_report_is_replaced_and_its_neighbours_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert explain("a red cat", "--out", str(tmp_path)) == 0
    (tmp_path / "words" / "mine.png").write_text("mine")
    assert explain("two dogs", "--out", str(tmp_path)) == 0
    names = {p.name for p in (tmp_path / "words").iterdir()}
    assert names == {"00-two.png", "01-dogs.png", "mine.png"}
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert daamkit.open(tmp_path / "run").prompt == "two dogs"
    assert [p.name for p in tmp_path.glob(".*")] == [".daamkit.json"]


def test_a_device_that_is_not_there_is_told(tmp_path, capfd):
    for device in ("cuda:9", "nowhere"):
        assert explain("a cat", "--out", str(tmp_path), "--device", device) == 2
        assert f"daamkit: wanted the device '{device}'" in capfd.readouterr().err


def test_a_prompt_without_words_is_explained(tmp_path, capfd):
    assert explain("", "--out", str(tmp_path)) == 0
    assert "daamkit: the prompt has no words" in capfd.readouterr().err


def test_memory_decides_what_explain_keeps(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("daamkit.tracing.trace.BUDGET", 1_000)
    assert explain("a cat", "--out", str(tmp_path)) == 0
    assert "single steps are not kept" in capfd.readouterr().err
    assert daamkit.open(tmp_path / "run").maps.keep == {"site", "head"}


VERBS = [["explain"], ["play"], ["score"], ["study", "relations"], ["study", "attribution"],
         ["toybox", "evaluate"], ["toybox", "scenes"]]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_help_says_what_each_option_does_and_is(capsys, verb):
    with pytest.raises(SystemExit) as left:
        cli.main([*verb, "--help"])
    assert left.value.code == 0
    printed = capsys.readouterr().out
    assert "%%" not in printed and "As in `" not in printed
    told = " ".join(printed.partition("options:")[2].split())
    parts = re.split(r" (?=--[a-z])", told)[1:]
    for option in (part for part in parts if not part.startswith("--help")):
        said = re.sub(r"^--\S+( [A-Z_]+| \{.*?\})?", "", option).strip()
        assert len(said) > 3, option
    assert len(parts) > 2
    assert ("--seed " in told) == (verb[-1] not in ("play", "score", "evaluate"))
    assert "--seed " not in told or "(default: 0)" in told


@pytest.mark.parametrize("name", registry.studies.names())
def test_settings_from_the_shell_are_of_their_kind(name):
    """Levels are numbers: what a shell is told of each default is that default."""
    kind, options, meant = registry.studies.find(name), [], {}
    for field in dataclasses.fields(kind):
        if field.default and field.default is not True:
            several = isinstance(field.default, tuple)
            meant[field.name] = [*field.default] if several else field.default
            given = field.default if several else [field.default]
            options += [f"--{field.name.replace('_', '-')}", *map(str, given)]
    asked = vars(cli_study._settings(name, kind).parse_args(options))
    assert meant and {key: asked[key] for key in meant} == meant


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])
    assert left.value.code == 0 and capsys.readouterr().out == f"daamkit {daamkit.__version__}\n"


def test_fewer_prompts_than_asked_for_are_told(tmp_path):
    (tmp_path / "p.txt").write_text("a red cat\na blue car\n")
    code = "import sys; from daamkit import cli; sys.exit(cli.main(sys.argv[1:]))"
    arguments = ["study", "relations", "--n", "9", "--steps", "1"]
    places = ["--prompts", tmp_path / "p.txt", "--out", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, *places], capture_output=True, text=True
    )
    assert done.returncode == 0
    told = r"^daamkit: .*p.txt has 2 different prompts, fewer than the 9 asked for$"
    assert re.search(told, done.stderr, re.MULTILINE) and "UserWarning" not in done.stderr


def test_the_first_import_says_nothing():
    code = "import daamkit; daamkit.load('toybox').set_progress_bar_config(disable=True)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    bar = re.compile(r"[\w .]+: +\d+%\|.*")
    said = [line for line in re.split(r"[\r\n]+", done.stderr) if line.strip()]
    assert done.returncode == 0 and done.stdout == ""
    assert [line for line in said if not bar.match(line)] == []
