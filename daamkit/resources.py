"""Where the data that ships with the package lies."""

from __future__ import annotations

from pathlib import Path

from daamkit.errors import DaamkitError

_PACKAGE = Path(__file__).parent


def path(*parts: str) -> Path:
    """The place of a shipped file or folder.

    Raises
    ------
    DaamkitError
        If it is not there.
    """
    for root in (_PACKAGE / "data", _PACKAGE.parent / "data"):  # a wheel, a checkout
        place = root.joinpath(*parts)
        if place.exists():
            return place
    raise DaamkitError(
        wanted=f"the shipped file {'/'.join(parts)}",
        got=f"nothing there in {_PACKAGE / 'data'} or {_PACKAGE.parent / 'data'}",
        mend="reinstall daamkit; from a checkout, run `make env`",
    )
