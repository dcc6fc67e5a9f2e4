"""The documentation site builds without a warning, its links lead somewhere, it fetches nothing."""

import functools
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import daamkit

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FETCHED = {
    ("script", "src"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("link", "href"),
}

for name in ("sphinx", "myst_nb", "furo"):
    pytest.importorskip(name, reason=f"no {name}: pip install sphinx myst-nb furo")


class Page(HTMLParser):
    """What a page is called inside, what it points to, and the text of its scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[tuple[str, str, str]] = []  # tag, attribute, address
        self.scripts = self.text = ""
        self._inside = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self._inside = tag if tag in ("script", "style") else ""
        given = dict(attributes)
        self.ids |= {given[key] for key in ("id", "name") if given.get(key)}
        self.links += [(tag, key, given[key]) for key in ("href", "src") if given.get(key)]

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts += data
        elif not self._inside:
            self.text += data


@functools.cache
def pages(folder: Path) -> dict[Path, Page]:
    return {path.resolve(): Page(path) for path in folder.rglob("*.html")}


def broken(folder: Path) -> list[str]:
    """Links of pages within the folder to files or places that are not there."""
    found, wrong = pages(folder), []
    for path, page in found.items():
        for _, _, address in page.links:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc or not (parts.path or parts.fragment):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            known = target not in found or not place or place in found[target].ids
            if not target.is_file() or not known:
                wrong.append(f"{path.name}: {address}")
    return wrong


def fetched(folder: Path) -> list[str]:
    """What a browser would ask the network for: scripts, styles, pictures, fonts."""
    wrong = [
        f"{path.name}: {address}"
        for path, page in pages(folder).items()
        for tag, key, address in page.links
        if (tag, key) in FETCHED and urlsplit(address).netloc
    ]
    outside = re.compile(r"(?:@import|url\()\s*['\"]?(?:https?:)?//[^)\s]+")
    for path in [*folder.rglob("*.css"), *folder.rglob("*.html")]:
        wrong += [f"{path.name}: {rule}" for rule in outside.findall(path.read_text("utf-8"))]
    return wrong


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Built once, as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-b", "html"]
    command += ["-d", folder / "doctrees", "-w", folder / "warnings.txt"]
    done = subprocess.run(
        [*command, ROOT / "docs", folder / "html"], capture_output=True, text=True, cwd=ROOT
    )
    told = (folder / "warnings.txt").read_text()
    assert done.returncode == 0 and not told, told or done.stderr[-2000:]
    return folder / "html"


def test_links_lead_somewhere(site):
    assert len(pages(site)) > 20
    assert broken(site) == []


@pytest.mark.parametrize(
    ("page", "prompt"),
    [
        ("inspector", "a monkey and a turtle"),
        ("notebooks/01_first_map", "a red cat next to a blue car"),
        ("notebooks/08_attend_and_excite", "a monkey and a turtle"),
    ],
)
def test_inspectors_live_in_their_pages(site, page, prompt):
    place = site / f"{page}.html"
    (frame,) = [link for tag, _, link in Page(place).links if tag == "iframe"]
    live = (place.parent / frame).read_text()
    assert prompt in live and "<script" in live and "daamkit-still" not in place.read_text()


def test_nothing_is_fetched(site):
    assert fetched(site) == []


def test_the_public_face_is_in_the_reference(site):
    known = pages(site)[(site / "reference.html").resolve()].ids
    assert {f"daamkit.{name}" for name in daamkit._WHERE} <= known


def test_the_tutorial_leads_to_every_notebook(site):
    links = {address for _, _, address in Page(site / "tutorial.html").links}
    assert {f"notebooks/{place.stem}.html" for place in NOTEBOOKS} <= links


def test_markup_in_a_prompt_shows_as_text(site):
    page = Page(site / "howto.html")
    assert "<script>alert('never')</script>" in page.text
    assert "never" not in page.scripts


def test_what_is_broken_is_seen(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="here"></p><a href="b.html"></a><a href="#gone"></a><a href="#here"></a>'
        '<a href="https://example.org"></a><script src="//cdn.example.org/x.js"></script>'
        "<style>@import 'https://example.org/x.css'; p { background: url(x.png) }</style>"
    )
    assert broken(tmp_path) == ["a.html: b.html", "a.html: #gone"]
    assert fetched(tmp_path) == [
        "a.html: //cdn.example.org/x.js",
        "a.html: @import 'https://example.org/x.css';",
    ]
