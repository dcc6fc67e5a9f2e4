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
# # 2. What the map sums
#
# A word's map is a sum: over the steps of the generation, the layers of the network, and the heads
# of each layer. What does each part say, and do the parts make the whole?

# %% tags=["parameters"]
MODEL = "toybox"  # or an id of the Hub; with "step" kept, maps of 512 pixels want some memory
PROMPT = "a red cat next to a blue car"
WORD, OTHER = "cat", "car"
SEED, STEPS = 0, 25
SHOWN = (0, 1, 2, 6, 12, 24)  # steps

# %%
import pandas as pd
import torch

import daamkit
from daamkit.maps.wordmap import enlarge
from daamkit.measures.overlap import iou
from daamkit.views import plots

pipe = daamkit.load(MODEL)
pipe.set_progress_bar_config(disable=True)


def draw(**options):
    with daamkit.trace(pipe, **options) as tracer:
        pipe(
            prompt=PROMPT, num_inference_steps=STEPS, generator=torch.Generator().manual_seed(SEED)
        )
    return tracer.run


run = draw(keep=("step", "site", "head"))  # nothing summed yet
maps = run.maps
{name: tuple(layer.values.shape) for name, layer in maps.layers.items()}

# %% [markdown]
# One entry per layer: (steps, heads, tokens, height, width). Every number is a share of attention;
# over the tokens, start and padding included, they sum to 1.
#
# ## Steps

# %%
plots.steps(run, WORD, at=SHOWN, columns=7)

# %%
masks = {name: maps.word(name).mask() for name in (WORD, OTHER)}  # of the whole sums


def shares(part):
    """Overlap of a part's mask of WORD with the whole mask of WORD, and, as control, of OTHER."""
    return {name: iou(part.word(WORD).mask(), mask) for name, mask in masks.items()}


pd.DataFrame({step: shares(maps.select(steps=step)) for step in SHOWN}).round(2)

# %% [markdown]
# The first step, from pure noise, is vague and partly on the other thing; the second has found the
# place, and from then on every step says nearly the same. The control row shows that it is the
# cat's place, not just any place.
#
# ## Layers and heads

# %%
axes = plots.heads(run, WORD)
# %%
heads = {
    (layer.name.removesuffix(".transformer_blocks.0.attn2"), head): shares(
        maps.select(sites=layer.name, heads=head)
    )
    for layer in maps.layers.values()
    for head in range(layer.values.shape[1])
}
pd.DataFrame(heads).T.unstack().round(2)

# %% [markdown]
# Heads are specialists: some look at the whole cat, some at a part of it, many hardly at either
# thing, and a few more at the other one.
#
# ## Do the parts make the whole?
#
# Under the paper's rule (`rule="paper"`) the map is the plain sum of every step, head and layer of
# the down and up stages, each enlarged to the image. Added up by hand, one after another:

# %%
columns = list(maps.prompt.word(WORD).columns)
total, terms = torch.zeros(maps.size), 0
for layer in maps.layers.values():
    if layer.group != "mid":
        for one in layer.values[:, :, columns].flatten(0, 1):  # (tokens, y, x) of a step and head
            total += enlarge(one, maps.size).mean(0)
            terms += 1
whole = maps.word(WORD, rule="paper").values
missing = (total.clamp(min=0) - whole).abs().max() / whole.max()
print(f"{terms} terms; largest difference {missing:.1e} of the peak")

# %% [markdown]
# What is left is float32 rounding. Two more checks: a trace that sums the steps while the image is
# made ends with the same numbers; a sum that leaves out a single step does not.

# %%
summed = draw().maps  # keeps layers and heads, not steps
gaps = [
    (layer.values.sum(0) - summed.layers[name].values).abs().max() / layer.values.sum(0).max()
    for name, layer in maps.layers.items()
]
less = maps.select(steps=range(1, STEPS)).word(WORD, rule="paper").values
print(f"summed while it was made: {max(gaps):.1e} of the peak")
print(f"without the first step: {(whole - less).abs().max() / whole.max():.1e}")

# %% [markdown]
# All words share the same attention. Summed over all tokens, the maps are flat: each pixel holds
# the number of terms.

# %%
flat = maps.pool("paper").sum(0)
print(f"{flat.min():.3f} to {flat.max():.3f}")

# %% [markdown]
# This is one prompt and one seed of the toybox, whose layers are few and small; in Stable Diffusion
# steps and layers may differ more. One caution if you add maps of `select` yourself: each is
# clamped at 0 after enlarging, so their sum is a little larger than the map of the sum.
#
# **Exercise.** Take only `sites="up_blocks"`, or only the first five steps. How much of the mask
# stays? Next: [objects and thresholds](03_objects_and_thresholds.ipynb).
