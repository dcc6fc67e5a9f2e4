"""A model's card: what it draws of what it is told of world 2, read back by the oracle.

Single things with their colours and places, who stands where, and two, three and four things at
once; compositions that the training captions hold and such that none holds (`toybox.heldout`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from daamkit.measures.intervals import means
from daamkit.studies import drawing, prompts
from daamkit.studies.prompts import PromptCase
from daamkit.toybox import claims, oracle, scenes
from daamkit.toybox.captions import PLACES
from daamkit.toybox.sprites import COLOURS, EVERYTHING, NAMES

SIDES = ("to the left of", "to the right of", "above", "below")
SEVERAL = {"two": 2, "three": 3, "four": 4}
MEASURES = {  # of each group of prompts: what is told of it
    "thing": "present",
    "coloured": "colour",
    "place": "place",
    **dict.fromkeys(SIDES, "relation"),  # of pairs that are there
    **dict.fromkeys(SEVERAL, "all_present"),
}
SPLIT = ("coloured", *SIDES, *SEVERAL)  # groups with held-out compositions and others
ORDER = "all sides"


def asked(seeds: Sequence[int]) -> list[tuple[str, PromptCase]]:
    """A prompt of each group for each seed, with its composition: "seen", "held-out", or "single",
    which holds none. Which prompts, the first seed says."""
    found = []
    for i, group in enumerate(MEASURES):
        rng = np.random.default_rng((seeds[0], 278, i))
        for composition in ("seen", "held-out") if group in SPLIT else ("single",):
            drawn = (claims.parse(_prompt(group, rng)) for _ in iter(int, 1))
            fits = (
                each
                for each in drawn
                if group not in SPLIT or prompts.held_out(each) == (composition == "held-out")
            )
            cases = zip(islice(fits, len(seeds)), seeds, strict=True)
            found += [(composition, PromptCase(group, each, seed)) for each, seed in cases]
    return found


def _prompt(group: str, rng: np.random.Generator) -> str:
    names = [str(name) for name in rng.choice(EVERYTHING, 4, replace=False)]
    if group == "coloured":
        (name, *_) = (name for name in rng.permuted(EVERYTHING) if name not in NAMES)
        return prompts.article(f"{rng.choice(list(COLOURS))} {name}")
    if group == "place":
        place = str(rng.choice(list(PLACES)))
        return " ".join((_said(names[0]), *PLACES[place], place))
    if group in SIDES:
        return f"{_said(names[0])} {group} {_said(names[1])}"
    *first, last = map(_said, names[: SEVERAL.get(group, 1)])
    return f"{', '.join(first)} and {last}" if first else last


def _said(name: str) -> str:
    return name if name in NAMES or name == "glasses" else prompts.article(name)


def evaluate(
    pipe: Any,
    seeds: Sequence[int],
    reader: oracle.Oracle,
    batch: int = 12,
    steps: int = 25,
    guidance: float = 7.5,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Draw a prompt of each group for each seed, and read the images.

    Parameters
    ----------
    pipe
        A pipeline of world 2, the UNet's or that of joint attention.
    seeds
        Each prompt is drawn once with each.
    reader
        The oracle of world 2.
    batch
        Images at a time.
    steps, guidance
        Of the generation; guidance is classifier-free, at a Flux "true" one.

    Returns
    -------
    table
        group, composition ("seen", "held-out", "single"), measure, mean, low, high (95% over
        prompts of the same things), n; the four sides together are "all sides".
    facts
        "parameters" of all its parts, "steps", "guidance", "seconds" an image (of use on a quiet
        machine), and "missing": single things that fewer than half of their images show.
    """
    cases, rows = asked(seeds), list[dict[str, Any]]()
    started = time.perf_counter()
    for start in tqdm(range(0, len(cases), batch), "reading images", disable=None):
        part = cases[start : start + batch]
        images = _draw(pipe, [case for _, case in part], steps, guidance)
        readings = oracle.read_all(images, reader)
        for (composition, case), reading in zip(part, readings, strict=True):
            checked = drawing.check(case, reading)
            rows += [
                row | {"group": case.kind, "composition": composition}
                for row in checked
                if row["measure"] == MEASURES[case.kind]
            ]
    seconds = (time.perf_counter() - started) / len(cases)
    found = pd.DataFrame(rows)
    order = found[found["group"].isin(SIDES)].assign(group=ORDER)
    every = pd.concat([found, order], ignore_index=True)
    table = means(every, ["group", "composition", "measure"], "value", "things", kind="share")
    shown = found[found["group"] == "thing"].groupby("prompt")["value"].mean()
    parts = [each for each in pipe.components.values() if isinstance(each, torch.nn.Module)]
    facts = {
        "parameters": sum(each.numel() for part in parts for each in part.parameters()),
        "steps": steps,
        "guidance": guidance,
        "seconds": round(seconds, 3),
        "missing": sorted(shown.index[shown < 0.5]),
    }
    return table, facts


def _draw(pipe: Any, cases: Sequence[PromptCase], steps: int, guidance: float) -> list[Any]:
    texts = [case.prompt for case in cases]
    options: dict[str, Any] = {"guidance_scale": guidance}
    if hasattr(pipe, "transformer"):
        options = {"negative_prompt": [""] * len(texts), "true_cfg_scale": guidance}
        options["max_sequence_length"] = 32
    return pipe(
        texts,
        generator=[torch.Generator().manual_seed(case.seed) for case in cases],
        num_inference_steps=steps,
        height=scenes.SIDE,
        width=scenes.SIDE,
        **options,
    ).images


def beside(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Models side by side: group, composition, measure, and "mean [low, high]" of each model."""
    columns = {}
    for name, table in tables.items():
        rows = table.set_index(["group", "composition", "measure"])
        columns[name] = rows.apply("{mean:.3f} [{low:.3f}, {high:.3f}]".format_map, axis=1)
    return pd.DataFrame(columns).reindex(_order(columns)).fillna("").reset_index()


def _order(columns: Mapping[str, pd.Series]) -> pd.MultiIndex:
    every = dict.fromkeys(key for column in columns.values() for key in column.index)
    groups = [*MEASURES, ORDER]
    known = sorted(every, key=lambda key: (groups.index(key[0]), key[1] == "held-out"))
    return pd.MultiIndex.from_tuples(known, names=["group", "composition", "measure"])


def markdown(tables: Mapping[str, pd.DataFrame], facts: Mapping[str, Mapping[str, Any]]) -> str:
    """The card as text: the table of `beside`, and what is known of each model."""
    table = beside(tables)
    lines = [" | ".join(table.columns), " | ".join("---" for _ in table.columns)]
    lines += [" | ".join(map(str, row)) for row in table.itertuples(index=False)]
    text = "".join(f"| {line} |\n" for line in lines)
    for name, known in facts.items():
        missing = ", ".join(known["missing"]) or "none"
        text += (
            f"\n{name}: {known['parameters'] / 1e6:.1f} M parameters, {known['steps']} steps at "
            f"guidance {known['guidance']:g}, {known['seconds']:g} s an image; shown in fewer than "
            f"half of their images: {missing}.\n"
        )
    return text
