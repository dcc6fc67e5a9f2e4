"""What do the maps of each part of speech look like? Figures 3 and 4 of the DAAM paper
(arXiv 2210.04885, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from daamkit.language import parsing
from daamkit.language.parsing import ParsedToken
from daamkit.maps.run import Run
from daamkit.maps.thresholds import Rule
from daamkit.maps.wordmap import WordMap
from daamkit.measures import ratings
from daamkit.measures.evenness import evenness
from daamkit.measures.intervals import means
from daamkit.measures.places import attention
from daamkit.studies.session import Case, Row, Session
from daamkit.studies.study import Captioned, not_compared

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TAGS = (
    "NOUN", "PROPN", "PRON", "ADJ", "VERB", "ADV", "NUM", "AUX", "DET", "ADP", "CCONJ", "SCONJ",
    "PART", "PUNCT",
)  # fmt: skip
CUTS: list[tuple[Rule, float]] = [
    *(("max", tau) for tau in (0.3, 0.4, 0.5)),
    *(("minmax", tau) for tau in (0.3, 0.4, 0.5)),
]


@dataclass(frozen=True, kw_only=True)
class PartsOfSpeech(Captioned):
    """Settings of the study; see `Study` and `Captioned` for the common ones.

    Attributes
    ----------
    ratings
        A file of people's ratings (`measures.ratings`), for the mean opinion of each tag.
    """

    name: ClassVar[str] = "parts_of_speech"
    rare: ClassVar[tuple[str, ...]] = TAGS
    n: int = 300
    ratings: str | None = not_compared(None)

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """Rows of `shape` for every word and mark: prompt, seed, word, start, end, pos, measure,
        value."""
        runs = session.runs([case["prompt"] for case in cases], [case["seed"] for case in cases])
        return [
            [
                case | _said(token) | {"measure": measure, "value": value}
                for token in parsing.parse(case["prompt"], self.parser).tokens
                if run.maps.prompt.reads(token.start, token.end)
                for measure, value in _measured(run, token).items()
            ]
            for case, run in zip(cases, runs, strict=True)
        ]

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """ "tags": for each of `TAGS` and measure, mean with its 95% interval over prompts, n
        (words). "survives": for each cut, the tags from the largest area to the smallest.
        "opinion", where there are ratings: pos, mean opinion score from 1 to 5 with its interval,
        n (ratings)."""
        known = rows[rows["pos"].isin(TAGS)]
        known = known.sort_values("pos", key=lambda tags: tags.map(TAGS.index), kind="stable")
        table = means(known, ["pos", "measure"], "value", kind="number", within=(0, np.inf))
        areas = table[table["measure"].str.startswith("area")]
        order = areas.sort_values("mean", ascending=False).groupby("measure", sort=False)["pos"]
        tables = {"tags": table, "survives": order.agg(" > ".join).reset_index(name="order")}
        if self.ratings is not None:
            keys = ["prompt", "seed", "start", "end"]
            rated = ratings.answers(self.ratings).merge(
                rows[[*keys, "pos"]].drop_duplicates(), on=keys, validate="m:1"
            )
            tables["opinion"] = means(rated, ["pos"], "score", kind="number", within=(1, 5))
        return tables

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """A panel a measure, a row a tag."""
        from daamkit.studies import charts

        return charts.parts_of_speech(tables["tags"])


def shape(found: WordMap) -> dict[str, float]:
    """What a map looks like, whatever its scale.

    Returns
    -------
    entropy
        Of the map as a distribution over pixels, over that of an even one: 1 is even.
    sharpness
        The highest value over the mean.
    centre_y, centre_x
        Centre of mass, in parts of the image's height and width.
    area max 0.4, ...
        Share of the pixels in the mask, for each of `CUTS`.
    """
    values = attention(found)
    density = values / values.sum() if values.sum() > 0 else np.full(values.shape, 1 / values.size)
    y, x = found.centre()
    return {
        "entropy": evenness(values),
        "sharpness": float(density.max() * density.size),
        "centre_y": y / found.size[0],
        "centre_x": x / found.size[1],
    } | {f"area {rule} {tau:g}": found.area(tau, rule) for rule, tau in CUTS}


def _measured(run: Run, token: ParsedToken) -> dict[str, float]:
    word = run.maps.prompt.span(token.start, token.end)
    return {"mass": float(run.maps.mass[list(word.columns)].sum())} | shape(run.maps.of(word))


def _said(token: ParsedToken) -> Row:
    return {"word": token.text, "start": token.start, "end": token.end, "pos": token.pos}
