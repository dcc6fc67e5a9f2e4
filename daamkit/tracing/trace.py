"""Trace a pipeline: every image it makes becomes a run with its words' maps."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, get_args

from daamkit import prompts
from daamkit.attention import families
from daamkit.attention.hooks import attach
from daamkit.attention.stores import AXES
from daamkit.attention.taps import Tap
from daamkit.errors import DaamkitError
from daamkit.maps.pooling import Pooling
from daamkit.maps.run import Run
from daamkit.tracing import sums
from daamkit.tracing.concepts import TracedConcepts
from daamkit.tracing.options import Branch, TraceOptions, plans_for
from daamkit.tracing.previews import BYTES, Previews
from daamkit.tracing.recorder import Recorder
from daamkit.tracing.relating import Relating

BUDGET = 2**30  # bytes


class RunError(DaamkitError, LookupError):
    """A run was asked for that is not there, or one where there are several."""


class trace(attach):  # noqa: N801 - used like a function: `with daamkit.trace(pipe) as tracer`
    """Observe a pipeline's attention while the context lasts.

    Parameters
    ----------
    pipe
        A diffusers pipeline of a family that daamkit reads: with a UNet (text to image, image to
        image, inpainting, ControlNet) or with a transformer (`attention.families`).
    keep
        What is not summed over: any of "step", "site" and "head". The default keeps sites and
        heads, which the exact pooling of the daam package needs. Self-attention never keeps heads.
    branches
        Those whose cross-attention is kept: "cond", "uncond" (called "negative" under a negative
        prompt), "image" (InstructPix2Pix, which reads the negative prompt there), "perturbed"
        (PAG).
    self_attention
        Keep self-attention maps of the branches too, for sites of at most `self_grid` cells a side.
    self_grid
        The longest side, in cells, of a site whose self-attention is kept.
    sites
        A name, a part of one ("up_blocks"), or several: only these cross-attention sites.
    relations
        By name, the words or pixels whose attention is also kept, in ``run.related``:
        "text_to_image" and "text_to_text" with words ("cat", or a list; "padding", "template",
        "register" are words here), "image_to_image" and "image_to_text" with pixels ((y, x), or a
        list); or "all" of these, which takes much memory. Only in the prompt's own passes.
    concepts
        Words that the prompt need not have, for ``run.maps.concept``. Where text and image share
        one softmax, they take one more pass for each image and step. Name several: they compete.
    prompt, negative_prompt
        What `prompt_embeds` and `negative_prompt_embeds` stand for, where the pipeline is called
        with these: a text, or one for each prompt.
    budget
        Most bytes of maps to hold while images are made, 1 GiB; a generation that needs more is
        refused before its first step (`bytes` tells before the call). None: no limit.
    spill
        A folder whose files hold the sums, instead of memory, while images are generated. Those of
        a single image stay there as long as its run is held; in a batch, each run has its own copy.
    rule
        The pooling that ``run.maps.word`` uses: "daam" or "paper" (`HeatMaps`).
    previews
        Keep in the run's record, for each step, a small picture of the image that the model means
        then (x0), which `Inspector` shows under that step's maps. A step then takes another pass of
        the decoder over at most 32 x 32 cells; `bytes` counts what is kept. A model without such
        pictures, such as one of videos, is refused; with None it is traced without them.

    Attributes
    ----------
    runs
        One `Run` for each image made within the context, in order.
    run
        The run of the only image made.

    Raises
    ------
    DaamkitError
        If the pipeline cannot be observed: an unknown family, a compiled model, xformers or sliced
        attention.

    Examples
    --------
    >>> import daamkit, torch
    >>> pipe = daamkit.load("toybox")
    >>> with daamkit.trace(pipe) as tracer:
    ...     _ = pipe("a red cat", num_inference_steps=2, generator=torch.manual_seed(0))
    >>> tracer.run.maps.word("cat").mask(threshold=0.4).shape
    (128, 128)
    """

    def __init__(
        self,
        pipe: Any,
        *,
        keep: Iterable[str] = ("site", "head"),
        branches: Branch | Sequence[Branch] = ("cond",),
        self_attention: bool = False,
        self_grid: int = 32,
        sites: str | Sequence[str] | None = None,
        relations: Mapping[str, Any] | None = None,
        concepts: str | Sequence[str] | None = None,
        prompt: str | Sequence[str] | None = None,
        negative_prompt: str | Sequence[str] | None = None,
        budget: int | None = BUDGET,
        spill: str | os.PathLike[str] | None = None,
        rule: Pooling = "daam",
        previews: bool | None = False,
    ) -> None:
        self.runs: list[Run] = []
        for name, value, kinds, mend in (
            ("keep", keep, Iterable, "('step', 'site')"),
            ("branches", branches, Iterable, "('cond',)"),
            ("sites", sites, Iterable | None, "'attn2'"),
            ("self_grid", self_grid, Integral, "32"),
            ("budget", budget, Integral | None, "2**30"),
            ("spill", spill, str | os.PathLike | None, "'FOLDER'"),
        ):
            if not isinstance(value, kinds):
                raise DaamkitError(
                    wanted=f"`{name}=` as in {name}={mend}", got=repr(value), mend="write it so"
                )
        kept = frozenset([keep] if isinstance(keep, str) else keep)
        if not kept <= set(AXES):
            raise DaamkitError(
                wanted=f"axes out of {', '.join(AXES)} to keep",
                got=f"{sorted(kept - set(AXES))}",
                mend="name only these",
            )
        asked = (branches,) if isinstance(branches, str) else tuple(branches)
        if not asked:
            raise DaamkitError(
                wanted="a branch to trace", got="none", mend="take the default, ('cond',)"
            )
        for name, value, known in (
            ("rule", rule, get_args(Pooling)),
            *(("branch", branch, get_args(Branch)) for branch in asked),
        ):
            if value not in known:
                raise DaamkitError(
                    wanted=f"a {name} of {', '.join(known)}", got=repr(value), mend="name one"
                )
        for name, of in (("concepts", concepts), ("relations", relations)):
            if of and "cond" not in asked:
                raise DaamkitError(
                    wanted=f"the branch 'cond', whose passes `{name}=` are of",
                    got=f"branches={asked!r}",
                    mend=f"trace `branches={('cond', *asked)!r}`",
                )
        if spill is not None and not Path(spill).is_dir():
            raise DaamkitError(
                wanted="a folder to spill to", got=f"{spill}", mend="make it, or name another"
            )
        self._options = TraceOptions(
            kept,
            asked,
            self_grid if self_attention else 0,
            (sites,) if isinstance(sites, str) else None if sites is None else tuple(sites),
            prompt,
            negative_prompt,
            budget,
            None if spill is None else Path(spill),
            rule,
        )
        self._previews = previews is not False
        self._recorder = recorder = Recorder(self.runs, self._options)
        taps: list[Tap] = [Previews(bool(previews))] if self._previews else []
        self._relating = Relating(recorder, relations) if relations else None
        self._concepts = TracedConcepts(recorder, concepts, self._relating) if concepts else None
        taps += [tap for tap in (self._relating, self._concepts) if tap is not None]
        super().__init__(pipe, recorder, *taps)

    def bytes(
        self,
        prompt: str,
        *,
        height: int | None = None,
        width: int | None = None,
        frames: int | None = None,
        steps: int = 50,
        images: int = 1,
    ) -> int:
        """How many bytes the maps of a call will take, before it is made.

        They are float32, of all branches, relations and concepts; previews are counted at the most
        that they can take.

        Parameters
        ----------
        prompt
            The text whose tokens are counted.
        height, width
            In pixels; default the model's.
        frames
            Number of frames of a video; default the model's.
        steps
            Passes of the denoiser, which count where "step" is kept, or previews are.
        images
            How many images are made in one batch.
        """
        if (height is None) != (width is None):
            raise DaamkitError(
                wanted="both height and width, or neither",
                got=f"{height} and {width}",
                mend="give both: pipelines take their own size for both if one is missing",
            )
        text, options = prompts.tokenized(self.pipe, prompt), self._options
        grid = families.family_of(self.pipe).grid(self.pipe, height, width, frames)
        plans = plans_for(options, self.pipe, grid, images, steps, text.columns)
        branches = len(set(options.branches))
        maps = branches * sum(plan.bytes for plan in plans if plan is not None)
        relations = {} if self._relating is None else self._relating.relations
        for name, chosen in relations.items():
            sites = sums.bearing(name, self.pipe, options)
            size = grid, images, steps
            maps += sums.planned(name, chosen, [text], sites, options.keep, *size).bytes
        if self._concepts is not None:
            maps += self._concepts.plan(self.pipe, grid, images, steps).bytes
        return maps + (BYTES * steps * images if self._previews else 0)

    def so_far(self) -> list[Run]:
        """Runs of the steps made so far, one for each image of a call that is under way.

        For a callback of the pipeline (`callback_on_step_end`) that shows the maps as they develop.
        Empty before the first step and between calls. These runs have no pictures, and copies of
        the maps.
        """
        return self._recorder.so_far()

    @property
    def run(self) -> Run:
        """The run of the only image made.

        Raises
        ------
        RunError
            If no image has been made, or several.
        """
        if not self.runs:
            raise RunError(
                wanted="a run",
                got="no finished generation inside the context",
                mend="call the traced pipeline itself between `with daamkit.trace(pipe)` and here",
            )
        if len(self.runs) > 1:
            raise RunError(
                wanted="the run of the only image",
                got=f"{len(self.runs)} images",
                mend=f"take one of `tracer.runs[0]` to `tracer.runs[{len(self.runs) - 1}]`",
            )
        return self.runs[0]
