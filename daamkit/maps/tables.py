"""What a run knows, as tidy frames: its words, its tokens, what guided it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from daamkit.maps import saved
from daamkit.maps.heatmaps import HeatMaps

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "word", "start", "end", "occurrence", "tokens", "mass", "area",
    "centre_y", "centre_x", "peak_y", "peak_x", "peak",
)  # fmt: skip


def words(maps: HeatMaps, threshold: float) -> pd.DataFrame:
    """The words and where they are; see `Run.table`."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for found in maps.words():
        word, columns = found.word, list(found.word.columns)
        (centre_y, centre_x), (peak_y, peak_x) = found.centre(), found.peak()
        rows.append(
            {
                "word": word.text,
                "start": word.start,
                "end": word.end,
                "occurrence": word.occurrence,
                "tokens": len(columns),
                "mass": float(maps.mass[columns].sum()),
                "area": found.area(threshold),
                "centre_y": centre_y,
                "centre_x": centre_x,
                "peak_y": peak_y,
                "peak_x": peak_x,
                "peak": float(found.values.max()),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def tokens(maps: HeatMaps) -> pd.DataFrame:
    """All tokens; see `Run.tokens`."""
    import pandas as pd

    frame = pd.DataFrame(saved.token_rows(maps))
    return frame.assign(
        special=frame["special"].astype(object).where(frame["special"].notna(), None)
    )


def guidance(record: Mapping[str, Any]) -> pd.DataFrame:
    """What guidance methods noted; see `Run.guidance`."""
    import pandas as pd

    rows = [
        {"method": entry["method"]} | numbers
        for entry in record.get("guidance", [])
        for numbers in entry["steps"]
    ]
    return pd.DataFrame(rows, columns=None if rows else ["method", "step"])
