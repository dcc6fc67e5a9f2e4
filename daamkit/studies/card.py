"""A model's card: what it draws of what it is told of world 2, read back by the oracle.

Single things with their colours and places, who stands where, two, three and four things at once,
who does what, counts, adverbs, and what is not to be there; compositions and roles that the
training captions hold and such that none holds (`toybox.heldout`). Beside it what the model cost,
what it learned from, and what it fails at.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from daamkit import resources, zoo
from daamkit.attention import families
from daamkit.errors import DaamkitError
from daamkit.measures.intervals import means
from daamkit.studies import drawing, prompts
from daamkit.studies.prompts import PromptCase
from daamkit.toybox import claims, clauses, heldout, oracle
from daamkit.toybox.captions import NUMBERS, PLACES, Noun, Sentence
from daamkit.toybox.claims import Claims
from daamkit.toybox.pipeline import TRAINING
from daamkit.toybox.sprites import COLOURS, EVERYTHING, NAMES, SIZES

SIDES = ("to the left of", "to the right of", "above", "below")
SEVERAL = {"two": 2, "three": 3, "four": 4}
MEASURES: dict[str, tuple[str, ...]] = {  # of each group of prompts: what is told of it
    "thing": ("present", "extra"),
    "coloured": ("colour",),
    "place": ("place",),
    **dict.fromkeys(SIDES, ("relation",)),  # of pairs that are there
    **dict.fromkeys(SEVERAL, ("all_present", "extra")),
    "verb": ("relation", "all_present"),
    "count": ("count",),
    "very": ("length",),
    "brightly coloured": ("vivid",),
    "half hidden": ("present",),
    "without": ("present", "absent"),
}
SPLIT = ("coloured", *SIDES, *SEVERAL, "verb")  # groups with held-out compositions and others
ORDER = "all sides"
WORDS = {  # groups of prompts that differ in a word: what it is called, if its images fail
    "thing": "things missing", "coloured": "colours wrong", "place": "places wrong",
    "verb": "verbs wrong", "count": "counts wrong",
}  # fmt: skip


def asked(seeds: Sequence[int]) -> list[tuple[str, PromptCase]]:
    """A prompt of each group for each seed, with its composition: "seen", "held-out", or "single",
    which holds none. Which prompts, the first seed says."""
    found = []
    for i, group in enumerate(MEASURES):
        rng = np.random.default_rng((seeds[0], 278, i))
        for composition in ("seen", "held-out") if group in SPLIT else ("single",):
            drawn = (claims.parse(_prompt(group, rng)) for _ in iter(int, 1))
            fits = (each for each in drawn if _composition(group, each) == composition)
            cases = zip(islice(fits, len(seeds)), seeds, strict=True)
            found += [(composition, PromptCase(group, each, seed)) for each, seed in cases]
    return found


def _composition(group: str, asked: Claims) -> str:
    """Of who does what, the roles' alone; "" of things that are held out together besides."""
    if group not in SPLIT:
        return "single"
    if group != "verb":
        return "held-out" if prompts.held_out(asked) else "seen"
    actor, target = asked.things
    if heldout.is_held_out([actor.name, target.name]):
        return ""
    event = (str(target.relation), actor.name, target.name)
    return "held-out" if heldout.is_held_out(events=[event]) else "seen"


def _word(case: PromptCase) -> str:
    """By which word a prompt differs from others of its group (`WORDS`)."""
    *_, thing = case.claims.things
    of = {"coloured": thing.colour, "place": case.claims.place, "verb": thing.relation}
    return str(of.get(case.kind, thing.count if case.kind == "count" else thing.name))


def _prompt(group: str, rng: np.random.Generator) -> str:
    names = [str(name) for name in rng.choice(EVERYTHING, 4, replace=False)]
    if group == "verb":
        actor, target = clauses.actors(rng, verb := clauses.pick(rng))
        return f"{_said(actor.name)} is {verb} {_said(target.name)}"
    if group in ("count", "very", "brightly coloured", "half hidden"):
        plain = str(rng.choice([name for name in EVERYTHING if name not in (*NAMES, "glasses")]))
        if group == "count":
            counted = Sentence()
            counted.phrase(Noun(plain, tuple(range(rng.choice(list(NUMBERS))))))
            return counted.text
        said = f"very {rng.choice(SIZES)}" if group == "very" else group
        return prompts.article(f"{said} {plain}")
    if group == "without":
        return f"{_said(names[0])} without {_said(names[1])}"
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
    guidance: float | None = None,
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
        Of the generation; guidance None: the model's own (`zoo.arguments`).

    Returns
    -------
    table
        group, composition ("seen", "held-out", "single"), measure, mean, low, high (95% over
        prompts of the same things), n; the four sides together are "all sides". "extra" is the
        share of images with things that nobody asked for, other measures as in `drawing.check`.
    facts
        "parameters" of all its parts, "steps", "guidance", "seconds" an image (of use on a quiet
        machine), and "failures": by group of `WORDS`, the words of which fewer than half of the
        images are right.
    """
    cases, rows = asked(seeds), list[dict[str, Any]]()
    call = zoo.arguments(pipe, "", guidance)
    started = time.perf_counter()
    for start in tqdm(range(0, len(cases), batch), "reading images", disable=None):
        part = cases[start : start + batch]
        images = _draw(pipe, [case for _, case in part], steps, guidance)
        readings = oracle.read_all(images, reader)
        for (composition, case), reading in zip(part, readings, strict=True):
            said = {"group": case.kind, "composition": composition, "word": _word(case)}
            rows += [
                row | said | {"value": min(row["value"], 1.0)}
                for row in drawing.check(case, reading)
                if row["measure"] in MEASURES[case.kind]
            ]
    seconds = (time.perf_counter() - started) / len(cases)
    found = pd.DataFrame(rows)
    order = found[found["group"].isin(SIDES)].assign(group=ORDER)
    every = pd.concat([found, order], ignore_index=True)
    table = means(every, ["group", "composition", "measure"], "value", "things", kind="share")
    chief = found[found["measure"] == found["group"].map(lambda group: MEASURES[group][0])]
    right = chief.groupby(["group", "word"])["value"].mean()
    failing = [key for key, share in right.items() if key[0] in WORDS and share < 0.5]
    parts = [each for each in pipe.components.values() if isinstance(each, torch.nn.Module)]
    facts = {
        "parameters": sum(each.numel() for part in parts for each in part.parameters()),
        "steps": steps,
        "guidance": families.family_of(pipe).guidance(pipe).told(pipe, call),
        "seconds": round(seconds, 3),
        "failures": {of: [word for group, word in failing if group == of] for of in WORDS},
    }
    return table, facts


def _draw(pipe: Any, cases: Sequence[PromptCase], steps: int, guidance: float | None) -> list[Any]:
    return pipe(
        **zoo.arguments(pipe, [case.prompt for case in cases], guidance),
        generator=[torch.Generator().manual_seed(case.seed) for case in cases],
        num_inference_steps=steps,
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


def learned(model: str) -> dict[str, Any]:
    """What is told beside a model's weights of its training: "seen", the samples it has seen, and
    "scenes", from how many drawn ones; nothing where nothing is."""
    try:
        folder = Path(model) if Path(model).is_dir() else resources.path(model)
    except DaamkitError:
        return {}
    file = folder / TRAINING
    told: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return {name: told[name] for name in ("seen", "scenes") if name in told}


def markdown(tables: Mapping[str, pd.DataFrame], facts: Mapping[str, Mapping[str, Any]]) -> str:
    """The card as text: the table of `beside`, and cost, data and failures of each model."""
    cost = {
        "parameters": [f"{known['parameters'] / 1e6:.1f} M" for known in facts.values()],
        "samples seen in training": [f"{known.get('seen', '')}" for known in facts.values()],
        "of so many scenes": [f"{known.get('scenes', '')}" for known in facts.values()],
        "steps": [f"{known['steps']}" for known in facts.values()],
        "guidance": [f"{known['guidance']:g}" for known in facts.values()],
        "seconds an image": [f"{known['seconds']:g}" for known in facts.values()],
    }
    for group, called in WORDS.items():
        failing = [known["failures"][group] for known in facts.values()]
        cost[f"{called} in most of their images"] = [", ".join(own) or "none" for own in failing]
    costs = pd.DataFrame(cost, index=[*facts]).T.rename_axis("").reset_index()
    return "\n".join(map(_lines, (beside(tables), costs)))


def _lines(table: pd.DataFrame) -> str:
    lines = [" | ".join(table.columns), " | ".join("---" for _ in table.columns)]
    lines += [" | ".join(map(str, row)) for row in table.itertuples(index=False)]
    return "".join(f"| {line} |\n" for line in lines)
