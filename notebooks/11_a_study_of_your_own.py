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
# # 11. A study of your own
#
# "A cat and a dog" or "a dog and a cat": does it matter which comes first? No study of daamkit asks
# that; here it is, from the question to the answer.

# %% tags=["parameters"]
MODEL = "toybox"  # or an id of the Hub; then also:
TRUTH = "oracle"  # who says where things are; for photographs a segmenter's folder or id
N, SEED, STEPS = 8, 0, 10

# %% [markdown]
# A study answers two questions: what are the *cases*, and what is *measured* on a few of them at a
# time. Cases and rows are plain dictionaries. A case has a prompt and a seed; `session.runs` draws
# and traces.

# %%
import tempfile
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns

from daamkit.extend import Study
from daamkit.measures.intervals import gain, means
from daamkit.studies import truths

ANIMALS = ("cat", "dog", "bird", "bear", "lion", "horse", "elephant", "monkey", "frog", "turtle")


@dataclass(frozen=True, kw_only=True)
class Order(Study):
    """Pairs of animals, each asked for in both orders with one seed."""

    name = "order"
    truth: str = "oracle"

    def cases(self):
        pairs = list(combinations(ANIMALS, 2))
        chosen = np.random.default_rng(self.seed).permutation(len(pairs))[: self.n]
        return [
            {"prompt": "a {} and a {}".format(*pairs[i]), "words": pairs[i], "seed": self.seed + k}
            for k, i in enumerate(chosen)
        ]

    def measure(self, session, cases):
        truth, rows = truths.truth(self.truth), [[] for _ in cases]
        seeds = [case["seed"] for case in cases]
        for turned in (False, True):
            orders = [case["words"][::-1] if turned else case["words"] for case in cases]
            runs = session.runs(["a {} and a {}".format(*words) for words in orders], seeds)
            for own, case, words, run in zip(rows, cases, orders, runs, strict=True):
                masks = truth.masks(run.image, "order", words)
                for place, word, mask in zip(("first", "second"), words, masks, strict=True):
                    columns = list(run.maps.prompt.word(word).columns)
                    own.append(
                        {
                            "pair": case["prompt"],
                            "word": word,
                            "named": place,
                            "there": float(truths.present(mask)),
                            "area": mask.mean(),
                            "attention": float(run.maps.mass[columns].sum()),
                        }
                    )
        return rows


study = Order(model=MODEL, truth=TRUTH, n=N, seed=SEED, steps=STEPS)
pd.DataFrame(study.cases()).head(3)

# %% [markdown]
# Both orders are in one case, because they are compared with each other: same seed, same words.
# Given a folder, the study writes each batch of cases there as a file of rows; if it is stopped at
# any moment, the same call goes on where it was.

# %%
folder = Path(tempfile.mkdtemp()) / "order"
rows = study.run(folder, batch_size=2, threads=1, progress=False)
rows.head(4).round(3)

# %% [markdown]
# A row is one animal of one image: there (1: the oracle sees it), area (its share of the image),
# attention (the word's share of all attention).
#
# ## The table
#
# Means by position, with intervals over pairs of animals, because the two orders of a pair are not
# independent.

# %%
measures = ("there", "area", "attention")
parts = [means(rows, ["named"], name, cluster="pair").assign(measure=name) for name in measures]
pd.concat(parts).set_index(["measure", "named"]).round(4)

# %% [markdown]
# And how much more the *same word* has when it comes second, pair by pair:

# %%
wide = rows.pivot(index=["pair", "word"], columns="named", values=list(measures))
pairs = wide.index.get_level_values("pair").tolist()
gains = pd.DataFrame({name: wide[name]["second"] - wide[name]["first"] for name in measures})
found = {
    name: gain(wide[name]["second"].to_numpy(), wide[name]["first"].to_numpy(), pairs)
    for name in measures
}
pd.DataFrame(found, index=["second - first", "low", "high"]).T.round(4)

# %%
axes = sns.stripplot(gains[["area", "attention"]], orient="h", jitter=0.2, alpha=0.7)
axes.axvline(0, color="grey", linewidth=0.8)
axes.set(title="Each word, named second", xlabel="what it has more than named first (share)")
axes.figure.set_size_inches(6, 2.2)

# %% [markdown]
# In these eight pairs, position made no visible difference to whether an animal is there. But the
# same word named second receives about a twentieth more attention, and its thing does not grow for
# it: more looking is not more picture. Eight pairs cannot say whether the small loss of area is
# real: three measures are three chances to err. This is the toybox, with ten steps; Stable
# Diffusion may differ.
#
# To keep this study, put the class in a file of its own and give it `tables(rows)` and
# `plot(tables)`, like those in `daamkit/studies`: see [extending](../docs/extending.md). For a
# cluster, or after a power cut, see [the studies](../docs/studies.md#rows-on-the-disk).
#
# **Exercise.** Run it with `N = 24, STEPS = 25`. Which of the three gains remains? Then ask for
# three animals: which is left out most often, and how many prompts does it take to tell? (An
# interval shrinks with the root of their number.) Next: [asking people](12_asking_people.ipynb).
