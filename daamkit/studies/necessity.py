"""Which layers and heads does a thing need, and which are enough for it?

Scenes are drawn and denoised in one step, and their captions generated, as in the study
`attribution`. Each part of the attention to text (a layer, a block, the heads that find things) is
taken out ("necessity"), and then all but it ("sufficiency"), beside as many heads at random. Two
edits distinguish what a part says at all from what it says of a noun: "knock out" makes its heads
say nothing, "silence" takes only the noun from them. Where attention is joint, heads that are
knocked out say nothing of the picture either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from daamkit import record
from daamkit.attention import families
from daamkit.attribution import learned
from daamkit.attribution.learned import Head
from daamkit.edits.edit import Edit
from daamkit.edits.heads import KnockOut
from daamkit.edits.silence import Silence
from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.maps.words import Word
from daamkit.measures import faithfulness, intervals
from daamkit.studies import distances, instruments, truths
from daamkit.studies.distances import Views
from daamkit.studies.drawn_scenes import Known, OfScenes
from daamkit.studies.session import Case, Row, Session

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EDITS, QUESTIONS = ("knock out", "silence"), ("necessity", "sufficiency")
KINDS = ("layer", "block", "heads")
MEASURES = ("inside", "perceptual", "lost")
WITHIN = dict.fromkeys(MEASURES, (0.0, np.inf)) | {"lost": (-1.0, np.inf)}  # of the means
Heads = frozenset[Head]
NO_HEADS: Heads = frozenset()


@dataclass(frozen=True)
class Look:
    """A picture, and where the truth sees each noun's thing in it; None where it cannot say."""

    views: Views
    read: Mapping[int, truths.Mask | None]


@dataclass(frozen=True, kw_only=True)
class Necessity(OfScenes):
    """Settings of the study; see `Study` for the common ones.

    Each part takes four pictures, and four more for each noun: 80 for a case of one noun, with the
    ten parts of a UNet.

    Attributes
    ----------
    n
        How many cases: one scene at each level and generated, then the next scene.
    kinds
        Which parts: each "layer", each "block", the "heads" that find things.
    levels, world, truth
        As in `OfScenes`.
    """

    name: ClassVar[str] = "necessity"
    fewest: ClassVar[int] = 2
    n: int = 150
    kinds: tuple[str, ...] = KINDS

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kinds or not {*self.kinds} <= {*KINDS}:
            raise DaamkitError(
                wanted=f"kinds of parts: {', '.join(map(repr, KINDS))}",
                got=", ".join(map(repr, self.kinds)) or "none",
                mend="name some of these in `kinds`",
            )

    def instruments(self) -> dict[str, str]:
        """What sees how far pictures are apart."""
        return super().instruments() | instruments.oracle(distances.WORLD, "perceptual")

    def tracing(self, pipe: Any, prompt: str) -> dict[str, Any]:
        """No maps: words alone are asked for."""
        return {"keep": ()}

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """A row a noun, edit, question and part: set, split, prompt, seed, noun, word, edit,
        question ("necessity", "sufficiency"), kind ("layer", "block", "heads"), part, heads (how
        many), and of the thing's own mask the mean change of colours, "inside", and as the oracle
        sees it, "perceptual", and the share that the truth reads as the thing no longer, "lost";
        the same with random heads ("random_inside" ...)."""
        return [[*self._rows(session, case)] for case in cases]

    def _rows(self, session: Session, case: Case) -> Iterator[Row]:
        draw = self.drawing(session, case)
        run = draw()
        seen = self.seen(case, run)
        every, rng = heads_of(session.pipe), np.random.default_rng((case["seed"], 307))

        @cache
        def look(heads: Heads, word: Word | None) -> Look:
            edit = _edit(heads, word)
            return self._look(seen, draw(edit) if heads else run, edited=bool(heads))

        for (kind, part), heads in parts(session.pipe, run, self.kinds).items():
            chance = _at_random(heads, every, rng)
            for question in QUESTIONS:
                said = {"question": question, "kind": kind, "part": part, "heads": len(heads)}
                for edit, (noun, word) in product(EDITS, seen.words.items()):
                    row = seen.named[noun] | {"edit": edit} | said
                    for prefix, own in (("", heads), ("random_", chance)):
                        out = own if question == QUESTIONS[0] else frozenset(every) - own
                        changed = look(out, word if edit == "silence" else None)
                        effect = _effect(look(NO_HEADS, None), changed, noun, seen.masks[noun])
                        row |= {f"{prefix}{name}": value for name, value in effect.items()}
                    yield row

    def _look(self, seen: Known, run: Run, edited: bool) -> Look:
        """A picture of the case."""
        assert run.image is not None
        said = [*seen.named.values()]
        stem = truths.stem(said[0]["prompt"], said[0]["seed"]) + "-edited" * edited
        read = self._truth.masks(run.image, stem, [row["word"] for row in said])
        return Look(distances.views([run.image]), dict(zip(seen.named, read, strict=True)))

    # -- what they say

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """With 95% intervals over prompts:

        "necessity": for each set, edit, question and part its kind and number of heads, the means
        of "inside", "perceptual" and "lost", and how much more each is than with as many heads at
        random ("inside_over_random" ...); n.
        """
        by = ["set", "edit", "question", "kind", "part"]
        found = []
        for names, part in rows.groupby(by, sort=False):
            prompts = part["prompt"].tolist()
            line: Row = dict(zip(by, names, strict=True)) | {"heads": int(part["heads"].iloc[0])}
            for measure in MEASURES:
                own, other = part[measure].to_numpy(), part[f"random_{measure}"].to_numpy()
                mean = intervals.mean(own, prompts, within=WITHIN[measure])
                gain = intervals.gain(own, other, prompts)
                line |= dict(zip(intervals.columns(measure), mean, strict=True))
                over = intervals.columns(f"{measure}_over_random")
                line |= dict(zip(over, gain, strict=True))
            found.append(line | {"n": len(part)})
        return {"necessity": pd.DataFrame(found)}

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """How much more of the thing is lost than with random heads."""
        from daamkit.studies import charts

        return charts.necessity(tables["necessity"])


def heads_of(pipe: Any) -> list[Head]:
    """All heads that attend to text, by their layer's name and their number."""
    sites = [site for own in families.sites(pipe).values() for site in own if site.reads_text]
    return [(site.name, head) for site in sites for head in range(site.heads)]


def parts(pipe: Any, run: Run, kinds: Sequence[str] = KINDS) -> dict[tuple[str, str], Heads]:
    """The heads of each layer, of each block that has several, and those that the method `heads`
    looks at, where they are known; by kind and name, without what would be all."""
    every = heads_of(pipe)
    sites = [site for own in families.sites(pipe).values() for site in own if site.reads_text]
    groups = {site.name: site.group for site in sites}
    found = {("layer", name): frozenset(h for h in every if h[0] == name) for name in groups}
    for group in dict.fromkeys(groups.values()):
        found["block", group] = frozenset(head for head in every if groups[head[0]] == group)
    lesson = record.learned(learned.shipped(), run.record)
    if lesson is not None:
        found["heads", "heads that find things"] = frozenset(lesson.heads)
    return {
        name: heads
        for name, heads in found.items()
        if name[0] in kinds and len(heads) < len(every)
        if name[0] != "block" or len({site for site, _ in heads}) > 1
    }


def _at_random(heads: Heads, every: Sequence[Head], rng: np.random.Generator) -> Heads:
    """As many heads, none of these as long as there are others."""
    order = sorted(every, key=lambda head: (head in heads, rng.random()))
    return frozenset(order[: len(heads)])


def _edit(heads: Heads, word: Word | None) -> Edit:
    """These heads knocked out, or a word taken from them."""
    each = {site: [head for name, head in sorted(heads) if name == site] for site, _ in heads}
    return KnockOut(heads=each) if word is None else Silence([word], heads=each)


def _effect(plain: Look, changed: Look, noun: int, mask: truths.Mask) -> Row:
    """What has become of a noun's thing."""
    apart = distances.apart(plain.views, changed.views)
    before, after = plain.read[noun], changed.read[noun]
    lost = np.nan if before is None or after is None else before[mask].mean() - after[mask].mean()
    return {
        "inside": faithfulness.inside(apart["colours"][0], mask)[0],
        "perceptual": faithfulness.inside(apart["perceptual"][0], mask)[0],
        "lost": float(lost),
    }
