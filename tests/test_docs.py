"""What README and docs say can be followed: their code runs, their links lead somewhere."""

import re
import sys
from pathlib import Path

import pytest

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
    for page, text in listing.pages().items():
        rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE)
        assert rows and all(told for _, told in rows), page.name
        assert listing.MARK in page.read_text(), "run python docs/listing.py"
