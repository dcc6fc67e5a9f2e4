"""A byte-pair tokenizer in CLIP's form with a vocabulary of the toy world's size."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

from daamkit.toybox import scenes

MERGES = 200  # few enough that plurals fall into several pieces
LONGEST = 7  # letters in a piece: "elephant", "suitcase" and "backpack" are two
BOS, EOS = "<|startoftext|>", "<|endoftext|>"


def _alphabet() -> list[str]:
    """CLIP's printable stand-ins for the 256 bytes, in its order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(rest))]


def learn(words: Counter[str], merges: int = MERGES) -> tuple[dict[str, int], list[str]]:
    """Learn merges from word counts: the most frequent pair first, ties by the alphabet.

    Parameters
    ----------
    words
        How often each word comes; its order does not matter. Words are in lower case and have no
        spaces and no letters beyond ASCII.
    merges
        How many at most; fewer if no piece of up to `LONGEST` letters is left to be made.

    Returns
    -------
    vocabulary
        Piece to id, counted from 0: CLIP's ``vocab.json``.
    merges
        "left right", in the order learned: the lines of CLIP's ``merges.txt``.
    """
    pieces = {word: [*word[:-1], word[-1] + "</w>"] for word in words}
    learned: list[tuple[str, str]] = []
    for _ in range(merges):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in pieces.items():
            for pair in pairwise(parts):
                if len("".join(pair).removesuffix("</w>")) <= LONGEST:
                    pairs[pair] += words[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        learned.append(best)
        for parts in pieces.values():
            at = 0
            while at < len(parts) - 1:
                if (parts[at], parts[at + 1]) == best:
                    parts[at : at + 2] = ["".join(best)]
                at += 1
    letters = _alphabet()
    tokens = [*letters, *(letter + "</w>" for letter in letters), *map("".join, learned), BOS, EOS]
    return {token: index for index, token in enumerate(tokens)}, [" ".join(p) for p in learned]


def write(folder: Path, captions: int = 5_000, seed: int = 0) -> None:
    """Learn a tokenizer from drawn captions and save it as diffusers expects it.

    Parameters
    ----------
    folder
        Made if need be; ``vocab.json``, ``merges.txt`` and ``tokenizer_config.json`` go there.
    captions
        How many to learn from. The shipped tokenizer uses the default.
    seed
        Of the scenes that they describe.

    Raises
    ------
    DaamkitError
        If there are no captions or the seed is negative; see `scenes.sample`.
    """
    words = Counter(
        word.text.lower() for scene in scenes.sample(captions, seed) for word in scene.words
    )
    vocabulary, merges = learn(words)
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "bos_token": BOS,
        "eos_token": EOS,
        "unk_token": EOS,
        "pad_token": EOS,
        "errors": "replace",
    }
    (folder / "vocab.json").write_text(
        json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8", newline="\n"
    )
    (folder / "merges.txt").write_text(
        "\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8", newline="\n"
    )
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config, indent=2) + "\n", encoding="utf-8", newline="\n"
    )
