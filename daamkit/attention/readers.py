"""What the text encoders read in a call: the ids that entered them, and the text they came from."""

from __future__ import annotations

import functools
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from daamkit.attention.calls import Heard
from daamkit.attention.faces import wear
from daamkit.attention.families.encoder import Encoder
from daamkit.attention.modules import hook

if TYPE_CHECKING:
    from daamkit.attention.audience import Audience


class Reader:
    """Listens to one text encoder and its tokenizer while a call lasts."""

    def __init__(self, audience: Audience, encoder: Encoder) -> None:
        self.audience, self.encoder = audience, encoder

    def install(self, stack: ExitStack) -> None:
        """Listen until the stack closes."""
        wear(stack, self.encoder.tokenizer, _verbs, self)
        if isinstance(self.encoder.model, nn.Module):
            hook(stack, self.encoder.model, self.reads)

    def reads(self, model: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        """The encoder is about to run."""
        ids = kwargs.get("input_ids", args[0] if args else None)
        if kwargs.get("past_key_values") is not None:  # it writes
            return
        if isinstance(ids, Tensor) and ids.ndim == 2 and not ids.is_floating_point():
            self._hear("encoded", Heard(ids.tolist()))

    def tokenizes(self, text: Any, coded: Any) -> None:
        """The tokenizer has run."""
        texts = [text] if isinstance(text, str) else text
        ids = coded.get("input_ids") if hasattr(coded, "get") else None
        if not isinstance(texts, list | tuple) or not all(isinstance(each, str) for each in texts):
            return
        if ids is None or not len(ids):
            return
        rows = ids.tolist() if hasattr(ids, "tolist") else list(ids)
        rows = rows if isinstance(rows[0], list) else [rows]
        if len(rows) == len(texts):
            self._hear("tokenized", Heard(rows, list(texts)))

    def _hear(self, where: str, heard: Heard) -> None:
        call = self.audience.call
        if self.audience.active and call is not None and not self.audience.passes:
            getattr(call, where).setdefault(self.encoder.name, []).append(heard)


# What sets how a tokenizer of transformers pads and cuts, or works by it.
_IN_TURN = ("tokenize", "encode", "decode", "batch_decode", "apply_chat_template")


def _verbs(own: Any, listeners: list[Reader]) -> dict[str, Any]:
    alone = (
        threading.RLock()
    )  # two threads would pad and cut as the other wants it, or borrow twice

    def in_turn(verb: Any) -> Any:
        @functools.wraps(verb)
        def run(tokenizer: Any, *args: Any, **kwargs: Any) -> Any:
            with alone:
                return verb(tokenizer, *args, **kwargs)

        return run

    tokenize = in_turn(own.__call__)

    @functools.wraps(own.__call__)
    def call(tokenizer: Any, *args: Any, **kwargs: Any) -> Any:
        coded = tokenize(tokenizer, *args, **kwargs)
        for reader in list(listeners):
            reader.tokenizes(args[0] if args else kwargs.get("text"), coded)
        return coded

    verbs = {name: verb for name in _IN_TURN if callable(verb := getattr(own, name, None))}
    return {"__call__": call} | {name: in_turn(verb) for name, verb in verbs.items()}
