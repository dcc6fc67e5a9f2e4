"""What methods add to a baseline: which interval each measure has."""

import pandas as pd
import pytest

from daamkit.measures.intervals import ANY
from daamkit.studies import gains

ROWS = pd.DataFrame(
    {"prompt": [*"abcdef"] * 2, "case": [*range(6)] * 2, "method": ["none"] * 6 + ["own"] * 6}
)


@pytest.mark.parametrize("within", [ANY, (0, 1)])
def test_a_share_of_none_has_a_width(within) -> None:
    table = gains.compare("of", {"x": ROWS.assign(there=0)}, ["there"], within={"there": within})
    assert (table["high"] > 0.3).all()
    assert table["gain_low"].iloc[1] < 0 < table["gain_high"].iloc[1]


def test_a_signed_measure_that_is_always_zero_is_no_share() -> None:
    table = gains.compare("of", {"x": ROWS.assign(more=0)}, ["more"], within={"more": (-1, 1)})
    assert (table[["mean", "low", "high"]] == 0).all(axis=None)
    assert (table.loc[1, ["gain", "gain_low", "gain_high"]] == 0).all()
