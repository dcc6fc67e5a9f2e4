"""A study that must know where things are: it asks a truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.studies import instruments, truths
from daamkit.studies.study import Study, in_world


@dataclass(frozen=True, kw_only=True)
class Located(Study):
    """Settings of such a study; see `Study` for the common ones.

    Attributes
    ----------
    truth
        What says where the things are; see `truths.truth`.
    world
        The toy world of the oracle, 1 or 2. World 2's oracle knows the things of world 1 too.
    """

    parses: ClassVar[bool] = True  # whether prompts are parsed
    generates: ClassVar[bool] = True  # whether it makes pictures that the truth looks at
    truth: str = "oracle"
    world: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        in_world(self.world)

    def check(self) -> None:
        """The parser if prompts are parsed, and the truth if it is asked."""
        if self.parses:
            super().check()
        if self.generates:
            _ = self._truth

    def masks(
        self, run: Run, prompt: str, seed: int, names: Sequence[str]
    ) -> list[truths.Mask | None]:
        """Where things are in an image, by their names; None where the truth cannot say.

        Raises
        ------
        DaamkitError
            If the run has no image.
        """
        if run.image is None:
            raise DaamkitError(
                wanted="an image to look at",
                got="a run without one",
                mend="let the pipeline return pictures, `output_type='pil'`",
            )
        return self._truth.masks(run.image, truths.stem(prompt, seed), names)

    def instruments(self) -> dict[str, str]:
        """The oracle, if that is the truth, and it is asked."""
        asked = self.generates and self.truth == "oracle"
        return super().instruments() | (instruments.oracle(self.world) if asked else {})

    @cached_property
    def _truth(self) -> truths.Truth:
        return truths.truth(self.truth, self.resolved_device, self.world)
