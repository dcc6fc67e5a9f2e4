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
# # 13. Can this map be believed?
#
# A word that the model has neglected has a map too, and it looks like any other. What in the maps
# gives it away?

# %% tags=["parameters"]
MODEL = "toybox"
PROMPT = "a monkey and a turtle"
SEED, STEPS, MORE = 51, 25, 12

# %%
import pandas as pd
import torch

import daamkit
from daamkit.studies import truths
from daamkit.views import plots

pipe = daamkit.load(MODEL)
pipe.set_progress_bar_config(disable=True)


def draw(seed):
    with daamkit.trace(pipe) as tracer:
        pipe(
            prompt=PROMPT, num_inference_steps=STEPS, generator=torch.Generator().manual_seed(seed)
        )
    return tracer.run


run = draw(SEED)
plots.grid(run, ["monkey", "turtle"])

# %% [markdown]
# There are two monkeys and no turtle, and still *turtle* has a map, with a maximum and a mask. A
# map by itself says nothing; how it compares with the others does.

# %%
signs = ["peak", "evenness", "won", "shared"]
found = run.reliability()
found[["word", "present", "located", *signs]].round(2)

# %% [markdown]
# The turtle's map is lower than the mean word's (`peak`, a logarithm), lies nearly evenly (an
# `evenness` of 1 is perfectly even), and in a fifth of its mask the monkey has more attention
# (`won`). `present` is the probability that the thing is in the image, `located` that its map lies
# on it too. Both were learned on other prompts of this toy model ([how, and how
# well](../docs/reliability.md)).
#
# ## Does it come true?
#
# More seeds of the same prompt, and for each what is said beside what the oracle sees:

# %%
truth, rows = truths.truth("oracle"), []
for seed in range(SEED, SEED + MORE):
    one = draw(seed)
    masks = truth.masks(one.image, "", ["monkey", "turtle"])
    there = [truths.present(mask) for mask in masks]
    rows.append(one.reliability().assign(seed=seed, there=there))
seen = pd.concat(rows)
seen["present"] = seen["present"].round(2)
seen.pivot(index="seed", columns="word", values=["present", "there"])

# %% [markdown]
# Two things are missing in these twelve images, and just these two are doubted. Two is few: for 210
# prompts of compositions that the probabilities were not learned from, see [the
# page](../docs/reliability.md).

# %% [markdown]
# ## What it does not answer
#
# The probabilities are for this model, unguided. For Stable Diffusion, or under guidance,
# `calibrated` is False, the probabilities are missing, and `rank` is what remains: which noun to
# doubt first.

# %%
method = daamkit.AttendAndExcite(["monkey", "turtle"])
with daamkit.guide(pipe, method):
    guided = draw(SEED)
guided.reliability()[["word", "present", "rank", "calibrated"]]

# %% [markdown]
# The inspector says so too. **Exercise.** Try a prompt of four things: how many are doubted, and
# how many are truly missing?

# %%
daamkit.Inspector(run)
