"""Letters of what is drawn without a browser: DejaVu Sans, or a font that has them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import ImageFont


def font(size: int, text: str = "", bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib, if it has all letters of a text; else the first of
    this machine's fonts that has them (Chinese, say); DejaVu Sans again where none has."""
    return _opened(_place(frozenset(text), bold), size)


def instead(text: str, usual: str) -> str | None:
    """The file of the font that `font` takes for a text whose letters a font, given by its file,
    does not all have; None if it has them, or none has."""
    wanted = {ord(letter) for letter in text if letter.isprintable()}
    if wanted <= _known(usual):
        return None
    place = _place(frozenset(text), bold=False)
    return place if wanted <= _known(place) else None


@cache
def _opened(place: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(place, size)


@cache
def _place(letters: frozenset[str], bold: bool) -> str:
    usual, wanted = _usual(bold), {ord(letter) for letter in letters if letter.isprintable()}
    if wanted <= _known(usual):
        return usual
    return next((place for place in _others(bold) if wanted <= _known(place)), usual)


def _usual(bold: bool) -> str:
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return str(folder / f"DejaVuSans{'-Bold' if bold else ''}.ttf")


def _others(bold: bool) -> list[str]:
    """This machine's fonts, those of the wanted weight first."""
    return sorted(_machine(), key=lambda place: (("Bold" in Path(place).stem) != bold, place))


@cache
def _machine() -> list[str]:
    return font_manager.findSystemFonts()


@cache
def _known(place: str) -> frozenset[int]:
    """The letters of a font; none of one that cannot be drawn in any size."""
    try:
        face = FT2Font(place)
    except (OSError, RuntimeError):  # gone, or of a kind that this FreeType does not read
        return frozenset()
    return frozenset(face.get_charmap()) if face.scalable else frozenset()
