"""Names to pipelines, and what a person reads when there is none."""

import time

import pytest

import daamkit
from daamkit.errors import DaamkitError


def test_a_pipeline_is_returned_as_it_is(sd):
    assert daamkit.load(sd) is sd


def test_the_toybox_loads_quickly():
    daamkit.load("toybox")  # imports
    started = time.perf_counter()
    daamkit.load("toybox")
    assert time.perf_counter() - started < 3


@pytest.mark.parametrize("name", ["toyboks", "sd15", "./nowhere", "/a/b/c"])
def test_an_unknown_name_gives_the_list(name):
    with pytest.raises(DaamkitError, match=rf"wanted the name of a model; got '{name}'.*toybox"):
        daamkit.load(name)


def test_a_hub_id_while_offline_tells_how_to_fetch_it(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        DaamkitError, match=r"neither a copy on this machine.*`hf download somebody/some-model`"
    ):
        daamkit.load("somebody/some-model")


def test_a_folder_that_holds_no_pipeline(tmp_path):
    with pytest.raises(DaamkitError, match=r"pipeline in the folder.*save_pretrained"):
        daamkit.load(tmp_path)
