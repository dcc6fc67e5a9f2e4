"""The table of families in docs/families.md, made by running each small pipeline.

python -m tests.families.table           # prints it
python -m tests.families.table --write   # puts it into the page
"""

import argparse
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import daamkit
from daamkit.attention import families, hooks
from daamkit.guidance.denoising import Method
from daamkit.guidance.perturbed import PerturbedAttentionGuidance
from daamkit.guidance.self_attention import SelfAttentionGuidance
from daamkit.guidance.smoothed import SmoothedEnergyGuidance
from daamkit.guidance.syngen import SynGen
from tests.families.checks import Seen, exchanged
from tests.families.every import CASES, TWO, Case, deaf, generate

PAGE = Path(__file__).parents[2] / "docs" / "families.md"
BEGIN, END = "<!-- made by python -m tests.families.table -->", "<!-- to here -->"
PROMPT = "a red cat and a blue dog"
METHODS: dict[str, Callable[[str], Method]] = {
    "A&E": lambda layers: daamkit.AttendAndExcite(["cat", "dog"], max_refinement_steps=1),
    "SynGen": lambda layers: SynGen([("cat", ["red"]), ("dog", ["blue"])]),
    "PAG": lambda layers: PerturbedAttentionGuidance(layers=layers),
    "SEG": lambda layers: SmoothedEnergyGuidance(layers=layers, sigma=1.5),
    "SAG": lambda layers: SelfAttentionGuidance(layer=layers, kernel_size=3),
}
NUMBER = "furthest from a softmax"  # the only column that may differ from machine to machine


def known(name: str, case: Case, pipe: Any) -> dict[str, str]:
    """What is known of one family before it draws."""
    sites = [site for own in families.sites(pipe).values() for site in own]
    kinds = Counter(site.kind if site.observable else "linear" for site in sites)
    encoders = [encoder.name for encoder in families.family_of(pipe).encoders(pipe)]
    return {
        "family": name,
        "pipeline": type(pipe).__name__,
        "attention": ", ".join(f"{count} {kind}" for kind, count in kinds.items()),
        "text encoders": ", ".join(encoders),
        "branches": ", ".join(case.branches),
        "grid": " x ".join(map(str, case.grid)),
    }


def row(name: str, case: Case) -> dict[str, str]:
    """What is seen of one family."""
    pipe, seen = case.build(), Seen()
    images = {case.images: 2} if case.images else {}
    seeds = range(4 if case.images else 2)
    plain = generate(case, pipe, TWO, seeds, **case.guided, **images)
    with hooks.attach(pipe, seen), daamkit.trace(pipe, branches=case.branches) as tracer:
        traced = generate(case, pipe, TWO, seeds, **case.guided, **images)
    alone = generate(case, pipe, **case.alone)
    with daamkit.trace(pipe):
        same = torch.equal(plain, traced) and torch.equal(alone, generate(case, pipe, **case.alone))
    own, moved = exchanged(case, deaf(case.build()))
    return known(name, case, pipe) | {
        "picture": "the same" if same else "**another**",
        NUMBER: f"{max(seen.error.values()):.0e}",
        "words": "their own" if own and moved == own else "**others**",
        "saved": "the same" if all(map(saved, tracer.runs)) else "**another**",
        "guided by": ", ".join(each for each in METHODS if guided(case, pipe, each)) or "none",
        "concepts": concepts(case, pipe),
    }


def saved(run: daamkit.Run) -> bool:
    """Whether a run is the same when it was saved and opened."""
    with tempfile.TemporaryDirectory() as folder:
        again = daamkit.open(run.save(Path(folder) / "run"))
        pairs = zip(run.maps.words(), again.maps.words(), strict=True)
        return again.table().equals(run.table()) and all(
            torch.equal(one.values, other.values) for one, other in pairs
        )


def concepts(case: Case, pipe: Any) -> str:
    """How words are found that the prompt has not got, or that they are refused."""
    try:
        with daamkit.trace(pipe, concepts=["fox", "tree"]) as tracer:
            generate(case, pipe, PROMPT, **case.alone)
    except daamkit.DaamkitError:
        return "refused"
    names = tracer.run.maps.concepts.layers
    sites = [site for own in families.sites(pipe).values() for site in own]
    kinds = {site.kind for site in sites if site.name in names}
    return {"cross": "keys", "joint": "texts of their own"}[kinds.pop()]


def guided(case: Case, pipe: Any, method: str) -> bool:
    """Whether a method guides it: moves the picture, and says so."""
    sites = [site for own in families.sites(pipe).values() for site in own]
    groups = [site.group for site in sites if site.reads_image] or ["mid"]
    layers = "mid" if "mid" in groups else groups[-1]
    options = {name: v[0] if isinstance(v, list) else v for name, v in case.guided.items()}
    plain = generate(case, pipe, PROMPT, **options)
    try:
        with daamkit.guide(pipe, METHODS[method](layers)) as tap:
            moved = generate(case, pipe, PROMPT, **options)
    except daamkit.DaamkitError:
        return False
    return len(tap.table()) > 0 and not torch.equal(plain, moved)


def table() -> str:
    """All of it, in Markdown."""
    rows = []
    for name, case in CASES.items():
        rows.append(row(name, case))
        print(*rows[-1].values(), sep=" | ", file=sys.stderr)
    cells = [[*rows[0]], ["---"] * len(rows[0]), *([*each.values()] for each in rows)]
    return "\n".join(f"| {' | '.join(each)} |" for each in cells)


def written() -> list[dict[str, str]]:
    """The table that the page has."""
    lines = PAGE.read_text().split(BEGIN)[1].split(END)[0].strip().splitlines()
    head, _, *rows = (line.strip("| ").split(" | ") for line in lines)
    return [dict(zip(head, cells, strict=True)) for cells in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="into docs/families.md")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    made = table()
    if not asked.write:
        print(made)
        return
    page = PAGE.read_text()
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}")


if __name__ == "__main__":
    main()
