"""How characters become words: combining marks, emoji, scripts without spaces, weighting syntax."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby


def _ranges(category: str) -> str:
    """The characters of a Unicode category, as ranges of a regular expression's class."""
    codes = [c for c in range(0x300, 0x1F000) if unicodedata.category(chr(c)).startswith(category)]
    runs = groupby(enumerate(codes), key=lambda pair: pair[1] - pair[0])
    ends = [[code for _, code in run] for _, run in runs]
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in ends)


_COMBINING = _ranges("M")
_JOINERS = "\u200c\u200d"  # inside a word of Persian, Hindi, ...
LETTER = rf"[\w{_COMBINING}{_JOINERS}]"  # `\w` has no combining marks
_PICTURE = "[\u231a-\u23ff\u2600-\u27bf\u2b05-\u2b55\U0001f000-\U0001f1e5\U0001f200-\U0001faff]"
_TONES = "\ufe0f\U0001f3fb-\U0001f3ff"
EMOJI = rf"(?:[\U0001f1e6-\U0001f1ff]{{2}}|{_PICTURE}[{_TONES}]*(?:\u200d{_PICTURE}[{_TONES}]*)*)"
WORD = re.compile(rf"{EMOJI}|{LETTER}+(?:[-'’]{LETTER}+)*")
# Scripts whose words stand without spaces: Thai, Lao, Burmese, Khmer; kana, Han, full-width signs.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_HIRAGANA = re.compile("[\u3040-\u309f]+")
# What is said after a Korean noun without a space.
PARTICLES = (
    "이라고|이라는|에게서|으로서|으로써|까지|부터|에서|에게|한테|으로|처럼|보다|마다|조차|이나|이랑|하고|"
    "이|가|은|는|을|를|의|에|와|과|도|로|만|랑|나|들"
)


@dataclass(frozen=True)
class Mark:
    """Characters of a prompt that some programs take as commands, and a pipeline as plain text.

    Attributes
    ----------
    text, start, end
        The characters as they stand in the prompt: ``prompt[start:end] == text``.
    kind
        "weight" (":1.2" of "(cat:1.2)"), "network" ("<lora:name:1>"), or "break" ("BREAK").
    """

    text: str
    start: int
    end: int
    kind: str


_MARKS = re.compile(
    r"(?P<network><(?:lora|lyco|hypernet|hypernetwork|ti):[^<>]*>)"
    r"|(?P<weight>(?<=[^\s:]):\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)\s*(?=[)\]]))"
    r"|(?P<break>(?<!\S)BREAK(?!\S))"
)


def marks(text: str) -> list[Mark]:
    """Weighting syntax in a prompt; the brackets around it are punctuation.

    >>> [(mark.text, mark.kind) for mark in marks("(red cat:1.3) BREAK <lora:ink:0.8>")]
    [(':1.3', 'weight'), ('BREAK', 'break'), ('<lora:ink:0.8>', 'network')]
    """
    return [Mark(m[0], *m.span(), str(m.lastgroup)) for m in _MARKS.finditer(text)]


def words(text: str) -> Iterator[tuple[int, int]]:
    """Where the words of a text are; emoji are words, weighting syntax is none.

    Words of scripts without spaces are not told apart, save Han and katakana from hiragana, whose
    short runs are Japanese particles.

    >>> text = "a café, 猫と犬 and 👩‍🚀 (dog:1.2)"
    >>> [text[start:end] for start, end in words(text)]
    ['a', 'café', '猫', 'と', '犬', 'and', '👩\u200d🚀', 'dog']
    """
    other = marks(text)
    for match in WORD.finditer(text):
        start, end = match.span()
        if any(mark.start < end and start < mark.end for mark in other):
            continue
        for kana in _HIRAGANA.finditer(text, start, end):
            if start < kana.start():
                yield start, kana.start()
            yield kana.span()
            start = kana.end()
        if start < end:
            yield start, end


def finds(word: str) -> list[re.Pattern[str]]:
    """Patterns that find a word or phrase in a text, the strictest first.

    A whole word; a part of a compound ("cat" of "cat-like"); a word of a script without spaces, or
    before a Korean particle. Case, the width of spaces, and whether accents are composed do not
    matter.
    """
    parts = word.split()
    middle = r"\s+".join(map(_either, parts))
    first, last = parts[0][0], parts[-1][-1]
    letter = re.compile(LETTER)
    before = after = ("", "", "")
    if letter.match(first):
        strict = rf"(?<!{LETTER})"
        inside = rf"(?<![^\W{UNSPACED}])" if _is(first, UNSPACED) else strict
        before = (rf"{strict}(?<!{LETTER}[-'’])", strict, inside)
    if letter.match(last):
        strict = rf"(?!{LETTER})"
        inside = rf"(?![^\W{UNSPACED}])" if _is(last, UNSPACED) else strict
        if _is(last, "\uac00-\ud7a3"):
            inside = rf"(?=(?:{PARTICLES})?(?!{LETTER}))"
        after = (rf"{strict}(?![-'’]{LETTER})", strict, inside)
    patterns = dict.fromkeys(b + middle + a for b, a in zip(before, after, strict=True))
    return [re.compile(pattern, re.IGNORECASE) for pattern in patterns]


def found(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    """Where a pattern matches outside of weighting syntax."""
    other = marks(text)
    return [
        match
        for match in pattern.finditer(text)
        if not any(mark.start < match.end() and match.start() < mark.end for mark in other)
    ]


def _is(character: str, ranges: str) -> bool:
    return re.fullmatch(f"[{ranges}]", character) is not None


def _either(word: str) -> str:
    """A pattern for a word with its accents composed or not."""
    plain = unicodedata.normalize("NFC", word)
    clusters = re.findall(rf".[{_COMBINING}]*", plain, re.DOTALL)
    pattern = ""
    for cluster in clusters:
        forms = dict.fromkeys((cluster, unicodedata.normalize("NFD", cluster)))
        each = "|".join(map(re.escape, forms))
        pattern += f"(?:{each})" if len(forms) > 1 else each
    return pattern


def occurrence(text: str, start: int, end: int) -> int:
    """How often the word or phrase at these characters stands before them, as it is looked for."""
    patterns = finds(text[start:end]) if text[start:end].strip() else []
    matches = next(filter(None, (found(each, text) for each in patterns)), [])
    return sum(match.start() < start for match in matches)
