"""A rating where no script runs: the item shown, and no more of it than a rater is told."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape


def html(
    index: int, total: int, question: str, text: Sequence[str], pictures: Mapping[str, bytes]
) -> str:
    """How far the rating is, and the item shown, if one is left.

    Parameters
    ----------
    index, total
        Items rated, and all.
    question
        The question that stands above each item.
    text
        Of the prompt: before the marked part, the part, after it.
    pictures
        PNG files by their captions.
    """
    sentence = f"<p>{index} of {total} are rated. To go on, run this cell.</p>"
    if index == total:
        return f"<div>{sentence}</div>"
    before, marked, after = map(escape, text)
    mark = f"<mark>{marked}</mark>" if marked else ""
    return (
        f"<div>{sentence}<p>{escape(question)}</p><p><b>{before}{mark}{after}</b></p>"
        f'<div style="display:flex;flex-wrap:wrap;gap:.75rem">{_figures(pictures)}</div></div>'
    )


def _figures(pictures: Mapping[str, bytes]) -> str:
    return "".join(
        f'<figure style="margin:0"><img src="data:image/png;base64,'
        f'{base64.b64encode(png).decode()}" alt="{escape(caption)}" width="256">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, png in pictures.items()
    )
