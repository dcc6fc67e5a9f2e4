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
# # 4. Parts of speech
#
# Nouns have things to point at. What do the maps of verbs, articles and prepositions look like?

# %% tags=["parameters"]
MODEL = "toybox"  # or an id of the Hub; then also a file of prompts:
PROMPTS = None  # None: captions of the toy world
SEED, STEPS, N = 0, 25, 16

# %%
import numpy as np
import pandas as pd

import daamkit
from daamkit.measures.intervals import mean, paired
from daamkit.studies.parts_of_speech import PartsOfSpeech

pipe = daamkit.load(MODEL)
pipe.set_progress_bar_config(disable=True)
study = PartsOfSpeech(model=MODEL, prompts=PROMPTS, n=N, seed=SEED, steps=STEPS)
rows = study.run(pipe=pipe, threads=1)
tables = study.tables(rows)
study.plot(tables)

# %% [markdown]
# The figure shows every word of a few captions, by its tag in Universal Dependencies; points are
# means, lines 95 % intervals over prompts. Entropy says how evenly a map is spread (1: all even),
# sharpness how far its peak stands above its mean. Nouns and adjectives lie on a small part of the
# image and peak sharply; articles (DET), prepositions (ADP) and conjunctions (CCONJ) are spread
# over most of it, and so are verbs. For the rarest tags a point says nothing; the number of words
# stands beside each tag.
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
# The little words' maps are far larger than the nouns' within the same prompts; the adjectives'
# cannot be told from the nouns': the interval holds 0.
#
# Does it depend on the cut? The tags from the largest area to the smallest:

# %%
tables["survives"].set_index("measure")["order"].to_dict()

# %% [markdown]
# The order among the large ones changes from cut to cut; nouns and adjectives are the smallest at
# every one. This is the toybox, whose sentences are plain; Stable Diffusion may differ, and so few
# prompts leave wide intervals: [300 are in the studies](../docs/studies.md).
#
# **Exercise.** Are long words' maps larger than short ones'? `rows` has the word of each value.
# Next: [syntax in pixels](05_syntax_in_pixels.ipynb).
