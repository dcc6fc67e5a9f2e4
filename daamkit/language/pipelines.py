"""The spaCy pipelines that parse: the one that ships, or any other."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from daamkit import resources
from daamkit.errors import DaamkitError


def load(pipeline: Any = None) -> Any:
    """A spaCy pipeline with a parser.

    Parameters
    ----------
    pipeline
        The name or folder of one, or one already open; None for the small one that ships.

    Raises
    ------
    DaamkitError
        If it is not installed, or has no parser.
    """
    if pipeline is None or isinstance(pipeline, str | os.PathLike):
        return _open(None if pipeline is None else os.fspath(pipeline))
    _check(pipeline, getattr(pipeline, "pipe_names", ()))
    return pipeline


@cache
def _open(name: str | None) -> Any:
    import spacy

    try:
        nlp = spacy.load(resources.path("parser") if name is None else name)
    except (OSError, ValueError) as error:
        raise DaamkitError(
            wanted=f"the spaCy pipeline {name!r}",
            got="no such package or folder on this machine"
            if isinstance(error, OSError)
            else str(error).splitlines()[0],
            mend=f"install it with `python -m spacy download {name}`, or leave it out: a small "
            "parser ships with daamkit",
        ) from error
    _check(name, nlp.pipe_names)
    return nlp


def _check(name: Any, parts: Any) -> None:
    if "parser" not in parts:
        raise DaamkitError(
            wanted="a spaCy pipeline that parses",
            got=f"{name!r} with the components {', '.join(parts) or 'none'}",
            mend="take one with a parser, such as en_core_web_sm, or leave it out",
        )
