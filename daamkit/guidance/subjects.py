"""Which tokens of a prompt a method works on: words, phrases, occurrences, tokens, or all nouns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
from torch import Tensor

from daamkit import prompts
from daamkit.attention.calls import Call
from daamkit.errors import DaamkitError
from daamkit.language import parsing
from daamkit.language import subjects as concrete
from daamkit.maps.prompt import Prompt
from daamkit.maps.words import Occurrence

Subject = str | tuple[str, Occurrence] | SupportsIndex | tuple[SupportsIndex, ...]
Subjects = str | Sequence[Subject] | Sequence[Sequence[Subject]] | np.ndarray | Tensor
Columns = tuple[int, ...]


def find(call: Call, subjects: Subjects, prompt: Any = None) -> list[list[Columns]]:
    """The token columns of each subject, for each image of a call.

    Parameters
    ----------
    call
        A pipeline's call.
    subjects
        "nouns": the concrete things of the prompt, five at most, see `language.subjects`; or a list
        of subjects; or such a list for each prompt. A subject is a word or a phrase ("cat", "fire
        truck"), one of several occurrences (("cat", 1), or "cat (2)"), a token's number as the
        tokenizer counts, SOS being 0 where there is one (2), or several (2, 3). Numbers may be
        those of arrays.
    prompt
        What `prompt_embeds` stand for.

    Raises
    ------
    DaamkitError
        If there is no subject, or it is not in the prompt, or cut off there; or if there are not as
        many lists as prompts.
    """
    texts = prompts.by_place(call, "cond", prompt)
    if hasattr(subjects, "tolist"):  # an array: a row a prompt, or the numbers of single tokens
        subjects = subjects.tolist()
    if isinstance(subjects, str):
        if subjects != "nouns":
            raise DaamkitError(
                wanted="a list of subjects, or 'nouns'",
                got=repr(subjects),
                mend=f"write [{subjects!r}]",
            )
        return [_nouns(text) for text in texts]
    if not subjects:
        raise _none(texts[0])
    if not any(isinstance(subject, list) for subject in subjects):
        return [_columns(text, subjects) for text in texts]
    if len(subjects) * call.images_per_prompt != len(texts):
        raise DaamkitError(
            wanted=f"a list of subjects for each of {len(texts) // call.images_per_prompt} prompts",
            got=f"{len(subjects)} lists",
            mend="give one list for each, or a single list of words that every prompt has",
        )
    each = [own for own in subjects for _ in range(call.images_per_prompt)]
    return [_columns(text, own) for text, own in zip(texts, each, strict=True)]


def _columns(prompt: Prompt, subjects: Any) -> list[Columns]:
    if not isinstance(subjects, list | tuple):
        raise DaamkitError(
            wanted="a list of subjects for each prompt, as the first is one",
            got=repr(subjects),
            mend=f"write [{subjects!r}]",
        )
    if not subjects:
        raise _none(prompt)
    return [locate(prompt, subject) for subject in subjects]


def locate(prompt: Prompt, subject: Any) -> Columns:
    """The token columns of one subject; see `find`."""
    if hasattr(subject, "tolist"):  # numbers of an array, as the papers' code has them
        subject = tuple(subject.tolist()) if getattr(subject, "ndim", 0) else int(subject)
    match subject:
        case str() | (str(), int() | "all"):
            return prompt.word(subject).columns
        case int():
            numbers = (subject,)
        case tuple() if subject and all(isinstance(each, int) for each in subject):
            numbers = subject
        case _:
            raise DaamkitError(
                wanted="a subject: a word, (word, occurrence), or numbers of tokens",
                got=repr(subject),
                mend="write 'cat', ('cat', 1), 2 or (2, 3)",
            )
    known = sorted({each.column for each in prompt.tokens if each.special in (None, "EOS")})
    if not known:
        raise _none(prompt)
    for number in numbers:
        if number not in known:
            begins = "; SOS is 0" if prompt.tokens[0].special == "SOS" else ""
            raise DaamkitError(
                wanted=f"a token of {prompt.text!r}, from {known[0]} to {known[-1]}",
                got=f"{number}",
                mend=f"`run.tokens()` shows the numbers{begins}",
            )
    return tuple(numbers)


def _nouns(prompt: Prompt) -> list[Columns]:
    found = concrete.subjects(parsing.parse(prompt.text))
    found = [phrase for phrase in found if prompt.reads(phrase.start, phrase.end)]
    if not found:
        raise _none(prompt)
    few = concrete.few(found, prompt.text)
    return [prompt.span(phrase.start, phrase.end).columns for phrase in few]


def _none(prompt: Prompt) -> DaamkitError:
    known = [word.text for word in prompt.words()]
    return DaamkitError(
        wanted="subjects to guide",
        got=f"none in {prompt.text!r}",
        mend=f"name some of its words: {', '.join(map(repr, known))}"
        if known
        else "give a prompt that names something",
    )
