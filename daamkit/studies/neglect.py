"""Does guidance make a model draw all that it was asked for? Chefer et al. 2023 (arXiv 2301.13826).

Every method draws the same prompts from the same seeds: the benchmark of Attend-and-Excite, two
things a prompt. What its authors say of maps is measured too: that a neglected word's map lies on
something else, and that under guidance the maps of both words lie on their things.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from daamkit.errors import DaamkitError
from daamkit.language import parsing
from daamkit.maps.run import Run
from daamkit.measures.intervals import means
from daamkit.measures.overlap import ioa, iou
from daamkit.measures.syntax import cut
from daamkit.prompts import tokenized
from daamkit.studies import captions, drawing, gains, methods, prompts, truths
from daamkit.studies.gains import BASE
from daamkit.studies.objects import ALIASES
from daamkit.studies.relations import CHIEF
from daamkit.studies.session import Case, Row, Session
from daamkit.studies.study import Study
from daamkit.toybox import claims, oracle
from daamkit.vision import alignment, captioning
from daamkit.vision.captioning import Captioner

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHIEFLY = (
    "both", "bound", "colour", "extra", "clip_full", "clip_min", "text_text", "seconds",
)  # fmt: skip
LOSSES = ("loss_first", "loss_least", "loss_mean", "iterations")
PLACED = ("present", "iou", "iou_present", "on_other", "other_area", "on_things", "things_area")
OUTCOMES = {  # both things drawn: without guidance, with it
    (True, True): "kept", (False, True): "repaired",
    (True, False): "spoilt", (False, False): "neglected",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Neglect(Study):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    prompts
        None: the benchmark, its colours drawn by `seed`. Of a file, the prompts that name two
        different things.
    n
        How many prompts; fewer than all of the benchmark have its kinds in proportion.
    seeds
        Images of each prompt; case i has seed + i, for every method.
    methods
        Names that `methods.load` knows, "none" among them.
    truth
        Who says what is there: see `truths.load`. Masks drawn by hand will not do, for they are
        of unguided images.
    clip
        "toybox", a folder or an id: see `alignment.load`.
    captioner
        Who puts pictures into words: see `captioning.load`.
    """

    name: ClassVar[str] = "neglect"
    n: int = 276
    seeds: int = 1
    methods: tuple[str, ...] = (
        "none", "attend_and_excite", "self_attention", "syngen", "attend_and_excite+self_attention",
    )  # fmt: skip
    truth: str = "oracle"
    clip: str = "toybox"
    captioner: str = "toybox"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.methods:
            methods.load(name, [["cat"]])
        if BASE not in self.methods or not 1 < len(set(self.methods)) == len(self.methods):
            raise DaamkitError(
                wanted=f"{BASE!r} and methods to compare with it, each once",
                got=", ".join(self.methods) or "no method",
                mend=f"name {BASE!r} and some others: {', '.join(list(methods.METHODS)[1:])}",
            )
        if self.seeds < 1 or self.truth.startswith("masks:"):
            raise DaamkitError(
                wanted="an image or more of each prompt, and a truth that can see all of them",
                got=f"seeds={self.seeds}, truth={self.truth!r}",
                mend="try seeds=1 and the oracle or a segmenter: guided images have masks of "
                "their own",
            )

    def cases(self) -> list[Case]:
        """A prompt with a seed each; a and b are its things, spans the characters of their nouns.

        Raises
        ------
        DaamkitError
            If no prompt of the file names two things.
        """
        asked = list(islice(self._asked(), self.n))
        if not asked:
            raise DaamkitError(
                wanted="prompts that name two different things",
                got=f"none in {self.prompts}",
                mend="write some such as 'a cat and a red car'",
            )
        each = [case for case in asked for _ in range(self.seeds)]
        return [case | {"seed": self.seed + i} for i, case in enumerate(each)]

    def _asked(self) -> Iterator[Case]:
        for group, text in self._texts():
            things = self._things(text)
            if len({name for name, *_ in things}) == len(things) == 2:
                (a, *first), (b, *second) = things
                yield {"prompt": text, "group": group, "a": a, "b": b, "spans": [first, second]}

    def _texts(self) -> list[tuple[str, str]]:
        """Group and prompt, in the order in which they are asked."""
        if self.prompts is not None:
            return [("file", text) for text in prompts.texts(self.prompts, 10**9, self.seed)]
        rng, ranks = np.random.default_rng((self.seed, 53)), []
        for group, texts in prompts.benchmark(self.seed).items():
            order = rng.permutation(len(texts))
            ranks += [((i + 0.5) / len(texts), group, texts[k]) for i, k in enumerate(order)]
        return [(group, text) for _, group, text in sorted(ranks)]

    def _things(self, text: str) -> list[tuple[str, int, int]]:
        """What a prompt names, and by which characters."""
        if self.prompts is None or self.truth == "oracle":
            return [(each.name, each.start, each.end) for each in claims.read(text).things]
        nouns = parsing.parse(text, self.parser).things()
        return [(ALIASES.get(noun.name, noun.name), noun.start, noun.end) for noun in nouns]

    def check(self) -> None:
        """Parser, truth, CLIP and captioner."""
        super().check()
        _ = self._truth, self._captioner, alignment.load(self.clip)

    @cached_property
    def _truth(self) -> truths.Truth:
        return truths.load(self.truth, self.resolved_device)

    @cached_property
    def _captioner(self) -> Captioner:
        return captioning.load(self.captioner, self.resolved_device)

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """A row a method: prompt, seed, group, a, b, method, and

        - present_a, present_b, both: whether the things are there;
        - bound: of the things asked for in a colour, the share that is there in it; colour: of
          those that are there; extra: things nobody asked for. Known to the oracle alone;
        - caption, clip_full, clip_min, text_text: see `captions.compare`;
        - seconds: to draw and trace an image, of its batch's time an equal share;
        - loss_first, loss_least, loss_mean, iterations: what the method noted of its steps, the
          loss at its first, the least, the mean, and all refinements; NaN without a loss;
        - iou_a: of the word's map, cut at 0.4 of its maximum, with its thing (NaN if that is not
          there); on_other_a: share of the cut map on the other word's thing (NaN if that is not
          there); on_things_a: share of the uncut map on any thing, for the oracle also one nobody
          asked for; area_a: share of the image that its thing takes. The same for b; things_area
          is that of any thing. An even map would have other_area and things_area of its mass there.
        """
        texts, seeds = [case["prompt"] for case in cases], [case["seed"] for case in cases]
        subjects = [_columns(session.pipe, case) for case in cases]
        rows: list[list[Row]] = [[] for _ in cases]
        told = {}
        for name in self.methods:
            begun = time.perf_counter()
            runs = session.runs(texts, seeds, methods=methods.load(name, subjects))
            spent = {"seconds": (time.perf_counter() - begun) / len(runs)}
            told[name] = _settings(runs[0])
            images = [run.image for run in runs if run.image is not None]
            said = self._captioner.captions(images)
            fits = captions.compare(images, texts, said, self.clip)
            for own, case, run, caption, fit in zip(rows, cases, runs, said, fits, strict=True):
                named = {key: case[key] for key in ("prompt", "seed", "group", "a", "b")}
                row = named | {"method": name} | self._seen(case, run)
                own.append(row | {"caption": caption} | fit | spent | _noted(run))
        session.record = {**session.record, "guidance": told}
        return rows

    def _seen(self, case: Case, run: Run) -> Row:
        """What is there, and where the maps lie."""
        assert run.image is not None
        names, stem = [case["a"], case["b"]], truths.stem(case["prompt"], case["seed"])
        a, b = truths.certain(self._truth.masks(run.image, stem, names), names, self.truth)
        own = {"a": a & ~b, "b": b & ~a}  # one thing is not two
        there = {word: truths.present(mask) for word, mask in own.items()}
        row: Row = {"both": all(there.values()), "bound": np.nan, "colour": np.nan, "extra": np.nan}
        things = a | b
        if self.truth == "oracle":
            reading = oracle.read(run.image)
            row |= _looks(case, reading)
            things = np.any([things, *reading.loc[reading["kind"] == "thing", "mask"]], axis=0)
        row["things_area"] = float(things.mean())
        for word, other, span in zip("ab", "ba", case["spans"], strict=True):
            found = run.maps.of(run.maps.prompt.span(*span))
            mask, mass = cut(found, *CHIEF), found.expand(absolute=True).clamp(min=0).cpu().numpy()
            row[f"present_{word}"] = there[word]
            row[f"iou_{word}"] = float(iou(mask, own[word])) if there[word] else np.nan
            row[f"on_other_{word}"] = float(ioa(mask, own[other])) if there[other] else np.nan
            row[f"on_things_{word}"] = float(mass[things].sum() / max(mass.sum(), 1e-30))
            row[f"area_{word}"] = float(own[word].mean()) if there[word] else np.nan
        return row

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Means with 95% intervals over prompts, and what a method adds to "none" on the same
        prompts and seeds: gain with its interval, and p of no gain; see `gains.compare`.

        "methods": by group of prompts, what is drawn, how it fits the prompt, and seconds (whose
        intervals are too narrow, for a batch is timed as a whole).

        "localisation": of words by what the unguided image makes of them: "neglected" ones; those
        "drawn" beside them; "both" of these; and a control, the words of images with "nothing
        neglected": the others are chosen for a failure, so anything new would improve them, and
        spoil these. Measures: present; iou (0 where the thing is absent), iou_present (of things
        there); on_other, other_area, on_things, things_area as in `measure`.

        "losses", if a method notes any: by what became of the image, see `OUTCOMES`.
        """
        groups = dict(list(rows.groupby("group")))
        if len(groups) > 1:
            groups["all"] = rows
        each = _by_word(rows)
        beside = {
            "neglected": each[~each["drawn"]],
            "drawn": each[each["drawn"] & ~each["all"]],
            "both": each[~each["all"]],
            "nothing neglected": each[each["all"]],
        }
        tables = {
            "methods": gains.compare("group", groups, CHIEFLY),
            "localisation": gains.compare("words", beside, PLACED, ("prompt", "case", "word")),
        }
        noted = _outcomes(rows)
        if len(noted):
            by = ["method", "outcome"]
            losses = [means(noted, by, loss).assign(measure=loss) for loss in LOSSES]
            tables["losses"] = pd.concat(losses, ignore_index=True).query("n > 0")
        return tables

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """What is drawn, what methods add, and where the maps lie."""
        from daamkit.studies import charts

        return charts.neglect(tables["methods"], tables["localisation"])


def _columns(pipe: Any, case: Case) -> list[Any]:
    """The tokens of a prompt's two nouns, as guidance is told its subjects."""
    prompt = tokenized(pipe, str(case["prompt"]))
    return [prompt.span(*span).columns for span in case["spans"]]


def _settings(run: Run) -> list[dict[str, Any]]:
    """What the methods were told, but for what differs from prompt to prompt."""
    told = [(entry["method"], entry["settings"]) for entry in run.record.get("guidance", [])]
    return [
        {"method": name} | {k: v for k, v in own.items() if k != "subjects"} for name, own in told
    ]


def _noted(run: Run) -> Row:
    """The losses of the first method that has some; of SynGen, if it had anything to bind."""
    for entry in run.record.get("guidance", []):
        steps = [step for step in entry["steps"] if "loss" in step]
        if steps and entry.get("pairs") != []:
            losses = [step["loss"] for step in steps]
            again = sum(step.get("iterations", np.nan) for step in steps)
            found = losses[0], min(losses), float(np.mean(losses)), float(again)
            return dict(zip(LOSSES, found, strict=True))
    return dict.fromkeys(LOSSES, np.nan)


def _looks(case: Case, reading: pd.DataFrame) -> Row:
    """Colours and extra things; see `Neglect.measure`."""
    asked = claims.read(case["prompt"])
    found = drawing.check(prompts.Case(case["group"], asked, case["seed"]), reading)
    right = [row["value"] for row in found if row["measure"] == "colour"]
    coloured = sum(each.count for each in asked.things if each.colour)
    return {
        "bound": sum(right) / coloured if coloured else np.nan,
        "colour": float(np.mean(right)) if right else np.nan,
        "extra": next(row["value"] for row in found if row["measure"] == "extra"),
    }


def _by_word(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a word, with what the unguided image has drawn: this word's thing, and all."""
    before = rows[rows["method"] == BASE].set_index("case")
    parts = [
        rows[["prompt", "case", "method", "things_area"]].assign(
            word=word,
            present=rows[f"present_{word}"],
            iou=rows[f"iou_{word}"].fillna(0.0),
            iou_present=rows[f"iou_{word}"],
            on_other=rows[f"on_other_{word}"],
            other_area=rows[f"area_{other}"],
            on_things=rows[f"on_things_{word}"],
            drawn=rows["case"].map(before[f"present_{word}"]),
            all=rows["case"].map(before["both"]),
        )
        for word, other in ("ab", "ba")
    ]
    return pd.concat(parts, ignore_index=True)


def _outcomes(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with losses, and what became of each image, without guidance and with it."""
    before = rows[rows["method"] == BASE].set_index("case")["both"]
    noted = rows[rows["loss_first"].notna()]
    pairs = zip(noted["case"].map(before), noted["both"], strict=True)
    return noted.assign(outcome=[OUTCOMES[bool(old), bool(new)] for old, new in pairs])
