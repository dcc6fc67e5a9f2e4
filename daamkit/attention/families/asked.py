"""How a pipeline is asked for a picture: the prompt, and what guides by it, by their names."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daamkit.errors import DaamkitError


@dataclass(frozen=True)
class Scale:
    """How a pipeline's call says how strongly the prompt guides (arXiv 2207.12598).

    Attributes
    ----------
    argument
        Of the pipeline's call; "" where none says it: the model is distilled, or a part of the
        pipeline has it.
    above
        From where on it guides, by a second look that reads the negative prompt. Infinite: the
        model is told the number itself and has no second look.
    names
        Whether there is no second look without a negative prompt, be it empty.
    """

    argument: str = "guidance_scale"
    above: float = 1.0
    names: bool = False

    @property
    def looks(self) -> bool:
        """Whether there is a second look at any scale."""
        return math.isfinite(self.above)

    def of(self, pipe: Any, call: Mapping[str, Any]) -> float | None:
        """What a call's scale is; None where no argument says it."""
        given = call.get(self.argument, default(pipe, self.argument))
        return None if given is None else float(given)

    def told(self, pipe: Any, call: Mapping[str, Any]) -> float | None:
        """The scale that has an effect on a call's image; None where no argument's has."""
        dead = hasattr(type(pipe), "do_classifier_free_guidance")  # Chroma's inpainting has one
        true = 1.0 if dead else float(call.get("true_cfg_scale") or 1.0)
        named = (call.get(name) for name in ("negative_prompt", "negative_prompt_embeds"))
        if true > 1 and any(each is not None for each in named):
            return true
        return self.of(pipe, call) if self.argument and not self.names else None

    def acts(self, pipe: Any, call: Mapping[str, Any]) -> bool:
        """Whether a call has a second look, as far as its arguments tell."""
        strength = self.of(pipe, call)
        return self.looks and (strength is None or strength > self.above)


def arguments(
    pipe: Any,
    scale: Scale,
    prompt: str | Sequence[str],
    guidance: float | None = None,
    negative: str | None = None,
    own: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Arguments of a pipeline's call.

    Parameters
    ----------
    pipe, scale
        The pipeline, and how its family says that it is guided.
    prompt
        One, or one an image.
    guidance
        The scale; None: the model's own.
    negative
        What no image shall show; None: nothing is said.
    own
        What the model wants where nothing else is asked for.

    Raises
    ------
    DaamkitError
        If something that is asked for has no effect on this model.
    """
    if not takes(pipe, "prompt"):
        raise DaamkitError(
            wanted="a pipeline that takes a prompt",
            got=f"{type(pipe).__name__}, which takes {', '.join([*_parameters(pipe)][1:])}",
            mend="call it yourself, within `daamkit.trace`",
        )
    call = {"prompt": prompt, **(own or {})}
    if guidance is not None and takes(pipe, scale.argument):
        call[scale.argument] = guidance
    elif guidance is not None and (guidance > 1 or scale.looks):
        raise DaamkitError(
            wanted="a guidance scale that the model follows",
            got=f"{guidance:g} for {type(pipe).__name__}, whose call has none that acts",
            mend="leave it out: a part of the pipeline says it"
            if scale.looks
            else "leave it out: the model is distilled",
        )
    if negative is None and scale.names and scale.argument in call and scale.acts(pipe, call):
        negative = ""
    if negative is not None:
        _require_second_look(pipe, scale, call, negative)
        call["negative_prompt"] = negative if isinstance(prompt, str) else [negative] * len(prompt)
    return call


def _require_second_look(pipe: Any, scale: Scale, call: Mapping[str, Any], negative: str) -> None:
    if takes(pipe, "negative_prompt") and scale.acts(pipe, call):
        return
    strength, could = scale.of(pipe, call), takes(pipe, "negative_prompt") and scale.looks
    raise DaamkitError(
        wanted="a negative prompt that the model reads",
        got=f"{negative!r} for {type(pipe).__name__}, which reads none"
        + (f" at {scale.argument}={strength:g}" if could and strength is not None else ""),
        mend=f"ask for guidance above {scale.above:g} too, or leave it out"
        if could
        else "give its call `true_cfg_scale` above 1 as well, or leave it out"
        if takes(pipe, "true_cfg_scale")
        else "leave it out",
    )


def default(pipe: Any, argument: str) -> Any:
    """What an argument of a pipeline's call is where it is not given; None: there is none."""
    known = _parameters(pipe).get(argument)
    return None if known is None or known.default is known.empty else known.default


def takes(pipe: Any, argument: str) -> bool:
    """Whether a pipeline's call has an argument."""
    return argument in _parameters(pipe)


def _parameters(pipe: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(type(pipe).__call__).parameters
