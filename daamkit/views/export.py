"""A run's words as files for other programs: masks, pictures of the maps, and the numbers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from daamkit.maps import folders
from daamkit.maps.run import Run
from daamkit.maps.thresholds import Rule
from daamkit.views import plots
from daamkit.views.labels import labels
from daamkit.views.plots.scales import highest, images

NUMBERS = "maps.npz"
EXPORT = folders.Kind("export", NUMBERS, ("masks", "maps"))


def write(
    run: Run,
    folder: str | os.PathLike[str],
    threshold: float | Rule = 0.4,
    rule: Rule = "max",
) -> Path:
    """Write every word's map and mask; see `Run.export`."""
    (run,) = images([run])
    folders.write(folder, EXPORT, lambda place: _draw(run, place, threshold, rule))
    return Path(folder)


def _draw(run: Run, folder: Path, threshold: float | Rule, rule: Rule) -> None:
    found = run.maps.words()
    names, top = labels([word.word for word in found]), highest(found)
    size = (len(found), *run.maps.size)
    maps, masks = np.zeros(size, np.float32), np.zeros(size, bool)
    for kind in ("masks", "maps"):
        (folder / kind).mkdir()
    for i, (name, word) in enumerate(zip(names, found, strict=True)):
        maps[i], masks[i] = word.expand(absolute=True).cpu().numpy(), word.mask(threshold, rule)
        file = f"{i:02d}-{''.join(c if c.isalnum() else '-' for c in name)[:60]}.png"
        Image.fromarray(masks[i]).save(folder / "masks" / file)
        picture = plots.overlay(run.image, word, threshold=threshold, rule=rule, vmax=top)
        picture.save(folder / "maps" / file)
    np.savez_compressed(folder / NUMBERS, maps=maps, masks=masks, words=np.array(names, np.str_))
    run.table().to_csv(folder / "words.csv", index=False)
    if run.image is not None:
        run.image.save(folder / "image.png")
