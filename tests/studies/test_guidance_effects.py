"""What guidance changes in the attributions: the study's rows, controls and tables."""

import numpy as np
import pandas as pd
import pytest
import torch

import daamkit
from daamkit.errors import DaamkitError
from daamkit.guidance.self_attention import SelfAttentionGuidance
from daamkit.studies import methods, runner
from daamkit.studies.guidance_effects import GuidanceEffects
from daamkit.studies.placebo import Placebo
from tests.families import tiny_joint

KEY = ["case", "method", "of", "start", "measure"]


def measured(study, pipe, **options) -> pd.DataFrame:
    return runner.run(study, pipe=pipe, batch_size=4, threads=1, progress=False, **options)


@pytest.fixture(scope="module")
def rows(toybox):
    study = GuidanceEffects(n=4, steps=4, methods=("attend_and_excite", "placebo"))
    return study, measured(study, toybox)


def test_what_is_measured_of_what(rows) -> None:
    frame = rows[1]
    assert not frame.duplicated(KEY).any()
    known = frame.groupby("measure")["value"]
    for measure in ("iou", "exchanged", "entropy", "overlap", "shifted", "changed"):
        values = known.get_group(measure).dropna()
        assert values.between(0, 1).all(), measure
    assert set(known.get_group("present")) <= {0.0, 1.0}
    assert known.get_group("dominance").between(-1, 1).all()
    wide = frame.set_index(KEY)["value"].unstack()
    assert (wide["iou"].isna() == (wide["present"] == 0))[wide["present"].notna()].all()
    unguided = wide.xs("none", level="method")
    assert (unguided["shifted"].dropna() == 0).all() and unguided["changed"].isna().all()
    assert np.allclose(unguided["iou"].dropna(), unguided["exchanged"].dropna())


def test_the_placebo_moves_as_far_in_other_directions(toybox, monkeypatch) -> None:
    """Its latents end elsewhere, though each step moves them as far as the method did."""
    prompt = "a cat and a bowl"
    options = {"num_inference_steps": 4, "output_type": "latent"}

    def draw(*methods):
        with daamkit.guide(toybox, *methods) as guided:
            latents = toybox(prompt, generator=torch.manual_seed(3), **options).images
        return latents, guided.table()

    real, table = draw(daamkit.AttendAndExcite("nouns", out_of=50))
    far = dict(zip(table["step"], table["moved"], strict=True))
    assert max(far.values()) > 0
    seen = []
    before = Placebo.before

    def watched(self, now):
        moved = before(self, now)
        seen.append(float((moved - now.noisy).norm()))
        return moved

    monkeypatch.setattr(Placebo, "before", watched)
    placebo = draw(Placebo([far], [7]))[0]
    assert seen == pytest.approx([far.get(i, 0.0) for i in range(4)], rel=1e-4, abs=1e-6)
    assert torch.equal(placebo, draw(Placebo([far], [7]))[0])
    assert not torch.equal(placebo, draw(Placebo([far], [8]))[0])
    assert not torch.allclose(placebo, real, atol=1e-3)
    unguided = toybox(prompt, generator=torch.manual_seed(3), **options).images
    assert torch.equal(draw(Placebo([{}], [7]))[0], unguided)


def made(**values: list[float]) -> pd.DataFrame:
    """Rows of one word "cat" of three prompts, by method and measure."""
    out = []
    for name, numbers in values.items():
        method, measure = name.split("__")
        out += [
            {"case": i, "prompt": f"a cat {i}", "seed": i, "method": method, "start": 2,
             "of": "image" if measure in ("follows", "still", "changed") else "cat",
             "measure": measure, "value": value}
            for i, value in enumerate(numbers)
        ]  # fmt: skip
    return pd.DataFrame(out)


def test_tables_of_made_up_rows() -> None:
    nan = np.nan
    frame = made(
        none__present=[1, 1, 0], none__iou=[0.5, 0.7, nan], none__exchanged=[0.5, 0.7, nan],
        none__overlap=[0.1, 0.1, 0.4], syngen__present=[1, 1, 1], syngen__iou=[0.6, 0.6, 0.8],
        syngen__exchanged=[0.2, 0.3, nan], syngen__overlap=[0.1, 0.1, 0.1],
        syngen__follows=[0.6, 0.8, 0.7], syngen__still=[0.5, 0.5, 0.5],
    )  # fmt: skip
    tables = GuidanceEffects(n=3, methods=("syngen",)).tables(frame)
    effects = tables["effects"].set_index(["measure", "method"])
    assert effects.loc[("present", "syngen"), "gain"] == pytest.approx(1 / 3)
    assert effects.loc[("iou", "syngen"), "gain"] == pytest.approx(0)  # of two that are in both
    assert effects.loc[("truer", "syngen"), "mean"] == pytest.approx((0.35 + 0.35) / 2)
    neglected = tables["neglected"].set_index(["measure", "method"])
    assert neglected.loc[("overlap", "syngen"), "gain"] == pytest.approx(-0.3)
    changes = tables["changes"].set_index(["method", "measure"])["mean"]
    assert changes["syngen", "lead"] == pytest.approx(0.2)


def test_maps_that_do_not_move_gain_nothing(toybox, monkeypatch) -> None:
    """Guidance of no strength: every map and image stays, so every difference is 0."""
    monkeypatch.setitem(
        methods.METHODS, "self_attention", lambda subjects: [SelfAttentionGuidance(scale=0.0)]
    )
    study = GuidanceEffects(n=2, steps=2, methods=("self_attention",))
    tables = study.tables(measured(study, toybox))
    gains = tables["effects"].dropna(subset="gain")
    assert len(gains) and (gains["gain"] == 0).all()
    changes = tables["changes"].set_index("measure")["mean"]
    assert changes["changed"] == changes["shifted"] == 0


@pytest.mark.parametrize(
    "names", [(), ("none",), ("placebo",), ("placebo", "attend_and_excite"), ("sharpen",)]
)
def test_methods_that_make_no_study(names) -> None:
    with pytest.raises(DaamkitError, match="attend_and_excite"):
        GuidanceEffects(methods=names)


def test_what_works_in_the_middle_is_left_out_where_there_is_none(toybox) -> None:
    assert methods.borne(toybox, ["none", "self_attention"]) == ["none", "self_attention"]
    study, pipe = GuidanceEffects(n=2, steps=1), tiny_joint.toybox_flux()
    with pytest.warns(methods.UnborneWarning, match="FluxPipeline .*: self_attention, perturbed"):
        rows = measured(study, pipe)
    assert set(rows["method"]) == {"none", "attend_and_excite", "placebo", "syngen"}
