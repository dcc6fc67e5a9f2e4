"""What the model means at each step, kept small: the picture is not touched by it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import daamkit
from daamkit.errors import DaamkitError
from daamkit.tracing.previews import decoded
from daamkit.views.png import from_uri
from tests.families import every


def make(pipe, **options):
    return pipe(
        ["a red cat", "a dog"],
        num_inference_steps=3,
        height=64,
        width=128,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
        **options,
    ).images


def test_each_step_has_a_picture_and_the_image_is_the_same(sd, tmp_path) -> None:
    plain = make(sd)
    with daamkit.trace(sd, previews=True) as tracer, daamkit.trace(sd, previews=True):
        traced = make(sd)
    assert np.array_equal(plain, traced)
    for run in tracer.runs:
        assert len(run.record["previews"]) == 3
        ((width, height),) = {from_uri(uri).size for uri in run.record["previews"]}
        assert width == 2 * height <= 128
    tracer.runs[0].save(tmp_path / "run")
    assert daamkit.open(tmp_path / "run").record["previews"] == tracer.runs[0].record["previews"]


def test_the_last_is_nearly_the_image(toybox) -> None:
    with daamkit.trace(toybox, previews=True) as tracer:
        toybox("a red cat", num_inference_steps=4, generator=torch.Generator().manual_seed(0))
    run = tracer.run
    image = np.asarray(run.image.convert("RGB"), float)
    gaps = [
        np.abs(np.asarray(from_uri(uri).resize(run.image.size), float) - image).mean()
        for uri in run.record["previews"]
    ]
    assert gaps[-1] < 3 and gaps[-1] < gaps[0] / 2
    row = daamkit.Inspector(run)._column_0
    assert row["previews"] == run.record["previews"]


def test_the_cost_is_told_before(sd) -> None:
    call = {"prompt": "a red cat", "height": 64, "width": 64, "steps": 5}
    more = daamkit.trace(sd, previews=True).bytes(**call) - daamkit.trace(sd).bytes(**call)
    with daamkit.trace(sd, previews=True) as tracer:
        make(sd)
    kept = sum(map(len, tracer.runs[0].record["previews"]))
    assert kept / 3 <= more / 5


def test_latents_are_decoded_as_the_decoder_was_taught() -> None:
    """Scaled back, then shifted; the decoder here shows them as they are."""
    config = SimpleNamespace(scaling_factor=2.0, shift_factor=0.1)
    coder = SimpleNamespace(
        config=config, dtype=torch.float32, decode=lambda z, return_dict: (z[:, :3],)
    )
    x0 = torch.linspace(-1, 1, 2 * 4 * 4 * 8).reshape(2, 4, 4, 8)
    found = decoded(SimpleNamespace(vae=coder), x0)
    assert torch.allclose(found, (x0[:, :3] / 2 + 0.1) / 2 + 0.5)


def test_a_scheduler_that_is_not_known_is_refused(sd, monkeypatch) -> None:
    from diffusers import IPNDMScheduler

    monkeypatch.setattr(sd, "scheduler", IPNDMScheduler())
    with (
        pytest.raises(DaamkitError, match="noise level is known"),
        daamkit.trace(sd, previews=True),
    ):
        make(sd)
    plain = make(sd)
    with daamkit.trace(sd, previews=None) as tracer:
        assert np.array_equal(make(sd), plain)
    assert all("previews" not in run.record for run in tracer.runs)


def test_where_there_is_no_small_picture_there_is_none_unless_it_is_wanted() -> None:
    case = every.CASES["wan"]
    with (
        pytest.raises(DaamkitError, match="got a video"),
        daamkit.trace(case.build(), previews=True) as tracer,
    ):
        every.generate(case, tracer.pipe)
    with daamkit.trace(case.build(), previews=None) as tracer:
        every.generate(case, tracer.pipe)
    assert "previews" not in tracer.run.record and tracer.run.maps.word("cat").values.any()


def test_what_is_not_wanted_is_kept_where_there_is_some(sd) -> None:
    kept = []
    for previews in (True, None):
        with daamkit.trace(sd, previews=previews) as tracer:
            make(sd)
        kept.append([run.record["previews"] for run in tracer.runs])
    assert kept[0] == kept[1] and len(kept[0][0]) == 3
