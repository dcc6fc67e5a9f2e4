"""The table of families on its page says what is so."""

import pytest

from tests.families import table
from tests.families.every import CASES

pytestmark = [
    pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The config attributes:UserWarning"),
]
ROWS = {row["family"]: row for row in table.written()}


def test_each_family_has_its_row() -> None:
    assert [*ROWS] == [*CASES] and len(table.written()) == len(CASES)
    for name, case in CASES.items():
        told = table.known(name, case, case.build())
        assert {column: ROWS[name][column] for column in told} == told
        assert "**" not in "".join(ROWS[name].values())


@pytest.mark.parametrize("name", CASES)
def test_it_is_made_again(name) -> None:
    made, found = table.row(name, CASES[name]), dict(ROWS[name])
    assert [*made] == [*found]
    assert max(float(each.pop(table.NUMBER)) for each in (made, found)) < 1e-5
    assert made == found
