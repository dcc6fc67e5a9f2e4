"""A run: an image, its prompt, its maps, and how it was made. Saved without pickle."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from daamkit.errors import DaamkitError
from daamkit.maps import saved, saving
from daamkit.maps.heatmaps import HeatMaps
from daamkit.maps.pooling import Pooling
from daamkit.maps.saved import RunFolderError as RunFolderError
from daamkit.maps.selfmaps import SelfMaps
from daamkit.maps.wordmap import Rule

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "word", "start", "end", "occurrence", "tokens", "mass", "area",
    "centre_y", "centre_x", "peak_y", "peak_x", "peak",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Run:
    """One generated image and what was observed while it was made.

    Attributes
    ----------
    image
        The image; None if the pipeline returned latents.
    branches
        Cross-attention by branch: "cond", and "uncond" or "negative" where they were asked for.
    self_attention
        Self-attention by branch, where it was asked for.
    record
        What is needed to make it again; see `daamkit.record`.
    """

    image: Image.Image | None
    branches: Mapping[str, HeatMaps]
    self_attention: Mapping[str, SelfMaps] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def maps(self) -> HeatMaps:
        """The maps of the prompt's words: branch "cond"."""
        return self.branch("cond")

    @property
    def prompt(self) -> str:
        """The prompt."""
        return self.maps.prompt.text

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
        """The words and where they are, one a row.

        Columns: word, start, end (characters), occurrence, tokens (their number), mass (share of
        all attention), area (share of the image within the mask at `threshold` of the maximum),
        centre_y, centre_x, peak_y, peak_x (pixels), peak (attention probability, summed over steps
        as the pooling has it).
        """
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for found in self.maps.words():
            word, columns = found.word, list(found.word.columns)
            (centre_y, centre_x), (peak_y, peak_x) = found.centre(), found.peak()
            rows.append(
                {
                    "word": word.text,
                    "start": word.start,
                    "end": word.end,
                    "occurrence": word.occurrence,
                    "tokens": len(columns),
                    "mass": float(self.maps.mass[columns].sum()),
                    "area": found.area(threshold),
                    "centre_y": centre_y,
                    "centre_x": centre_x,
                    "peak_y": peak_y,
                    "peak_x": peak_x,
                    "peak": float(found.values.max()),
                }
            )
        return pd.DataFrame(rows, columns=COLUMNS)

    def tokens(self, branch: str = "cond") -> pd.DataFrame:
        """All tokens, special ones too.

        Columns: column (on the key axis), encoder, text, start, end (characters), special,
        occurrence (how often the same text came before), mass. Two encoders share the columns, so
        the masses of each encoder's tokens sum to 1.
        """
        import pandas as pd

        frame = pd.DataFrame(saved.token_rows(self.branch(branch)))
        return frame.assign(
            special=frame["special"].astype(object).where(frame["special"].notna(), None)
        )

    def guidance(self) -> pd.DataFrame:
        """What guidance methods noted while the image was made, a row for each method and step.

        Columns: method, step, and the methods' own numbers; none but these two where the image was
        not guided.
        """
        import pandas as pd

        rows = [
            {"method": entry["method"]} | numbers
            for entry in self.record.get("guidance", [])
            for numbers in entry["steps"]
        ]
        return pd.DataFrame(rows, columns=None if rows else ["method", "step"])

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
            Also pronouns with what they mean ("coreferent") and content words with no edge between
            them ("unrelated").
        parser
            A spaCy pipeline, by name or open; default the one that ships.
        pooling
            "daam" or "paper"; default the run's.

        Returns
        -------
        frame
            A row a pair and threshold, with prompt and seed, as `plots.relations` and `plots.sweep`
            take them; its columns are those of `measures.syntax.relations`, which makes it.

        Raises
        ------
        DaamkitError
            If the prompt has no word, or the model has not read all of it.
        """
        from daamkit.measures import syntax

        return syntax.relations(
            self, threshold, rule, others=others, parser=parser, pooling=pooling
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: the image and the maps of the words."""
        from daamkit.views import still

        return still.html(self)

    def __repr__(self) -> str:
        height, width = self.maps.size
        return f"Run({self.prompt!r}, {width}x{height}, {self.maps.steps} passes)"

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``run.json``, ``maps.safetensors`` and ``image.png`` into a folder.

        An earlier run there is replaced, but only once the new one lies whole on the disk. Of a
        link to a folder, the folder is meant.

        Raises
        ------
        RunFolderError
            If the folder holds anything else, the maps are not finite, or the disk is full.
        """
        return saving.save(self, folder)


def open_run(folder: str | os.PathLike[str], *, budget: int | None = saved.BUDGET) -> Run:
    """Read a run that `Run.save` has written. Needs no model and no diffusers.

    Parameters
    ----------
    folder
        Where it lies. It may come from anybody: nothing in it is run, and only PNG is decoded.
    budget
        Most bytes of maps to read; None reads any number.

    Raises
    ------
    RunFolderError
        If there is none, it is damaged or over the budget, or another version wrote it.
    """
    return Run(*saved.read(Path(folder), budget))
