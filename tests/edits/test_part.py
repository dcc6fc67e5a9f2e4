"""A cell is of a part of the picture, or of what is beside it."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from daamkit.attention.calls import Call, Pass
from daamkit.attention.sites import Layout, Site
from daamkit.attention.taps import Attention
from daamkit.edits import part

SIDE = st.integers(1, 9)


def attention(grid, images=1):
    """Of so many cells, after two other queries."""
    count = int(np.prod(grid))
    query = torch.zeros(images, 1, count + 2, 1)
    site = Site("mid", "joint", "mid", 0, 1, torch.nn.Identity())
    now = Pass(Call(None, {}), 0, 0, {"cond": slice(0, images)}, grid)
    layout = Layout(grid, slice(2, 2 + count))
    return Attention(site, now, query, query, 1.0, layout=layout)


@given(st.data(), SIDE, SIDE, st.sampled_from([(), (2,)]))
def test_a_mask_and_its_complement_part_the_cells(data, height, width, frames):
    images = data.draw(st.integers(1, 2))
    shape = data.draw(st.tuples(SIDE, SIDE))
    mask = data.draw(arrays.arrays(bool, (images, *shape)))
    seen = attention((*frames, height, width), images)
    own, beside = (part.queries(each, seen) for each in (mask, ~mask))
    assert (own ^ beside)[:, 2:].all() and not (own | beside)[:, :2].any()


@given(st.data(), st.integers(1, 4), st.integers(1, 4), SIDE, SIDE)
def test_a_cell_is_what_most_of_its_pixels_are_and_at_half_what_its_first_is(
    data, height, width, rows, columns
):
    """Where cells are whole blocks of pixels: these are counted."""
    mask = data.draw(arrays.arrays(bool, (height * rows, width * columns)))
    found = part.queries(mask, attention((height, width)))[0, 2:].reshape(height, width)
    for y in range(height):
        for x in range(width):
            block = mask[y * rows : (y + 1) * rows, x * columns : (x + 1) * columns]
            twice = 2 * int(block.sum())
            wanted = bool(block[0, 0]) if twice == block.size else twice > block.size
            assert bool(found[y, x]) == wanted
