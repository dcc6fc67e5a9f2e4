"""The text encoders of models with joint attention: whose places are keys, and what is around."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor

from daamkit.attention.families.encoder import Encoder
from daamkit.attention.sites import Span
from daamkit.errors import DaamkitError

_PICTURE = "<|image_pad|>"  # a place of a picture
_MARK = "\N{OBJECT REPLACEMENT CHARACTER}"  # stands for the prompt where a template is asked for


@dataclass(frozen=True)
class Text:
    """One text encoder of a model.

    Attributes
    ----------
    suffix
        Of its component's name: "_2" of "text_encoder_2" and "tokenizer_2".
    argument
        Of the call, with its text.
    limit
        Places it has unless the call says `max_sequence_length`; None: as many as its tokenizer's
        ``model_max_length``, or, of the last encoder, all that are left.
    shares
        The suffix of the encoder whose places are its own too.
    template
        Where the text around the prompt is from: the pipeline's own "format", the first tokens of
        which it drops after encoding; or the tokenizer's for a "chat", where the prompt is what
        the user says, after the pipeline's system message if it has one.
    mask, spared
        As an encoder has them.
    """

    suffix: str = ""
    argument: str = "prompt"
    limit: int | None = None
    shares: str | None = None
    template: Literal["", "format", "chat"] = ""
    mask: str = "prompt_attention_mask"
    spared: int = 0

    @property
    def name(self) -> str:
        """Component name."""
        return f"text_encoder{self.suffix}"

    def tokenizer(self, pipe: Any) -> Any:
        """Its tokenizer, or the one within its processor; None where there is none."""
        found = getattr(pipe, f"tokenizer{self.suffix}", None)
        return getattr(found, "tokenizer", found)

    def dropped(self, pipe: Any) -> int:
        """How many tokens the pipeline drops from the front after encoding."""
        return int(pipe.prompt_template_encode_start_idx) if self.template == "format" else 0

    def around(self, pipe: Any) -> tuple[str, str]:
        """The text before and after the prompt."""
        if not self.template:
            return "", ""
        if self.template == "format":
            before, after = pipe.prompt_template_encode.split("{}")
            return before, after
        tokenizer = self.tokenizer(pipe)
        system = getattr(pipe, "system_message", None)
        if system is None:
            said: list[dict[str, Any]] = [{"role": "user", "content": _MARK}]
            options = {"add_generation_prompt": True, "enable_thinking": False}
        else:
            said = [
                {"role": "system", "content": [{"type": "text", "text": system}]},
                {"role": "user", "content": [{"type": "text", "text": _MARK}]},
            ]
            options = {"add_generation_prompt": False}
        chat = tokenizer.apply_chat_template(said, tokenize=False, **options)
        before, after = chat.split(_MARK)
        if tokenizer("").input_ids[:1] == [tokenizer.bos_token_id]:  # it writes that by itself
            before = before.removeprefix(tokenizer.bos_token)
        return before, after

    def encoder(self, pipe: Any) -> Encoder:
        """As a family tells it."""
        return Encoder(
            self.name,
            self.tokenizer(pipe),
            getattr(pipe, self.name, None),
            self.argument,
            self.limit,
            template=self.around(pipe),
            mask=self.mask,
            trims=self.template == "format",
            dropped=self.dropped(pipe),
            spared=self.spared,
            shares="" if self.shares is None else f"text_encoder{self.shares}",
        )


def pictured(encoder: Encoder, ids: Sequence[int]) -> tuple[str, str]:
    """An encoder's template with all places of the pictures that it was given with a text.

    Qwen-Image-Edit has one picture in its template, Qwen-Image-Edit-Plus writes any number after
    it; the processor puts as many places for each as the picture is large.
    """
    before, after = encoder.template
    known = encoder.tokenizer
    place = known.convert_tokens_to_ids(_PICTURE)
    if place in (None, known.unk_token_id, known.pad_token_id):  # it knows of no pictures
        return before, after
    counts = [len(list(own)) for token, own in itertools.groupby(ids) if token == place]
    if not counts:
        return before, after
    if _PICTURE not in before:
        for number in range(1, len(counts) + 1):
            before += f"Picture {number}: <|vision_start|>{_PICTURE}<|vision_end|>"
    parts = before.split(_PICTURE)
    places = [_PICTURE * count for count in counts] + [""]
    return "".join(a + b for a, b in zip(parts, places, strict=False)), after


def present(texts: Sequence[Text], pipe: Any, embeds: Tensor | None = None) -> list[Text]:
    """Without the encoders that a pipeline was loaded without, in whose places zeros stand then,
    also of embeddings; all, if all are missing, and the text comes as embeddings."""
    known = [text for text in texts if text.tokenizer(pipe) is not None]
    loaded = [text for text in known if getattr(pipe, text.name, None) is not None]
    if embeds is None or not loaded or loaded == known:
        return loaded or known
    own = zip(known, spans(known, pipe, 0, embeds.shape[1]), strict=True)
    return [
        text
        for text, span in own
        if text in loaded or bool(embeds[:, span.start : span.start + span.length].any())
    ]


def require_length(texts: Sequence[Text], pipe: Any, length: int, most: int) -> None:
    """Refuse embeddings of several encoders of which is not known where the last one's begin.

    Raises
    ------
    DaamkitError
        If they are not as long as the first's places and the last's, `most`, together.
    """
    first, *_, last = texts
    own = first.tokenizer(pipe).model_max_length
    if length != own + most:
        raise DaamkitError(
            wanted=f"`prompt_embeds` of {own + most} places, {own} of {first.name} and {most} of "
            f"{last.name}",
            got=f"{length}",
            mend=f"give the call `max_sequence_length=`, with which {last.name} made its; longer "
            f"texts of {first.name} are not read yet",
        )


def spans(
    texts: Sequence[Text], pipe: Any, start: int, length: int, most: int | None = None
) -> tuple[Span, ...]:
    """Where which encoder's text is among the keys.

    Parameters
    ----------
    texts
        Those present, in the order of their keys.
    pipe
        The pipeline.
    start, length
        Where the text's keys begin, and how many there are.
    most
        How many of them the last encoder has: an image prior (FLUX Redux) puts its own after them.
    """
    found: dict[str, Span] = {}
    at, end = start, start + length
    for text in texts:
        if text.shares is not None:
            found[text.suffix] = replace(found[text.shares], encoder=text.name)
            continue
        left = end - at
        limit = most or left if text.limit else text.tokenizer(pipe).model_max_length
        own = Span(text.name, at, min(left, limit), text.dropped(pipe))
        found[text.suffix], at = own, at + own.length
    return tuple(found.values())
