"""Divide & Bind: its loss as the paper has it, whose modifiers are bound, and the move."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon

import daamkit
from daamkit.errors import DaamkitError
from daamkit.guidance import divide_and_bind
from daamkit.guidance.attend_and_excite import AttendAndExcite
from daamkit.guidance.divide_and_bind import DivideAndBind
from tests import tiny
from tests.attention.test_restoration import snapshot

PROMPT = "a red cat and a blue car"
SUBJECTS = ["cat", "car"]
PAIRS = [("cat", ["red"]), ("car", ["blue"])]


def generate(pipe, *methods, prompt=PROMPT, **options) -> torch.Tensor:
    with daamkit.guide(pipe, *methods):
        return tiny.generate(pipe, prompt, **{"output_type": "latent"} | options)


def noted(pipe, method, **options) -> np.ndarray:
    with daamkit.guide(pipe, method) as guided:
        tiny.generate(pipe, PROMPT, output_type="latent", **options)
    return guided.table()["loss"].to_numpy()


def test_variation_is_of_neighbours_down_and_across():
    image = torch.tensor([[0.0, 1.0, 3.0], [0.0, 1.0, 7.0]])[None, None]
    found = divide_and_bind.variation(image).item()
    assert found == pytest.approx((0 + 0 + 4) / 3 + (1 + 2 + 1 + 6) / 4)
    assert divide_and_bind.variation(torch.full((1, 1, 4, 4), 0.3)) == 0


def test_divergence_is_jensen_and_shannons():
    a, b = (torch.randn(1, 1, 4, 5, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    p, q = (each.flatten().softmax(0).numpy() for each in (a, b))
    wanted = jensenshannon(p, q) ** 2  # scipy's is the root
    assert divide_and_bind.divergence(a, b).item() == pytest.approx(wanted, rel=1e-5)
    assert divide_and_bind.divergence(a, a).item() == pytest.approx(0, abs=1e-7)
    far = torch.zeros(2, 1, 1, 4, 5)
    far[0, ..., 0, 0] = far[1, ..., 3, 4] = 1e3
    assert divide_and_bind.divergence(*far.clamp(max=50)).item() == pytest.approx(np.log(2))


def test_the_worst_subject_is_what_is_made_small(sd, monkeypatch):
    """Loss from the maps that Attend-and-Excite looks at, by another hand."""
    seen = []

    class Watched(DivideAndBind):
        def objective(self, sample, images, lacking, see):
            loss = super().objective(sample, images, lacking, see)
            modifiers = [see(columns) for columns in ((2,), (6,))]  # red, blue
            seen.append([each.detach().double().numpy()[0, 0] for each in (*images, *modifiers)])
            return loss

    losses = noted(sd, Watched(SUBJECTS, 0.0, pairs=PAIRS, thresholds={}), num_inference_steps=2)
    assert len(losses) == len(seen) == 1

    def subject(image, modifier):
        varies = np.abs(np.diff(image, axis=0)).mean() + np.abs(np.diff(image, axis=1)).mean()
        p, q = (np.exp(each) / np.exp(each).sum() for each in (modifier, image))
        return jensenshannon(p.ravel(), q.ravel()) ** 2 - varies

    cat, car, red, blue = seen[0]
    assert losses[0] == pytest.approx(max(subject(cat, red), subject(car, blue)), abs=1e-6)


def test_the_parser_finds_the_pairs_and_an_empty_list_binds_nothing(sd):
    found = generate(sd, DivideAndBind(SUBJECTS, scale_factor=2000.0))
    assert torch.equal(found, generate(sd, DivideAndBind(SUBJECTS, 2000.0, pairs=PAIRS)))
    alone = generate(sd, DivideAndBind(SUBJECTS, 2000.0, pairs=[]))
    assert torch.equal(alone, generate(sd, DivideAndBind(SUBJECTS, 2000.0, scale_of_binding=0.0)))
    crossed = [("cat", ["blue"]), ("car", ["red"])]
    others = generate(sd, DivideAndBind(SUBJECTS, 2e4, scale_of_binding=50.0, pairs=crossed))
    strong = generate(sd, DivideAndBind(SUBJECTS, 2e4, scale_of_binding=50.0))
    assert not torch.equal(others, strong)


def test_the_found_pairs_are_recorded_where_there_are_some(sd):
    for text, wanted in ((PROMPT, [["cat", ["red"]], ["car", ["blue"]]]), ("a cat", None)):
        with daamkit.guide(sd, DivideAndBind("nouns")), daamkit.trace(sd) as tracer:
            tiny.generate(sd, text)
        (entry,) = tracer.run.record["guidance"]
        assert entry.get("pairs") == wanted
        assert entry["steps"][0]["loss"] < 0  # whatever varies at all


def test_a_move_goes_down_the_loss(sd):
    options = {"max_iter_to_alter": 4, "thresholds": {}}
    before = noted(sd, DivideAndBind(SUBJECTS, 0.0, **options), num_inference_steps=4)
    after = noted(sd, DivideAndBind(SUBJECTS, 500.0, **options), num_inference_steps=4)
    assert after[0] == before[0]
    assert after[1] < before[1]


def test_refinement_is_attend_and_excites(sd):
    """Thresholds are of the greatest attention: what both lack at first is the same."""
    tables = []
    for kind in (AttendAndExcite, DivideAndBind):
        with daamkit.guide(sd, kind(SUBJECTS, thresholds={0: 0.999})) as guided:
            tiny.generate(sd, PROMPT)
        tables.append(guided.table())
    assert [table["iterations"].iloc[0] for table in tables] == [20, 20]


def test_modifiers_of_what_is_no_subject_are_refused(sd):
    method = DivideAndBind(["cat"], pairs=PAIRS)
    with pytest.raises(DaamkitError, match="modifiers of subjects.*Name it among the `subjects`"):
        generate(sd, method)
    generate(sd, DivideAndBind(["cat"]))  # the parser's pairs of other things are left alone


def test_an_exception_inside_leaves_the_pipeline_as_it_was(sd):
    before = snapshot(sd)
    with pytest.raises(ZeroDivisionError), daamkit.guide(sd, DivideAndBind(SUBJECTS)):
        tiny.generate(sd, PROMPT)
        raise ZeroDivisionError
    assert snapshot(sd) == before
