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
# # 4. Parts of speech and ratings
#
# Nouns have things to point at. What do the maps of verbs, articles and prepositions look like? And
# is a map *good*? That only people can say.

# %% tags=["parameters"]
MODEL = "toybox"  # or an id of the Hub; then also a file of prompts:
PROMPTS = None  # None: captions of the toy world
SEED, STEPS, N = 0, 25, 16

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import daamkit
from daamkit.measures import agreement, ratings
from daamkit.measures.intervals import mean, paired
from daamkit.studies.parts_of_speech import PartsOfSpeech

pipe = daamkit.load(MODEL)
pipe.set_progress_bar_config(disable=True)
study = PartsOfSpeech(model=MODEL, prompts=PROMPTS, n=N, seed=SEED, steps=STEPS)
rows = study.run(pipe=pipe, threads=1)
tables = study.tables(rows)
study.plot(tables)
# %% [markdown]
# Every word of a few captions, by its tag in Universal Dependencies; points are means, lines 95 %
# intervals over prompts. Entropy says how evenly a map is spread (1: all even), sharpness how far
# its peak stands above its mean. Nouns and adjectives lie on a small part of the image and peak
# sharply; articles (DET), prepositions (ADP) and conjunctions (CCONJ) are spread over most of it,
# and so are verbs. Of the rarest tags a point says nothing: the number of words stands beside each.
#
# ## A control
#
# Is that the tags' doing, or the prompts'? Within each prompt, how much larger are the maps of the
# little words than those of the nouns, and, as control, those of adjectives?

# %%
areas = rows[rows["measure"] == "area max 0.4"]
by_prompt = areas.pivot_table(index="prompt", columns="pos", values="value")
little = by_prompt.reindex(columns=["DET", "ADP", "CCONJ"]).mean(axis=1)
gaps = {"little words - nouns": little, "adjectives - nouns": by_prompt["ADJ"]}
found = {}
for name, other in gaps.items():
    gap = (other - by_prompt["NOUN"]).to_numpy()
    found[name] = [*mean(gap), paired(gap), int(np.isfinite(gap).sum())]
pd.DataFrame(found, index=["mean", "low", "high", "p", "prompts"]).T.round(4)

# %% [markdown]
# The little words' maps are far larger than the nouns' within the same prompts; the adjectives' are
# not told from them: the interval holds 0.
#
# Does it depend on the cut? The tags from the largest area to the smallest:

# %%
tables["survives"].set_index("measure")["order"].to_dict()

# %% [markdown]
# The order among the large ones changes from cut to cut; nouns and adjectives are the smallest at
# every one. In the toybox, whose sentences are plain; Stable Diffusion may differ, and so
# few prompts leave wide intervals: [300 are in the studies](../docs/studies.md).
#
# ## Ratings
#
# The DAAM paper had people rate maps from 1 (bad) to 5 (excellent). Here you may: the keys 1 to 5,
# blind, shuffled, each answer on the disk at once. Stop whenever you like; the last line, run
# again, goes on where you were.

# %%
runs = []
for case in study.cases()[:3]:
    with daamkit.trace(pipe) as tracer:
        generator = torch.Generator().manual_seed(case["seed"])
        pipe(case["prompt"], num_inference_steps=STEPS, generator=generator)
    runs += tracer.runs
file = Path(tempfile.mkdtemp()) / "ratings.jsonl"  # name a place of your own, to keep it

# %%
daamkit.Rating(runs, file, rater="you")

# %% [markdown]
# Nobody has rated here, so nothing can be said of people. To show what becomes of answers, three
# programs rate in their place: the *ruler* gives a small map a 5 and one that fills the image a 1;
# *another ruler* does the same at another cut; the *dice*, the control, roll.

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
groups = {"both rulers": ["ruler", "another ruler"], "ruler and dice": ["ruler", "dice"]}
found = [
    agreement.alpha(answers[answers["rater"].isin(raters)], fields, "score", "ordinal")
    for raters in groups.values()
]
pd.DataFrame(found, index=[*groups])[["alpha", "low", "high", "units"]].round(2)

# %% [markdown]
# Krippendorff's alpha is 1 where raters agree and 0 where they agree no better than by chance. The
# rulers agree; of ruler and dice the interval holds 0, and is wide: so few maps show little. Mean
# opinion scores by tag, with intervals over images (nan: a single image):

# %%
tags = rows[["prompt", "seed", "start", "end", "pos"]].drop_duplicates()
rated = answers.merge(tags, on=["prompt", "seed", "start", "end"])
opinion = agreement.opinion(rated, ["pos", "rater"])
found = opinion[["mean", "low", "high"]].itertuples(index=False)
opinion["opinion"] = ["{:.1f} [{:.1f}, {:.1f}]".format(*row) for row in found]
opinion.pivot(index="pos", columns="rater", values="opinion")

# %% [markdown]
# The rulers only say again how large the maps are, and the dice say nothing. What belongs in this
# table is what you and others think: `PartsOfSpeech(ratings=FILE)` puts it beside the measures.
#
# **Exercise.** Rate ten maps, let a friend rate the same, and compare with
# `agreement.alpha`. Next: [syntax in pixels](05_syntax_in_pixels.ipynb).
