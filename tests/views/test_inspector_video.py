"""A video in the inspector: a column for each frame of its maps, of which one is shown."""

import gzip

import numpy as np
import pytest

import daamkit
from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.views.inspector import Inspector
from tests.families.test_video import traced
from tests.views.runs import made

FRAMES = [f"unguided, frame {i}" for i in (1, 2, 3)]


@pytest.fixture(scope="module")
def video() -> Run:
    return traced("wan", output_type="np")


def test_each_frame_is_a_column_and_the_first_is_shown(video: Run) -> None:
    inspector = Inspector(video)
    assert list(inspector.runs) == inspector._names == FRAMES
    assert inspector.columns == FRAMES[:1]
    cat = inspector.words.index("cat")
    for i, frame in enumerate(video.frames):
        sent = getattr(inspector, f"_column_{i}")
        assert (sent["video"], sent["frame"]) == ("unguided", i)
        data = np.frombuffer(gzip.decompress(sent["data"]), np.uint8)
        whole = data[sent["whole"] :][: 3 * 16 * 48].reshape(3, 16, 48)
        assert np.array_equal(whole[cat] > 80, frame.maps.word("cat").mask(0.4))
    masks = [frame.maps.word("cat").mask() for frame in video.frames]
    assert not np.array_equal(masks[0], masks[2])
    inspector.columns = [FRAMES[2]]
    area = inspector.table().set_index("word").loc["cat", "area"]
    assert area == video.frames[2].maps.word("cat").area(0.4)


def test_a_video_is_one_run_wherever_runs_are_named(video: Run, tmp_path) -> None:
    image = made("a red cat", side=16)
    inspector = Inspector(image, video, names=["image", "moving"])
    assert inspector.columns == ["image", "moving, frame 1"]
    assert "names=['image', 'moving']" in inspector.code()
    assert "columns" not in inspector.code()
    assert repr(inspector) == "Inspector('a red cat', image, moving)"
    assert inspector.to_html().count("generated image") == 2  # in the still picture
    assert [seen.name for seen in inspector._sheet().seen] == inspector.columns
    inspector.save(tmp_path / "seen.png")
    inspector.columns = ["moving, frame 2"]
    space = {"daamkit": daamkit, "runs": [image, video]}
    exec(inspector.code(), space)
    assert space["inspector"].columns == ["moving, frame 2"]


def test_a_video_can_be_put_beside_a_run(video: Run) -> None:
    inspector = Inspector(made("a red cat", side=16))
    inspector.append(video)
    assert list(inspector.runs)[1:] == [f"unguided (2), frame {i}" for i in (1, 2, 3)]
    assert inspector.columns == ["unguided", "unguided (2), frame 1"]
    with pytest.raises(DaamkitError, match="each of its own"):
        inspector.append(video, names=["unguided (2)"])


def test_a_video_comes_at_the_frame_that_is_shown(video: Run) -> None:
    inspector = Inspector(video, names=["one"])
    inspector.columns = ["one, frame 3"]
    inspector.append(video, made("a red cat", side=16), names=["two", "image"])
    assert inspector.columns == ["one, frame 3", "two, frame 3", "image"]
    first = Inspector(made("a red cat", side=16), names=["image"])
    first.append(video, names=["two"])
    assert first.columns == ["image", "two, frame 1"]


def test_a_difference_is_that_of_the_same_frame(video: Run) -> None:
    inspector = Inspector(video, video, names=["one", "two"])
    inspector.columns = ["one, frame 3", "two, frame 3"]
    inspector.pins, inspector.difference = ["cat"], True
    sheet = inspector._sheet()
    assert [each.badge for each in sheet.seen] == ["", "two, frame 3 - one, frame 3"]
    assert "red: more than in one, frame 3, blue: less" in sheet.legend[0][0]
    one, two = (painted.pixels for painted in sheet.seen)
    assert (two == two[0, 0]).all()  # of the same frame nothing differs
    assert not (one == one[0, 0]).all()  # which is not itself painted as a difference
    inspector.columns = ["one, frame 1", "two, frame 3"]
    assert inspector._sheet().seen[1].badge == "two, frame 3 - one, frame 3"
    beside = Inspector(video, made("a red cat", side=16), names=["one", "image"])
    beside.columns, beside.difference, beside.word = ["one, frame 2", "image"], True, "cat"
    assert beside._bases()["image"] == "one, frame 2"
