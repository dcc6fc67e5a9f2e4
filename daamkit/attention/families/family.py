"""What differs between models, and nothing else does.

A family is a class of stateless objects. The hooks, taps, traces, guidance and edits ask it; they
know no model by themselves. To add one:

1. Subclass `Family`, in a file of this folder, or anywhere outside the package. Where several
   models have one shape, write one class whose instances differ in data.
2. Say `matches` (is this pipeline mine?), `denoisers`, `sites` and `read`; then, as far as the
   model needs it, `write`, `select`, `layout`, `encoders`, `unpack` and `pack`, `predicted`,
   `pixels`, `grid` and `guidance`. The defaults serve a model of (samples, channels, height, width)
   inputs whose first tensor of inputs is the image and whose predictions look like it.
3. Register it by a name: ours in `daamkit.registry`, in the table `families`; another package's by
   ``@daamkit.extend.families.register("mine")`` on the class (or on an instance), or as an entry
   point of the group "daamkit.families". The last registered that matches is taken, so that another
   package may refine one of ours.

What each must say:

- `sites` gives all attention modules, each with its kind, group and order of execution. Where the
  softmax cannot be seen (linear attention), `observable=False`.
- `read` is asked at the beginning of each pass of a denoiser what its inputs hold. Guidance that
  lets the denoiser run once for each branch is told apart by `earlier`: the passes that the same
  step of the scheduler has already seen. `call.branches(rows)` serves pipelines that stack
  [uncond, cond]; `call.rows(names, rows)` any other order.
- `layout` is asked at each call of `scaled_dot_product_attention` within a site, which queries are
  the image's cells and which keys which encoder's text. None says: this is not the call meant (a
  site may attend to image keys first and to text after). What it says is checked against the
  queries and keys that are there.
- `encoders` tells which text encoders' places stand on the key axis, so that the ids that entered
  them in this very call can be matched with the words of the prompt.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from daamkit import compat
from daamkit.attention.calls import Call, Pass, Rows
from daamkit.attention.families.asked import Scale, takes
from daamkit.attention.families.concepts import ConceptPlaces
from daamkit.attention.families.encoder import Encoder
from daamkit.attention.families.rows import pick
from daamkit.attention.sites import Grid, Layout, Site
from daamkit.errors import DaamkitError

Image = Float[Tensor, "rows *image"]  # what is denoised, in the form that the scheduler has it
Unpacked = Float[Tensor, "samples channels *grid"]  # the same, its places where they belong


@dataclass(frozen=True)
class Reading:
    """What the inputs of a pass say.

    Attributes
    ----------
    noisy
        The image's part of the input, batch rows first, in the form that the scheduler has it but
        scaled for the denoiser.
    time
        As the denoiser is told it.
    branches
        Batch rows by name; those of other branches may come in other passes of the same step.
    grid
        The denoiser's own grid: (height, width), or (frames, height, width), in cells.
    text
        The text's tensors, batch rows first (or lists with one tensor a row): should they change
        within a call, words would be told wrongly.
    """

    noisy: Image
    time: Any
    branches: dict[str, Rows]
    grid: Grid
    text: tuple[Tensor | Sequence[Tensor], ...] = ()


class Family(ABC):
    """All that is particular to models of one kind. Stateless."""

    name: ClassVar[str] = ""
    image: str = "sample"  # the denoiser's argument that holds what is denoised
    middle: str = ""  # the group of sites that guidance changes unless told; "": none
    concepts: ConceptPlaces = ConceptPlaces()  # how texts beside the prompt are given
    whole: bool = True  # whether all places of the encoders' inputs are keys, one after another
    observe_hint: str = (
        "choose attention that goes through torch's scaled_dot_product_attention "
        "(`set_attention_backend('native')`)"
    )

    # -- which models

    @abstractmethod
    def matches(self, pipe: Any) -> bool:
        """Whether a pipeline is of this family."""

    @abstractmethod
    def denoisers(self, pipe: Any) -> dict[str, nn.Module]:
        """The models of a pipeline that predict noise, by component name."""

    @abstractmethod
    def sites(self, denoiser: nn.Module) -> list[Site]:
        """All attention sites of a denoiser in the order of its modules, named by their paths."""

    def knows(self, denoiser: nn.Module) -> bool:
        """Whether a denoiser that comes without its pipeline is of this family."""
        return False

    @property
    def models(self) -> tuple[str, ...]:
        """Classes of denoisers that it reads, by name, for whoever has none of them."""
        return ()

    # -- a call, a pass and its inputs

    def guidance(self, pipe: Any) -> Scale:
        """How strongly a prompt guides, as the pipeline's call has it."""
        return Scale("guidance_scale" if takes(pipe, "guidance_scale") else "")

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        """A call's arguments by the names that most pipelines have for them."""
        return given

    @abstractmethod
    def read(
        self, call: Call, denoiser: nn.Module, inputs: dict[str, Any], earlier: Sequence[Pass]
    ) -> Reading:
        """What the inputs of a pass say.

        Parameters
        ----------
        call
            The pipeline's call.
        denoiser
            The model that is about to run.
        inputs
            What it is given, by the names of its arguments.
        earlier
            The passes before it within the same step of the scheduler.

        Raises
        ------
        DaamkitError
            If they are not what the call asks for.
        """

    def write(self, inputs: dict[str, Any], noisy: Image) -> dict[str, Any]:
        """Inputs with another image in them: the inverse of `read`.

        Parameters
        ----------
        inputs
            Of a pass; they are not changed.
        noisy
            (rows, ...), scaled for the denoiser, of any type of numbers. Channels that the input
            has beyond these (of inpainting and editing models) stay.
        """
        given: Tensor = inputs[self.image]
        noisy, beside = noisy.to(given.dtype), given[:, noisy.shape[1] :]
        return inputs | {self.image: torch.cat([noisy, beside], 1) if beside.shape[1] else noisy}

    def select(self, now: Pass, rows: Sequence[int]) -> dict[str, Any]:
        """The inputs of some batch rows alone, for an extra pass.

        The default takes these rows of every tensor, however deep, that is as long as the batch.
        """
        total = len(now.inputs[self.image])
        return {name: pick(value, rows, total) for name, value in now.inputs.items()}

    def predicted(self, now: Pass, output: Any) -> Image:
        """What a denoiser has predicted of what is denoised, batch rows first."""
        said: Tensor = output[0]
        return said

    def unpack(self, now: Pass, noisy: Image) -> Unpacked:
        """What is denoised as an image: (samples, channels, [frames,] height, width)."""
        return noisy

    def pack(self, now: Pass, image: Unpacked) -> Image:
        """The inverse of `unpack`."""
        return image

    # -- a site at work

    def layout(self, site: Site, now: Pass, queries: int, keys: int, nth: int) -> Layout | None:
        """What a site's queries and keys are.

        Parameters
        ----------
        site, now
            The site, and the pass in which it runs.
        queries, keys
            Numbers of its queries and of its keys.
        nth
            Which call of the kernel it is within the site, from 0.

        Returns
        -------
        layout
            None if another call of the same site is meant. By default the first, all of whose
            queries are cells and whose keys are, at cross sites, the first encoder's text.
        """
        raise NotImplementedError

    def keys(self, site: Site, now: Pass, layout: Layout) -> int | None:
        """How many keys a site has, by what its pass is given; None: any. It is checked."""
        return layout.text_end if site.kind == "cross" else None

    # -- text

    def encoders(self, pipe: Any) -> list[Encoder]:
        """The text encoders whose places stand on the key axis, in the order of a prompt's texts;
        none for a pipeline without text or without a tokenizer."""
        return []

    def reading(self, call: Call) -> list[Encoder]:
        """Those of them whose places hold a text in a call."""
        return self.encoders(call.pipe)

    def template(self, encoder: Encoder, call: Call, branch: str) -> tuple[str, str]:
        """The text that a call's pipeline writes before and after a branch's prompt."""
        return encoder.template

    def reach(self, now: Pass, row: int) -> dict[str, int]:
        """How many places of each encoder's input the model reads in a batch row.

        For pipelines that mask or cut texts by other rows' lengths, so that words are not read
        which the encoder had; empty where all are read.
        """
        return {}

    # -- pictures

    def grid(
        self, pipe: Any, height: int | None, width: int | None, frames: int | None = None
    ) -> Grid:
        """The denoiser's grid for an image of so many pixels, or a video of so many frames; None:
        the pipeline's own size."""
        raise DaamkitError(
            wanted="the size of maps before a generation",
            got=f"{type(self).__name__}, which does not tell",
            mend="generate once and look at the run's layers",
        )

    def pixels(self, pipe: Any, grid: Grid) -> tuple[int, int]:
        """(height, width) of the image for a grid of the denoiser."""
        scale = int(getattr(pipe, "vae_scale_factor", 8))
        return grid[-2] * scale, grid[-1] * scale

    def shown(self, call: Call, grid: Grid) -> tuple[int, int]:
        """(height, width) of the picture that a call returns; some pipelines resize it."""
        return self.pixels(call.pipe, grid)

    def images(self, output: Any) -> Any:
        """What a pipeline's call has made, of its output: images, or videos.

        Raises
        ------
        DaamkitError
            If there are none.
        """
        if isinstance(output, tuple):
            return output[0]
        found = getattr(output, "images", getattr(output, "frames", None))
        if found is None:
            raise DaamkitError(
                wanted="a pipeline that returns images or videos",
                got=type(output).__name__,
                mend="other kinds of pipelines are not read yet",
            )
        return found

    def semantic(self, sites: Sequence[Site]) -> list[Site]:
        """Those sites, of these that read text, whose maps guidance looks at unless told."""
        return list(sites)

    # -- pooling

    def summed(self, sites: Sequence[Site]) -> list[Site]:
        """Sites in the order in which a sum over them is rounded as a reference rounds it."""
        return list(sites)

    def base(self, pipe: Any) -> int:
        """Side of daam's square maps for this model."""
        return 64

    def left_out(self, site: Site, whole: Grid, base: int) -> frozenset[str]:
        """Pooling rules that leave a site out, on a grid."""
        return site.left_out


def classes(thing: Any) -> set[str]:
    """The names of a thing's class and of all it inherits from: what a family may match by."""
    return {each.__name__ for each in type(compat.uncompiled(thing)).__mro__}
