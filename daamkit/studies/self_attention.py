"""What do self-attention's masks hold, and what does guidance by them do?

The analyses of Self-Attention Guidance (Hong et al. 2023, arXiv 2210.00939): how fine the patches
are that are attended to, how far they overlap with things, and how good the images are, and at what
cost, by masking strategy, threshold, layer, scale and blur.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch
from PIL import Image

from daamkit.errors import DaamkitError
from daamkit.guidance.denoising import Method
from daamkit.guidance.self_attention import SelfAttentionGuidance
from daamkit.language import parsing
from daamkit.maps.run import Run
from daamkit.measures import quality
from daamkit.measures.frequency import contrast
from daamkit.measures.overlap import iou
from daamkit.studies import masks, pictures, prompts, truths, unprompted
from daamkit.studies.located import Located
from daamkit.studies.objects import ALIASES
from daamkit.studies.pictures import Pictures
from daamkit.studies.session import Case, Row, Session
from daamkit.studies.sets import pooled
from daamkit.studies.study import not_compared
from daamkit.studies.variants import CLASSIFIED, SETTINGS, base, classified, parsed
from daamkit.toybox import oracle, sprites
from daamkit.toybox.scenes import SIDE
from daamkit.vision import alignment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PSI = (0.7, 1.0, 1.3, 1.6)  # thresholds of the masks that are looked at
APART = 1_000_003  # from one set's seeds to the next one's
RANDOM = 20  # random masks beside each


@dataclass(frozen=True, kw_only=True)
class SelfAttention(Located):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    n
        How many prompts in a set, with a seed each. An image of each is drawn for its masks, and
        one in each of `settings`: so n is the size of every set whose quality is measured, on which
        FID depends.
    sets
        How many such sets, each with its own prompts and seeds: the quality of one set is a single
        draw, and that of one of four may well be the extreme.
    model
        As every study's; or a folder with a `DDIMPipeline` or `DDPMPipeline`, which takes no prompt
        (`toybox.training.pixels`). Then the settings without "cfg" are compared, if a classifier
        lies beside it also "cg" and "cg+sag" (towards a thing for each seed), and no masks are
        looked at.
    guidance
        Scale of classifier-free guidance of the images whose masks are looked at: 1 is none, None
        the pipeline's own. With guidance the unconditional attention is looked at, as the method
        does.
    cfg
        Scale of classifier-free guidance of the settings that have it.
    settings
        What to compare; see `variants.parsed`.
    truth
        What says where things are; see `truths.truth`. The oracle finds all things of the toy
        world, other truths the prompt's nouns.
    features
        Features of pictures, for their quality: "oracle", or a CLIP as `alignment.clip` takes it.
    real
        A folder of real pictures; None: drawn scenes of the toy world.
    scenes
        How many scenes to draw.
    """

    name: ClassVar[str] = "self_attention"
    fewest: ClassVar[int] = 8  # a half has 3 nearest neighbours
    n: int = 300
    sets: int = 4
    guidance: float | None = 1.0
    cfg: float = 7.5
    settings: tuple[str, ...] = SETTINGS
    features: str = "oracle"
    real: str | None = not_compared(None)
    scenes: int = not_compared(1000)

    def __post_init__(self) -> None:
        super().__post_init__()
        for setting in self.settings:
            parsed(setting)
        if not self.settings or self.cfg <= 1 or self.scenes < self.fewest or self.sets < 1:
            raise DaamkitError(
                wanted=f"a setting, a `cfg` above 1, a set, and {self.fewest} scenes or more",
                got=f"settings={self.settings}, cfg={self.cfg:g}, sets={self.sets}, "
                f"scenes={self.scenes}",
                mend="try settings=('none', 'sag'), cfg=7.5, sets=4, scenes=1000",
            )

    def cases(self) -> list[Case]:
        """Set after set: a prompt and a seed each; set 0 is what one set alone would be."""
        return [
            {"prompt": text, "seed": self.seed + turn * APART + i, "set": turn}
            for turn in range(self.sets)
            for i, text in enumerate(prompts.texts(self.prompts, self.n, self.seed + turn * APART))
        ]

    def check(self) -> None:
        """Truth, features, the folder of real pictures, and the parser if the truth needs it."""
        _ = self._truth
        if self.truth != "oracle":
            super().check()
        if self.features != "oracle":
            alignment.clip(self.features)
        if self.real is not None:
            pictures.of_folder(self.real, self.fewest)

    def open(self) -> Any:
        """Also a pipeline without prompts."""
        if unprompted.is_folder(self.model):
            dtype = getattr(torch, self.dtype)
            return unprompted.pipeline(self.model, dtype, self.resolved_device)
        return super().open()

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """Rows of two parts, each with prompt, seed and set.

        "masks", one for each layer and psi: layer (stage and grid, of whose self-attention the last
        is taken, all steps together), psi, masked (share of cells), there (whether the image shows
        any thing), iou of the mask with all things, random and centre (the same of as many cells at
        random, a mean, and of those nearest to the centre; NaN where nothing is there); and lists
        by ring: frequency, above, all (`frequency.contrast`).

        "quality", one for each setting: setting, features (a list), seconds (the image's share of
        its call, tracing included) and, on a GPU, gigabytes (the most that was held).
        """
        texts, seeds = [case["prompt"] for case in cases], [case["seed"] for case in cases]
        if unprompted.holds(session.pipe):
            session.record = {"pipeline": type(session.pipe).__name__, "steps": self.steps}
            settings = [each for each in self.settings if not parsed(each)[0]]
            if unprompted.has_classifier(self.model):
                settings = list(dict.fromkeys((*settings, *CLASSIFIED)))
            rows = [self._draw(session, each, texts, seeds) for each in settings]
            return [
                [{"prompt": "", "seed": case["seed"], "set": case["set"]} | row for row in own]
                for case, *own in zip(cases, *rows, strict=True)
            ]
        guided = self.guidance is None or self.guidance > 1
        branches = ("cond", "uncond") if guided else ("cond",)
        runs = session.runs(texts, seeds, self_attention=True, keep="site", branches=branches)
        rows = [self._masks(case, run) for case, run in zip(cases, runs, strict=True)]
        for setting in self.settings:
            drawn = self._draw(session, setting, texts, seeds)
            for own, row in zip(rows, drawn, strict=True):
                own.append(row)
        said = [{key: case[key] for key in ("prompt", "seed", "set")} for case in cases]
        return [[who | row for row in own] for who, own in zip(said, rows, strict=True)]

    def _masks(self, case: Case, run: Run) -> list[Row]:
        assert run.image is not None
        image, rng = np.asarray(run.image), np.random.default_rng((case["seed"], 53))
        things, rows = self._things(case, run.image), list[Row]()
        maps = run.self_attention.get("uncond", run.self_attention["cond"])
        for layer, name in masks.last(maps).items():
            scores = maps.received(name).double().numpy()
            for psi in PSI:
                mask, spectrum = scores > psi, contrast(image, scores, psi)
                row: Row = {
                    "part": "masks", "layer": layer, "psi": psi, "masked": float(mask.mean()),
                    "there": truths.present(things), "frequency": spectrum.frequency.tolist(),
                    "above": spectrum.above.tolist(), "all": spectrum.everywhere.tolist(),
                }  # fmt: skip
                shuffled = [rng.permuted(mask.ravel()).reshape(mask.shape) for _ in range(RANDOM)]
                beside = {"iou": [mask], "random": shuffled, "centre": [masks.centred(mask)]}
                for key, own in beside.items():
                    found = [float(iou(masks.enlarged(m, things.shape), things)) for m in own]
                    row[key] = float(np.mean(found)) if row["there"] else np.nan
                rows.append(row)
        return rows

    def _things(self, case: Case, image: Image.Image) -> truths.Mask:
        """Where any thing is; empty also if the truth knows none of them."""
        names = list(sprites.THINGS)
        if self.truth != "oracle":
            nouns = parsing.parse(case["prompt"], self.parser).things()
            names = list(dict.fromkeys(ALIASES.get(noun.name, noun.name) for noun in nouns))
        found = self._truth.masks(image, truths.stem(case["prompt"], case["seed"]), names)
        nowhere = np.zeros((image.height, image.width), bool)
        return np.any([nowhere, *(mask for mask in found if mask is not None)], axis=0)

    def _draw(
        self, session: Session, setting: str, texts: Sequence[str], seeds: Sequence[int]
    ) -> list[Row]:
        """An image for each case in one setting: its features, and what it cost."""
        prompted, changed = parsed(setting)
        methods: list[Method] = [] if changed is None else [SelfAttentionGuidance(**changed)]
        if classified(setting):
            methods = [*unprompted.guidance(self.model, seeds, session.pipe.device), *methods]
        gpu = session.pipe.device.type == "cuda"
        if gpu:
            torch.cuda.reset_peak_memory_stats(session.pipe.device)
        started = time.perf_counter()
        if unprompted.holds(session.pipe):
            images = unprompted.draw(session.pipe, seeds, self.steps, methods)
        else:
            inner = Session(replace(self, guidance=self.cfg if prompted else 1.0), session.pipe)
            runs = inner.runs(texts if prompted else [""] * len(texts), seeds, methods, keep=())
            images = [run.image for run in runs if run.image is not None]
        cost = {"seconds": (time.perf_counter() - started) / len(images)}
        if gpu:
            cost["gigabytes"] = torch.cuda.max_memory_allocated(session.pipe.device) / 1e9
        found = self._features(images)
        said = {"part": "quality", "setting": setting, "side": images[0].width} | cost
        return [said | {"features": each.tolist()} for each in found]

    def _features(self, found: Pictures) -> quality.Features:
        if self.features == "oracle":
            return oracle.features(found)
        return alignment.clip(self.features).images(found).cpu().double().numpy()

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """ "quality": FID against all real pictures, precision and recall against n of them, with
        95% intervals over images, of several sets their mean with Student's interval over sets (and
        "sets", each one's); the change of FID against another setting on the same seeds; the
        median seconds of an image, and how many times CFG's in the same run (on a quiet machine;
        elsewhere they mean nothing). Where the real pictures are drawn scenes, the last row are n
        others of them: what a perfect model would reach.
        "masks": for each layer and psi the mean IoU with things, and how much more it is than the
        controls', with 95% intervals over prompts and p.
        "frequency": log magnitude of the patches above psi, of all, and the difference with its
        interval. Of the intervals of quality see `quality.interval`."""
        seen = rows[rows["part"] == "masks"]
        drawn = rows[rows["part"] == "quality"].groupby("set", sort=False)
        side = int(rows["side"].dropna().iloc[0]) if "side" in rows else SIDE
        real = self._features(self._real(side))
        each = [self._quality(part, real, int(turn), side).assign(set=turn) for turn, part in drawn]
        found = pd.concat(each, ignore_index=True)
        tables = {"quality": pooled(found) if len(each) > 1 else found.drop(columns="set")}
        if len(seen):
            tables |= {"masks": masks.overlaps(seen), "frequency": masks.spectra(seen)}
        return tables | ({"sets": found} if len(each) > 1 else {})

    def _quality(
        self, rows: pd.DataFrame, real: quality.Features, turn: int = 0, side: int = SIDE
    ) -> pd.DataFrame:
        groups = rows.groupby("setting", sort=False)
        sets = {str(name): np.stack(part["features"].tolist()) for name, part in groups}
        n = min(map(len, sets.values()))
        if self.real is None:
            sets["drawn scenes"] = self._features(pictures.drawn(n, self.seed + 2 + turn, side))
        found, out = dict[str, np.ndarray](), []
        halves = quality.halves(n, self.seed)
        costs = groups[[name for name in ("seconds", "gigabytes") if name in rows]].median()
        for name, own in sets.items():
            parts = (own, *(own[half] for half in halves))
            found[name] = np.array(
                [(quality.fid(real, p), *quality.precision_recall(real[:n], p)) for p in parts]
            )
        for name, (fid, precision, recall) in {k: v.T for k, v in found.items()}.items():
            against = base(name) if name in costs.index else ""
            row: Row = (
                {"setting": name, "n": n} | quality.interval("fid", fid) | {"against": against}
            )
            row |= quality.interval(
                "change", fid - (found[against][:, 0] if against in found else np.nan)
            )
            row |= quality.interval("precision", precision, share_of=n)
            row |= quality.interval("recall", recall, share_of=n)
            if name in costs.index:
                row |= costs.loc[name].to_dict()
                row["over_cfg"] = row["seconds"] / costs["seconds"].get("cfg", np.nan)
            out.append(row)
        return pd.DataFrame(out)

    def _real(self, side: int = SIDE) -> Pictures:
        if self.real is None:
            return pictures.drawn(self.scenes, self.seed + 1, side)
        return [pictures.opened(file) for file in pictures.of_folder(self.real, self.fewest)]

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure | None:
        """FID of each setting, overlap with things, and detail above psi; None without masks."""
        from daamkit.studies import charts

        if "masks" not in tables:
            return None
        return charts.self_attention(tables["quality"], tables["masks"], tables["frequency"])
