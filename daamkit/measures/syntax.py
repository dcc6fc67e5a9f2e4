"""How much the maps of two words of a prompt share: its heads and dependents, and others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from daamkit.errors import DaamkitError
from daamkit.language import parsing
from daamkit.language.parsing import Pair, ParsedToken
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.pooling import Pooling
from daamkit.maps.run import Run
from daamkit.maps.thresholds import Rule
from daamkit.maps.wordmap import WordMap
from daamkit.maps.words import Word
from daamkit.measures.overlap import ioa, iou

Cut = tuple[Rule | Literal["soft"], float]  # a rule of `WordMap.mask` or "soft"; its threshold
COLUMNS = (
    "head", "dependent", "relation", "head_pos", "dependent_pos", "head_start", "dependent_start",
    "rule", "tau", "iou", "iod", "ioh", "prompt", "seed",
)  # fmt: skip


def relations(
    run: Run,
    threshold: float | Sequence[float] | Rule = 0.4,
    rule: Rule | Literal["soft"] = "max",
    *,
    others: bool = False,
    parser: Any = None,
    pooling: Pooling | None = None,
) -> pd.DataFrame:
    """The prompt's head-dependent pairs and what their maps share (arXiv 2210.04885, section 4).

    Parameters
    ----------
    run
        With maps of the prompt.
    threshold, rule
        How a map is cut, as in `WordMap.mask`; several thresholds give rows for each, which
        `plots.sweep` draws. The rule "soft" cuts nothing: see `overlaps`.
    others
        Also pronouns with what they mean ("coreferent") and content words with no edge between
        them ("unrelated"); see `language.parsing.Pair` for which is called head there.
    parser
        A spaCy pipeline, by name or open; default the one that ships.
    pooling
        "daam" or "paper"; default the run's.

    Returns
    -------
    frame
        A row a pair and threshold. head, dependent; relation (of Universal Dependencies, with the
        preposition or conjunction that it is by: "nmod:of"); head_pos, dependent_pos (parts of
        speech); head_start, dependent_start (characters); rule, tau (how maps were cut);
        iou; iod and ioh, the shares of the dependent's and of the head's area that both have;
        prompt, seed (None if it was not recorded), so that frames of several runs can be joined,
        and plotted by `plots.relations`. Of a prompt cut at the model's limit, pairs with a word
        that the model has not read have no row; ``frame.attrs["unread"]`` counts them.

    Raises
    ------
    DaamkitError
        If the prompt has no word.
    """
    parse = parsing.parse(run.prompt, parser)
    pairs = parse.pairs() if others else parse.edges()
    if isinstance(threshold, str):
        rule, threshold = threshold, 0.4
    taus = list(threshold) if isinstance(threshold, Iterable) else [threshold]
    if not taus:
        raise DaamkitError(wanted="a threshold", got="none", mend="give one, such as 0.4")
    reads = run.maps.prompt.reads
    known = [p for p in pairs if all(reads(w.start, w.end) for w in (p.head, p.dependent))]
    rows = overlaps(run.maps, known, [(rule, tau) for tau in taus], pooling)
    seed = (run.record.get("seed") or {}).get("seed")
    rows = [row | {"prompt": run.prompt, "seed": seed} for row in rows]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame.attrs["unread"] = len(pairs) - len(known)
    return frame


def overlaps(
    maps: HeatMaps, pairs: Iterable[Pair], cuts: Sequence[Cut], pooling: Pooling | None = None
) -> list[dict[str, Any]]:
    """Rows of `relations` for each pair and each cut.

    The rule "soft" cuts nothing: maps from 0 to 1, sum(ab) / sum(a). Pairs that share a token of
    the text encoder ("do" and "n't" of "don't") are left out: their maps are one by construction.
    """
    stacks: dict[int, list[np.ndarray]] = {}

    def word_of(token: ParsedToken) -> Word:
        return maps.prompt.span(token.start, token.end)

    def stack(token: ParsedToken) -> list[np.ndarray]:
        if token.start not in stacks:
            word = maps.of(word_of(token), rule=pooling)
            stacks[token.start] = [cut(word, rule, tau) for rule, tau in cuts]
        return stacks[token.start]

    return [
        {
            "head": pair.head.text,
            "dependent": pair.dependent.text,
            "relation": pair.relation,
            "head_pos": pair.head.pos,
            "dependent_pos": pair.dependent.pos,
            "head_start": pair.head.start,
            "dependent_start": pair.dependent.start,
            "rule": rule,
            "tau": tau,
            "iou": iou(head, dependent),
            "iod": ioa(dependent, head),
            "ioh": ioa(head, dependent),
        }
        for pair in pairs
        if not set(word_of(pair.head).columns) & set(word_of(pair.dependent).columns)
        for (rule, tau), head, dependent in zip(
            cuts, stack(pair.head), stack(pair.dependent), strict=True
        )
    ]


def cut(word: WordMap, rule: Rule | Literal["soft"], tau: float) -> np.ndarray:
    """A word's mask, or for "soft" its map from 0 to 1, (height, width)."""
    return word.expand().cpu().double().numpy() if rule == "soft" else word.mask(tau, rule)
