"""Pipelines that the tests share. Each test leaves them as they were: that is what is tested."""

import pytest
import transformers

from tests import tiny

transformers.logging.set_verbosity_error()  # says at every import that torchvision is missing


def pytest_addoption(parser: pytest.Parser) -> None:
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
