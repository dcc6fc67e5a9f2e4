"""Things are known by name, ours and decorated ones and those of packages, or by their place."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from daamkit import registry, studies
from daamkit.attention.families.family import Family
from daamkit.errors import DaamkitError
from daamkit.registry import Registry, RegistryError
from daamkit.studies import methods, truths
from daamkit.vision import captioning, segmentation

ALL = {each.group: each for each in vars(registry).values() if isinstance(each, Registry)}


@pytest.fixture
def kinds() -> Registry:
    return Registry("a thing", "daamkit.things", {"own": "errors:DaamkitError"})


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Make packages with entry points, as an installer would leave them."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(package: str, group: str, code: str = "", **names: str) -> None:
        (tmp_path / f"{package}.py").write_text(code)
        about = tmp_path / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"[{group}]", *(f"{name} = {value}" for name, value in names.items())]
        (about / "entry_points.txt").write_text("\n".join(lines))
        importlib.invalidate_caches()

    yield install
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.parametrize("each", ALL.values(), ids=ALL)
def test_all_of_ours_can_be_found(each) -> None:
    for name in each._own:
        found = each.find(name)
        assert callable(found) or isinstance(found, Family), name


def test_a_decorator_adds_a_name_and_returns_the_thing_itself(kinds) -> None:
    @kinds.register("mine")
    class Mine:
        pass

    assert kinds.find("mine") is Mine
    assert kinds.names() == ["own", "mine"] and "mine" in kinds and "other" not in kinds


def test_a_cell_may_run_twice_but_no_name_is_taken_over(kinds) -> None:
    def make(value: int) -> type:
        class Mine:
            number = value

        return Mine

    kinds.register("mine")(make(1))
    kinds.register("mine")(make(2))
    assert kinds.find("mine").number == 2
    with pytest.raises(RegistryError, match="'mine', which .*Mine has"):
        kinds.register("mine")(Path)
    with pytest.raises(RegistryError, match="'own', which daamkit.errors:DaamkitError has"):
        kinds.register("own")(Path)
    assert kinds.find("own") is DaamkitError


def test_the_nearest_names_are_told(kinds) -> None:
    kinds.register("silence")(Path)
    with pytest.raises(RegistryError, match=r"got 'silense'. Did you mean 'silence'\?$"):
        kinds.find("silense")
    with pytest.raises(RegistryError, match="Name one of own, silence"):
        kinds.find("xyz")


def test_an_installed_package_is_known_without_being_imported(kinds, installed) -> None:
    installed("brought", "daamkit.things", "class Thing: pass", brought_thing="brought:Thing")
    assert "brought_thing" in kinds and "brought" not in sys.modules
    assert kinds.find("brought_thing").__module__ == "brought"


def test_what_two_packages_bring_is_named_by_its_place(kinds, installed) -> None:
    installed("one", "daamkit.things", "class Thing: pass", thing="one:Thing")
    installed("two", "daamkit.things", "class Thing: pass", thing="two:Thing")
    with pytest.raises(RegistryError, match="one each from one, two"):
        kinds.find("thing")
    assert kinds.find("two:Thing").__module__ == "two"


def test_a_package_that_cannot_be_imported_harms_no_other(kinds, installed) -> None:
    installed("broken", "daamkit.things", "import no_such_package", broken="broken:Thing")
    assert kinds.names() == ["own", "broken"]
    with pytest.raises(RegistryError, match="of the package broken; got ModuleNotFoundError"):
        kinds.find("broken")
    with pytest.raises(RegistryError, match="AttributeError"):
        kinds.find("pathlib:Nothing")


def test_packages_are_read_once_until_another_comes(kinds, installed, monkeypatch) -> None:
    assert kinds.names() == ["own"]
    with monkeypatch.context() as patch:
        patch.setattr(registry, "entry_points", None)
        assert kinds.names() == ["own"]
    installed("late", "daamkit.things", "class Thing: pass", late="late:Thing")
    assert kinds.names() == ["own", "late"]


# -- each kind where it is used


def test_a_truth_a_segmenter_and_a_captioner_by_their_place(installed) -> None:
    code = """
import numpy as np

class Left:
    "The left half is everything."
    def __init__(self, device):
        self.device = device
    def segment(self, image, names):
        left = np.arange(image.width) < image.width // 2
        return [np.tile(left, (image.height, 1)) for _ in names]
    def captions(self, images):
        return ["left" for _ in images]

class Nowhere:
    def __init__(self, device):
        pass
    def masks(self, image, stem, names):
        return [None for _ in names]
"""
    installed("seers", "daamkit.segmenters", code, left="seers:Left")
    for name in ("left", "seers:Left"):
        found = segmentation.segmenter(name, "meta")
        assert type(found).__name__ == "Left" and found.device == "meta"
        assert isinstance(truths.truth(name), truths.Segmented)
    assert type(truths.truth("seers:Nowhere")).__name__ == "Nowhere"
    assert captioning.captioner("seers:Left").captions([None]) == ["left"]


def test_a_guidance_method_that_studies_can_make() -> None:
    made = methods.named("perturbed", "nouns")
    assert type(made[0]).__name__ == "PerturbedAttentionGuidance"
    (found,) = methods.named("daamkit.guidance.attend_and_excite:AttendAndExcite", [["cat"]])
    assert found.subjects == [["cat"]]
    with pytest.raises(DaamkitError, match=r"got 'atend_and_excite'. Did you mean 'attend_and_"):
        methods.named("atend_and_excite", "nouns")
    with pytest.raises(DaamkitError, match="settings that nobody knows here: classifier"):
        methods.named("classifier", "nouns")


def test_a_study_is_a_study() -> None:
    with pytest.raises(DaamkitError, match=r"Did you mean 'relations' or"):
        studies.find("relation")
    for place in ("pathlib:Path", "daamkit.studies.study:Study"):
        with pytest.raises(DaamkitError, match="subclass of `daamkit.extend.Study` with a `name`"):
            studies.find(place)


STUDY = '''
"""How long prompts are."""
from dataclasses import dataclass
from daamkit.studies.study import Study

@dataclass(frozen=True, kw_only=True)
class Lengths(Study):
    name = "lengths"
    longest: int = 100

    def measure(self, session, cases):
        return [[{"prompt": case["prompt"], "length": len(case["prompt"])}] for case in cases]
'''


def test_a_study_in_a_file_of_this_folder_runs_from_the_shell(tmp_path) -> None:
    (tmp_path / "mine.py").write_text(STUDY)
    told = [sys.executable, "-m", "daamkit.cli", "study", "mine:Lengths"]
    done = subprocess.run(
        [*told, "--n", "3", "--longest", "7", "--out", "rows"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "length" in done.stdout
    assert len((tmp_path / "rows" / "rows.csv").read_text().splitlines()) == 4
