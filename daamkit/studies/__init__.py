"""Questions asked of a model, with controls and intervals; only the command line imports them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daamkit import registry
from daamkit.errors import DaamkitError

if TYPE_CHECKING:
    from daamkit.studies.study import Study


def find(name: str) -> type[Study]:
    """A study by its name, or by its place, "my_package:MyStudy".

    Raises
    ------
    DaamkitError
        If there is none, it cannot be imported, or it is no study.
    """
    found = registry.studies.find(name)
    from daamkit.studies.study import Study

    if not (isinstance(found, type) and issubclass(found, Study) and found.name):
        raise DaamkitError(
            wanted=f"a subclass of `daamkit.extend.Study` with a `name` of its own, {name!r}",
            got=f"{found!r}",
            mend="derive it, and write `name = 'my_study'` in it",
        )
    return found
