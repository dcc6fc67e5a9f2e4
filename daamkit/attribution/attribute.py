"""Ask a method of attribution about an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from daamkit import registry
from daamkit.attention import families
from daamkit.attention.hooks import attach
from daamkit.attention.taps import Tap
from daamkit.attribution.method import Attribution, related
from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Asked
from daamkit.tracing.trace import trace


def attribute(
    pipe: Any, draw: Callable[[], Any], *words: Asked, method: str | Attribution = "daam"
) -> list[WordMap]:
    """Where words are in an image, according to a method of attribution.

    Parameters
    ----------
    pipe
        A diffusers pipeline that can be traced.
    draw
        A function that calls the pipeline for one image, the same each time: it makes the generator
        itself. Methods that draw again call it more than once.
    words
        Words or phrases ("cat", ("cat", 1)), all that shall compete; none: the prompt's words.
    method
        A name ("daam", "share", "propagation", "occlusion", ...: `registry.attributions`), the path
        of one ("my_package:Mine"), or a method itself (`Occlusion(by="silence")`).

    Returns
    -------
    maps
        One for each word, in the method's own unit, higher where the word is.

    Raises
    ------
    DaamkitError
        If there is no such method or word, the method does not work with the model or the prompt,
        or `draw` does not make the same call each time.

    Examples
    --------
    >>> import daamkit, torch
    >>> pipe = daamkit.load("toybox")
    >>> def draw():
    ...     generator = torch.Generator().manual_seed(0)
    ...     return pipe("a cat and a car", num_inference_steps=2, generator=generator)
    >>> cat, car = daamkit.attribute(pipe, draw, "cat", "car", method="occlusion")
    >>> cat.size
    (128, 128)
    """
    found = registry.attributions.find(method)() if isinstance(method, str) else method
    options: dict[str, Any] = {"self_attention": getattr(found, "self_attention", False)}
    if families.share_a_softmax(pipe) and (relations := related(found)):
        options["relations"] = dict.fromkeys(relations, [*words] or "all")

    def drawn(*taps: Tap) -> Run:
        with attach(pipe, *taps), trace(pipe, **options) as tracer:
            draw()
        return tracer.run

    first = drawn()

    def again(*taps: Tap) -> Run:
        run = drawn(*taps)
        _require_same(first.record, run.record)
        return run

    prompt = first.maps.prompt
    return found.maps(first, [prompt.word(word) for word in words] or prompt.words(), again)


def _require_same(first: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Refuse a second image of another prompt, seed or setting."""
    asked, seed = record["arguments"], record["seed"]
    fresh = seed and seed["fresh"]
    same = (asked, seed) == (first["arguments"], first["seed"])  # of a used generator its state too
    if not same or not (fresh or "latents" in asked):
        raise DaamkitError(
            wanted="a `draw` that makes the same image each time",
            got="another call" if fresh else "a generator that has been drawn from",
            mend="make the generator in it: `generator=torch.Generator().manual_seed(0)`",
        )
