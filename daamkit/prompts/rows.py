"""One text encoder's input: its ids matched with a text, place by place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from daamkit.attention.calls import Call
from daamkit.attention.families.encoder import Encoder
from daamkit.maps import tokens
from daamkit.maps.tokens import Place

UNLIMITED = 10**6  # tokenizers without a limit say so with a large number
_PADDING = Place(0, 0, "padding")
_TEMPLATE = Place(0, 0, "template")
_REGISTER = Place(0, 0, "register")


@dataclass(frozen=True)
class Row:
    """One encoder's input: its text, its places, and where the text is cut off."""

    text: str
    places: list[Place]
    end: int | None
    limit: int


def match(encoder: Encoder, row: list[int], text: str) -> Row | None:
    """A row read as a text in its encoder's template, if it is that."""
    before, after = encoder.template
    return aligned(encoder, row, before + text + after, len(before), text)


def likened(call: Call, encoder: Encoder, row: list[int], text: str) -> Row | None:
    """A row whose text the tokenizer was given in another case, or with other blanks."""
    for given in given_texts(call, encoder, row):
        if (own := inside(encoder, given)) is not None:
            at = _alike(given[slice(*own)], text)
            if at is not None:
                return aligned(encoder, row, given, own[0], text, at)
    return None


def given_texts(call: Call, encoder: Encoder, row: list[int]) -> list[str]:
    """What the tokenizer was given where these ids came out of it."""
    found = []
    for each in call.tokenized.get(encoder.name, ()):
        for ids, text in zip(each.ids, each.texts or (), strict=True):
            if ids != row:
                continue
            own, *_ = tokens.cut(*tokens.code(encoder.tokenizer, text), len(row))
            if _padded(encoder, row, own, []) is not None:
                found.append(text)
    return list(dict.fromkeys(found))


def inside(encoder: Encoder, given: str) -> tuple[int, int] | None:
    """Where the prompt stands in what the tokenizer was given, if its template is around it."""
    before, after = encoder.template
    start, stop = len(before), len(given) - len(after)
    fits = given.startswith(before) and given.endswith(after) and start <= stop
    return (start, stop) if fits else None


def _alike(given: str, text: str) -> list[int] | None:
    """Where each character of `given` stands in `text`, if they differ in case and blanks only."""
    at, next_ = [], 0
    blank = True  # before `given`, and wherever blanks are, `text` may have more of them
    for char in given:
        while blank and not char.isspace() and text[next_ : next_ + 1].isspace():
            next_ += 1
        other = text[next_ : next_ + 1]
        if blank and char.isspace() and not other.isspace():
            at.append(max(next_ - 1, 0))  # it is `given` that has more
            continue
        if char.isspace() != other.isspace() or other.lower() != (
            other if char.isspace() else char.lower()
        ):
            return None
        at.append(next_)
        next_, blank = next_ + 1, char.isspace()
    return at if not text[next_:].strip() else None


def aligned(
    encoder: Encoder,
    row: list[int],
    given: str,
    start: int,
    text: str,
    at: Sequence[int | None] | None = None,
) -> Row | None:
    """A row read as a text in what the tokenizer was given, if its ids are these.

    Parameters
    ----------
    encoder, row
        The encoder, and the ids that entered it, with their padding.
    given
        What its tokenizer was given: the text and what stands around it.
    start, text
        Where the text begins in it, and the text as it shall be shown.
    at
        Where each of its characters, as given, stands in the text shown, or None of what is the
        pipeline's own; None: at the same place.
    """
    at = range(len(text)) if at is None else at
    stop = start + len(at)
    for limit in (len(row), len(row) - _leading(encoder, row)):
        ids, spans, end = tokens.cut(*tokens.code(encoder.tokenizer, given), limit)
        if _padded(encoder, row, ids, []) is not None:
            break
    else:
        return None

    def shown(place: int) -> int | None:
        return at[place - start] if start <= place < stop else len(text) if place >= stop else 0

    def own(place: Place) -> Place:
        before = bool(start) and place.end <= start
        after = stop < len(given) and place.start >= stop
        if place.special or before or after:
            return place if place.special else _TEMPLATE
        first, last = shown(place.start), shown(max(place.end - 1, place.start))
        if first is None or last is None:
            return _TEMPLATE
        return Place(first, min(last + 1, len(text)) if place.end > place.start else first)

    places = [own(place) for place in tokens.places_of(encoder.tokenizer, ids, spans)]
    row_places = _padded(encoder, row, ids, places)
    assert row_places is not None, "just aligned"
    row_places += [_PADDING] * (-len(row_places) % encoder.multiple)
    row_places[:0] = [_REGISTER] * encoder.registers
    unread = [] if end is None else [own for own in at[max(end - start, 0) :] if own is not None]
    cut = min(unread, default=None)
    return Row(text, row_places, cut, len(row))


def _padded(
    encoder: Encoder, row: Sequence[int], ids: Sequence[int], places: list[Place]
) -> list[Place] | None:
    """The places of a padded row, if its text has these ids."""
    more = len(row) - len(ids)
    if more < 0:
        return None
    padding = encoder.tokenizer.pad_token_id
    for before in {0, more}:
        rest = {*row[:before], *row[before + len(ids) :]}
        padded = rest <= {padding} if padding is not None else len(rest) <= 1
        if padded and list(row[before : before + len(ids)]) == list(ids):
            before *= not encoder.trims
            return [_PADDING] * before + places + [_PADDING] * (more - before)
    return None


def _leading(encoder: Encoder, row: Sequence[int]) -> int:
    """How many places of padding stand before a text."""
    padding = encoder.tokenizer.pad_token_id
    return next((at for at, own in enumerate(row) if own != padding), 0)


def quoted(encoder: Encoder, heard: Iterable[list[int]], text: str) -> Row | None:
    """The row of an encoder that is given what it `rewrites` of a text; nothing but padding where
    that is empty; None where it has not been heard."""
    assert encoder.rewrites is not None
    parts = encoder.rewrites(text)
    if not parts:
        return Row(text, [_PADDING] * _limit(encoder), None, _limit(encoder))
    given, at = "".join(char for char, _ in parts), [place for _, place in parts]
    found = (aligned(encoder, row, given, 0, text, at) for row in heard)
    return next((row for row in found if row is not None), None)


def coded(
    encoder: Encoder, text: str, length: int | None = None, pads: str = "", least: int = 0
) -> Row:
    """What an encoder would read of a text, were it called.

    Parameters
    ----------
    encoder, text
        The encoder and its text.
    length
        How many places it has; None: its own number.
    pads
        On which side of the text padding is, "left" or "right"; "": where the pipeline pads.
    least
        How many places it has at least, where its own number has no limit.
    """
    (before, after), limit = encoder.template, length or _limit(encoder)
    given = text if encoder.cleans is None else encoder.cleans(text)
    at = None if given == text else _alike(given, text)
    text = given if at is None else text
    given = before + given + after
    if encoder.rewrites is not None:
        given = "".join(char for char, _ in encoder.rewrites(text))
    ids, *_ = tokens.cut(*tokens.code(encoder.tokenizer, given), limit)
    if encoder.rewrites is None:
        found = aligned(encoder, ids, given, len(before), text, at)
    else:
        found = quoted(encoder, [ids], text)
    assert found is not None, "its own ids"
    full = limit if limit < UNLIMITED else least
    more = max(full + encoder.registers - len(found.places), 0)
    side = pads or encoder.pads or encoder.tokenizer.padding_side
    start = encoder.registers if side == "left" and not encoder.trims else len(found.places)
    places = [*found.places[:start], *[_PADDING] * more, *found.places[start:]]
    return replace(found, places=places, limit=limit)


def _limit(encoder: Encoder) -> int:
    return int(encoder.limit or encoder.tokenizer.model_max_length)
