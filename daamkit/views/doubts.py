"""What a view says of a noun whose map is not to be believed."""

from __future__ import annotations

from typing import Any

from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.measures import reliability

EVEN = 0.5  # a probability below which a view warns


def doubts(run: Run, parser: Any = None) -> dict[int, str]:
    """What to say of nouns, by the character that they begin with.

    Nothing where probabilities are not calibrated (`measures.reliability.calibrated`), or the
    prompt cannot be parsed.
    """
    if reliability.calibrated(run) is None:
        return {}
    try:
        found = reliability.table(run, parser)
    except DaamkitError:
        return {}
    return {
        int(row.start): said
        for row in found.itertuples()
        if row.calibrated and (said := says(float(row.present), float(row.located)))
    }


def says(present: float, located: float) -> str:
    """The warning in words; none where the map can be believed.

    >>> says(0.12, 0.05), says(0.8, 0.3), says(0.9, 0.8)
    ('probably not in the image (chance 12%)', 'its map may lie elsewhere (on it: 30%)', '')
    """
    if present < EVEN:
        return f"probably not in the image (chance {_percent(present)})"
    return f"its map may lie elsewhere (on it: {_percent(located)})" if located < EVEN else ""


def _percent(probability: float) -> str:
    return f"{probability:.0%}" if probability >= 0.01 else "below 1%"
