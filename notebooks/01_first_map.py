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
# # 1. A first map
#
# Which word made which pixels? A diffusion model reads the prompt through attention: at every step
# each place of the image asks all words, and we can watch what it asks.

# %% tags=["parameters"]
MODEL = "toybox"  # or an id of the Hub, such as "stable-diffusion-v1-5/stable-diffusion-v1-5"
PROMPT = "a red cat next to a blue car"
WORD, OTHER = "cat", "car"
SEED, STEPS = 0, 25

# %%
import torch

import daamkit
from daamkit.measures.overlap import iou
from daamkit.views import plots

pipe = daamkit.load(MODEL)
pipe.set_progress_bar_config(disable=True)


def draw(seed):
    with daamkit.trace(pipe, keep=("step", "site", "head")) as tracer:
        pipe(
            prompt=PROMPT, num_inference_steps=STEPS, generator=torch.Generator().manual_seed(seed)
        )
    return tracer.run


run = draw(SEED)
run

# %% [markdown]
# Yellow is where a word was asked for most. *Cat* and *red* lie on the cat, *car* and *blue* on the
# car; the first *a* and *next* lie on the background, the others on most of the image. As numbers:
# `mass` is the share of all attention that a word receives, `area` the share of the image where its
# map is above 0.4 of its highest value.

# %%
run.table()[["word", "mass", "area", "centre_y", "centre_x"]].round(3)

# %% [markdown]
# That cut makes a mask; here is its outline:

# %%
plots.overlay(run.image, run.maps.word(WORD), threshold=0.4).resize((256, 256))

# %% [markdown]
# ## Controls
#
# Watching must not change the picture. The same call without the trace gives the same pixels:

# %%
generator = torch.Generator().manual_seed(SEED)
alone = pipe(prompt=PROMPT, num_inference_steps=STEPS, generator=generator).images[0]
print("the same picture:", alone == run.image)

# %% [markdown]
# And a map must follow the image, not the word alone. How much does the mask of *cat* share with
# that of its adjective, of the other thing, and of itself in an image from another seed? (IoU: 1
# means the same mask, 0 nothing in common.)

# %%
again = draw(SEED + 1)
cat = run.maps.word(WORD).mask()
others = {"red": run, OTHER: run, f"{WORD}, another seed": again}
{name: round(iou(cat, of.maps.word(name.split(",")[0]).mask()), 2) for name, of in others.items()}

# %%
plots.overlay(again.image, again.maps.word(WORD), threshold=0.4).resize((256, 256))

# %% [markdown]
# The adjective shares the cat's place and the car has none of it; the next seed puts the cat
# elsewhere, and the map goes with it. This is one prompt and two seeds of the toybox, a small model
# of a drawn world; Stable Diffusion may differ. And a map says where the model *looked* for a word;
# that the word *caused* what is seen there is a further claim.
#
# ## Look for yourself
#
# Hover over a word or a pixel; click to pin words, move the threshold, play the steps, pick a head
# and a layer. Without a running kernel you see a still picture.

# %%
inspector = daamkit.Inspector(run)
inspector

# %% [markdown]
# **Exercise.** Swap *red* and *blue* in the prompt, with the same seed. Do the maps of the colours
# change places too? Next: [what the map sums](02_what_the_map_sums.ipynb).
