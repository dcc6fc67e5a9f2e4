"""The heat map of one word: enlarge, threshold, measure, compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Any, SupportsIndex, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from daamkit.errors import DaamkitError
from daamkit.maps import frames, overlap, thresholds
from daamkit.maps.thresholds import Rule
from daamkit.maps.words import Word

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Side = SupportsIndex  # a whole number
Size = tuple[Side, Side] | Side | Image.Image  # (height, width), of a square, of an image


def enlarge(
    maps: Float[Tensor, "*maps y x"], size: tuple[int, int], mode: str = "bicubic"
) -> Float[Tensor, "*maps height width"]:
    """Interpolation of any number of maps to (height, width); cells are areas."""
    flat = maps.reshape(-1, 1, *maps.shape[-2:])
    flat = F.interpolate(flat, size=size, mode=mode, align_corners=False)
    return flat.reshape(*maps.shape[:-2], *size)


def over_tokens(values: Float[Tensor, "*kept columns y x"], word: Word) -> Tensor:
    """A word's share of the columns' maps, (..., y, x): the mean over its tokens, and over text
    encoders the mean of these."""
    means = [values[..., list(own), :, :].mean(-3) for own in word.parts or (word.columns,)]
    return means[0] if len(means) == 1 else torch.stack(means).mean(0)


@dataclass(frozen=True, eq=False, repr=False)
class WordMap:
    """How much attention each place pays to a word, in an image or in each frame of a video.

    Attributes
    ----------
    values
        (y, x) float32, at the size that its pooling rule gives, or (frame, y, x), one for each
        frame of a video's latents. Unit: attention probability, summed over steps as the rule says.
    word
        Which word, or several tokens together.
    size
        (height, width) of the image.
    image
        The image, if it is known; pictures of the map show it.
    video
        All pictures of a video; those of `frames` are chosen from them.

    Notes
    -----
    ``np.asarray(word)``, which ``plt.imshow(word)`` shows, is the map at the image's size with its
    values as they are: ``word.expand(absolute=True)``.
    """

    values: Float[Tensor, "*frames y x"]
    word: Word
    size: tuple[int, int]
    image: Image.Image | None = None
    video: tuple[Image.Image, ...] = ()

    @property
    def frames(self) -> tuple[WordMap, ...]:
        """Each frame's map, its masks cut by its own maximum; for an image, this map alone."""
        return frames.of_word(self)

    def expand(
        self, size: Size | None = None, *, absolute: bool = False
    ) -> Float[Tensor, "*frames height width"]:
        """The map at the image's size, from 0 to 1 unless `absolute`.

        Parameters
        ----------
        size
            Another (height, width); or the side of a square, or an image whose size is taken.
        absolute
            Leave the values as they are.

        Raises
        ------
        DaamkitError
            If a value is infinite or missing, or `size` is no size. `values` has the values as they
            are.
        """
        values = self._large if size is None else enlarge(self._finite, _side(size))
        return values.clone() if absolute else _unit(values)

    @cached_property
    def _large(self) -> Float[Tensor, "*frames height width"]:
        return enlarge(self._finite, self.size)

    @cached_property
    def _finite(self) -> Float[Tensor, "*frames y x"]:
        """The values, if they are numbers: of what is not, nothing can be said."""
        if not bool(torch.isfinite(self.values).all()):
            raise DaamkitError(
                wanted=f"a finite map of {self.word.text!r}",
                got="infinite or missing values",
                mend="the model has overflowed; generate in bfloat16 or float32",
            )
        return self.values

    def mask(
        self, threshold: float | Rule = 0.4, rule: Rule = "max"
    ) -> Bool[np.ndarray, "*frames height width"]:
        """The places that belong to the word, at the image's size.

        Parameters
        ----------
        threshold
            In [0, 1], except for "absolute"; "otsu" finds its own, so ``mask("otsu")`` is enough.
        rule
            With D the enlarged map and t the threshold: "max": D >= t max(D) (the DAAM paper);
            "minmax": (D - min) / (max - min) > t (the daam package); "absolute": D >= t;
            "quantile": the share 1 - t of the pixels with the highest values; "otsu": the cut that
            separates the values best (Otsu 1979).

        Raises
        ------
        DaamkitError
            If the threshold is not in [0, 1], the rule unknown, or the map not finite.
        """
        number, rule = thresholds.asked(threshold, rule)
        values = self.expand(absolute=rule != "minmax").cpu().numpy()
        return thresholds.cut(values, number, rule)

    def area(self, threshold: float | Rule = 0.4, rule: Rule = "max") -> float:
        """The share of the pixels that are in the mask."""
        return float(self.mask(threshold, rule).mean())

    def centre(self) -> tuple[float, float]:
        """(y, x) centre of mass in pixels of the image, over all frames."""
        values = self._finite.clamp(min=0).double()
        values = values.reshape(-1, *values.shape[-2:]).sum(0)
        total = values.sum().clamp(min=1e-30)
        height, width = values.shape
        y = (values.sum(1) @ (torch.arange(height, device=values.device).double() + 0.5)) / total
        x = (values.sum(0) @ (torch.arange(width, device=values.device).double() + 0.5)) / total
        return float(y) * self.size[0] / height, float(x) * self.size[1] / width

    def peak(self) -> tuple[int, int]:
        """(y, x) of the highest value in any frame, in pixels of the image."""
        index = int(self.expand(absolute=True).argmax())
        return index // self.size[1] % self.size[0], index % self.size[1]

    def iou(self, other: WordMap, threshold: float | Rule = 0.4, rule: Rule = "max") -> float:
        """Intersection over union of both words' masks; 0 where both are empty.

        Parameters
        ----------
        other
            A map of an image of the same size.
        threshold, rule
            How both maps are cut, as in `mask`. `Run.relations` and the inspector cut the same way.
        """
        return float(overlap.iou(*self._masks(other, threshold, rule)))

    def ioa(self, other: WordMap, threshold: float | Rule = 0.4, rule: Rule = "max") -> float:
        """The share of this word's mask that lies in the other's; 0 if this is empty. See `iou`.

        For a head and its dependent, the DAAM paper (arXiv 2210.04885) calls
        ``head.ioa(dependent)`` IoH and ``dependent.ioa(head)`` IoD.
        """
        return float(overlap.ioa(*self._masks(other, threshold, rule)))

    def soft_iou(self, other: WordMap, *, absolute: bool = False) -> float:
        """Overlap without a cut, sum(ab) / (sum a + sum b - sum ab), of maps from 0 to 1.

        For a map with itself it is less than 1, unless all values are 0 or 1.

        Parameters
        ----------
        other
            A map of the same size.
        absolute
            Take the values as they are, as daam's ``compute_iou`` does; values above 1 give
            nonsense.
        """
        return float(overlap.iou(*self._soft(other, absolute), bounded=not absolute))

    def soft_ioa(self, other: WordMap, *, absolute: bool = False) -> float:
        """Overlap as a share of this map's area, without a cut, sum(ab) / sum a; see `soft_iou`."""
        return float(overlap.ioa(*self._soft(other, absolute), bounded=not absolute))

    # -- how it is shown

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the map over the image.

        Parameters
        ----------
        ax
            Axes of matplotlib; default those of a new figure.
        options
            Those of `plots.word`: ``cmap``, ``alpha``, ``vmax`` (the value that has the last
            colour; give several maps the same to compare them), ``colour=True`` (keep the image's
            colours where the word does not lie), ``threshold`` (draw the mask's outline).
        """
        from daamkit.views import plots

        return cast("Axes", plots.word(self, ax=ax, **options))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The map at the image's size, (height, width) float32, its values as they are."""
        values = self.expand(absolute=True).cpu().numpy()
        return values if dtype is None else values.astype(dtype, copy=False)

    def _repr_html_(self) -> str:
        """What a notebook shows: the map over the image."""
        from daamkit.views import still

        return still.of_word(self)

    def __repr__(self) -> str:
        height, width = self.size
        return f"WordMap({self.word.label!r}, {width}x{height}, up to {np.asarray(self).max():.3g})"

    def _masks(
        self, other: WordMap, threshold: float | Rule, rule: Rule
    ) -> tuple[Bool[np.ndarray, "*frames height width"], Bool[np.ndarray, "*frames height width"]]:
        if self.size != _map(other).size:
            raise _unequal(self.size, other.size)
        return frames.sheet(self.mask(threshold, rule)), frames.sheet(other.mask(threshold, rule))

    def _soft(
        self, other: WordMap, absolute: bool
    ) -> tuple[Float[np.ndarray, "y x"], Float[np.ndarray, "y x"]]:
        other = _map(other)
        a, b = self._finite, other._finite
        if a.shape != b.shape:
            raise _unequal(tuple(a.shape), tuple(b.shape))
        a, b = (a, b) if absolute else (_unit(a), _unit(b))
        return frames.sheet(a.cpu().numpy()), frames.sheet(b.cpu().numpy())


def _side(size: Any) -> tuple[int, int]:
    """(height, width) of what was asked for."""
    if isinstance(size, Image.Image):
        return size.height, size.width
    asked = size if isinstance(size, Sequence) else (size, size)
    if len(asked) != 2 or not all(isinstance(n, Integral) and int(n) > 0 for n in asked):
        raise DaamkitError(
            wanted="a size: (height, width) in pixels, the side of a square, or an image",
            got=repr(size),
            mend="write (512, 512) or 512",
        )
    return int(asked[0]), int(asked[1])


def _map(other: Any) -> WordMap:
    if not isinstance(other, WordMap):
        raise DaamkitError(
            wanted="another word's map",
            got=repr(other)[:80],
            mend='write `run.maps.word("cat").iou(run.maps.word("car"))`',
        )
    return other


def _unequal(one: tuple[int, ...], other: tuple[int, ...]) -> DaamkitError:
    return DaamkitError(
        wanted="two maps of one size",
        got=f"{one} and {other}",
        mend="compare maps of one pooling rule and one image size",
    )


def _unit(values: Tensor) -> Tensor:
    """From 0 to 1."""
    return (values - values.min()) / (values.max() - values.min() + 1e-8)
