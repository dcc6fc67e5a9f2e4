"""The text behind an image, as the text encoders have read it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from daamkit.attention.sites import Span
from daamkit.maps.prompt import Prompt


@dataclass(frozen=True)
class Read:
    """The text behind one image's rows of a branch.

    Attributes
    ----------
    prompt
        Its words and tokens.
    columns
        For each text encoder: the column of each place of its input.
    """

    prompt: Prompt
    columns: Mapping[str, Sequence[int]]

    def padding(self) -> int:
        """How many places are padding."""
        own = {token.column for token in self.prompt.tokens if token.special == "padding"}
        return sum(column in own for each in self.columns.values() for column in each)

    def keys(self, spans: Sequence[Span], columns: Collection[int]) -> list[int]:
        """The keys of a site that stand for some columns.

        Parameters
        ----------
        spans
            Where which encoder's text is, of this image's row.
        columns
            Columns of the prompt's tokens.
        """
        chosen = {
            span.start + i
            for span in spans
            for i, column in enumerate(self.columns[span.encoder][span.first :][: span.length])
            if column in columns
        }
        return sorted(chosen)
