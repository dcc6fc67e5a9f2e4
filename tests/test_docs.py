"""What README and docs say can be followed: their code runs, their links lead somewhere."""

import re
import sys
from pathlib import Path

import pytest

from daamkit.measures.reliability import SIGNS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *ROOT.glob("data/**/README.md")]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_code_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "page"}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere_and_nothing_is_left_blank(page):
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("https://") or (page.parent / link).exists(), link
    assert not re.findall(r"\b(?:[A-Z0-9]+_(?:TIME|MEMORY|TABLE|SAMPLES|FAILURES)|TODO)\b", text)


def test_the_reference_lists_every_name_with_a_sentence():
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import listing
    finally:
        sys.path.pop(0)
    known = {}
    for page, text in listing.pages().items():
        rows = re.findall(r"^\| `([\w.]+)` \| (.*) \|$", text, re.MULTILINE)
        assert rows and all(told for _, told in rows), page.name
        written = page.read_text().partition(listing.MARK)[2]
        assert written.strip() == text.strip(), f"{page.name} is old: run python docs/listing.py"
        known[page.stem] = dict(rows)
    for method in ("Run.plot", "Run.at", "Inspector.append", "Inspector.code", "trace.bytes"):
        assert method in known["reference"]
    assert "Run.region" in known["maps"] and "pictures" in known["reference"]["plots"].lower()


def test_the_first_page_shows_a_call_in_one_line():
    for page in ("docs/index.md", "README.md"):
        assert '\npipe = daamkit.load("toybox")' in (ROOT / page).read_text()
    assert not re.findall(r"^ *\)  #", (ROOT / "docs" / "howto.md").read_text(), re.MULTILINE)


def test_the_columns_of_reliability_are_explained():
    text = (ROOT / "docs" / "reliability.md").read_text()
    heads = re.findall(r"^\| (prompts \|.*) \|$", text, re.MULTILINE)
    assert len(heads) == 3
    columns = {
        re.sub("^toybox-[a-z0-9]+, ", "", name) for each in heads for name in each.split(" | ")
    }
    assert all(f"**{name}**" in text for name in columns)
    assert all(f"`{sign}`" in text.partition("| won |")[2] for sign in SIGNS)


def test_who_comes_from_daam_finds_each_call():
    text = (ROOT / "docs" / "coming_from.md").read_text().partition("## From att")[0]
    for name in (
        "trace(", "low_memory", "save_heads", "load_heads", "compute_global_heat_map", "layer_idx",
        "head_idx", "factors", "normalize=True", "compute_word_heat_map", "word_idx", "offset_idx",
        "parsed_heat_maps", "dependency_relations", "expand_as", "plot_overlay(", "out_file",
        "color_normalize", "plot_overlay_heat_map", "crop", "plot_mask_heat_map", "compute_ioa",
        "compute_iou", "to_experiment", "GenerationExperiment.load", "set_seed",
    ):  # fmt: skip
        assert name in text, name
