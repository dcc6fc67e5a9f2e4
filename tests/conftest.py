"""Pipelines that the tests share. Each test leaves them as they were: that is what is tested."""

import gc

import hypothesis
import pytest

hypothesis.settings.register_profile("busy", deadline=None)  # a time is no property of the code
hypothesis.settings.load_profile("busy")
gc.set_threshold(50_000, 20, 20)  # millions of objects lie about that stay


SLOW = {  # left out by `-m "not slow"`: folders, files, or tests by the beginning of their names
    "notebooks/": "run whole",
    "tests/attention/test_compiled.py": "models are compiled",
    "tests/attention/test_injection.py": "a call for every line that may fail",
    "tests/attention/test_own_passes.py": "pipelines beside each other",
    "tests/attention/test_picture_untouched.py": "each context, batch and model",
    "tests/attention/test_stores.py": "each way to keep maps",
    "tests/attribution/": "many generations",
    "tests/browser/": "Chromium, Jupyter",
    "tests/edits/test_families.py": "each edit on each family",
    "tests/edits/test_order.py": "each edit after each other",
    "tests/families/test_asked.py": "each family is drawn several times",
    "tests/families/test_every_family.py": "each family's whole course",
    "tests/families/test_table.py::test_it_is_made_again": "each family's whole course",
    "tests/guidance/test_attend_and_excite.py": "many iterations",
    "tests/guidance/test_denoising.py": "each scheduler",
    "tests/guidance/test_perturbed.py": "many generations",
    "tests/guidance/test_self_attention.py": "many generations",
    "tests/guidance/test_syngen.py": "many iterations",
    "tests/hub/": "weights of the Hub",
    "tests/language/test_taxonomy.py": "all of WordNet, fresh interpreters",
    "tests/maps/test_folders.py": "an interrupt at every line",
    "tests/parity/": "other implementations beside ours, at size",
    "tests/studies/test_attribution.py": "many generations",
    "tests/studies/test_balance.py": "thousands of captions are drawn",
    "tests/studies/test_binding.py": "many generations",
    "tests/studies/test_card.py": "many generations",
    "tests/studies/test_drawing.py::test_what": "many scenes are drawn and read",
    "tests/studies/test_faithfulness.py": "many generations",
    "tests/studies/test_guidance_effects.py": "many generations",
    "tests/studies/test_interventions.py": "many generations",
    "tests/studies/test_layers.py": "many generations",
    "tests/studies/test_localisation.py": "many generations",
    "tests/studies/test_necessity.py": "many generations",
    "tests/studies/test_neglect.py": "many generations",
    "tests/studies/test_reliability.py": "many generations",
    "tests/studies/test_replay.py": "many generations",
    "tests/studies/test_runner.py": "processes that are killed and begun again, a Ray cluster",
    "tests/studies/test_self_attention.py": "many generations",
    "tests/studies/test_studies.py": "many generations",
    "tests/studies/test_unprompted.py": "many generations",
    "tests/test_architecture.py::test_a_saved_run_opens": "fresh interpreters",
    "tests/test_architecture.py::test_the_methods_of_a_run": "fresh interpreters",
    "tests/test_cli.py": "commands from the shell",
    "tests/test_docs.py::test_code_runs": "pages run whole",
    "tests/test_import.py": "fresh interpreters",
    "tests/test_notebooks.py::test_a_notebook_with_a_broken_cell": "a kernel of its own",
    "tests/test_registry.py::test_a_study_in_a_file": "commands from the shell",
    "tests/test_site.py": "the site is built",
    "tests/test_wheel.py": "wheels are built and installed",
    "tests/toybox/test_oracle.py": "many scenes are drawn and read",
    "tests/toybox/test_tokenizer.py::test_captions_come_back": "thousands of captions are drawn",
    "tests/toybox/test_train": "models are trained",
    "tests/toybox/test_world2.py": "thousands of captions are drawn",
    "tests/tracing/test_observed.py": "many generations",
    "tests/tracing/test_previews.py": "many generations",
    "tests/views/test_playground.py": "pictures are drawn",
    "tests/vision/test_alignment.py": "a model is trained",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith("notebooks/"))  # the longest first: no
    # process is left with all of them at the end
    for item in items:
        if item.nodeid.startswith(tuple(SLOW)):
            item.add_marker(pytest.mark.slow)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Keep transformers from saying that torchvision is missing, where tests run."""
    if getattr(session.config.option, "dist", "no") == "no" or hasattr(
        session.config, "workerinput"
    ):
        import transformers

        transformers.logging.set_verbosity_error()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every-line",
        action="store_true",
        help="try every line and kind of exception, and threads 20 times",
    )
    parser.addoption(
        "--parity-seed", type=int, default=0, help="first seed of the parity tests with diffusers"
    )
    parser.addoption(
        "--parity-seeds", type=int, default=1, help="from how many seeds, one after the other"
    )


@pytest.fixture
def every_line(pytestconfig: pytest.Config) -> bool:
    return pytestconfig.getoption("every_line")


@pytest.fixture(scope="session")
def parity_seed(pytestconfig: pytest.Config) -> int:
    return pytestconfig.getoption("parity_seed")


@pytest.fixture(scope="session")
def parity_seeds(pytestconfig: pytest.Config, parity_seed: int) -> range:
    return range(parity_seed, parity_seed + pytestconfig.getoption("parity_seeds"))


@pytest.fixture(scope="session")
def sd():
    from tests import tiny

    return tiny.sd()


@pytest.fixture(scope="session")
def sdxl():
    from tests import tiny

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
