"""Letters that DejaVu lacks are drawn by a font that has them."""

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw

from daamkit.views import fonts

TTF = f"{matplotlib.get_data_path()}/fonts/ttf"


@pytest.fixture
def machine(monkeypatch):
    """A machine with these fonts besides."""

    def have(*names: str) -> None:
        monkeypatch.setattr(fonts, "_machine", lambda: [f"{TTF}/{name}.ttf" for name in names])
        fonts._place.cache_clear()

    yield have
    fonts._place.cache_clear()


def drawn(text: str) -> np.ndarray:
    page = Image.new("L", (60, 30))
    ImageDraw.Draw(page).text((4, 2), text, 255, fonts.font(18, text))
    return np.asarray(page)


def test_plain_letters_are_dejavus_whatever_there_is(machine):
    machine("STIXGeneral")
    assert fonts.font(12, "a red cat").getname()[0] == "DejaVu Sans"
    assert fonts.font(12, "cat", bold=True).getname() == ("DejaVu Sans", "Bold")


def test_letters_that_it_lacks_are_found_elsewhere(machine):
    lacking = next(
        chr(code)
        for code in sorted(fonts._known(f"{TTF}/STIXGeneral.ttf"))
        if code not in fonts._known(f"{TTF}/DejaVuSans.ttf") and chr(code).isprintable()
    )
    machine()
    assert fonts.font(18, lacking).getname()[0] == "DejaVu Sans"  # a box: nobody has it
    box = drawn(lacking)
    machine("cmr10", "gone", "STIXGeneral")
    assert fonts.font(18, lacking).getname()[0] == "STIXGeneral"
    assert not np.array_equal(drawn(lacking), box)
    assert fonts.font(18, lacking + "\n").getname()[0] == "STIXGeneral"  # no letter


def test_the_wanted_weight_comes_first(machine):
    machine("Noto-Bold", "Noto-Regular")
    assert [fonts._others(bold)[0] for bold in (True, False)] == [
        f"{TTF}/Noto-Bold.ttf", f"{TTF}/Noto-Regular.ttf",
    ]  # fmt: skip


def test_a_font_must_have_all_letters(machine):
    machine("STIXGeneral")
    assert fonts.font(18, "\u732b").getname()[0] == "DejaVu Sans"  # neither has Chinese
