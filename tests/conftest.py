"""Pipelines that the tests share. Each test leaves them as they were: that is what is tested."""

import hypothesis
import pytest
import transformers

from tests import tiny

hypothesis.settings.register_profile("busy", deadline=None)  # a time is no property of the code
hypothesis.settings.load_profile("busy")
transformers.logging.set_verbosity_error()  # says at every import that torchvision is missing


SLOW = {  # left out by `-m "not slow"`: folders, files, or tests by the beginning of their names
    "notebooks/": "run whole",
    "tests/browser/": "Chromium, Jupyter",
    "tests/hub/": "weights of the Hub",
    "tests/attention/test_injection.py": "a call for every line that may fail",
    "tests/parity/": "other implementations beside ours, at size",
    "tests/studies/test_balance.py": "thousands of captions are drawn",
    "tests/studies/test_card.py": "many generations",
    "tests/studies/test_guidance_effects.py": "many generations",
    "tests/studies/test_neglect.py": "many generations",
    "tests/studies/test_replay.py": "many generations",
    "tests/studies/test_self_attention.py": "many generations",
    "tests/studies/test_studies.py": "many generations",
    "tests/studies/test_unprompted.py": "many generations",
    "tests/studies/test_runner.py::test_killed": "processes that are killed and begun again",
    "tests/studies/test_runner.py::test_two_workers_of_ray": "a Ray cluster",
    "tests/studies/test_runner.py::test_an_exception_in_a_worker": "a Ray cluster",
    "tests/studies/test_runner.py::test_the_command": "a study from the shell",
    "tests/test_docs.py::test_code_runs": "pages run whole",
    "tests/test_site.py": "the site is built",
    "tests/toybox/test_train": "models are trained",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(tuple(SLOW)):
            item.add_marker(pytest.mark.slow)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every-line", action="store_true", help="inject an exception of each kind at every line"
    )
    parser.addoption(
        "--parity-seed", type=int, default=0, help="first seed of the parity tests with diffusers"
    )


@pytest.fixture(scope="session")
def parity_seed(pytestconfig: pytest.Config) -> int:
    return pytestconfig.getoption("parity_seed")


@pytest.fixture(scope="session")
def sd():
    return tiny.sd()


@pytest.fixture(scope="session")
def sdxl():
    return tiny.sdxl()


@pytest.fixture(scope="session")
def drawn():
    """Many scenes, mixed as the training mixes them."""
    from daamkit.toybox import scenes

    return scenes.sample(2_000, seed=20)


@pytest.fixture(scope="session")
def toybox():
    import daamkit

    pipe = daamkit.load("toybox")
    pipe.set_progress_bar_config(disable=True)
    return pipe
