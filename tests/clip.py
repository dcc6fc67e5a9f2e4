"""Prompts as CLIP's text encoders read them, without a pipeline."""

from collections.abc import Mapping

from daamkit.maps import columns, tokens
from daamkit.maps.prompt import Prompt
from tests import tiny

TOKENIZER = tiny.tokenizer()


def prompt(texts: str | Mapping[str, str], tokenizer=TOKENIZER) -> Prompt:
    """A prompt of one text encoder, or of several that share their places."""
    texts = {"text_encoder": texts} if isinstance(texts, str) else texts
    limit = tokenizer.model_max_length
    places, cuts = {}, {}
    for encoder, text in texts.items():
        ids, spans, end = tokens.cut(*tokens.code(tokenizer, text), limit)
        if end is not None:
            cuts[encoder] = end
        own = tokens.places_of(tokenizer, ids, spans)
        places[encoder] = own + [tokens.Place(0, 0, "padding")] * (limit - len(own))
    first = next(iter(texts))
    return columns.assign(texts, places, cuts, limit, dict.fromkeys(texts, first))[0]
