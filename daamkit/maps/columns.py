"""The key axis of the maps: which column each place of the text encoders has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daamkit.maps.prompt import Prompt
from daamkit.maps.tokens import Place, Token

_RUNS = ({"padding"}, {"template"}, {"register"})  # of consecutive places together


def assign(
    texts: Mapping[str, str],
    places: Mapping[str, Sequence[Place]],
    cuts: Mapping[str, int],
    limit: int,
    shares: Mapping[str, str] | None = None,
) -> tuple[Prompt, dict[str, list[int]]]:
    """Number the places of all encoders as columns of one key axis.

    Parameters
    ----------
    texts, cuts, limit
        What each encoder was given, where it was cut, and the limit of that, as in `Prompt`.
    places
        Of each encoder's input, to its end.
    shares
        For an encoder whose places are another's (both CLIPs'), which; others follow each other.

    Returns
    -------
    prompt
        Its tokens; consecutive padding is one token, and so is consecutive template.
    columns
        For each encoder: the column of each place.
    """
    shares = shares or {}
    groups: dict[str, list[str]] = {}
    for encoder in texts:
        groups.setdefault(shares.get(encoder, encoder), []).append(encoder)
    rows: dict[str, list[Token]] = {encoder: [] for encoder in texts}
    columns: dict[str, list[int]] = {encoder: [] for encoder in texts}
    column, before = -1, ""
    for group in groups.values():
        before = ""
        for at in range(max(len(places[encoder]) for encoder in group)):
            each = {
                encoder: places[encoder][at]
                if at < len(places[encoder])
                else Place(0, 0, "padding")
                for encoder in group
            }
            kinds = {place.special for place in each.values()}
            run = str(*kinds) if kinds in _RUNS else ""
            new = not run or run != before
            column, before = column + new, run
            for encoder, place in each.items():
                columns[encoder].append(column)
                if new:
                    text = texts[encoder][place.start : place.end]
                    token = Token(column, encoder, text, place.start, place.end, place.special)
                    rows[encoder].append(token)
    tokens = tuple(token for row in rows.values() for token in row)
    return Prompt(dict(texts), tokens, dict(cuts), limit), columns
