"""The folder of masks drawn by hand."""

from pathlib import Path

import pytest
from PIL import Image

from daamkit.errors import DaamkitError
from daamkit.vision.annotation import MaskFolder
from tests.maps.test_saved import PICTURES, in_its_place


def draw(path: Path, mode: str = "L", fill: object = 255) -> None:
    """A mask of 6 x 4 (height x width), its upper half filled."""
    image = Image.new(mode, (4, 6))
    if mode == "P":
        image.putpalette([0, 0, 0, 255, 255, 255])
    image.paste(fill, (0, 0, 4, 3))
    image.save(path, format="PNG")


def test_a_folder_of_drawn_masks(tmp_path) -> None:
    folder = MaskFolder(tmp_path)
    draw(tmp_path / "0007--traffic_light.png")
    Image.new("L", (4, 6)).save(tmp_path / "0007--cat.png")
    draw(tmp_path / "0007--b--cat.png")
    draw(tmp_path / "00070--dog.png")
    assert folder.nouns("0007") == ["cat", "traffic light"]
    assert folder.nouns("0007--b") == ["cat"] and folder.nouns("7") == []
    light = folder.mask("0007", "traffic light", (6, 4))
    assert light is not None and light.dtype == bool
    assert light[:3].all() and not light[3:].any()
    cat = folder.mask("0007", "cat", (6, 4))
    assert cat is not None and not cat.any()  # looked for, not there
    assert folder.mask("0007", "dog", (6, 4)) is None  # not looked for


@pytest.mark.parametrize(
    ("mode", "fill"),
    [("1", 1), ("L", 128), ("RGB", (255, 255, 255)), ("RGBA", (255, 255, 255, 255)), ("P", 1)],
)
def test_white_is_the_thing_however_it_is_saved(mode, fill, tmp_path) -> None:
    draw(tmp_path / "a--cat.png", mode, fill)
    mask = MaskFolder(str(tmp_path)).mask("a", "cat", (6, 4))
    assert mask is not None and mask[:3].all() and not mask[3:].any()


def test_dark_grey_and_transparent_white_are_not(tmp_path) -> None:
    draw(tmp_path / "a--cat.png", "L", 127)
    draw(tmp_path / "a--dog.png", "RGBA", (255, 255, 255, 0))
    for name in ("cat", "dog"):
        mask = MaskFolder(tmp_path).mask("a", name, (6, 4))
        assert mask is not None and not mask.any()


def test_a_folders_errors(tmp_path) -> None:
    with pytest.raises(DaamkitError, match="no such folder"):
        MaskFolder(tmp_path / "nowhere")
    folder = MaskFolder(tmp_path)
    draw(tmp_path / "a--cat.png")
    with pytest.raises(DaamkitError, match="4 x 6 pixels.*got one of 6 x 4"):
        folder.mask("a", "cat", (4, 6))
    Image.new("L", (4, 6)).save(tmp_path / "a--dog.png", format="JPEG")
    (tmp_path / "a--cow.png").write_text("not a picture")
    draw(tmp_path / "a--hen.png")
    whole = (tmp_path / "a--hen.png").read_bytes()
    (tmp_path / "a--hen.png").write_bytes(whole[:40])
    (tmp_path / "a--eel.png").mkdir()
    Image.new("I;16", (4, 6), 65535).save(tmp_path / "a--fox.png")
    for name in ("dog", "cow", "hen", "eel", "fox"):
        with pytest.raises(DaamkitError, match=f"wanted a PNG of 8 bits.*a--{name}"):
            folder.mask("a", name, (6, 4))


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "far too large", "a link to nothing"])
def test_what_is_no_file_is_no_mask(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "a--cat.png"
    file.touch()
    in_its_place(kind, file)
    with pytest.raises(DaamkitError, match="wanted a PNG of 8 bits.*a--cat"):
        MaskFolder(tmp_path).mask("a", "cat", (4, 6))


@pytest.mark.parametrize("name", ["EPS", "GIF", "bomb", "no rows", "nothing", "a heading"])
def test_no_mask_but_a_png_is_decoded(tmp_path: Path, name: str) -> None:
    (tmp_path / "a--cat.png").write_bytes(PICTURES[name])
    with pytest.raises(DaamkitError, match="a--cat"):
        MaskFolder(tmp_path).mask("a", "cat", (64, 64))
