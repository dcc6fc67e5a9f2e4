from __future__ import annotations

import pytest

from daamkit.toybox import scenes


@pytest.fixture(scope="session")
def drawn() -> list[scenes.Scene]:
    """Many scenes, mixed as the training mixes them."""
    return scenes.sample(2_000, seed=20)
