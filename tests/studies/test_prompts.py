"""Prompts from files of all kinds; what is wrong with a file is said."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from daamkit.errors import DaamkitError
from daamkit.studies import promptfiles, prompts
from daamkit.studies.prompts import FewerWarning
from daamkit.toybox import claims
from tests.maps.test_saved import in_its_place

THREE = ["a red cat", "a dog, a bird and a “frog”", "a café at night"]


def written(file: Path) -> Path:
    """Three prompts in the way that a file's name says."""
    table = pd.DataFrame({"n": [1, 2, 3], "prompt": THREE})
    match file.suffix:
        case ".csv":
            table.to_csv(file, index=False)
        case ".tsv":
            table.to_csv(file, index=False, sep="\t")
        case ".jsonl":
            table.to_json(file, orient="records", lines=True, force_ascii=False)
        case ".parquet":
            table.to_parquet(file)
        case ".json":
            file.write_text(coco(THREE), encoding="utf-8")
        case _:
            file.write_text("\n".join(THREE) + "\n", encoding="utf-8")
    return file


def coco(captions: list[str]) -> str:
    rows = [{"image_id": i, "id": i, "caption": caption} for i, caption in enumerate(captions)]
    return json.dumps({"images": [], "annotations": rows})


NAMES = ["p.txt", "p.prompts", "p", "p.csv", "p.tsv", "p.jsonl", "p.parquet", "p.json"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_read_by_its_kind(tmp_path: Path, name: str) -> None:
    assert promptfiles.prompts_in(written(tmp_path / name)) == THREE


def test_spaces_and_blank_lines_do_not_count(tmp_path: Path) -> None:
    file = tmp_path / "p.txt"
    file.write_bytes(b"\r\n  a  red\tcat \r\n\n \na dog")
    assert promptfiles.prompts_in(file) == ["a red cat", "a dog"]
    file = tmp_path / "p.json"
    file.write_text(coco(["A cat.\n", " ", "Two  dogs"]))
    assert promptfiles.prompts_in(file) == ["A cat.", "Two dogs"]


def test_a_byte_order_mark_is_no_part_of_a_prompt(tmp_path: Path) -> None:
    for name in ("p.txt", "p.csv"):
        file = tmp_path / name
        file.write_text("prompt\na cat\n", encoding="utf-8-sig")
        assert promptfiles.prompts_in(file)[-2:] == (
            ["prompt", "a cat"] if name == "p.txt" else ["a cat"]
        )


def test_prompts_of_a_table_stay_as_they_are(tmp_path: Path) -> None:
    odd = ["null", "None", "007", "2026-01-02", "1e5"]
    for name in ("p.csv", "p.tsv", "p.jsonl", "p.parquet"):
        for some in (odd, ["007"]):
            file = tmp_path / name
            table = pd.DataFrame({"prompt": some})
            match file.suffix:
                case ".jsonl":
                    table.to_json(file, orient="records", lines=True)
                case ".parquet":
                    table.to_parquet(file)
                case _:
                    table.to_csv(file, index=False, sep="\t" if name == "p.tsv" else ",")
            assert promptfiles.prompts_in(file) == some, name


def test_missing_prompts_of_a_table_are_left_out(tmp_path: Path) -> None:
    table = pd.DataFrame({"prompt": ["a cat", None, "a dog"], "n": [1, 2, 3]})
    table.to_csv(tmp_path / "p.csv", index=False)
    table.to_json(tmp_path / "p.jsonl", orient="records", lines=True)
    table.to_parquet(tmp_path / "p.parquet")
    for name in ("p.csv", "p.jsonl", "p.parquet"):
        assert promptfiles.prompts_in(tmp_path / name) == ["a cat", "a dog"]


@pytest.mark.parametrize("where", ["", "annotations"])
def test_of_cocos_folder_the_validation_captions_are_taken(tmp_path: Path, where: str) -> None:
    folder = tmp_path / where
    folder.mkdir(exist_ok=True)
    (folder / "captions_train2017.json").write_text(coco(["a dog"]))
    (folder / "instances_val2017.json").write_text("{}")
    assert promptfiles.prompts_in(tmp_path) == ["a dog"]
    (folder / "captions_val2017.json").write_text(coco(["a cat"]))
    assert promptfiles.prompts_in(tmp_path) == ["a cat"]
    assert prompts.texts(tmp_path, 1, seed=0) == ["a cat"]


# What can be wrong


def test_a_folder_without_captions(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val2017.json").write_text("{}")
    with pytest.raises(DaamkitError, match=r"COCO's captions in the folder.*captions_\*\.json"):
        promptfiles.prompts_in(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(DaamkitError, match="a file of prompts, .*No such file"):
        promptfiles.prompts_in(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content"),
    [("p.txt", ""), ("p.txt", " \n\n"), ("p.csv", ""), ("p.csv", "\n"), ("p.csv", "prompt\n")]
    + [("p.tsv", ""), ("p.tsv", "n\tprompt\n"), ("p.csv", "n,prompt\n1,\n"), ("p.jsonl", "")]
    + [("p.json", '{"annotations": []}'), ("p.jsonl", '{"prompt": " "}')],
)
def test_a_file_of_nothing(tmp_path: Path, name: str, content: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(DaamkitError, match="an empty file"):
        promptfiles.prompts_in(file)


@pytest.mark.parametrize("name", ["p.csv", "p.tsv", "p.jsonl", "p.parquet"])
def test_a_table_without_the_column(tmp_path: Path, name: str) -> None:
    table, file = pd.DataFrame({"text": THREE, "n": 1}), tmp_path / name
    if name == "p.jsonl":
        table.to_json(file, orient="records", lines=True)
    elif name == "p.parquet":
        table.to_parquet(file)
    else:
        table.to_csv(file, index=False, sep="\t" if name == "p.tsv" else ",")
    with pytest.raises(DaamkitError, match=r"a column 'prompt'.*got 'text', 'n'"):
        promptfiles.prompts_in(file)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "p.parquet"])
def test_a_file_that_is_not_utf_8(tmp_path: Path, name: str) -> None:
    file = written(tmp_path / name)
    content = file.read_text(encoding="utf-8").replace("\\u00e9", "é").replace("“", '"')
    file.write_bytes(content.replace("”", '"').encode("latin-1", "replace"))
    with pytest.raises(DaamkitError, match="can't decode byte 0xe9.*UTF-8"):
        promptfiles.prompts_in(file)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.json", ""), ("p.json", '{"annotations": ['), ("p.json", "a cat"),
        ("p.json", '{"images": []}'), ("p.json", '["a cat"]'), ("p.json", "null"),
        ("p.json", '{"annotations": [{"bbox": []}]}'), ("p.json", '{"annotations": ["a cat"]}'),
        ("p.json", '{"annotations": [{"caption": null}]}'),
        ("p.jsonl", '{"prompt": "a cat"'), ("p.jsonl", "a cat\na dog"),
        ("p.parquet", ""), ("p.parquet", "prompt\na cat"), ("p.csv", 'prompt\n"a cat\n'),
    ],
)  # fmt: skip
def test_a_broken_file(tmp_path: Path, name: str, content: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(DaamkitError, match=rf"a file of prompts, .*{name}; got ."):
        promptfiles.prompts_in(file)


@pytest.mark.parametrize("text", ["a cat, a dog\na bird, a frog\n", "a cat\na bird, a frog\n"])
def test_a_comma_without_quotes_is_an_error_not_half_a_prompt(tmp_path: Path, text: str) -> None:
    file = tmp_path / "p.csv"
    file.write_text("prompt\n" + text)
    with pytest.raises(DaamkitError, match="a file of prompts"):
        promptfiles.prompts_in(file)


@pytest.mark.parametrize("name", NAMES)
def test_capitals_in_a_name_change_nothing(tmp_path: Path, name: str) -> None:
    loud = tmp_path / name.upper()
    written(tmp_path / name).rename(loud)
    assert promptfiles.prompts_in(loud) == THREE


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.jsonl", '{"prompt": "a cat"}\n{"prompt": ["a cat", "a dog"]}\n'),
        ("p.jsonl", '{"prompt": {"en": "a cat"}}\n'),
        ("p.jsonl", '{"prompt": true}\n'),
        ("p.jsonl", '{"prompt": 7}\n'),
        ("p.jsonl", '{"prompt": NaN}\n'),
        ("p.jsonl", '["a cat"]\n'),
        ("p.jsonl", '{"prompt": "a cat", "prompt": "a dog"}\n'),
        ("p.json", '{"annotations": [{"caption": ["a cat"]}]}'),
        ("p.json", '{"annotations": [{"caption": "a cat", "caption": "a dog"}]}'),
        ("p.csv", "prompt,prompt\na cat,a dog\n"),
        ("p.tsv", "prompt\tn\tprompt\na cat\t1\ta dog\n"),
        ("p.csv", "n,prompt\na cat\n"),
        ("p.txt", "a\0cat"),
        ("p.yaml", "prompt: a cat"),
        ("p.xlsx", "a cat"),
        ("p.csv.gz", "prompt\na cat"),
    ],
)
def test_what_is_no_prompt_is_not_read_as_one(tmp_path: Path, name: str, content: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(DaamkitError, match=name):
        promptfiles.prompts_in(file)


@pytest.mark.parametrize("values", [[["a cat", "a dog"]], [{"en": "a cat"}], [1], [True], [b"cat"]])
def test_a_column_of_something_else(tmp_path: Path, values: list) -> None:
    file = tmp_path / "p.parquet"
    pd.DataFrame({"prompt": values}).to_parquet(file)
    with pytest.raises(DaamkitError, match="a column 'prompt' of .*, not of text"):
        promptfiles.prompts_in(file)


def test_two_columns_of_one_name_in_parquet(tmp_path: Path) -> None:
    table = pa.table([pa.array(["a cat"]), pa.array(["a dog"])], names=["prompt", "prompt"])
    pq.write_table(table, tmp_path / "p.parquet")
    with pytest.raises(DaamkitError, match=r"one column 'prompt'.*got 'prompt', 'prompt'"):
        promptfiles.prompts_in(tmp_path / "p.parquet")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["fifo", "device", "far too large"])
def test_what_is_no_file_of_prompts(tmp_path: Path, name: str, kind: str) -> None:
    in_its_place(kind, written(tmp_path / name))
    with pytest.raises(
        DaamkitError, match="a file of prompts, .*; got (a FIFO|a device|more than)"
    ):
        promptfiles.prompts_in(tmp_path / name)


@pytest.mark.parametrize("name", ["p.json", "p.jsonl"])
def test_json_that_nests_too_deep(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"prompt": ' + "[" * 10**5 + "]" * 10**5 + "}")
    with pytest.raises(DaamkitError, match="nests too deep"):
        promptfiles.prompts_in(tmp_path / name)


# Which are asked


def test_prompts_drawn_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "p.txt"
    every = [f"a cat number {i}" for i in range(30)]
    file.write_text("\n".join(every + every[:10]))
    some = prompts.texts(file, 12, seed=1)
    assert len({*some}) == len(some) == 12 and {*some} <= {*every}
    assert prompts.texts(str(file), 12, seed=1) == some
    assert prompts.texts(file, 12, seed=2) != some
    assert prompts.texts(file, 5, seed=1) == some[:5]
    with pytest.warns(FewerWarning, match="has 30 different prompts, fewer than the 99"):
        assert sorted(prompts.texts(file, 99, seed=1)) == sorted(every)
    assert prompts.texts(file, 0, seed=1) == []


def test_captions_of_the_toy_world_are_all_different() -> None:
    some = prompts.texts(None, 60, seed=3)
    assert len({*some}) == len(some) == 60
    assert prompts.texts(None, 60, seed=3) == some
    assert prompts.texts(None, 20, seed=3) == some[:20]
    assert prompts.texts(None, 20, seed=4) != some[:20]
    for text in some[:20]:
        assert claims.parse(text).prompt == text


def test_a_missing_source_is_an_error() -> None:
    with pytest.raises(DaamkitError, match=r"nowhere\.txt; got No such file"):
        prompts.texts("nowhere.txt", 3, seed=0)
