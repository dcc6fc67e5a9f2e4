# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 12. Asking people
#
# Is a map *good*? Only people can say. Here you rate a few, blind; then, because nobody has yet,
# three programs rate in your place, to show what becomes of the answers.

# %% tags=["parameters"]
MODEL = "toybox"  # or an id of the Hub
SEED, STEPS = 0, 25
PROMPTS = ["a red cat on the grass", "a dog wearing a crown", "two birds and a blue car"]

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import daamkit
from daamkit.language import parsing
from daamkit.measures import agreement, ratings

pipe = daamkit.load(MODEL)
pipe.set_progress_bar_config(disable=True)
with daamkit.trace(pipe) as tracer:
    for prompt in PROMPTS:
        generator = torch.Generator().manual_seed(SEED)
        pipe(prompt=prompt, num_inference_steps=STEPS, generator=generator)
runs = tracer.runs
daamkit.Collection(runs)

# %% [markdown]
# The DAAM paper had people rate maps from 1 (bad) to 5 (excellent). Here you can do so, with the
# keys 1 to 5: blind, in shuffled order, each answer written to disk at once. Stop whenever you
# like; the last line, run again, goes on where you were.

# %%
file = Path(tempfile.mkdtemp()) / "ratings.jsonl"  # name a place of your own, to keep it
daamkit.Rating(runs, file, rater="you")

# %% [markdown]
# The *ruler* gives a small map a 5 and one that fills the image a 1; *another ruler* does the same
# at another cut; the *dice*, the control, roll.

# %%
rng, of = np.random.default_rng(SEED), {run.prompt: run.maps for run in runs}
dice = daamkit.Rating(runs, file, rater="dice")
while dice.index < dice.total:
    dice.answer(int(rng.integers(1, 6)))
fields = ["prompt", "seed", "start", "end", "run"]
for row in dice.table()[fields].to_dict("records"):
    map_ = of[row["prompt"]].of(of[row["prompt"]].prompt.span(row["start"], row["end"]))
    for rater, cut in {"ruler": 0.4, "another ruler": 0.5}.items():
        ratings.add(file, **row, rater=rater, score=max(1, 5 - int(5 * map_.area(cut))))
answers = dice.table()
answers.drop(columns="made").head()

# %% [markdown]
# Each row is an answer: which word (its characters in the prompt) of which run, who rated it, and
# the score; the time is left out. Do raters agree?

# %%
groups = {"both rulers": ["ruler", "another ruler"], "ruler and dice": ["ruler", "dice"]}
found = [
    agreement.alpha(answers[answers["rater"].isin(raters)], fields, "score", "ordinal")
    for raters in groups.values()
]
pd.DataFrame(found, index=[*groups])[["alpha", "low", "high", "units"]].round(2)

# %% [markdown]
# Krippendorff's alpha is 1 where raters agree and 0 where they agree no better than by chance; low
# and high are its 95 % interval, units the number of maps. The rulers agree; for ruler and dice the
# interval holds 0 and is wide: so few maps show little. Mean opinion scores by part of speech, with
# intervals over images (nan: a single image):

# %%
tags = {
    (prompt, token.start): token.pos for prompt in PROMPTS for token in parsing.parse(prompt).tokens
}
answers["pos"] = [tags[key] for key in zip(answers["prompt"], answers["start"], strict=True)]
opinion = agreement.opinion(answers, ["pos", "rater"])
found = opinion[["mean", "low", "high"]].itertuples(index=False)
opinion["opinion"] = ["{:.1f} [{:.1f}, {:.1f}]".format(*row) for row in found]
opinion.pivot(index="pos", columns="rater", values="opinion")

# %% [markdown]
# The rulers only say again how large the maps are, and the dice say nothing. What belongs in this
# table is what you and others think: `daamkit study parts_of_speech --ratings FILE` puts it beside
# the [measures of the maps](04_parts_of_speech.ipynb).
#
# **Exercise.** Rate ten maps, let a friend rate the same ones, and compare with `agreement.alpha`.
