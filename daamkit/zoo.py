"""Names to pipelines: the toyboxes, a folder, a model of the Hub; and how these are asked."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from daamkit import compat
from daamkit.errors import DaamkitError

SHIPPED = {"toybox": 1, "toybox-2": 2, "toybox-flux": 2}  # the world that each has learned


def load(model: Any, **options: Any) -> Any:
    """Open a text-to-image or a video pipeline.

    Parameters
    ----------
    model
        "toybox" (a UNet), "toybox-2" (a UNet of world 2), "toybox-flux" (joint attention), a
        folder that diffusers has saved, or an id of the Hub
        ("stable-diffusion-v1-5/stable-diffusion-v1-5"). A pipeline is returned as it is.
    options
        For ``from_pretrained``: ``dtype`` (default float32), ``revision``, ``variant``, ...

    Returns
    -------
    pipeline
        A diffusers pipeline, unchanged; move it to a GPU with ``.to("cuda")``.

    Raises
    ------
    DaamkitError
        If the name is unknown, the model is not on this machine and cannot be fetched, or no
        family knows it.
    """
    if not isinstance(model, str | Path):
        if not hasattr(model, "components"):
            raise DaamkitError(
                wanted="a pipeline of diffusers, or the name of one",
                got=type(model).__name__,
                mend="name one, such as 'toybox', or give the pipeline that holds the model",
            )
        return model
    name = str(model)
    _import()
    if name in ("toybox", "toybox-2"):
        from daamkit.toybox import pipeline

        return (pipeline.toybox if name == "toybox" else pipeline.toybox_2)(**options)
    if name == "toybox-flux":
        from daamkit.toybox import flux

        return flux.toybox_flux(**options)
    if Path(name).is_dir():
        return _open(name, options)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        near = difflib.get_close_matches(name, SHIPPED, n=1)
        raise DaamkitError(
            wanted="the name of a model",
            got=repr(name),
            mend=f"did you mean {near[0]!r}?"
            if near
            else f"name one that ships with daamkit ({', '.join(SHIPPED)}), a folder that "
            "diffusers has saved, or an id of the Hub such as "
            "'stable-diffusion-v1-5/stable-diffusion-v1-5'",
        )
    return _open(name, options)


def arguments(
    pipe: Any,
    prompt: str | Sequence[str],
    guidance: float | None = None,
    negative: str | None = None,
) -> dict[str, Any]:
    """The arguments that ask a pipeline for a prompt's picture, by the names that its call has.

    Parameters
    ----------
    pipe
        A pipeline that can be traced.
    prompt
        One prompt, or one for each image.
    guidance
        The scale of classifier-free guidance ("true" guidance where the model has only that), or
        the scale that a model is itself told; None: the model's own.
    negative
        What no image shall show, as a negative prompt; None: nothing is said.

    Returns
    -------
    arguments
        Those of the pipeline's call: the prompt, what guides, and what a toybox needs besides
        (places of text, pixels).

    Raises
    ------
    DaamkitError
        If something that is asked for has no effect on this model.

    Examples
    --------
    >>> import daamkit
    >>> pipe = daamkit.load("toybox")
    >>> daamkit.arguments(pipe, "a red cat", guidance=5.0, negative="a dog")
    {'prompt': 'a red cat', 'guidance_scale': 5.0, 'negative_prompt': 'a dog'}
    """
    from daamkit.attention import families
    from daamkit.attention.families import asked

    own: dict[str, Any] = {}
    if hasattr(pipe, "transformer"):
        from daamkit.toybox import flux

        own = flux.own(pipe)
    scale = families.family_of(pipe).guidance(pipe)
    return asked.arguments(pipe, scale, prompt, guidance, negative, own)


def usual_device() -> str:
    """A GPU by CUDA if there is one, else the CPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def move(pipe: Any, device: Any) -> Any:
    """A pipeline on a device, "cpu", "cuda", "mps".

    Raises
    ------
    DaamkitError
        If there is no such device here, or its memory is too small.
    """
    try:
        return pipe.to(device)
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        raise DaamkitError(
            wanted=f"the device {str(device)!r}",
            got=(str(error).strip().splitlines() or [type(error).__name__])[0],
            mend="name another: 'cpu' is always there",
        ) from error


def _import() -> None:
    """Import diffusers without transformers' notes on what is not installed and not needed."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    try:
        logging.set_verbosity_error()
        from diffusers import AutoPipelineForText2Image, StableDiffusionPipeline  # noqa: F401
    finally:
        logging.set_verbosity(before)


def _without_accelerate() -> AbstractContextManager[None]:
    """While it lasts, Wan's models are opened too, of which diffusers keeps parts in float32."""
    from diffusers import WanTransformer3DModel

    return compat.in_one_precision(WanTransformer3DModel)


def _open(name: str, options: dict[str, Any]) -> Any:
    from daamkit.attention import families

    pipe = _opened(name, options)
    families.family_of(pipe)
    return pipe


def _opened(name: str, options: dict[str, Any]) -> Any:
    import torch
    from diffusers import AutoPipelineForText2Image, DiffusionPipeline
    from diffusers.utils import is_accelerate_available

    if not {"dtype", "torch_dtype"} & options.keys():
        options = {**options, "dtype": torch.float32}  # all parts alike, however they were saved
    whole = options.get("dtype", options.get("torch_dtype")) == torch.float32
    try:
        with _without_accelerate() if whole and not is_accelerate_available() else nullcontext():
            try:
                return AutoPipelineForText2Image.from_pretrained(name, **options)
            except ValueError as error:
                if "AutoPipeline" not in str(error):
                    raise
            return DiffusionPipeline.from_pretrained(name, **options)  # of videos, say
    except (OSError, ConnectionError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        if Path(name).is_dir():
            raise DaamkitError(
                wanted=f"a text-to-image pipeline in the folder {name}",
                got=reason,
                mend="name a folder that `pipe.save_pretrained()` wrote",
            ) from error
        raise DaamkitError(
            wanted=f"the model {name!r}",
            got=f"neither a copy on this machine nor one from the Hub ({reason})",
            mend=f"with a network, run `hf download {name}` once; a gated model wants "
            "`hf auth login` first; behind a proxy set HTTPS_PROXY",
        ) from error
