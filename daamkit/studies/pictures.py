"""Pictures to compare generated ones with: a folder's, or drawn scenes of the toy world."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from daamkit import files
from daamkit.errors import DaamkitError
from daamkit.toybox import scenes

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
Pictures = Sequence[Image.Image | np.ndarray]


def drawn(n: int, seed: int, side: int = scenes.SIDE) -> Pictures:
    """Scenes of the toy world, made smaller if fewer pixels a side are asked for."""
    found = [scene.image for scene in scenes.sample(n, seed)]
    if side >= scenes.SIDE:
        return found
    whole = map(Image.fromarray, found)
    return [each.resize((side, side), Image.Resampling.BOX) for each in whole]


def of_folder(folder: str, fewest: int) -> list[Path]:
    """The pictures of a folder, by name.

    Raises
    ------
    DaamkitError
        If they are too few.
    """
    known = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
    found = sorted(file for file in Path(folder).glob("*") if file.suffix.lower() in known)
    if len(found) < fewest:
        raise DaamkitError(
            wanted=f"{fewest} real pictures or more in {folder}",
            got=f"{len(found)}" if Path(folder).is_dir() else "no such folder",
            mend="name a folder of images, some hundred for a stable number",
        )
    return found


def opened(file: Path) -> Image.Image:
    """A picture from a file.

    Raises
    ------
    DaamkitError
        If it is none of `FORMATS`, or damaged.
    """
    try:
        raw = files.content(file, 4 * files.PIXELS)
        return files.decode(raw, FORMATS).convert("RGB")
    except (OSError, ValueError) as error:
        raise DaamkitError(
            wanted=f"a picture of {', '.join(FORMATS)}, {file}",
            got=str(getattr(error, "strerror", None) or error),
            mend="take it out of the folder of real pictures",
        ) from error
