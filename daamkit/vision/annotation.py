"""Masks drawn by hand: the truth where no segmenter is to be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image

from daamkit import files
from daamkit.errors import DaamkitError

Mask = Bool[np.ndarray, "height width"]


@dataclass(frozen=True)
class MaskFolder:
    """Truth drawn by hand: one PNG for an image and a noun, ``<stem>--<noun>.png``.

    The stem is that of the image's file; spaces of the noun are written ``_``:
    "0007--traffic_light.png". White is the thing (grey from the middle up), transparent is black.
    A file that is all black says: looked for, and not there. No file: nobody looked.

    Raises
    ------
    DaamkitError
        If there is no such folder.
    """

    path: str | Path

    def __post_init__(self) -> None:
        if not Path(self.path).is_dir():
            raise DaamkitError(
                wanted=f"a folder of drawn masks, {self.path}",
                got="no such folder",
                mend="make it, and put '<stem>--<noun>.png' there for each image and noun",
            )

    def nouns(self, stem: str) -> list[str]:
        """What was looked for in an image, by the alphabet."""
        parts = (path.stem.rpartition("--") for path in Path(self.path).glob("*.png"))
        return sorted(noun.replace("_", " ") for name, _, noun in parts if name == stem)

    def mask(self, stem: str, name: str, size: tuple[int, int]) -> Mask | None:
        """The mask of a noun in an image of (height, width) pixels; None if nobody looked.

        Raises
        ------
        DaamkitError
            If the file is no PNG, cannot be read, or is of another size.
        """
        path = Path(self.path) / f"{stem}--{name.replace(' ', '_')}.png"
        if not path.exists() and not path.is_symlink():
            return None
        try:
            raw = files.content(path, 4 * files.PIXELS)
            found = files.heading(raw)
            drawn = files.decode(raw) if found == size else None
            if drawn is not None and drawn.mode.startswith("I"):
                raise ValueError("one of 16 bits")
        except (OSError, ValueError) as error:
            raise DaamkitError(
                wanted=f"a PNG of 8 bits, {path}",
                got=str(getattr(error, "strerror", None) or error).splitlines()[0],
                mend="save it again so, white on black",
            ) from error
        if drawn is None:
            raise DaamkitError(
                wanted=f"a mask of {size[0]} x {size[1]} pixels (height x width), as its image",
                got=f"one of {found[0]} x {found[1]} in {path}",
                mend="draw it on the image itself, at full size",
            )
        drawn = drawn.convert("RGBA")
        black = Image.new("RGBA", drawn.size, "black")
        return np.array(Image.alpha_composite(black, drawn).convert("L")) >= 128
