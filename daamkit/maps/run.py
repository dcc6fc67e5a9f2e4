"""A run: an image, its prompt, its maps, and how it was made. Saved without pickle."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from daamkit.errors import DaamkitError
from daamkit.maps import frames, saving, tables
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.pooling import Pooling
from daamkit.maps.related import Related
from daamkit.maps.saved import RunFolderError as RunFolderError
from daamkit.maps.selfmaps import SelfMaps
from daamkit.maps.thresholds import Rule
from daamkit.maps.wordmap import WordMap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from daamkit.maps.words import Asked, Occurrence


@dataclass(frozen=True, eq=False)
class Run:
    """One generated image, or video, and what was observed while it was made.

    Attributes
    ----------
    image
        The image, or a video's first frame; None if the pipeline returned latents.
    branches
        Cross-attention by branch: "cond", and "uncond" or "negative" where they were asked for.
    self_attention
        Self-attention by branch, where it was asked for.
    record
        What is needed to make it again; see `daamkit.record`.
    related
        What chosen words and places of the image attend to, by the relation's name, where that was
        asked for.
    video
        All frames of a video.
    """

    image: Image.Image | None
    branches: Mapping[str, HeatMaps]
    self_attention: Mapping[str, SelfMaps] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    related: Mapping[str, Related] = field(default_factory=dict)
    video: tuple[Image.Image, ...] = ()

    def __post_init__(self) -> None:
        own = {name: maps.over(self.image, self.video) for name, maps in self.branches.items()}
        object.__setattr__(self, "branches", own)

    @functools.cached_property
    def frames(self) -> tuple[Run, ...]:
        """A run of one image for each frame that the maps have; for an image, this run alone.

        The maps have fewer frames than the video, as its latents do: each is shown with the frame
        of the video at the same position between the first and the last.
        """
        return frames.of_run(self)

    @property
    def maps(self) -> HeatMaps:
        """The maps of the prompt's words: branch "cond"."""
        return self.branch("cond")

    @property
    def prompt(self) -> str:
        """The prompt."""
        return self.maps.prompt.text

    @property
    def seed(self) -> int | None:
        """The seed of the noise that the image began with; None where it was not recorded."""
        noted = self.record.get("seed") or {}
        return noted.get("seed")

    @property
    def method(self) -> str:
        """The names of the methods that guided it, or "unguided"."""
        return " + ".join(row["method"] for row in self.record.get("guidance", ())) or "unguided"

    def branch(self, name: str) -> HeatMaps:
        """The maps of a branch.

        Raises
        ------
        DaamkitError
            If it was not traced, or the pipeline had none.
        """
        if name not in self.branches:
            raise DaamkitError(
                wanted=f"maps of the branch {name!r}",
                got=f"{', '.join(self.branches)}",
                mend="trace with `branches=('cond', 'uncond')`; with a negative prompt the second "
                "is called 'negative'",
            )
        return self.branches[name]

    def table(self, threshold: float = 0.4) -> pd.DataFrame:
        """The words and where they are, a row for each.

        Columns: word, start, end (characters), occurrence, tokens (their number), mass (share of
        all attention), area (share of the image within the mask at `threshold` of the maximum),
        centre_y, centre_x, peak_y, peak_x (pixels), peak (attention probability, summed over steps
        as the pooling rule says).
        """
        return tables.words(self.maps, threshold)

    def tokens(self, branch: str = "cond") -> pd.DataFrame:
        """All tokens, special ones too.

        Columns: column (on the key axis), encoder, text, start, end (characters), special,
        occurrence (how often the same text came before), mass. Two encoders share the columns, so
        the masses of each encoder's tokens sum to 1.
        """
        return tables.tokens(self.branch(branch))

    def guidance(self) -> pd.DataFrame:
        """What guidance methods noted while the image was made, a row for each method and step.

        Columns: method, step, and the methods' own numbers; only method and step where the image
        was not guided.
        """
        return tables.guidance(self.record)

    def relations(
        self,
        threshold: float | Sequence[float] | Rule = 0.4,
        rule: Rule | Literal["soft"] = "max",
        *,
        others: bool = False,
        parser: Any = None,
        pooling: Pooling | None = None,
    ) -> pd.DataFrame:
        """The prompt's heads and dependents and what their maps share (arXiv 2210.04885, sec. 4).

        Parameters
        ----------
        threshold, rule
            How a map is cut, as in `WordMap.mask`; several thresholds give rows for each.
        others
            Also pair pronouns with what they mean ("coreferent"), and content words with no edge
            between them ("unrelated").
        parser
            A spaCy pipeline, by name or loaded; default the one that ships.
        pooling
            "daam" or "paper"; default the run's.

        Returns
        -------
        frame
            A row for each pair and threshold, with prompt and seed, as `plots.relations` and
            `plots.sweep` take them. The columns are those of `measures.syntax.relations`, which
            makes the frame.

        Raises
        ------
        DaamkitError
            If the prompt has no word, or the model has not read all of it.
        """
        from daamkit.measures import syntax

        return syntax.relations(
            self, threshold, rule, others=others, parser=parser, pooling=pooling
        )

    def reliability(self, parser: Any = None, changes: Iterable[WordMap] = ()) -> pd.DataFrame:
        """Whether each noun's map can be believed: was the thing drawn, and is the map on it?

        Parameters
        ----------
        parser
            A spaCy pipeline, by name or loaded; default the one that ships.
        changes
            What changes in the image when nouns are silenced, a map for each noun, as
            ``Occlusion(window=0, by="silence")`` makes it (`attribution.occlusion`): one more sign.

        Returns
        -------
        frame
            A row for each noun: word, start, end (characters), occurrence; present, the probability
            that the thing is in the image; located, that it is and its map lies on it (IoU of at
            least 0.5); rank, from 1 for the noun to doubt most; calibrated, and if not, why_not;
            and the signs from which this is told (`measures.signs.SIGNS`), NaN where the maps
            cannot give one. Probabilities are those that held on toy models (docs/reliability.md).
            For other models, and for images that were guided or were asked for with other settings
            than in learning, they are NaN and only the rank remains.

        Raises
        ------
        DaamkitError
            If the prompt names nothing, or the model has not read all of it.
        """
        from daamkit.measures import reliability

        return reliability.table(self, parser, changes)

    def at(self, y: int, x: int) -> pd.DataFrame:
        """Which words a pixel attends to, the most attended first.

        Parameters
        ----------
        y, x
            Row and column, counted from 0 from the top left.

        Returns
        -------
        frame
            A row for each word: word, start, end (characters), occurrence; value (of its map there:
            the attention probability, summed over steps as the pooling rule says); share (of all
            words' values there).

        Raises
        ------
        DaamkitError
            If the image has no such pixel.
        """
        from daamkit.measures import places

        return places.at(self, y, x)

    def region(
        self, box: Sequence[int], threshold: float | Rule = 0.4, rule: Rule = "max"
    ) -> pd.DataFrame:
        """Which words lie in a box, those with most of their map in it first.

        Parameters
        ----------
        box
            (top, left, bottom, right) in pixels; bottom and right are not in it.
        threshold, rule
            How a map is cut for `iou`, as in `WordMap.mask`.

        Returns
        -------
        frame
            A row for each word: word, start, end (characters), occurrence; inside (the share of its
            map that lies in the box); iou (of its mask and the box); lift (inside over the box's
            share of the image: 1 where the map is as dense in the box as in the whole image).

        Raises
        ------
        DaamkitError
            If the box is not within the image.
        """
        from daamkit.measures import places

        return places.region(self, box, threshold, rule)

    def plot(
        self, *words: Asked, occurrence: Occurrence | None = None, **options: Any
    ) -> Axes | Figure:
        """Draw words over the image.

        Parameters
        ----------
        words
            One word, whose map lies over the image (`plots.word`); or several, or none, which means
            all: their maps stand side by side on one scale (`plots.grid`).
        occurrence
            Which one, where a word occurs several times.
        options
            For both: ``cmap``, ``alpha``, ``vmax``, ``colour``; for `plots.word` also ``ax`` and
            ``threshold``, for `plots.grid` ``columns`` and ``shared``.

        Returns
        -------
        axes or figure
            Axes for one word, a figure for several.
        """
        from daamkit.views import plots

        if len(words) == 1:
            return plots.word(self, words[0], occurrence, **options)
        return plots.grid(self, words or None, occurrence=occurrence, **options)

    def export(
        self,
        folder: str | os.PathLike[str],
        threshold: float | Rule = 0.4,
        rule: Rule = "max",
    ) -> Path:
        """Write what other programs read: each word's mask and map as pictures and as arrays.

        ``masks/00-word.png`` is white on black; ``maps/00-word.png`` lies over the image, with the
        mask's outline, all on one scale; ``maps.npz`` holds `maps` (words, height, width; float32),
        `masks` (bool) and `words`; ``words.csv`` is `table`; ``image.png`` the image.

        Parameters
        ----------
        folder
            A new or empty folder, or that of an earlier export, which is replaced, all or nothing.
            A link to a folder means that folder.
        threshold, rule
            How masks are cut, as in `WordMap.mask`.

        Returns
        -------
        folder

        Raises
        ------
        DaamkitError
            If the folder holds anything else, even a file of the export that was changed, or cannot
            be written; or if this is a video: each of its `frames` has an export of its own.
        """
        from daamkit.views import export

        return export.write(self, folder, threshold, rule)

    def _repr_html_(self) -> str:
        """What a notebook shows: the image and the maps of the words."""
        from daamkit.views import still

        return still.html(self)

    def __repr__(self) -> str:
        height, width = self.maps.size
        seed = "" if self.seed is None else f"seed {self.seed}, "
        frames = f", {len(self.frames)} frames" if len(self.frames) > 1 else ""
        shape = f"{width}x{height}{frames}"
        return f"Run({self.prompt!r}, {seed}{shape}, {self.maps.steps} passes)"

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``run.json``, ``maps.safetensors`` and ``image.png`` into a folder.

        For a video, a PNG of each frame is written too. An earlier run there is replaced, but only
        once the new one is complete on the disk. A link to a folder means that folder.

        Raises
        ------
        RunFolderError
            If the folder holds anything else, even a file of the run that was changed; if the maps
            are not finite, or the folder cannot be written.
        """
        return saving.save(self, folder)
