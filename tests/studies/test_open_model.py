"""An open pipeline as a study's model: taken as it is, named in the folder, refused by Ray."""

import json
from pathlib import Path

import pytest

from daamkit import zoo
from daamkit.errors import DaamkitError
from daamkit.studies import runner
from daamkit.studies.relations import Relations


def test_an_open_pipeline_is_a_model(tmp_path: Path, sd) -> None:
    study = Relations(model=sd, n=2, steps=1)
    options = {"batch_size": 1, "threads": 1, "progress": False}
    rows = runner.run(study, tmp_path, **options)
    told = json.loads((tmp_path / "study.json").read_text())
    assert told["settings"]["model"] == "an open StableDiffusionPipeline"
    assert runner.run(Relations(n=2, steps=1), pipe=sd, **options).equals(rows)
    assert runner.run(study, tmp_path, **options).equals(rows)
    with pytest.raises(DaamkitError, match="'ray' with an open pipeline"):
        runner.run(study, tmp_path, engine="ray", **options)


@pytest.mark.parametrize("device", ["cuda:7", "nowhere"])
def test_a_device_that_is_not_there(sd, device: str) -> None:
    with pytest.raises(DaamkitError, match=f"the device '{device}'.*'cpu' is always there"):
        zoo.move(sd, device)
    assert sd.device.type == "cpu"
