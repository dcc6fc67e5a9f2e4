"""Does guidance make a model draw all that it was asked for? Chefer et al. 2023 (arXiv 2301.13826).

Every method draws the same prompts from the same seeds: the benchmark of Attend-and-Excite, with
two things in each prompt, or prompts of more. What its authors say of maps is measured too: that a
neglected word's map lies on something else, and that under guidance all words' maps lie on their
things. The control is to draw again: images of fresh seeds, of which the best is taken (`redraw`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from daamkit.errors import DaamkitError
from daamkit.guidance.denoising import Method
from daamkit.language import parsing
from daamkit.maps.run import Run
from daamkit.measures.overlap import ioa, iou
from daamkit.measures.syntax import cut
from daamkit.studies import (
    captions,
    drawing,
    methods,
    outcomes,
    promptfiles,
    prompts,
    redraw,
    truths,
)
from daamkit.studies.gains import BASE
from daamkit.studies.located import Located
from daamkit.studies.objects import ALIASES
from daamkit.studies.relations import CHIEF
from daamkit.studies.session import Case, Row, Session
from daamkit.toybox import claims, oracle
from daamkit.vision import alignment, captioning
from daamkit.vision.captioning import Captioner

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Neglect(Located):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    prompts
        A file, of which the prompts that name two different things or more are used, each once;
        None: the prompts of `asked`.
    asked
        Groups of prompts: "benchmark" (the 276 of Attend-and-Excite, its colours drawn by `seed`),
        and those of `prompts.SEVERAL`, "three" or "four coloured" things, drawn by `seed` from the
        benchmark's things, which both worlds and the toybox's CLIP know.
    n
        How many prompts; if fewer than there are, groups keep their proportion.
    seeds
        Images of each prompt; case i has seed + i, for every method.
    methods
        Names that `methods.named` knows, "none" among them, those of `redraw.SCORES`, and "search".
        Methods that work in the middle of a model are left out where it has none.
    redraws
        From how many images of a prompt, the unguided one among them, "redraw" takes the best.
        Attend-and-Excite computes 1.3 times as much as an unguided image without refinement, and
        1.5 times with 20 iterations of it: two images are more than its equal.
    world
        The toy world of the model and of the oracle, 1 or 2. The training of world 2's models has
        left out some compositions (`prompts.held_out`), that of world 1's none.
    truth
        What says which things are there; see `truths.truth`. Masks drawn by hand will not do,
        because they are of unguided images.
    clip
        The CLIP: "toybox", a folder or an id; see `alignment.clip`.
    captioner
        What puts pictures into words; see `captioning.captioner`. None: the world's oracle.
    """

    name: ClassVar[str] = "neglect"
    n: int = 276
    asked: tuple[str, ...] = ("benchmark",)
    seeds: int = 1
    methods: tuple[str, ...] = (
        "none", "attend_and_excite", "self_attention", "syngen", "attend_and_excite+self_attention",
        *redraw.SCORES, redraw.SEARCH,
    )  # fmt: skip
    redraws: int = 2
    clip: str = "toybox"
    captioner: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.methods:
            if name not in (*redraw.SCORES, redraw.SEARCH):
                methods.named(name, [["cat"]])
        if BASE not in self.methods or not 1 < len(set(self.methods)) == len(self.methods):
            known = [*list(methods.METHODS)[1:], *redraw.SCORES, redraw.SEARCH]
            raise DaamkitError(
                wanted=f"{BASE!r} and methods to compare with it, each once",
                got=", ".join(self.methods) or "no method",
                mend=f"name {BASE!r} and some others: {', '.join(known)}",
            )
        if self.seeds < 1 or self.redraws < 2 or self.truth.startswith("masks:"):
            raise DaamkitError(
                wanted="an image or more of each prompt, two or more to redraw, and a truth that "
                "can see all of them",
                got=f"seeds={self.seeds}, redraws={self.redraws}, truth={self.truth!r}",
                mend="try seeds=1, redraws=2 and the oracle or a segmenter: guided images have "
                "masks of their own",
            )
        known = ["benchmark", *prompts.SEVERAL]
        if not self.asked or not set(self.asked) <= set(known):
            raise DaamkitError(
                wanted=f"groups of prompts: {', '.join(map(repr, known))}",
                got=", ".join(map(repr, self.asked)) or "none",
                mend="name some of these in `asked`",
            )

    def cases(self) -> list[Case]:
        """A prompt with a seed each; names are its things, spans the characters of their nouns.

        Raises
        ------
        DaamkitError
            If no prompt of the file names two things.
        """
        asked = list(islice(self._asked(), self.n))
        if not asked:
            raise DaamkitError(
                wanted="prompts that name two different things or more",
                got=f"none in {self.prompts}",
                mend="write some such as 'a cat and a red car'",
            )
        each = [case for case in asked for _ in range(self.seeds)]
        return [case | {"seed": self.seed + i} for i, case in enumerate(each)]

    def _asked(self) -> Iterator[Case]:
        for group, text in self._texts():
            things = self._things(text)
            names = [name for name, *_ in things]
            if 1 < len(set(names)) == len(names):
                spans = [span for _, *span in things]
                yield {"prompt": text, "group": group, "names": names, "spans": spans}

    def _texts(self) -> list[tuple[str, str]]:
        """Group and prompt, in the order in which they are asked."""
        if self.prompts is not None:
            known = len(set(promptfiles.prompts_in(Path(self.prompts))))
            return [("file", text) for text in prompts.texts(self.prompts, known, self.seed)]
        return prompts.mixed(self.asked, self.n, self.seed)

    def _things(self, text: str) -> list[tuple[str, int, int]]:
        """What a prompt names, and by which characters."""
        if self.prompts is None or self.truth == "oracle":
            return [(each.name, each.start, each.end) for each in claims.parse(text).things]
        nouns = parsing.parse(text, self.parser).things()
        return [(ALIASES.get(noun.name, noun.name), noun.start, noun.end) for noun in nouns]

    def check(self) -> None:
        """Parser, truth, CLIP and captioner."""
        super().check()
        _ = self._captioner, alignment.clip(self.clip)

    @cached_property
    def _captioner(self) -> Captioner:
        name = self.captioner or ("toybox" if self.world == 1 else "toybox-2")
        return captioning.captioner(name, self.resolved_device)

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """Rows of two parts, each with prompt, seed, group, of world 2 composition ("seen" or "held
        out"), things (those of the prompt, what it is a cluster of) and method.

        "image", one a method:

        - there: share of the things that are there; all_there: whether all are;
        - bound: of the things asked for in a colour, the share that is there in it; colour: of
          those that are there; extra: things nobody asked for. Known to the oracle alone;
        - caption, clip_full, clip_min, text_text: see `captions.compare`;
        - seconds: to draw and trace an image, of its batch's time an equal share; of a redraw, all
          its images;
        - loss_first, loss_least, loss_mean, iterations: what the method noted of its steps, the
          loss at its first, the least, the mean, and all refinements; NaN without a loss.

        "word", one a method and thing: name, present; iou of the word's map, cut at 0.4 of its
        maximum, with its thing (NaN if that is not there); on_other: share of the cut map on the
        prompt's other things (NaN if none is there); on_things: share of the uncut map on any
        thing, for the oracle also one nobody asked for. An even map would have other_area and
        things_area of its mass there.
        """
        rows: list[list[Row]] = [[] for _ in cases]
        told, again = {}, None

        def draw(asked: Sequence[Case], guidance: Sequence[Method]) -> list[list[Row]]:
            return self._drawn(session, asked, guidance)[0]

        for name in methods.borne(session.pipe, self.methods):
            if name in redraw.SCORES:
                again = again or redraw.again(session, cases, draw, self.redraws)
                images = [redraw.best(each, name) for each in again]
                told[name] = [{"method": name, "images": self.redraws}]
            elif name == redraw.SEARCH:
                images = redraw.searched(session, cases, draw)
                told[name] = [{"method": name, "noises": redraw.SEARCHED}]
            else:
                subjects = [methods.subject_columns(session.pipe, case) for case in cases]
                images, told[name] = self._drawn(session, cases, methods.named(name, subjects))
            for own, found in zip(rows, images, strict=True):
                own += [row | {"method": name} for row in found]
        session.record = {**session.record, "guidance": told}
        return rows

    def _drawn(
        self, session: Session, cases: Sequence[Case], guidance: Sequence[Method]
    ) -> tuple[list[list[Row]], list[dict[str, Any]]]:
        """An image of each case: its rows; and what guided them."""
        texts, seeds = [case["prompt"] for case in cases], [case["seed"] for case in cases]
        begun = time.perf_counter()
        runs = session.runs(texts, seeds, methods=guidance)
        spent = {"seconds": (time.perf_counter() - begun) / len(runs)}
        images = [run.image for run in runs if run.image is not None]
        said = self._captioner.captions(images)
        fits = captions.compare(images, texts, said, self.clip)
        rows = []
        for case, run, caption, fit in zip(cases, runs, said, fits, strict=True):
            named = {key: case[key] for key in ("prompt", "seed", "group")}
            if self.world == 2:
                named["composition"] = outcomes.composition(case["prompt"])
            named["things"] = drawing.together(case["prompt"], case["names"])
            image, *words = self._seen(case, run)
            image |= {"caption": caption} | fit | spent | outcomes.losses(run)
            rows.append([named | row for row in (image, *words)])
        return rows, outcomes.settings(runs[0])

    def _seen(self, case: Case, run: Run) -> list[Row]:
        """What is there, and where the maps lie: of the image, then of each word."""
        assert run.image is not None
        names = case["names"]
        found = self.masks(run, case["prompt"], case["seed"], names)
        masks = np.stack(truths.certain(found, names, self.truth))
        own = truths.apart(masks)
        there = [truths.present(mask) for mask in own]
        image: Row = {
            "part": "image",
            "there": float(np.mean(there)),
            "all_there": float(all(there)),
        }
        image |= dict.fromkeys(("bound", "colour", "extra"), np.nan)
        things = masks.any(0)
        if self.truth == "oracle":
            (reading,) = oracle.read_all([run.image], oracle.trained(self.world))
            image |= outcomes.looks(case, reading)
            things = np.any([things, *reading.loc[reading["kind"] == "thing", "mask"]], axis=0)
        rows = [image]
        for i, (name, span) in enumerate(zip(names, case["spans"], strict=True)):
            word = run.maps.of(run.maps.prompt.span(*span))
            mask, mass = cut(word, *CHIEF), word.expand(absolute=True).clamp(min=0).cpu().numpy()
            beside = [j for j, each in enumerate(there) if each and j != i]
            others = own[np.array(beside, int)].any(0)
            rows.append({
                "part": "word", "word": i, "name": name, "present": float(there[i]),
                "iou": float(iou(mask, own[i])) if there[i] else np.nan,
                "on_other": float(ioa(mask, others)) if beside else np.nan,
                "other_area": float(others.mean()) if beside else np.nan,
                "on_things": float(mass[things].sum() / max(mass.sum(), 1e-30)),
                "things_area": float(things.mean()),
            })  # fmt: skip
        return rows

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """What is drawn, and where the maps lie: see `outcomes.tables`."""
        return outcomes.tables(rows, self.world)

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """What is drawn, what methods add, and where the maps lie."""
        from daamkit.studies import charts

        return charts.neglect(tables["methods"], tables["localisation"])
