"""From keys to columns: each key's share goes into its column, whatever way the columns stand."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from daamkit.tracing.columns import gathered

WIDTH = 9


RUNS = st.lists(
    st.tuples(st.booleans(), st.integers(1, 4), st.integers(0, WIDTH - 1)), min_size=1, max_size=4
)


def laid(drawn, in_order):
    """Runs of keys, one after the other, and how many keys and columns there are."""
    runs, at, column = [], 0, 0
    for merged, length, first in drawn:
        wide = 1 if merged else length
        first = column if in_order else min(first, WIDTH - wide)
        runs.append((slice(at, at + length), first, merged))
        at, column = at + length, first + wide
    return tuple(runs), at, column if in_order else WIDTH


@given(RUNS, st.booleans(), st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_each_key_goes_into_its_column(drawn, in_order, start):
    runs, keys, width = laid(drawn, in_order)
    shares = torch.rand(2, 3, 5, keys, generator=torch.Generator().manual_seed(0))
    wanted = torch.zeros(2, 3, 5, width)
    for own, first, merged in runs:
        for index, key in enumerate(range(own.start, own.stop)):
            wanted[..., first if merged else first + index] += shares[..., key]
    shifted = tuple(
        (slice(own.start + start, own.stop + start), first, merged) for own, first, merged in runs
    )
    torch.testing.assert_close(gathered(shares, shifted, width, start), wanted)


def test_columns_of_one_step_after_the_other_are_a_copy():
    shares = torch.rand(1, 1, 2, 4, generator=torch.Generator().manual_seed(0))
    columns = gathered(shares, ((slice(0, 2), 0, False), (slice(2, 4), 2, True)), 3, 0)
    torch.testing.assert_close(columns[..., 2], shares[..., 2:].sum(-1), rtol=0, atol=0)
    columns.zero_()
    assert shares.all()  # what is summed up later does not write into the attention
