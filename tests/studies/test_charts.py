"""The studies' charts show the numbers of their tables, each in the row of its name."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daamkit.measures.intervals import columns
from daamkit.studies import charts
from daamkit.views import pieces

METHODS = ("none", "attend_and_excite", "syngen+self_attention")


def table(seed: int, **columns: tuple[object, ...]) -> pd.DataFrame:
    """A mean with an interval for each combination of values."""
    rows = pd.DataFrame(itertools.product(*columns.values()), columns=[*columns])
    rng = np.random.default_rng(seed)
    rows["mean"] = rng.random(len(rows))
    return rows.assign(low=rows["mean"] - 0.05, high=rows["mean"] + 0.1, n=7)


def renamed(rows: pd.DataFrame, mean: str, *ends: str) -> pd.DataFrame:
    return rows.rename(columns=dict(zip(pieces.VALUES, (mean, *ends), strict=True)))


def names(ax: Axes) -> list[str]:
    """From top to bottom."""
    return [label.get_text() for label in ax.get_yticklabels()][::-1]


def drawn(ax: Axes) -> list[list[float]]:
    """The means of each series, from top to bottom; a line at 0 is none of them."""
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    for line, bars in zip(dots, ax.collections, strict=False):
        at = line.get_ydata()
        assert all(np.diff(at) < 0) and all(np.abs(at - np.rint(at)) < 0.5)
        ends = [segment[:, 0].tolist() for segment in bars.get_segments()]
        assert ends == [pytest.approx([x - 0.05, x + 0.1]) for x in line.get_xdata()]
    return [np.asarray(line.get_xdata()).tolist() for line in dots]


def titles(*axes: Axes) -> list[str]:
    return [ax.get_title(loc="left") for ax in axes]


def seen(figure: Figure) -> list[Axes]:
    figure.canvas.draw()
    return figure.axes


def test_objects() -> None:
    rows = table(
        1, set=("natural", "unreal"), vocabulary=("COCO nouns", "all nouns"), method=("a", "b")
    )
    rows.loc[rows["method"] == "b", list(pieces.VALUES)] += 2  # the best stands on top
    swept = table(
        2, set=("natural", "unreal"), vocabulary=("all nouns",), method=("daam",),
        rule=("max", "otsu"), tau=(0.4, 0.2),
    )  # fmt: skip
    left, right = seen(charts.objects(renamed(rows, "miou", "low", "high"),
                                      renamed(swept, "miou", "low", "high")))  # fmt: skip
    assert names(left) == ["b", "a"]
    assert drawn(left)[0] == rows["mean"][[1, 0]].tolist()
    assert len(right.lines) == 2  # otsu has no threshold to run over
    natural = swept[(swept["set"] == "natural") & (swept["rule"] == "max")]
    assert right.lines[0].get_ydata().tolist() == natural["mean"].tolist()[::-1]
    assert [line.get_linestyle() for line in right.lines] == ["-", "--"]


def test_parts_of_speech() -> None:
    measures = ("area max 0.4", "entropy", "sharpness", "mass")
    rows = table(3, pos=("NOUN", "ADJ"), measure=measures)
    axes = seen(charts.parts_of_speech(rows))
    assert names(axes[0]) == ["NOUN (7)", "ADJ (7)"]
    said = ("area (share", "entropy", "sharpness", "share of all attention")
    for ax, measure, label in zip(axes, measures, said, strict=True):
        assert drawn(ax) == [rows[rows["measure"] == measure]["mean"].tolist()]
        assert ax.get_xlabel().startswith(label)


def test_relations() -> None:
    wide = pd.DataFrame({"relation": ["amod", "det"], "pairs": [3, 2], "prompts": 2})
    for i, measure in enumerate(("miou", "miod", "mioh", "dominance")):
        one = table(10 + i, relation=("amod", "det"))
        wide[[measure, f"{measure}_low", f"{measure}_high"]] = one[list(pieces.VALUES)]
    cuts = pd.concat(
        [wide.assign(rule="max", tau=0.4), wide.assign(rule="otsu", tau=0.0, dominance_low=-1.0)]
    )
    left, middle, right, _ = seen(charts.relations(wide, cuts))
    assert names(left) == ["amod (3)", "det (2)"]
    assert drawn(left) == [wide[m].tolist() for m in ("miou", "miod", "mioh")]
    assert drawn(middle) == [wide["dominance"].tolist()]
    assert middle.get_xlabel() == "dependent  <  mIoD - mIoH  <  head"
    assert [label.get_text() for label in right.get_xticklabels()] == ["max 0.4", "otsu"]
    values = right.images[0].get_array()
    assert values[::-1, 0].tolist() == values[::-1, 1].tolist() == wide["dominance"].tolist()
    assert right.images[0].get_clim() == (-np.abs(values).max(), np.abs(values).max())
    assert right.lines[0].get_xdata().tolist() == [0, 0]  # otsu's intervals hold 0
    assert not any(ax.yaxis_inverted() for ax in (left, middle, right))  # the first is on top


def test_cohyponyms() -> None:
    rows = table(4, measure=("both", "iou"), group=("co-hyponyms", "others", "difference"))
    swept = table(5, rule=("max", "minmax"), tau=(0.3, 0.4))
    left, middle, right = seen(charts.cohyponyms(rows, swept))
    assert names(left) == names(middle) == ["co-hyponyms", "others"]
    assert drawn(left) == [rows["mean"][:2].tolist()]
    assert drawn(middle) == [rows["mean"][3:5].tolist()]
    assert names(right) == ["max 0.3", "max 0.4", "minmax 0.3", "minmax 0.4"]
    assert drawn(right) == [swept["mean"].tolist()]
    assert titles(left, middle, right) == [
        "Both things in the image",
        "Overlap of their maps (IoU, max 0.4)",
        "Difference of overlap at every cut",
    ]
    assert right.get_xlabel() == "co-hyponyms - others"


def test_adjectives() -> None:
    rows = table(6, region=("inside", "outside"), change=("article", "noun swapped"))
    swept = table(7, region=("inside", "outside"), change=("article", "noun swapped"),
                  visible=("above 0.02", "above 0.1"))  # fmt: skip
    left, right = seen(charts.adjectives(rows, swept))
    assert names(left) == ["article", "noun swapped"]
    assert drawn(left) == [rows["mean"][:2].tolist(), rows["mean"][2:].tolist()]
    assert [label.get_text() for label in right.get_xticklabels()] == ["> 0.02", "> 0.1"]
    assert [line.get_ydata().tolist() for line in right.lines] == [
        swept["mean"][4:6].tolist(), swept["mean"][6:].tolist(),
    ]  # fmt: skip


def test_binding() -> None:
    exchanged = (("nothing", "none"), ("nouns", "swapped"), ("nouns", "unrelated"))
    wide = pd.DataFrame([
        {"form": form, "split": split, "exchanged": where, "source": whose}
        for form in ("attributive", "predicative") for split in ("all", "training")
        for where, whose in exchanged
    ])  # fmt: skip
    for i, share in enumerate(("own", "swapped", "other", "missing")):
        one = table(20 + i, at=tuple(range(len(wide))))
        wide[[share, f"{share}_low", f"{share}_high"]] = one[list(pieces.VALUES)]
    axes = seen(charts.binding(wide))
    asked = ["a red cat and a blue car", "a cat that is red and a car that is blue"]
    assert [title.split("\n")[0][1:-1] for title in titles(*axes)] == 2 * asked
    assert "swapped" in titles(axes[0])[0] and "unrelated" in titles(axes[2])[0]
    assert names(axes[0]) == ["nothing", "nouns"]
    shares = wide[(wide["split"] == "all") & (wide["form"] == "predicative")]
    for ax, whose in ((axes[1], "swapped"), (axes[3], "unrelated")):
        part = shares[shares["source"].isin(("none", whose))]
        assert drawn(ax) == [part[each].tolist() for each in ("own", "swapped", "other", "missing")]


def test_neglect() -> None:
    rows = table(8, group=("animals", "animals_objects"), measure=("all_there",), method=METHODS)
    gains = table(9, group=("animals", "animals_objects"), measure=("all_there",), method=METHODS)
    rows[["gain", "gain_low", "gain_high"]] = gains[list(pieces.VALUES)]
    rows.loc[rows["method"] == "none", ["gain", "gain_low", "gain_high"]] = np.nan
    places = table(10, words=("neglected",), measure=("on_other", "iou_present"), method=METHODS)
    left, middle, right = seen(charts.neglect(rows, places))
    assert names(left) == ["none", "attend_and_excite", "syngen\n+ self_attention"]
    assert drawn(left) == [rows["mean"][:3].tolist(), rows["mean"][3:].tolist()]
    texts = [text.get_text() for text in left.get_legend().get_texts()]
    assert texts == ["animals", "animals and objects"]
    (line,) = (line for line in middle.lines if line.get_marker() == "o")
    assert line.get_xdata()[1:].tolist() == rows["gain"][4:].tolist()
    assert drawn(right) == [places["mean"][:3].tolist(), places["mean"][3:].tolist()]
    assert titles(left, middle, right) == [
        "All things drawn",
        "What a method adds to no guidance",
        "Words neglected without guidance: where their maps lie",
    ]


def test_neglect_where_nothing_was_neglected() -> None:
    rows = table(8, group=("animals",), measure=("both",), method=METHODS)
    rows[["gain", "gain_low", "gain_high"]] = rows[list(pieces.VALUES)]
    shares = ("on_other", "other_area")
    places = table(10, words=("nothing neglected",), measure=shares, method=METHODS)
    *_, right = seen(charts.neglect(rows, places))
    assert titles(right) == ["All words: where their maps lie"]
    shown = [text.get_text() for text in right.get_legend().get_texts()]
    assert shown == ["on the other thing", "an even map on the other thing"]


def test_effects() -> None:
    measures = ("present", "iou", "truer", "overlap", "entropy")
    rows = renamed(table(11, method=METHODS[1:], measure=measures), "gain", "gain_low", "gain_high")
    changes = table(12, measure=("follows", "still"), method=METHODS[1:])
    neglected = renamed(
        table(17, method=METHODS[1:], measure=measures), "gain", "gain_low", "gain_high"
    )
    left, middle, right = seen(charts.effects(rows, neglected, changes))
    assert names(left)[0] == "thing there" and len(names(left)) == 5
    assert drawn(left) == [rows["gain"][:5].tolist(), rows["gain"][5:].tolist()]
    assert drawn(middle) == [neglected["gain"][:5].tolist(), neglected["gain"][5:].tolist()]
    assert titles(left, middle, right) == [
        "All prompts", "A thing was missing without it", "Where did the image change?"
    ]  # fmt: skip
    assert names(right) == ["attend-and-excite", "syngen+self-attention"]
    assert drawn(right) == [changes["mean"][:2].tolist(), changes["mean"][2:].tolist()]


def test_self_attention() -> None:
    quality = renamed(table(13, setting=("none", "sag")), "fid", "fid_low", "fid_high")
    masks = table(14, layer=("down 16x16", "mid 8x8"), psi=(1.0, 1.3))
    masks = renamed(masks, *columns("over_random"))
    centre = table(15, layer=("down 16x16", "mid 8x8"), psi=(1.0, 1.3))
    masks[[*columns("over_centre")]] = centre[list(pieces.VALUES)]
    spectra = table(16, layer=("down 16x16",), psi=(1.0, 1.3), frequency=(0.0, 0.25, 0.5))
    spectra = renamed(spectra, "difference", "low", "high")
    left, middle, right = seen(charts.self_attention(quality, masks, spectra))
    assert names(left) == ["none", "sag"]
    assert drawn(left) == [quality["fid"].tolist()]
    assert names(middle) == ["down 16x16", "mid 8x8"]
    chosen = masks[masks["psi"] == 1.0]
    assert drawn(middle) == [chosen["over_random"].tolist(), chosen["over_centre"].tolist()]
    assert right.lines[0].get_ydata().tolist() == spectra["difference"][1:3].tolist()
    assert right.get_title(loc="left") == "Contrast where attention is above 1"
    _, _, right = seen(charts.self_attention(quality, masks, spectra[:0]))
    assert not right.lines
