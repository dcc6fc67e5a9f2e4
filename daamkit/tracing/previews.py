"""The image that the model means at each step, small."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from daamkit.attention import taps
from daamkit.attention.calls import Call, Pass
from daamkit.attention.noise import noise_level, prediction_type, process
from daamkit.attention.sites import Site
from daamkit.attention.taps import Tap
from daamkit.errors import DaamkitError

CELLS, SIDE = 32, 128  # most cells a side that are decoded, and pixels that are kept
BYTES = 4 * SIDE * SIDE  # at most, of a preview as text


class Previews(Tap):
    """Notes of each image, at each step, what its x0 looks like: a PNG as the address of a page.

    The latents are averaged to at most 32 cells a side and decoded: a step more costs a quarter of
    what the decoder takes for 512 pixels. The prediction is that which the scheduler is given.

    Parameters
    ----------
    wanted
        Whether a model without small pictures is refused; else nothing is noted of it.
    """

    guides = looks = True  # told of what the scheduler is given, which it leaves as it is

    def __init__(self, wanted: bool = True) -> None:
        self.wanted, self.known = wanted, True

    def wants(self, site: Site) -> bool:
        return False

    def start(self, call: Call) -> None:
        self.known = True
        self._check(lambda: process(call.pipe.scheduler))

    def begin(self, now: Pass) -> None:
        """Refuse what has no small picture, if it is wanted.

        Raises
        ------
        DaamkitError
            If a video is made, or the decoder takes latents of a form of its own.
        """
        self._check(lambda: _require_small(now))

    def _check(self, known: Callable[[], object]) -> None:
        try:
            known()
        except DaamkitError:
            if self.wanted:
                raise
            self.known = False

    def after(self, now: Pass, prediction: taps.Image) -> taps.Image:
        if not self.known:
            return prediction
        said = prediction_type(now.call.pipe.scheduler)
        with torch.no_grad():
            x0, _ = noise_level(now).split(prediction, now.noisy, said)
            pixels = decoded(now.call.pipe, now.family.unpack(now, x0))
        for kept, image in zip(now.call.notes, pixels, strict=True):
            found = kept.setdefault("previews", [])
            if len(found) <= now.index:  # another trace may have noted it
                found.append(address(image))
        return prediction


def _require_small(now: Pass) -> None:
    config = getattr(getattr(now.call.pipe, "vae", None), "config", None)
    known = config is None or getattr(config, "scaling_factor", None) is not None
    if len(now.grid) > 2 or not known:
        raise DaamkitError(
            wanted="an image whose latents the decoder takes as they are",
            got="a video"
            if len(now.grid) > 2
            else f"{type(now.call.pipe).__name__}, which packs or normalizes them",
            mend="trace without `previews=True`",
        )


def decoded(pipe: Any, x0: Tensor) -> Tensor:
    """Latents as small pictures, (samples, 3, height, width), from 0 to 1."""
    height, width = x0.shape[-2:]
    most = max(height, width, CELLS)
    small = (max(1, CELLS * height // most), max(1, CELLS * width // most))
    x0 = F.adaptive_avg_pool2d(x0.float(), small)
    coder = getattr(pipe, "vae", None)
    if coder is not None:
        config = coder.config
        x0 = x0 / config.scaling_factor + (getattr(config, "shift_factor", None) or 0)
        x0 = coder.decode(x0.to(coder.dtype), return_dict=False)[0].float()
    return (x0 / 2 + 0.5).clamp(0, 1)


def address(pixels: Tensor) -> str:
    """A picture of at most 128 pixels a side as the address of its PNG."""
    values = (pixels.nan_to_num() * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    image = Image.fromarray(values)
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
