"""What attention-map-diffusers reads of each family's small pipeline, beside daamkit.

    python -m benchmarks.rivals --rival build/rival            # a table in Markdown
    python -m benchmarks.rivals --rival build/rival --write    # into docs/comparison.md

The rival is installed alone into that folder and runs on this environment's diffusers. Every family
draws one image (a video) of random weights three times: plain, under the rival's capture of what
cells pay to text, under `daamkit.trace`. Of both is told how many of the layers that attend to text
they read, whether the picture stays the same to the last bit, and how far the furthest probability
from cells to text, a mean over heads, is from a softmax of double precision over the queries and
keys that the model used; of the rival also whose passes the overview shows that it saves: the
prompt's ("cond"), or others. Of daamkit these are the columns that a trace adds up, by the kernel's
log-sum-exp where it tells one; what it keeps of them is held against the rival's own numbers in
tests/families/test_goldens.py.
"""

from __future__ import annotations

import argparse
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import daamkit
from benchmarks.families import RIVAL, VERSION, install
from daamkit.attention import columns, families, hooks
from daamkit.attention.sites import Site, of_rows
from daamkit.attention.taps import Attention, Output, Tap
from tests.families.checks import explicit
from tests.families.every import CASES, Case, generate

PAGE = Path(__file__).parents[1] / "docs" / "comparison.md"
BEGIN, END = "<!-- made by python -m benchmarks.rivals -->", "<!-- to here -->"
RELATIONS = ("image->text", "video->text")
OF = ("layers read", "picture", "furthest")
HEAD = (
    "family",
    "layers",
    f"{RIVAL}: {OF[0]}",
    *OF[1:],
    "its overview",
    f"daamkit: {OF[0]}",
    *OF[1:],
)


class Explicit(Tap):
    """An explicit softmax beside what a trace adds up.

    Attributes
    ----------
    shares
        By site, of each pass in turn: the softmax of its queries and keys, a mean over heads.
    branches
        Whose its rows are, alike.
    error
        How far the furthest column of a trace is from it.
    """

    def __init__(self) -> None:
        self.shares: dict[str, list[Tensor]] = defaultdict(list)
        self.branches: dict[str, list[dict[str, slice]]] = defaultdict(list)
        self.error = 0.0

    def wants(self, site: Site) -> bool:
        return site.reads_text

    def edit(self, attention: Attention, output: Output) -> Output:
        shares = explicit(attention).mean(1)
        self.shares[attention.site.name].append(shares)
        self.branches[attention.site.name].append(attention.branches)
        for name, rows in attention.branches.items():
            keys = attention.layout.keys(rows)
            own = [part.mean(1) for _, part in columns.of_keys(attention, name, keys)]
            wanted = of_rows(shares[rows], attention.layout.cells_of(rows), 1)[..., keys]
            self.error = max(self.error, furthest(torch.cat(own, 1), wanted))
        return output


def row(name: str, case: Case) -> list[str]:
    """What is seen of one family."""
    pipe, asked = case.build(), Explicit()
    read = [site for own in families.sites(pipe).values() for site in own if site.reads_text]
    options = {key: v[0] if isinstance(v, list) else v for key, v in case.guided.items()}
    plain = generate(case, pipe, **options)
    with hooks.attach(pipe, asked), daamkit.trace(pipe) as tracer:
        traced = generate(case, pipe, **options)
    ours = [
        str(len(tracer.run.maps.layers)),
        "same" if torch.equal(plain, traced) else "**another**",
        f"{asked.error:.0e}",
    ]
    return [name, str(len(read)), *theirs(case, pipe, options, plain, asked), *ours]


def furthest(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, but for places that see nothing: a softmax over nothing is NaN."""
    return float((found - wanted).abs().where(~wanted.isnan(), 0).max())


def theirs(
    case: Case, pipe: Any, options: dict[str, Any], plain: Tensor, asked: Explicit
) -> list[str]:
    """The rival's layers, picture, distance, and whose passes its overview shows; or why there is
    nothing."""
    from attention_map_diffusers import AttentionCapture  # type: ignore[import-not-found]

    capture = AttentionCapture(pipe, relations=list(RELATIONS), timesteps="all")
    try:
        capture.install()
    except RuntimeError as error:
        unknown = re.findall(r"\((\w{2,})\)", str(error))
        return [f"refused: {', '.join(dict.fromkeys(unknown)) or error}", "", "", ""]
    captured = generate(case, pipe, **options)
    capture.restore()
    records = [each for each in capture.compute().records if each.data is not None]
    found = by_site(records, asked)
    distances = [
        distance(each, shares)
        for site, own in found.items()
        for each, shares in zip(own, asked.shares[site], strict=True)
    ]
    return [
        str(len(found)),
        "same" if torch.equal(plain, captured) else "**another**",
        f"{max(distances, default=float('nan')):.0e}",
        " and ".join(sorted(overview(records, found, asked))),
    ]


def by_site(records: Sequence[Any], asked: Explicit) -> dict[str, list[Any]]:
    """Its records by our names of their layers, pass by pass."""
    found: dict[str, list[Any]] = defaultdict(list)
    for each in records:
        component, _, path = each.layer_id.partition(".")
        name = each.layer_id if each.layer_id in asked.shares else path
        if name in asked.shares:
            found[name].append(each)
    return found


def distance(record: Any, shares: Tensor) -> float:
    """How far its probabilities are, row by row, from those of the same pass."""
    part = shares[:, slice(*record.q_range), slice(*record.k_range)]
    data = record.data.double().mean(1)
    if data.shape != part.shape:
        raise ValueError(f"{record.layer_id}: {tuple(data.shape)} beside {tuple(part.shape)}")
    return furthest(data, part)


def overview(records: Sequence[Any], found: dict[str, list[Any]], asked: Explicit) -> Iterable[str]:
    """The branches whose maps are averaged in the picture that it saves for one image."""
    from attention_map_diffusers import visualization

    names = set[str]()
    chosen = {id(each) for each in visualization._select_guidance_records(records, None)}
    for site, own in found.items():
        passes = zip(own, asked.shares[site], asked.branches[site], strict=True)
        for each, shares, branches in passes:
            if id(each) not in chosen:
                continue
            data = visualization._prepare_data(each.data, None, 1)
            part = shares[:, slice(*each.q_range), slice(*each.k_range)]
            for name, rows in branches.items():
                alike = [furthest(row, other) < 1e-6 for row in data for other in part[rows]]
                names |= {name} if any(alike) else set()
    return names


def table() -> str:
    """All of it, in Markdown."""
    rows = []
    for name, case in CASES.items():
        rows.append(row(name, case))
        print(*rows[-1], sep=" | ", flush=True)
    lines = [f"| {' | '.join(cells)} |" for cells in (HEAD, ["---"] * len(HEAD), *rows)]
    versions = [
        f"{each} {metadata.version(each)}" for each in ("torch", "diffusers", "transformers")
    ]
    made = f"{RIVAL} {VERSION}, daamkit {daamkit.__version__}, {', '.join(versions)}."
    return "\n".join([*lines, "", made])


def written() -> list[list[str]]:
    """The rows that the page has."""
    lines = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].splitlines()
    _, _, *rows = (line.strip("| ").split(" | ") for line in lines if line.startswith("|"))
    return rows


def main() -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rival", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--write", action="store_true", help="into docs/comparison.md")
    given = parser.parse_args()
    install(given.rival)
    warnings.simplefilter("ignore")
    made = table()
    if not given.write:
        print(made)
        return
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
