"""What a call leaves: the layers of each image, its picture, its notes; refused where not whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from daamkit.attention.calls import Call
from daamkit.attention.sites import Grid
from daamkit.attention.stores import Store
from daamkit.errors import DaamkitError
from daamkit.maps.layers import Layer


def layers_of(
    store: Store, sample: int, passes: list[int], columns: int | None = None
) -> dict[str, Layer]:
    """One image's part of the sums, of its own tokens."""
    layers: dict[str, Layer] = {}
    for slot in store.plan.slots:
        if slot.name not in store.sums:  # the pipeline has skipped these sites
            continue
        values = store.sums[slot.name][sample]
        if "step" in store.plan.keep:
            values = values[passes]  # those that this branch had
        if columns is not None:
            values = values[..., :columns, :]  # a longer prompt in the batch has more
        if store.plan.samples > 1:
            values = values.clone()  # a run that is kept must not keep its whole batch
        heads = slot.heads * len(slot.sites)
        values = values.unflatten(-1, slot.grid).cpu()
        layers[slot.name] = Layer(
            slot.name,
            slot.sites,
            slot.group,
            heads,
            values,
            slot.order,
            tuple(sorted(slot.left_out)),
        )
    return layers


def pictures(images: Any, call: Call) -> Sequence[Image.Image | None]:
    """The images a pipeline returned, one per sample; None for latents."""
    if call.arguments.get("output_type") == "latent":
        return [None] * call.samples
    if isinstance(images, Tensor):
        images = images.detach().float().cpu().permute(0, 2, 3, 1).numpy()
    if isinstance(images, np.ndarray):
        images = [Image.fromarray((image * 255).round().astype(np.uint8)) for image in images]
    return list(images)


def plain(notes: dict[str, list[Any]]) -> dict[str, Any]:
    """What taps noted of an image, as plain data."""
    return {
        name: [own.plain() if hasattr(own, "plain") else own for own in kept]
        for name, kept in notes.items()
    }


def require_whole(store: Store, passes: list[int]) -> None:
    """Refuse sites that have run in some passes only; those that never ran are left out."""
    for site, ran in store.passes.items():
        if ran != set(passes):
            raise DaamkitError(
                wanted=f"attention of {site} in all {len(passes)} passes",
                got=f"in {len(ran)}",
                mend="something skips layers (a feature cache?): take it off while tracing",
            )


def require_whole_image(grid: Grid, size: tuple[int, int]) -> None:
    """Refuse an image of which the passes have seen a part."""
    (rows, columns), (height, width) = grid[-2:], size
    side = (height * width / (rows * columns)) ** 0.5
    if max(abs(height - rows * side), abs(width - columns * side)) > side:
        raise DaamkitError(
            wanted=f"passes that see the whole image of {height} x {width} pixels",
            got=f"a grid of {rows} x {columns}",
            mend="pipelines that put an image together of crops are not read yet",
        )
