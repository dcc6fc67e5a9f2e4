"""What does guidance change in the attributions? The same prompt and seed with and without it.

A guided image differs from the unguided one, and so do the maps. Three questions, each beside what
would be found if the answer were no:

- Is the map still true? mIoU with the thing's mask in the map's own image, before and after; beside
  it "exchanged", that with the thing's mask in the other image, which a map that stays where it was
  would reach as well.
- Does the map move where the image changes? Rank correlation over cells of the maps' change with
  the image's; beside it "still", that of the unguided maps themselves with the image's change,
  because things change where things are.
- Is it the method, or would any push do? "placebo" moves the latents as far as Attend-and-Excite
  did, step by step, in a direction drawn at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from daamkit.errors import DaamkitError
from daamkit.guidance.denoising import Method
from daamkit.language import parsing
from daamkit.language.parsing import Parse, Phrase
from daamkit.maps.run import Run
from daamkit.maps.wordmap import WordMap
from daamkit.measures.evenness import evenness
from daamkit.measures.intervals import means
from daamkit.measures.overlap import iou
from daamkit.measures.ranking import rank_correlation
from daamkit.measures.syntax import cut, overlaps
from daamkit.studies import gains, methods, truths
from daamkit.studies.gains import BASE
from daamkit.studies.located import Located
from daamkit.studies.objects import ALIASES
from daamkit.studies.placebo import Placebo
from daamkit.studies.relations import CHIEF
from daamkit.studies.session import Case, Row, Session

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLACEBO, MODEL = "placebo", "attend_and_excite"
CELLS = 32  # a side, on which changes are compared
FEWEST = 5  # prompts for a relation to be shown
WORDS = ("present", "iou", "truer", "overlap", "entropy")
MOVES = ("changed", "shifted", "follows", "still", "lead")
WITHIN = (
    dict.fromkeys(("present", "iou", "overlap", "entropy", "changed", "shifted"), (0.0, 1.0))
    | dict.fromkeys(("truer", "dominance", "follows", "still"), (-1.0, 1.0))
    | {"lead": (-2.0, 2.0)}
)


@dataclass(frozen=True, kw_only=True)
class GuidanceEffects(Located):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    n
        How many prompts; each is drawn once without guidance and once by each method.
    methods
        Names that `methods.named` knows, or "placebo", which needs "attend_and_excite" before it.
        Methods that work in the middle of a model are left out where it has none.
    truth
        What says where the things are; see `truths.truth`.
    """

    name: ClassVar[str] = "guidance_effects"
    fewest: ClassVar[int] = 2
    n: int = 200
    methods: tuple[str, ...] = (MODEL, PLACEBO, "self_attention", "syngen", "perturbed")

    def __post_init__(self) -> None:
        super().__post_init__()
        others = [name for name in self.methods if name not in (BASE, PLACEBO)]
        early = PLACEBO in self.methods and MODEL not in self.methods[: self.methods.index(PLACEBO)]
        if not others or BASE in self.methods or not all(map(methods.known, others)) or early:
            ours = ", ".join(name for name in methods.METHODS if name != BASE)
            raise DaamkitError(
                wanted=f"methods out of {ours}, {PLACEBO}, or registered, {MODEL} before {PLACEBO}",
                got=", ".join(self.methods) or "none",
                mend="name some of these, separated by commas",
            )

    def cases(self) -> list[Case]:
        """A prompt each, of those that name a thing."""
        cases = super().cases()
        parses = parsing.parse_all([case["prompt"] for case in cases], self.parser)
        return [case for case, parse in zip(cases, parses, strict=True) if parse.things()]

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """A row a number: prompt, seed, method, of ("image", a word, two words "a / b", or a
        relation), start (character of the word, or of the dependent; else -1), measure, value.

        Of a word that names a thing: present, iou (at the paper's cut; NaN where the thing is
        missing), exchanged, entropy (of the map, 1: even), shifted (total variation from the map
        without guidance). Of two such words: overlap. Of a relation: dominance (iod - ioh). Of an
        image: changed (mean absolute difference, of the whole range), follows, still.
        """
        parses = [parsing.parse(case["prompt"], self.parser) for case in cases]
        texts, seeds = [c["prompt"] for c in cases], [c["seed"] for c in cases]
        runs = {BASE: session.runs(texts, seeds)}
        for name in methods.borne(session.pipe, self.methods):
            if name == PLACEBO:
                push: Sequence[Method] = [Placebo([_moved(r) for r in runs[MODEL]], seeds)]
            else:
                push = methods.named(name, "nouns")
            runs[name] = session.runs(texts, seeds, methods=push)
        return [
            self._rows(case, parse, {name: each[i] for name, each in runs.items()})
            for i, (case, parse) in enumerate(zip(cases, parses, strict=True))
        ]

    def _rows(self, case: Case, parse: Parse, runs: Mapping[str, Run]) -> list[Row]:
        before = runs[BASE]
        nouns = [n for n in parse.things() if before.maps.prompt.reads(n.start, n.end)]
        names = [ALIASES.get(noun.name, noun.name) for noun in nouns]
        alone = [noun for noun, name in zip(nouns, names, strict=True) if names.count(name) == 1]
        there = {name: self._masks(case, run, alone) for name, run in runs.items()}
        rows = []
        for name, run in runs.items():
            found = [
                *_of_words(run, before, alone, there[name], there[BASE]),
                *_of_pairs(run, nouns),
                *_of_relations(run, parse),
                *(_of_images(run, before) if name != BASE else []),
            ]
            said = {"prompt": case["prompt"], "seed": case["seed"], "method": name}
            rows += [
                said | {"of": of, "start": start, "measure": measure, "value": float(value)}
                for of, start, measure, value in found
            ]
        return rows

    def _masks(self, case: Case, run: Run, nouns: Sequence[Phrase]) -> list[truths.Mask | None]:
        names = [ALIASES.get(noun.name, noun.name) for noun in nouns]
        return self.masks(run, case["prompt"], case["seed"], names)

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Means by method, and each method's gain over none on the same prompts and seeds, with
        intervals over prompts; see `gains.compare`.

        "effects": "iou" over things that are there, "truer" (own image's mask over the other's, of
        things there in both), present, overlap, entropy. "neglected": the same over prompts of
        several things of which the unguided image lacks one. "dominance": of relations that five
        prompts have. "changes": how far images
        and maps go, and whether maps follow; "lead" is follows - still.
        """
        rows = pd.concat([rows, _made(rows)], ignore_index=True)
        words = rows[rows["measure"].isin(WORDS)]
        lacking = words[(words["method"] == BASE) & (words["measure"] == "present")]
        lacking = lacking[lacking["value"] == 0]["case"]
        several = words[words["measure"] == "overlap"]["case"]
        neglected = words[words["case"].isin(lacking) & words["case"].isin(several)]
        relations = rows[rows["measure"] == "dominance"]
        counts = relations.groupby("of")["prompt"].nunique()
        common = relations[relations["of"].isin(counts.index[counts >= FEWEST])]
        moves = rows[rows["measure"].isin(MOVES) & (rows["method"] != BASE)]
        return {
            "effects": _compared(words, "measure"),
            "neglected": _compared(neglected, "measure"),
            "dominance": _compared(common, "of")
            .rename(columns={"of": "relation"})
            .drop(columns="measure", errors="ignore"),
            "changes": means(moves, ["method", "measure"], "value", kind="number", within=WITHIN),
        }

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """Truth and overlap before and after, and whether maps follow."""
        from daamkit.studies import charts

        return charts.effects(tables["effects"], tables["neglected"], tables["changes"])


Found = tuple[str, int, str, float]  # of, start, measure, value


def _of_words(
    run: Run,
    before: Run,
    nouns: Sequence[Phrase],
    own: Sequence[truths.Mask | None],
    other: Sequence[truths.Mask | None],
) -> list[Found]:
    """Of each noun's map: is it where the thing is, in this image and in the unguided one?"""
    found = []
    for noun, mask, exchanged in zip(nouns, own, other, strict=True):
        if mask is None or exchanged is None:  # the truth does not know such things
            continue
        word, still = _map(run, noun), _map(before, noun)
        there = truths.present(mask), truths.present(exchanged)
        cuts = cut(word, *CHIEF), cut(still, *CHIEF)
        both = [float(iou(cuts[0], exchanged)), float(iou(cuts[1], mask))]
        measures = {
            "present": there[0],
            "iou": iou(cuts[0], mask) if there[0] else np.nan,
            "exchanged": sum(both) / 2 if all(there) else np.nan,
            "entropy": evenness(word.values.double().numpy()),
            "shifted": (_share(word) - _share(still)).abs().sum() / 2,
        }
        found += [(noun.text, noun.start, name, float(value)) for name, value in measures.items()]
    return found


def _of_pairs(run: Run, nouns: Sequence[Phrase]) -> list[Found]:
    """How much the maps of two things share."""
    return [
        (f"{a.text} / {b.text}", b.start, "overlap",
         float(iou(cut(_map(run, a), *CHIEF), cut(_map(run, b), *CHIEF))))
        for a, b in combinations(nouns, 2)
    ]  # fmt: skip


def _of_relations(run: Run, parse: Parse) -> list[Found]:
    """Which of two related words' maps holds the other, as `relations` has it."""
    read = run.maps.prompt.reads
    edges = [e for e in parse.edges() if all(read(t.start, t.end) for t in (e.head, e.dependent))]
    return [
        (row["relation"], row["dependent_start"], "dominance", row["iod"] - row["ioh"])
        for row in overlaps(run.maps, edges, [CHIEF])
    ]


def _of_images(run: Run, before: Run) -> list[Found]:
    """How far the image went, and whether the words' maps changed where it did."""
    assert run.image is not None and before.image is not None
    gap = np.abs(np.asarray(run.image, float) - np.asarray(before.image, float)).mean(-1) / 255
    pixels = _cells(torch.from_numpy(gap))
    words = [
        (_share(a), _share(b)) for a, b in zip(run.maps.words(), before.maps.words(), strict=True)
    ]
    moved = _cells(torch.stack([(a - b).abs() for a, b in words]).sum(0))
    still = _cells(torch.stack([b for _, b in words]).sum(0))
    return [
        ("image", -1, "changed", float(gap.mean())),
        ("image", -1, "follows", rank_correlation(moved, pixels)),
        ("image", -1, "still", rank_correlation(still, pixels)),
    ]


def _map(run: Run, noun: Phrase) -> WordMap:
    return run.maps.of(run.maps.prompt.span(noun.start, noun.end))


def _share(word: WordMap) -> Float[Tensor, "height width"]:
    """The map as a distribution over its cells."""
    values = word.values.double()
    return values / values.sum()


def _cells(values: Tensor) -> Float[np.ndarray, " cells"]:
    return F.adaptive_avg_pool2d(values.double()[None], CELLS)[0].flatten().numpy()


def _moved(run: Run) -> dict[int, float]:
    """How far Attend-and-Excite moved the latents, step by step."""
    (entry,) = run.record["guidance"]
    return {step["step"]: step["moved"] for step in entry["steps"]}


def _made(rows: pd.DataFrame) -> pd.DataFrame:
    """Measures made of others: truer and lead; see `GuidanceEffects.tables`."""
    key = ["case", "prompt", "seed", "method", "of", "start"]
    wide = rows[rows["measure"] != "dominance"].set_index([*key, "measure"])["value"].unstack()
    before = wide.xs(BASE, level="method")["iou"].reindex(wide.index.droplevel("method"))
    own = (wide["iou"] + before.to_numpy()) / 2
    made = {
        "truer": own - wide["exchanged"],
        "lead": wide["follows"] - wide["still"],
    }
    parts = [values.rename("value").reset_index().assign(measure=m) for m, values in made.items()]
    return pd.concat(parts).dropna(subset="value")


def _compared(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """`gains.compare` of what the one column of numbers measures."""
    names = [*rows["measure"].unique()]
    wide = rows.assign(**{name: rows["value"].where(rows["measure"] == name) for name in names})
    parts = dict(list(wide.groupby(by, sort=False)))
    return gains.compare(by, parts, names, ("prompt", "case", "of", "start"), within=WITHIN)
