"""What a guidance method notes of an image, step by step."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Notes:
    """One method's notes of one image; in the run's record as plain data.

    Attributes
    ----------
    method
        Name of its class.
    settings
        The settings of the method, as plain data.
    steps
        For each step of which it noted something: "step", and its numbers by name.
    pairs
        Nouns with their modifiers that the method found in the prompt, where it looks for any.
    """

    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[tuple[str, list[str]]] | None = None

    def plain(self) -> dict[str, Any]:
        """As plain data; what was not noted is left out."""
        data = {name: value for name, value in asdict(self).items() if value is not None}
        if self.pairs is not None:
            data["pairs"] = [[noun, modifiers] for noun, modifiers in self.pairs]
        return data
