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
# # 5. Syntax in pixels
#
# In *a red cat* the adjective depends on the noun. Does the image know? For each head and its
# dependent, the DAAM paper asks how much of their maps they share, and which one covers the other.

# %% tags=["parameters"]
MODEL = "toybox"  # or an id of the Hub; then also a file of prompts:
PROMPTS = None  # None: captions of the toy world
PROMPT = "a red cat wearing a blue crown"
SEED, STEPS, N = 0, 25, 16

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.colors import to_rgb

import daamkit
from daamkit.language import parsing
from daamkit.measures.intervals import means
from daamkit.studies import prompts
from daamkit.views import palettes, plots

pipe = daamkit.load(MODEL)
pipe.set_progress_bar_config(disable=True)


def draw(prompt, seed):
    with daamkit.trace(pipe) as tracer:
        pipe(
            prompt=prompt, num_inference_steps=STEPS, generator=torch.Generator().manual_seed(seed)
        )
    return tracer.run


run = draw(PROMPT, SEED)
run.relations()[["head", "dependent", "relation", "iou", "iod", "ioh"]].round(2)

# %% [markdown]
# [A table](../docs/language.md) says what the relations are called and what they mean.
#
# `iou` is what the two masks share, as a part of all they cover; `iod` is the share of the
# *dependent's* mask that the head covers too, `ioh` that of the *head's* that the dependent covers.
# In pictures, with the head blue, the dependent orange, and what they share black:

# %%
pairs = [pair for pair in parsing.parse(PROMPT).edges() if pair.relation != "det"]
figure, axes = plt.subplots(1, len(pairs) + 1, figsize=(9, 2.4))
axes[0].imshow(run.image)
axes[0].set_title("image", fontsize=9)
for axis, pair in zip(axes[1:], pairs, strict=True):
    head, dependent = (
        run.maps.of(run.maps.prompt.span(word.start, word.end)).mask()
        for word in (pair.head, pair.dependent)
    )
    picture = np.ones((*head.shape, 3))
    picture[head], picture[dependent] = to_rgb(palettes.HEAD), to_rgb(palettes.DEPENDENT)
    picture[head & dependent] = to_rgb("black")
    axis.imshow(picture)
    axis.set_title(f"{pair.head.text} > {pair.dependent.text}\n{pair.relation}", fontsize=9)
for axis in axes:
    axis.axis("off")

# %% [markdown]
# An adjective lies on its noun. *Wearing* has no place: its map fills the image and spares a good
# part of the very things it joins, the cat and the crown.
#
# ## Over prompts
#
# A few captions, with every edge of each and, as control, pairs of content words with no edge
# between them ("unrelated").

# %%
texts = prompts.texts(PROMPTS, N, SEED)
runs = [draw(text, SEED + i) for i, text in enumerate(texts)]
frame = pd.concat([run.relations(others=True).assign(prompt=run.prompt) for run in runs])
common = frame["relation"].value_counts()
frame = frame[frame["relation"].isin(common.index[common >= 5])]
axes = plots.relations(frame)
# %% [markdown]
# Intervals are 95 %, over prompts. Adjectives (amod) share far more with their nouns than unrelated
# words do with each other; about the rarer relations so few prompts say little. But which covers
# which? The paper calls mIoD - mIoH *dominance*: above 0 the head covers its dependent, below 0 the
# dependent its head.

# %%
dominance = frame.assign(dominance=frame["iod"] - frame["ioh"])
means(dominance, ["relation"], "dominance").set_index("relation").round(2)

# %% [markdown]
# ## A control for the measure
#
# IoD - IoH is the shared area times (1 / dependent's area - 1 / head's area): its sign says only
# which mask is larger. Cut the maps so that every word has the same area, and dominance must
# vanish:

# %%
same = pd.concat([run.relations(0.75, "quantile").assign(prompt=run.prompt) for run in runs])
same["dominance"] = same["iod"] - same["ioh"]
print(f"largest dominance of {len(same)} edges: {same['dominance'].abs().max():.4f}")

# %% [markdown]
# So dominance is a matter of size: articles and adjectives have the larger maps in their pairs;
# conjuncts and unrelated words show no direction: their intervals hold 0. That is a finding about
# maps, not yet one about meaning. All of this is in the toybox, on few prompts; Stable Diffusion
# may differ. [The studies](../docs/studies.md) show what 400 prompts say, relation by relation and
# over 19 ways to cut.
#
# **Exercise.** Give `run.relations` a threshold of 0.6, or the rule "otsu". Which relations
# reverse? Next: [co-hyponyms](06_cohyponyms.ipynb).
