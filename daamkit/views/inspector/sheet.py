"""What the inspector shows as one picture: prompt, images, legend, how they were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image, ImageDraw

from daamkit.maps.run import Run
from daamkit.maps.words import Word
from daamkit.views import fonts, palettes
from daamkit.views.inspector import painting
from daamkit.views.inspector.arcs import from_right
from daamkit.views.inspector.contents import HUES
from daamkit.views.inspector.legend import told
from daamkit.views.inspector.state import State
from daamkit.views.png import data_uri

GAP, LINE = 16, 24
INK, SOFT = "#1b2230", "#5a6270"
ROUND = 7  # radius of a marked place
EDGES = (("black", 4, 2), ("white", 2, 1))  # of marks: colour, width, how far outside of it
Mark = tuple[str, float, float, float, float]  # "rect" or "ellipse"; left, top, width, height


@dataclass(frozen=True)
class Seen:
    """One column: its picture, what it is called, how it was made, what stands over it."""

    pixels: painting.Pixels
    name: str
    made: str
    badge: str = ""


@dataclass(frozen=True)
class Caption:
    """Words at a place: the left end of their base line, or of what is read from the right its
    right end."""

    x: float
    y: float
    text: str
    colour: str = INK
    size: int = 15
    bold: bool = False
    right: bool = False


@dataclass(frozen=True)
class Sheet:
    """A page of pictures and texts.

    Attributes
    ----------
    seen
        What is shown, left to right.
    prompt
        Its pieces in order, each with the place of its hue, or None.
    legend
        Words with their hues, and what the colours mean.
    right
        Whether the prompt is read from the right.
    region, pixel
        A box (top, left, bottom, right) and a place (y, x) that are marked in each picture that has
        them.
    """

    seen: Sequence[Seen]
    prompt: Sequence[tuple[str, int | None]]
    legend: Sequence[tuple[str, int | None]]
    right: bool = False
    region: tuple[int, int, int, int] | None = None
    pixel: tuple[int, int] | None = None

    @classmethod
    def from_state(
        cls,
        seen: Sequence[Seen],
        prompt: str,
        words: Mapping[str, Word],
        state: State,
        runs: Mapping[str, Run],
    ) -> Sheet:
        """The page of a state; words by what they are called, all runs by their names."""
        hues = dict(state.shown) if state.single is None else {}
        pieces: list[tuple[str, int | None]] = []
        at = 0
        for word in words.values():
            pieces += [
                (prompt[at : word.start], None),
                (prompt[word.start : word.end], hues.get(word)),
            ]
            at = word.end
        label = {word: name for name, word in words.items()}
        legend: list[tuple[str, int | None]] = [(label[word], hue) for word, hue in hues.items()]
        single = None if state.single is None else label[state.single]
        legend.append((told(state, single, runs), None))
        every = [*pieces, (prompt[at:], None)]
        return cls(seen, every, legend, from_right(prompt), state.region, state.pixel)

    @property
    def side(self) -> int:
        """Height of a picture: twice the image's, and not below 384."""
        tallest = max(each.pixels.shape[0] for each in self.seen)
        return max(2 * tallest, 384)

    def _width(self, each: Seen) -> int:
        height, width = each.pixels.shape[:2]
        return round(self.side * width / height)

    @property
    def width(self) -> int:
        """Of the page."""
        return max(480, sum(self._width(each) + GAP for each in self.seen) + GAP)

    def texts(self) -> tuple[list[Caption], int, int]:
        """All texts; where the pictures begin; the page's height."""
        found = list(self._flow(self.prompt, GAP + 14, 18, self.right))
        top = int(max((text.y for text in found), default=GAP + 14)) + 14
        x, under = GAP, top + self.side + 20
        lowest = under + 20
        for each in self.seen:
            y = under
            for text, tint, size in (
                (each.name, INK, 15),
                (each.made, SOFT, 13),
                (each.badge, INK, 13),
            ):
                for line in wrapped(text, self._width(each), size, tint == INK):
                    found.append(Caption(x, y, line, tint, size, tint == INK))
                    y += 20
            lowest = max(lowest, y - 20)
            x += self._width(each) + GAP
        found += self._flow(self.legend, lowest + 26, 14)
        return found, top, int(max(text.y for text in found)) + 14

    def _flow(
        self, pieces: Sequence[tuple[str, int | None]], y: float, size: int, right: bool = False
    ) -> Iterator[Caption]:
        """Pieces of text one after the other, on as many lines as they need."""
        x = 0.0  # from where lines begin, which may be on the right
        for text, hue in pieces:
            for part in text.split(" ") if hue is None else [text]:
                if not part:
                    continue
                wide = fonts.font(size, part, hue is not None).getlength(part + " ")
                if x + wide > self.width - 2 * GAP and x > 0:
                    x, y = 0.0, y + LINE
                at = self.width - GAP - x if right else GAP + x
                tint = INK if hue is None else _hue(hue)
                yield Caption(at, y, part, tint, size, hue is not None, right)
                x += wide

    def _marks(self, each: Seen, left: float, top: float) -> list[Mark]:
        """In the page's pixels, of a picture whose corner lies there."""
        height, width = each.pixels.shape[:2]
        scale, found = self.side / height, list[Mark]()
        if (box := self.region) is not None and box[2] <= height and box[3] <= width:
            corners = (left + scale * box[1], top + scale * box[0])
            found.append(("rect", *corners, scale * (box[3] - box[1]), scale * (box[2] - box[0])))
        if (at := self.pixel) is not None and at[0] < height and at[1] < width:
            y, x = top + scale * (at[0] + 0.5), left + scale * (at[1] + 0.5)
            found.append(("ellipse", x - ROUND, y - ROUND, 2 * ROUND, 2 * ROUND))
        return found

    def png(self) -> Image.Image:
        """The page as pixels."""
        texts, top, height = self.texts()
        page = Image.new("RGB", (self.width, height), "white")
        pen, x = ImageDraw.Draw(page), GAP
        for each in self.seen:
            size = (self._width(each), self.side)
            image = Image.fromarray(each.pixels).resize(size, Image.Resampling.BICUBIC)
            page.paste(image, (x, top))
            for shape, left, above, wide, tall in self._marks(each, x, top):
                draw = pen.rectangle if shape == "rect" else pen.ellipse
                for colour, width, out in EDGES:  # what is drawn lies within its bounds
                    bounds = (left - out, above - out, left + wide + out, above + tall + out)
                    draw(bounds, outline=colour, width=width)
            x += size[0] + GAP
        for text in texts:
            font = fonts.font(text.size, text.text, text.bold)
            anchor = "rs" if text.right else "ls"
            pen.text((text.x, text.y), text.text, text.colour, font, anchor=anchor)
        return page

    def svg(self) -> str:
        """The page with texts as text."""
        texts, top, height = self.texts()
        parts, x = [], GAP
        for each in self.seen:
            uri, width = data_uri(Image.fromarray(each.pixels)), self._width(each)
            parts.append(
                f'<image href="{uri}" x="{x}" y="{top}" width="{width}" height="{self.side}"/>'
            )
            for shape, left, above, wide, tall in self._marks(each, x, top):
                place = f'x="{left:g}" y="{above:g}" width="{wide:g}" height="{tall:g}"'
                if shape == "ellipse":
                    centre = f'cx="{left + wide / 2:g}" cy="{above + tall / 2:g}"'
                    shape, place = "circle", f'{centre} r="{ROUND}"'
                for colour, stroke, _ in EDGES:
                    edge = f'fill="none" stroke="{colour}" stroke-width="{stroke}"'
                    parts.append(f"<{shape} {place} {edge}/>")
            x += width + GAP
        for text in texts:
            more = ' font-weight="bold"' if text.bold else ""
            more += ' direction="rtl"' if text.right else ""
            parts.append(
                f'<text x="{text.x:g}" y="{text.y:g}" font-size="{text.size}"{more} '
                f'fill="{text.colour}">{escape(text.text)}</text>'
            )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {height}" '
            f'width="{self.width}" height="{height}" font-family="sans-serif">'
            f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
        )


def wrapped(text: str, width: int, size: int, bold: bool) -> list[str]:
    """A text in lines of at most a width, broken at spaces, or within what is longer than that."""
    font, lines, line = fonts.font(size, text, bold), list[str](), ""
    for letter in text:
        if line and font.getlength((line + letter).rstrip()) > width:
            head, space, tail = line.rpartition(" ")
            lines.append(head if space else line)
            line = tail if space else ""
        line += letter
    return [*lines, line] if text else []


def _hue(place: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*palettes.distinct(HUES)[place])
