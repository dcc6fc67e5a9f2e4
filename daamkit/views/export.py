"""A run's words as files for other programs: masks, pictures of the maps, and the numbers."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.maps.thresholds import Rule
from daamkit.views import plots
from daamkit.views.labels import labels

NUMBERS = "maps.npz"
FILES = {NUMBERS, "words.csv", "image.png", "masks", "maps"}


def write(
    run: Run,
    folder: str | os.PathLike[str],
    threshold: float | Rule = 0.4,
    rule: Rule = "max",
) -> Path:
    """Write every word's map and mask; see `Run.export`."""
    place = Path(folder)
    there = {each.name for each in place.iterdir()} if place.is_dir() else set()
    if (place.exists() and not place.is_dir()) or (there and not NUMBERS in there <= FILES):
        raise DaamkitError(
            wanted="a new folder, an empty one, or an earlier export's",
            got=f"{place}, which holds something else",
            mend="name another folder; nothing was touched",
        )
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    except OSError as error:
        raise _unwritable(place, error) from error
    try:
        _write(run, part, threshold, rule)
        part.chmod(0o755)
        shutil.rmtree(place, ignore_errors=True)
        part.rename(place)
    except OSError as error:
        raise _unwritable(place, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return place


def _write(run: Run, folder: Path, threshold: float | Rule, rule: Rule) -> None:
    found = run.maps.words()
    names = labels([word.word for word in found])
    size = (len(found), *run.maps.size)
    maps, masks = np.zeros(size, np.float32), np.zeros(size, bool)
    for kind in ("masks", "maps"):
        (folder / kind).mkdir()
    for i, (name, word) in enumerate(zip(names, found, strict=True)):
        maps[i], masks[i] = word.expand(absolute=True).cpu().numpy(), word.mask(threshold, rule)
        file = f"{i:02d}-{''.join(c if c.isalnum() else '-' for c in name)[:60]}.png"
        Image.fromarray(masks[i]).save(folder / "masks" / file)
        plots.overlay(run, word.word, threshold=threshold, rule=rule).save(folder / "maps" / file)
    np.savez_compressed(folder / NUMBERS, maps=maps, masks=masks, words=np.array(names, np.str_))
    run.table().to_csv(folder / "words.csv", index=False)
    if run.image is not None:
        run.image.save(folder / "image.png")


def _unwritable(place: Path, error: OSError) -> DaamkitError:
    return DaamkitError(
        wanted=f"a folder to write, {place}",
        got=f"{error.strerror or error}",
        mend="name another, or free some space",
    )
