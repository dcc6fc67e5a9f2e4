"""Which words explain a place."""

import numpy as np
import pytest

from daamkit.errors import DaamkitError
from daamkit.measures.overlap import iou
from tests.views.runs import made


def test_a_pixels_words_in_order_of_their_values() -> None:
    run = made("a cat and a cat")
    frame = run.at(20, 30)
    assert len(frame) == 5 and frame["share"].sum() == pytest.approx(1)
    assert frame["value"].is_monotonic_decreasing
    second = frame.query("word == 'cat' and occurrence == 1").iloc[0]
    assert second["value"] == pytest.approx(max(0, np.asarray(run.maps.word("cat", 1))[20, 30]))
    assert (second["start"], second["end"]) == (12, 15)


def test_a_boxs_words_in_order_of_what_lies_in_it() -> None:
    run = made()
    whole = run.region((0, 0, 64, 64))
    assert np.allclose(whole["inside"], 1) and np.allclose(whole["lift"], 1)
    box = np.zeros((64, 64), bool)
    box[:32, 16:48] = True
    frame = run.region((0, 16, 32, 48), 0.3, "minmax").set_index("word").loc["cat"]
    values = np.clip(np.asarray(run.maps.word("cat"), float), 0, None)
    assert frame["inside"] == pytest.approx(values[box].sum() / values.sum())
    assert frame["lift"] == pytest.approx(4 * frame["inside"])
    assert frame["iou"] == iou(run.maps.word("cat").mask(0.3, "minmax"), box)
    parts = [run.region((0, 0, 64, 20)), run.region((0, 20, 64, 64))]
    sums = sum(part.set_index("word")["inside"].loc["dog"] for part in parts)
    assert sums == pytest.approx(1)


@pytest.mark.parametrize("box", [(0, 0, 65, 3), (5, 5, 5, 9), (1, 2, 3), (-1, 0, 5, 5)])
def test_what_is_not_in_the_image(box) -> None:
    with pytest.raises(DaamkitError, match="64 x 64 pixels"):
        made().region(box)
    with pytest.raises(DaamkitError, match=r"got \(64, 0\)"):
        made().at(64, 0)
