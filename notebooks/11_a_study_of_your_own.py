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
# "A cat and a dog" or "a dog and a cat": does it matter which comes first? Nobody has written this
# study yet; here it is, with rows on the disk, stopped and gone on with, and run on a cluster.

# %% tags=["parameters"]
MODEL = "toybox"  # or an id of the Hub; then also:
TRUTH = "oracle"  # who says where things are; for photographs a segmenter's folder or id
N, SEED, STEPS = 8, 0, 10
ENGINE, WORKERS = "ray", 1  # of the second run; local if Ray is not installed

# %% [markdown]
# A study answers two questions: what are the *cases*, and what is *measured* of a few of them.
# Cases and rows are plain dictionaries. A case has a prompt and a seed; `session.runs` draws and
# traces.

# %%
import importlib.util
import tempfile
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns

import daamkit
from daamkit.measures.intervals import mean, means
from daamkit.studies import truths
from daamkit.studies.study import Study

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
        truth, rows = truths.load(self.truth), [[] for _ in cases]
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
# Two orders in one case, because they are compared with each other: the same seed, the same words.
#
# ## Stopped, and gone on with
#
# Given a folder, a study writes each batch of cases as a file that appears whole or not at all.
# Here a pretended "stop" button is pressed in the third batch of four:

# %%
folder = Path(tempfile.mkdtemp()) / "order"


class Stopped(Order):
    def measure(self, session, cases):
        if len(list(folder.glob("*.parquet"))) == 2:
            raise KeyboardInterrupt
        return super().measure(session, cases)


options = {"batch_size": 2, "threads": 1, "progress": False}
try:
    Stopped(model=MODEL, truth=TRUTH, n=N, seed=SEED, steps=STEPS).run(folder, **options)
except KeyboardInterrupt:
    print("stopped")


def shards():
    return {file.name: file.stat().st_mtime_ns for file in sorted(folder.glob("*.parquet"))}


kept = shards()
print(*kept, sep="\n")

# %% [markdown]
# The same call goes on where it was. Which cases does it draw, and are the old files untouched?

# %%
drawn = []


class Watched(Order):
    def measure(self, session, cases):
        drawn.extend(case["prompt"] for case in cases)
        return super().measure(session, cases)


rows = Watched(model=MODEL, truth=TRUTH, n=N, seed=SEED, steps=STEPS).run(folder, **options)
assert kept.items() <= shards().items()
assert drawn == [case["prompt"] for case in study.cases()][4:]
print(*drawn, sep="\n")

# %%
rows.head(4).round(3)

# %% [markdown]
# Only what was missing. A power cut does no other harm than this: the tests kill a study ten times
# at random moments, and its rows are those of an undisturbed one. Other settings in the same folder
# are refused:

# %%
try:
    replace(study, steps=STEPS + 1).run(folder, **options)
except daamkit.DaamkitError as error:
    print("refused; the folder has", error.got)

# %% [markdown]
# ## On Ray
#
# `engine="ray"` sends batches to the workers of a Ray cluster (that of `RAY_ADDRESS`, or one
# started here), each with a pipeline and, if there is one, a GPU of its own. To keep it short, one
# worker and the first half of the cases:

# %% tags=["remove-stderr"]
engine = ENGINE if importlib.util.find_spec("ray") else "local"
half = replace(study, n=N // 2).run(engine=engine, workers=WORKERS, **options)
same = rows[rows["case"] < N // 2].reset_index(drop=True)
pd.testing.assert_frame_equal(half, same, check_exact=True)
print(f"{engine}: the same {len(half)} rows, bit for bit")

# %% [markdown]
# ## The table
#
# Means by place, intervals drawn over pairs of animals: both orders of a pair are not independent.

# %%
measures = ("there", "area", "attention")
parts = [means(rows, ["named"], name, cluster="pair").assign(measure=name) for name in measures]
pd.concat(parts).set_index(["measure", "named"]).round(4)

# %% [markdown]
# And how much more the *same word* has where it comes second, pair by pair:

# %%
wide = rows.pivot(index=["pair", "word"], columns="named", values=list(measures))
pairs = wide.index.get_level_values("pair").tolist()
gains = pd.DataFrame({name: wide[name]["second"] - wide[name]["first"] for name in measures})
gain = {name: mean(gains[name], pairs) for name in measures}
pd.DataFrame(gain, index=["second - first", "low", "high"]).T.round(4)

# %%
axes = sns.stripplot(gains[["area", "attention"]], orient="h", jitter=0.2, alpha=0.7)
axes.axvline(0, color="grey", linewidth=0.8)
axes.set(title="Each word, named second", xlabel="what it has more than named first (share)")
axes.figure.set_size_inches(6, 2.2)

# %% [markdown]
# In these eight pairs place made no difference to whether an animal is there. But named second, the
# same word receives about a twentieth more attention, and its thing does not grow for it: more
# looking is not more picture. Whether the small loss of area is real eight pairs cannot say:
# intervals of so few are too narrow, and three measures are three chances to err. This is the
# toybox, with ten steps; Stable Diffusion may differ.
#
# ## For keeps
#
# What is worth keeping becomes a file: give the class `tables(rows)` and `plot(tables)`, as those
# in `daamkit/studies` have, so that numbers and picture come from the rows alone. A class in a file
# is also what a cluster of several machines needs: its workers must be able to import it. Rows are
# read without any model by `daamkit.studies.runner.read(folder)`.
#
# **Exercise.** Run it with `N = 24, STEPS = 25`. Which of the three gains stays? Then ask for three
# animals: which is left out most often, and how many prompts does it take to tell? (An interval
# shrinks with the root of their number.)
