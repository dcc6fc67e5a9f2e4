"""Pictures in words, and words beside the prompt: the text metrics of Attend-and-Excite.

Chefer et al. 2023 (arXiv 2301.13826, section 5) compare by CLIP a picture with its prompt, a
picture with each half of its prompt, and a caption of the picture with its prompt.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from daamkit.errors import DaamkitError
from daamkit.toybox import oracle
from daamkit.toybox.captions import NUMBERS, PLACES, Noun, Sentence
from daamkit.toybox.scenes import SIDE
from daamkit.toybox.sprites import NAMES
from daamkit.vision import alignment

_PLAIN = {"own", "plain"}  # what the oracle says of looks that nobody would mention
_DOUBLE = re.compile(r"\b(?:a|the) (?=(?:an?|the) )")


class OracleCaptioner:
    """What the toybox's oracle reads in a picture, written as the toy world's captions are.

    Parameters
    ----------
    device
        As every captioner is told; the oracle always reads on the CPU.
    """

    world = 1

    def __init__(self, device: str = "cpu") -> None:
        self.reader = oracle.trained(self.world)

    def captions(self, images: Sequence[Image.Image]) -> list[str]:
        """A caption for each picture; see `write`.

        Raises
        ------
        DaamkitError
            If a picture is not of the toybox's size.
        """
        _its_own(images)
        return [write(reading) for reading in oracle.read_all(images, self.reader)]


class World2Captioner(OracleCaptioner):
    """The same of world 2's oracle."""

    world = 2


def _its_own(images: Sequence[Image.Image]) -> None:
    for image in images:
        if image.size != (SIDE, SIDE):
            raise DaamkitError(
                wanted=f"pictures of the toybox, {SIDE} x {SIDE}, for its oracle and its CLIP",
                got=f"one of {image.height} x {image.width}",
                mend="name a BLIP and a CLIP, such as 'Salesforce/blip-image-captioning-base' and "
                "'openai/clip-vit-base-patch16'",
            )


def write(reading: pd.DataFrame) -> str:
    """A caption of all that the oracle has read: things from left to right, the largest place.

    "" of an empty picture.

    Parameters
    ----------
    reading
        What `oracle.detections` found.

    Examples
    --------
    >>> from daamkit.toybox import scenes
    >>> write(oracle.detections(scenes.sample(1, seed=7)[0].image))
    'yellow glasses and a bow'
    """
    things = reading[reading["kind"] == "thing"]
    looks = ["name", "colour", "texture"]
    counts = Counter(things[looks].itertuples(index=False, name=None))
    phrases = [
        (said, many)
        for said, count in counts.items()
        for many in _parts(count)  # "three cats and a cat"
    ]
    sentence = Sentence()
    for i, ((name, *adjectives), many) in enumerate(phrases):
        colour, texture = (None if each in _PLAIN else each for each in adjectives)
        noun = Noun(name, tuple(range(many)), colour, texture)
        article = "" if name in ("glasses", *NAMES) else "a"
        if i == 0:
            sentence.phrase(noun, article=article)
        else:
            link = "and" if i == len(phrases) - 1 else ","
            sentence.phrase(noun, "conj", 0, coordinator=link, article=article)
    places = reading[reading["kind"] == "place"].sort_values("area", ascending=False)
    if len(places):
        place = str(places.iloc[0]["name"])
        if not phrases:
            return " ".join((*PLACES[place][1:], place))
        sentence.place(place, 0)
    return sentence.text


def _parts(count: int) -> list[int]:
    """As many things as there are, in numbers that have words."""
    most = max(NUMBERS)
    return [most] * (count // most) + [count % most] * (count % most > 0)


def compare(
    images: Sequence[Image.Image],
    prompts: Sequence[str],
    captions: Sequence[str],
    clip: str = "toybox",
) -> list[dict[str, float]]:
    """How well pictures and their captions fit their prompts, as cosines.

    Parameters
    ----------
    images, prompts, captions
        As many of each.
    clip
        See `alignment.clip`; the paper's is "openai/clip-vit-base-patch16". Prompts are put into
        `TEMPLATES`, whose vectors are averaged, but for the toybox, which knows no such words.

    Returns
    -------
    rows
        clip_full (picture and prompt), clip_min (picture and that half of the prompt which fits it
        least; NaN if the prompt has no halves), text_text (caption and prompt).

    Raises
    ------
    DaamkitError
        If the toybox's CLIP is shown a picture that is not of the toybox's size.
    """
    if clip == "toybox":
        _its_own(images)
    model = alignment.clip(clip)
    rows = []
    for image, caption, prompt in zip(
        model.images(images), model.texts(captions), prompts, strict=True
    ):
        asked = _vector(clip, prompt)
        parts = [float(image @ _vector(clip, half)) for half in halves(prompt)]
        row = {"clip_full": float(image @ asked), "clip_min": min(parts, default=np.nan)}
        rows.append(row | {"text_text": float(caption @ asked)})
    return rows


def halves(prompt: str) -> list[str]:
    """A prompt's parts around "and", or else "with"; none if it has neither.

    >>> halves("a cat and a red car"), halves("a cat with a bow"), halves("a cat")
    (['a cat', 'a red car'], ['a cat', 'a bow'], [])
    """
    for link in (" and ", " with "):
        if link in prompt:
            return prompt.split(link)
    return []


def filled(prompt: str) -> list[str]:
    """A prompt in each of `TEMPLATES`, without a second article in front of its own.

    >>> filled("a cat and a dog")[0]
    'a bad photo of a cat and a dog.'
    """
    return [_DOUBLE.sub("", template.format(prompt)) for template in TEMPLATES]


@lru_cache(maxsize=10_000)
def _vector(clip: str, text: str) -> Float[Tensor, " width"]:
    """A prompt as CLIP has it; the same for every method."""
    model = alignment.clip(clip)
    if clip == "toybox":
        return model.texts([text])[0]
    return F.normalize(model.texts(filled(text)).mean(0), dim=-1)


def _templates() -> tuple[str, ...]:
    """The 80 sentences by which CLIP's authors ask for a class of ImageNet."""
    photos = (
        "bad", "cropped", "bright", "dark", "close-up", "black and white", "pixelated",
        "jpeg corrupted", "blurry", "good", "low resolution",
    )  # fmt: skip
    looks = ("hard to see", "clean", "dirty", "cool", "nice", "weird", "large", "small")
    works = (
        "a sculpture", "a rendering", "a tattoo", "a drawing", "a painting", "a doodle",
        "a sketch", "a rendition", "graffiti", "art", "itap", "a photo",
    )  # fmt: skip
    stuffs = ("embroidered", "plastic", "origami", "toy", "cartoon", "plushie")
    found = []
    for article in ("a", "the"):
        found += [f"a {photo} photo of {article} {{}}." for photo in photos]
        found += [f"a photo of {article} {look} {{}}." for look in looks]
        found += [f"{work} of {article} {{}}." for work in works]
        found += [f"{article} {stuff} {{}}." for stuff in stuffs]
        found.append(f"{article} {{}} in a video game.")
    found += ["a photo of many {}.", "a photo of one {}.", "a photo of my {}.", "itap of my {}."]
    return tuple(found)


TEMPLATES = _templates()
