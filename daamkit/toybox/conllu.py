"""Captions of the toy world with their exact parses, as a treebank in CoNLL-U.

python -m daamkit.toybox.conllu --n 5000 --without below holding --out build/captions.conllu
python -m daamkit.toybox.conllu --n 1000 --only below holding --out build/held-out.conllu
python -m daamkit.toybox.conllu --n 5000 --world 2 --out build/world2.conllu
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from daamkit.toybox import scenes
from daamkit.toybox.scenes import Scene


def sentence(scene: Scene) -> str:
    """One caption's lines; lemmas, features and enhanced dependencies are left blank."""
    lines = [f"# text = {scene.caption}"]
    for index, word in enumerate(scene.words):
        head = 0 if word.head == index else word.head + 1
        joined = scene.caption[word.end : word.end + 1] not in (" ", "")
        misc = "SpaceAfter=No" if joined else "_"
        fields = (index + 1, word.text, "_", word.pos, "_", "_", head, word.relation, "_", misc)
        lines.append("\t".join(map(str, fields)))
    return "\n".join(lines) + "\n\n"


def sentences(
    n: int, seed: int, only: list[str], without: list[str], world: int = 1
) -> Iterator[str]:
    """n captions, all different, whose scenes' relations are among `only` (if any) and not among
    `without`."""
    seen: set[str] = set()
    index = 0
    while len(seen) < n:
        scene = scenes.draw(np.random.default_rng((seed, 6, index)), world=world)
        index += 1
        wanted = scene.relation not in without and (not only or scene.relation in only)
        if wanted and scene.caption not in seen:
            seen.add(scene.caption)
            yield sentence(scene)


def main(argv: list[str] | None = None) -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--world", type=int, default=1, help="1 or 2: which world's captions")
    parser.add_argument("--only", nargs="*", default=[], help="relations, all others left out")
    parser.add_argument("--without", nargs="*", default=[], help="relations left out")
    asked = parser.parse_args(argv)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    with asked.out.open("w", encoding="utf-8") as file:
        file.writelines(sentences(asked.n, asked.seed, asked.only, asked.without, asked.world))


if __name__ == "__main__":
    main()
