"""What sites say after all edits, and whether a part of the picture alone was changed."""

import numpy as np
import torch

from daamkit.attention.taps import Tap


class Outputs(Tap):
    """What sites that read text had and said, after all edits, by pass and name."""

    def __init__(self):
        self.seen = {}

    def wants(self, site):
        return site.reads_text

    def edit(self, attention, output):
        self.seen[attention.now.index, attention.site.name] = attention, output.clone()
        return output


def only_above_left(plain, everywhere, here):
    """At the first site, cells above in the left quarter say what they say where all are edited,
    all others what they say where none is."""
    first = next(iter(plain.seen))
    attention, own = here.seen[first]
    rows = attention.branches["cond"]
    height, width = attention.layout.grid
    cells = np.zeros((height, width), bool)
    cells[: height // 2, : width // 4] = True
    chosen = torch.from_numpy(cells.flatten())
    (_, before), (_, other) = plain.seen[first], everywhere.seen[first]
    assert torch.allclose(own[rows][:, :, chosen], other[rows][:, :, chosen], atol=1e-6)
    assert torch.allclose(own[rows][:, :, ~chosen], before[rows][:, :, ~chosen], atol=1e-6)
    assert not torch.allclose(other[rows], before[rows], atol=1e-4)
    assert torch.equal(own[: rows.start], before[: rows.start])  # the unconditional rows
