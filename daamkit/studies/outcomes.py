"""What became of images and words under guidance: kept, repaired, spoilt, or neglected still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.measures.intervals import means
from daamkit.studies import drawing, gains, prompts, redraw
from daamkit.studies.gains import BASE
from daamkit.studies.session import Case, Row
from daamkit.toybox import claims

MAIN_MEASURES = (
    "all_there", "there", "bound", "colour", "extra", "clip_full", "clip_min", "text_text",
    "seconds",
)  # fmt: skip
PAIRS = ("things", "prompt", "case")
REDRAWN = ("all_there", "there", "bound")
LOSSES = ("loss_first", "loss_least", "loss_mean", "iterations")
MAP_MEASURES = ("on_other", "other_area", "present", "iou_present", "on_things", "things_area")
SHARES = ("there", "bound", "colour", *MAP_MEASURES)
WITHIN = dict.fromkeys(SHARES, (0.0, 1.0)) | dict.fromkeys(("extra", "seconds"), (0.0, np.inf))
OUTCOMES = {  # all things drawn: without guidance, with it
    (True, True): "kept", (False, True): "repaired",
    (True, False): "spoilt", (False, False): "neglected",
}  # fmt: skip


def settings(run: Run) -> list[dict[str, Any]]:
    """What the methods were told, but for what differs from prompt to prompt."""
    told = [(entry["method"], entry["settings"]) for entry in run.record.get("guidance", [])]
    return [
        {"method": name} | {k: v for k, v in own.items() if k != "subjects"} for name, own in told
    ]


def losses(run: Run) -> Row:
    """The losses of the first method that has some; of SynGen, if it had anything to bind."""
    for entry in run.record.get("guidance", []):
        steps = [step for step in entry["steps"] if "loss" in step]
        if steps and entry.get("pairs") != []:
            each = [step["loss"] for step in steps]
            again = sum(step.get("iterations", np.nan) for step in steps)
            found = each[0], min(each), float(np.mean(each)), float(again)
            return dict(zip(LOSSES, found, strict=True))
    return dict.fromkeys(LOSSES, np.nan)


def looks(case: Case, reading: pd.DataFrame) -> Row:
    """Colours and extra things of an image; see `Neglect.measure`."""
    asked = claims.parse(case["prompt"])
    found = drawing.check(prompts.PromptCase(case["group"], asked, case["seed"]), reading)
    right = [row["value"] for row in found if row["measure"] == "colour"]
    coloured = sum(each.count for each in asked.things if each.colour)
    return {
        "bound": sum(right) / coloured if coloured else np.nan,
        "colour": float(np.mean(right)) if right else np.nan,
        "extra": next(row["value"] for row in found if row["measure"] == "extra"),
    }


def tables(rows: pd.DataFrame, world: int = 1) -> dict[str, pd.DataFrame]:
    """Means with 95% intervals over prompts that name the same things, and what a method adds to
    "none" on the same prompts and seeds: gain with its interval, and p of no gain; see
    `gains.compare`.

    "methods": by group of prompts, what is drawn, how it fits the prompt, and seconds (whose
    intervals are too narrow, for a batch is timed as a whole). Of a model of world 2, prompts with
    compositions that its training has "seen" and that were "held out" are groups too.

    "redraw", if some images were drawn again: what each other method has "over" each of the ways to
    choose among those, of `REDRAWN`.

    "localisation": of words by what the unguided image makes of them: "neglected" ones; those
    "drawn" beside them; and a control, the words of images with "nothing neglected": the others are
    chosen for a failure, so anything new would improve them, and spoil these. Measures: on_other,
    other_area as in `Neglect.measure`; present; iou_present (of things that are there); on_things,
    things_area.

    "losses", if a method notes any: by what became of the image, see `OUTCOMES`.

    Parameters
    ----------
    rows
        Of `Neglect.measure`.
    world
        Of the model.
    """
    images = rows[rows["part"] == "image"].dropna(axis=1, how="all")
    images = images.reindex(columns=[*dict.fromkeys((*images, *MAIN_MEASURES, *LOSSES))])
    groups = dict(list(images.groupby("group")))
    compositions = dict(list(images.groupby(images["prompt"].map(composition))))
    if world == 2 and len(compositions) > 1:
        groups |= compositions
    if len(groups) > 1:
        groups["all"] = images
    before = images[images["method"] == BASE].set_index("case")["all_there"]
    words = _by_word(rows[rows["part"] == "word"], before)
    beside = {
        "neglected": words[~words["drawn"]],
        "drawn": words[words["drawn"] & ~words["all"]],
        "nothing neglected": words[words["all"]],
    }
    tables = {
        "methods": gains.compare("group", groups, MAIN_MEASURES, PAIRS, "things", within=WITHIN),
        "localisation": gains.compare(
            "words", beside, MAP_MEASURES, (*PAIRS, "word"), "things", within=WITHIN
        ),
    }
    if again := [name for name in images["method"].unique() if name in redraw.SCORES]:
        tables["redraw"] = _over(groups, again)
    noted = _by_outcome(images, before)
    if len(noted):
        by = ["method", "outcome"]
        told = [
            means(noted, by, loss, "things", kind="number").assign(measure=loss) for loss in LOSSES
        ]
        tables["losses"] = pd.concat(told, ignore_index=True).query("n > 0")
    return tables


def _over(groups: Mapping[str, pd.DataFrame], again: Sequence[str]) -> pd.DataFrame:
    """Gains of the other methods over each of these."""
    found = []
    for name in again:
        beside = {
            group: rows[~rows["method"].isin([BASE, *again]) | (rows["method"] == name)]
            for group, rows in groups.items()
        }
        gained = gains.compare("group", beside, REDRAWN, PAIRS, "things", name, WITHIN)
        found.append(gained[gained["method"] != name].assign(over=name))
    return pd.concat(found, ignore_index=True)


def _by_word(words: pd.DataFrame, before: pd.Series) -> pd.DataFrame:
    """A row a word, with what the unguided image has drawn: this word's thing, and all."""
    drawn = words[words["method"] == BASE].set_index(["case", "word"])["present"] > 0
    places = pd.MultiIndex.from_frame(words[["case", "word"]])
    return words.assign(
        iou_present=words["iou"],
        drawn=drawn.reindex(places).to_numpy(),
        all=(words["case"].map(before) > 0).to_numpy(),
    )


def _by_outcome(images: pd.DataFrame, before: pd.Series) -> pd.DataFrame:
    """The rows with losses, and what became of each image, without guidance and with it."""
    noted = images[images["loss_first"].notna()]
    pairs = zip(noted["case"].map(before), noted["all_there"], strict=True)
    return noted.assign(outcome=[OUTCOMES[old > 0, new > 0] for old, new in pairs])


def composition(text: str) -> str:
    """ "held out", of a prompt that names what no training caption of world 2 has together; others,
    and what is not of the toy world, are "seen"."""
    try:
        return "held out" if prompts.held_out(claims.parse(text)) else "seen"
    except DaamkitError:
        return "seen"
