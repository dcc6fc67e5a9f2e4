"""How do heads and dependents share pixels? Table 2 of the DAAM paper (arXiv 2210.04885).

Dominance is mIoD - mIoH: above 0 the head's map covers the dependent's, and the head dominates.
Since IoD - IoH is |D ∩ H| (1 / |D| - 1 / |H|), D and H being the dependent's mask and the head's,
its sign tells which of two masks is larger; the rule "quantile" gives all words one area, and so no
dominance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pandas as pd

from daamkit.language import parsing
from daamkit.language.parsing import Pair
from daamkit.language.phrases import of_what
from daamkit.maps.run import Run
from daamkit.measures import intervals, syntax
from daamkit.measures.intervals import mean
from daamkit.measures.syntax import Cut
from daamkit.studies.session import Case, Row, Session
from daamkit.studies.study import Captioned, not_compared

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHIEF: Cut = ("max", 0.4)  # the paper's best, which its tables are for
ROUNDING = 1e-4  # of dominance: whole pixels make masks of "equal" areas a little unequal
CUTS: list[Cut] = [
    *(("max", tau) for tau in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)),
    *(("minmax", tau) for tau in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)),
    *(("quantile", tau) for tau in (0.6, 0.7, 0.8, 0.9)),
    ("otsu", 0.0),
    ("absolute", 0.15),  # as the notebook of the paper's authors cuts
    ("soft", 0.0),
]
PAPER = (  # of its table 2
    "compound", "punct", "conj:and", "det", "case", "acl", "nsubj", "amod", "nmod:of (collective)",
    "obj",
)  # fmt: skip
CONTROLS = ("all edges", "coreferent", "unrelated")


@dataclass(frozen=True, kw_only=True)
class Relations(Captioned):
    """Settings of the study; see `Study` and `Captioned` for the common ones.

    Attributes
    ----------
    top
        How many of the most common relations to show; for world 2, the paper's ten too.
    """

    name: ClassVar[str] = "relations"
    rare: ClassVar[tuple[str, ...]] = PAPER
    n: int = 400
    top: int = not_compared(10)

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """Rows of `measures.syntax.relations` with every cut, the other pairs too."""
        runs = session.runs([case["prompt"] for case in cases], [case["seed"] for case in cases])
        return [
            [case | row for row in syntax.overlaps(run.maps, _read_pairs(run, self.parser), CUTS)]
            for case, run in zip(cases, runs, strict=True)
        ]

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """ "relations": at the paper's threshold, relation, pairs, prompts; miou, miod, mioh and
        dominance with 95% intervals over prompts. "survives": for each relation, at how many cuts
        the head dominates, the dependent does, or neither (the interval holds 0). "sweep": the
        first for every cut. "nmod:of" is told apart: of a collective, as the paper's is ("a pair of
        glasses"), of a name ("the Statue of Liberty"), or of others ("the left of a dog")."""
        named = zip(rows["relation"], rows["head"], rows["head_pos"], strict=True)
        rows = rows.assign(relation=[of_what(*each) for each in named])
        edges = rows[~rows["relation"].isin(CONTROLS)]
        common = edges.groupby("relation")["case"].count().sort_values(ascending=False)
        names = [*common.index[: self.top], *(PAPER if self.world == 2 else ())]
        names = [name for name in dict.fromkeys(names) if name in common]
        groups = {name: edges[edges["relation"] == name] for name in names}
        groups |= {"all edges": edges}
        groups |= {name: rows[rows["relation"] == name] for name in CONTROLS[1:]}
        sweep = pd.DataFrame(
            [
                {"relation": name, "rule": rule, "tau": tau} | _means(part)
                for name, group in groups.items()
                for (rule, tau), part in group.groupby(["rule", "tau"], sort=False)
            ]
        )
        chief = sweep[(sweep["rule"] == CHIEF[0]) & (sweep["tau"] == CHIEF[1])]
        verdicts = sweep.assign(
            head=sweep["dominance_low"] > ROUNDING, dependent=sweep["dominance_high"] < -ROUNDING
        )
        counts = verdicts.groupby("relation", sort=False)[["head", "dependent"]].sum()
        counts["neither"] = len(CUTS) - counts.sum(axis=1)
        return {
            "relations": chief.drop(columns=["rule", "tau"]).reset_index(drop=True),
            "survives": counts.reset_index(),
            "sweep": sweep,
        }

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """Overlap and dominance by relation, and dominance over all cuts."""
        from daamkit.studies import charts

        return charts.relations(tables["relations"], tables["sweep"])


def _read_pairs(run: Run, parser: str | None) -> list[Pair]:
    """The prompt's pairs, as far as the model has read it."""
    reads = run.maps.prompt.reads
    return [
        pair
        for pair in parsing.parse(run.prompt, parser).pairs()
        if reads(pair.head.start, pair.head.end) and reads(pair.dependent.start, pair.dependent.end)
    ]


def _means(pairs: pd.DataFrame) -> dict[str, float]:
    """mIoU, mIoD, mIoH and dominance, with intervals over prompts."""
    row: dict[str, float] = {"pairs": len(pairs), "prompts": pairs["prompt"].nunique()}
    columns = {name: pairs[name] for name in ("iou", "iod", "ioh")}
    columns["dominance"] = pairs["iod"] - pairs["ioh"]
    for name, values in columns.items():
        least = -1 if name == "dominance" else 0
        name = name if name == "dominance" else f"m{name}"
        prompts = pairs["prompt"].tolist()
        found = mean(values.to_numpy(), prompts, kind="number", within=(least, 1))
        row |= dict(zip(intervals.columns(name), found, strict=True))
    return row
