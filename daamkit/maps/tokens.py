"""What a tokenizer makes of a prompt: tokens, told by their characters, and special ones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from daamkit.errors import DaamkitError

Special = Literal["SOS", "EOS", "padding", "template", "register"]


@dataclass(frozen=True)
class Token:
    """One token of a prompt as a text encoder reads it.

    Attributes
    ----------
    column
        Its place on the key axis of the maps.
    encoder
        Component name of the text encoder.
    text
        Its characters in the prompt; "" for special ones.
    start, end
        Its characters are ``prompt[start:end]``.
    special
        "SOS", "EOS", "padding", "template" (what a pipeline writes around the prompt) or "register"
        (places of the model's own before the text), the last three of consecutive places together;
        None for text.
    """

    column: int
    encoder: str
    text: str
    start: int
    end: int
    special: Special | None = None


@dataclass(frozen=True)
class Place:
    """What one place of a text encoder's input stands for: characters, or something special."""

    start: int = 0
    end: int = 0
    special: Special | None = None


def code(tokenizer: Any, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Token ids and their characters; a textual inversion of several vectors is several tokens.

    diffusers replaces such a token t by "t t_1 t_2 ..." (`maybe_convert_prompt`) before it
    tokenizes; all of them stand for the characters of t.

    Raises
    ------
    DaamkitError
        If the tokenizer does not tell characters.
    """
    if not tokenizer.is_fast and (coded := _bytes(tokenizer, text)) is not None:
        return coded
    if not tokenizer.is_fast:
        raise DaamkitError(
            wanted="a tokenizer that tells which characters a token stands for",
            got=f"{type(tokenizer).__name__}, a slow one",
            mend="install transformers 5 or load the fast tokenizer",
        )
    coded = tokenizer(text, return_offsets_mapping=True, verbose=False)
    added = tokenizer.get_added_vocab()
    names = {index: name for name, index in added.items()}
    ids, spans = [], []
    for index, span in zip(coded["input_ids"], coded["offset_mapping"], strict=True):
        ids.append(index)
        spans.append((int(span[0]), int(span[1])))
        for number in itertools.count(1):
            following = added.get(f"{names.get(index)}_{number}")
            if following is None:
                break
            ids.append(following)
            spans.append((int(span[0]), int(span[1])))
    return ids, spans


def _bytes(tokenizer: Any, text: str) -> tuple[list[int], list[tuple[int, int]]] | None:
    """The same of a tokenizer whose tokens are bytes, if it is one: ByT5's has no fast form."""
    first = getattr(tokenizer, "offset", None)
    if first is None or tokenizer.eos_token_id is None:
        return None
    ids = [*(byte + first for byte in text.encode()), tokenizer.eos_token_id]
    if tokenizer(text).input_ids != ids:
        return None
    spans = [(at, at + 1) for at, char in enumerate(text) for _ in char.encode()]
    return ids, [*spans, (0, 0)]


def cut(
    ids: list[int], spans: list[tuple[int, int]], limit: int
) -> tuple[list[int], list[tuple[int, int]], int | None]:
    """A text cut at a limit; and the first character not read, if any.

    What a tokenizer writes at the end of each text, and so stands for no characters, is kept; not
    all do.
    """
    if len(ids) <= limit:
        return ids, spans, None
    if spans[-1][0] != spans[-1][1]:
        return ids[:limit], spans[:limit], spans[limit - 1][1]
    ids, spans = [*ids[: limit - 1], ids[-1]], [*spans[: limit - 1], spans[-1]]
    return ids, spans, spans[-2][1]


def places_of(tokenizer: Any, ids: Sequence[int], spans: Sequence[tuple[int, int]]) -> list[Place]:
    """What the tokens of a text stand for, padding not among them."""
    found = []
    for at, (token, (start, end)) in enumerate(zip(ids, spans, strict=True)):
        special: Special | None = None
        if at == 0 and token in (tokenizer.bos_token_id, tokenizer.cls_token_id):
            special = "SOS"
        elif at == len(ids) - 1 and token in (tokenizer.eos_token_id, tokenizer.sep_token_id):
            special = "EOS"
        elif start == end and token in tokenizer.all_special_ids:
            special = "template"
        found.append(Place(0, 0, special) if special else Place(start, end))
    return found
