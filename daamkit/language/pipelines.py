"""The spaCy pipelines that parse: the one that ships, or any other."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from daamkit import resources
from daamkit.errors import DaamkitError
from daamkit.language import dependencies

# The relations of Universal Dependencies, version 2, without their subtypes, but for "root".
UNIVERSAL = """
    acl advcl advmod amod appos aux case cc ccomp clf compound conj cop csubj dep det discourse
    dislocated expl fixed flat goeswith iobj list mark nmod nsubj nummod obj obl orphan parataxis
    punct reparandum root vocative xcomp
"""
OWN = ("ROOT", "subtok")  # spaCy's own, in any label set


def spacy_pipeline(pipeline: Any = None) -> Any:
    """A spaCy pipeline with a parser.

    Parameters
    ----------
    pipeline
        The name or folder of one, or one already open; None for the small one that ships.

    Raises
    ------
    DaamkitError
        If it is not installed, has no parser, or speaks neither Universal Dependencies nor, being
        English, CLEAR: relations of other sets would be read as what they are not.
    """
    if pipeline is None or isinstance(pipeline, str | os.PathLike):
        return _open(None if pipeline is None else os.fspath(pipeline))
    _check(pipeline, pipeline)
    return pipeline


def is_clear(pipeline: Any) -> bool:
    """Whether its parser speaks CLEAR, the labels of spaCy's English models."""
    return dependencies.is_clear(_labels(pipeline))


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
    _check(name, nlp)
    return nlp


def _labels(nlp: Any) -> list[str]:
    return list(nlp.get_pipe("parser").labels)


def _check(name: Any, nlp: Any) -> None:
    parts = getattr(nlp, "pipe_names", ())
    if "parser" not in parts:
        raise DaamkitError(
            wanted="a spaCy pipeline that parses",
            got=f"{name!r} with the components {', '.join(parts) or 'none'}",
            mend="take one with a parser, such as en_core_web_sm, or leave it out",
        )
    labels = _labels(nlp)
    clear = dependencies.is_clear(labels)
    if clear and nlp.lang == "en":
        return
    known = (*UNIVERSAL.split(), *OWN)
    foreign = [label for label in labels if label.split(":")[0].split("||")[0] not in known]
    if foreign:
        some = ", ".join(sorted(foreign)[:5])
        raise DaamkitError(
            wanted="a parser that speaks Universal Dependencies, or CLEAR of English",
            got=f"one of the language {nlp.lang!r} with relations such as {some}",
            mend="take a pipeline trained on a treebank of universaldependencies.org (spaCy's own "
            "are, but for English, German and Chinese)",
        )
