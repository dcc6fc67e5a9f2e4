"""What a call leaves: the layers of each image, its picture, its notes; refused where not whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from daamkit.attention.calls import Call
from daamkit.attention.sites import Grid
from daamkit.attention.stores import Slot, Store
from daamkit.errors import DaamkitError
from daamkit.maps.layers import Layer


def layers_of(
    store: Store,
    sample: int,
    passes: list[int],
    ran: Mapping[str, list[int]],
    columns: int | None = None,
) -> dict[str, Layer]:
    """One image's part of the sums, of its own tokens.

    Parameters
    ----------
    store, sample
        The sums, and the image's number.
    passes
        Those that had the branch.
    ran
        Of them, those of each site's denoiser.
    columns
        Of the image's prompt.
    """
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
        sites = seen(store, slot)
        heads = slot.heads * len(sites)
        values = values.unflatten(-1, slot.grid).cpu()
        frames = slot.grid[0] if len(slot.grid) > 2 else 0
        if frames:
            values = values.movedim(-3, -4)
        layers[slot.name] = Layer(
            slot.name,
            sites,
            slot.group,
            heads,
            values,
            slot.order,
            tuple(sorted(slot.left_out)),
            frames,
            steps_of(passes, ran[sites[0]]),
        )
    return layers


def seen(store: Store, slot: Slot) -> tuple[str, ...]:
    """The sites of a sum that are in it: a branch may skip some of them."""
    return tuple(site for site in slot.sites if site in store.passes)


def steps_of(passes: Sequence[int], ran: Sequence[int]) -> tuple[int, ...] | None:
    """Which of a branch's passes a denoiser has had; None: all."""
    if list(ran) == list(passes):
        return None
    return tuple(at for at, each in enumerate(passes) if each in ran)


def pictures(images: Any, call: Call) -> Sequence[Sequence[Image.Image]]:
    """The images a pipeline returned, one per sample, or a video's frames; none for latents, nor
    while the call goes on (`images` is None)."""
    if images is None or call.arguments.get("output_type") == "latent":
        return [()] * call.samples
    if isinstance(images, Tensor):
        images = images.detach().float().cpu().movedim(-3, -1).numpy()
    return [[_picture(frame) for frame in _frames(each)] for each in images]


def _frames(given: Any) -> Sequence[Any]:
    """The frames of a video; an image as one."""
    several = isinstance(given, list | tuple) or (isinstance(given, np.ndarray) and given.ndim > 3)
    return list(given) if several else [given]


def _picture(given: Any) -> Image.Image:
    if isinstance(given, np.ndarray):
        return Image.fromarray((given * 255).round().astype(np.uint8))
    picture: Image.Image = given
    return picture


def plain(notes: dict[str, list[Any]]) -> dict[str, Any]:
    """What taps noted of an image, as plain data."""
    return {
        name: [own.plain() if hasattr(own, "plain") else own for own in kept]
        for name, kept in notes.items()
    }


def require_whole(store: Store, passes: Mapping[str, list[int]]) -> None:
    """Refuse sites that have run in some of their denoiser's passes only; those that never ran are
    left out."""
    for site, ran in store.passes.items():
        if ran != set(passes[site]):
            raise DaamkitError(
                wanted=f"attention of {site} in all {len(passes[site])} passes",
                got=f"in {len(ran)}",
                mend="something skips layers (a feature cache?): take it off while tracing",
            )


def require_uncropped(call: Call, grid: Grid) -> None:
    """Refuse a picture of which the pipeline will cut off more than a pixel at an edge.

    Parameters
    ----------
    call, grid
        The call, and its denoiser's grid.
    """
    if call.arguments.get("output_type") == "latent":
        return
    assert call.family is not None, "a call that runs"
    decoded, asked = call.family.pixels(call.pipe, grid), call.family.shown(call, grid)
    ratio = max(own / side for own, side in zip(asked, decoded, strict=True))
    cut = [side * ratio - own for own, side in zip(asked, decoded, strict=True)]
    if max(cut) > 2:  # half of it at each edge
        raise DaamkitError(
            wanted="the whole picture that is decoded",
            got=f"{asked[0]} x {asked[1]} (height x width) cropped out of {decoded[0]} x "
            f"{decoded[1]}, resized",
            mend="call the pipeline with `use_resolution_binning=False`, or ask for a size that "
            f"needs no cropping, such as {decoded[0]} x {decoded[1]}",
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
