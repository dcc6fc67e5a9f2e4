"""What stands side by side is comparable: one scale, sums alike, images; titles in letters."""

import io
from collections.abc import Iterator
from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from daamkit import plots
from daamkit.errors import DaamkitError
from daamkit.maps.run import Run
from daamkit.views import fonts, report, still
from tests.views.runs import made


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def scaled(run: Run, by: dict[str, float] | None = None, **of_maps) -> Run:
    """A run with the maps of some words so many times as high."""
    maps, values = run.maps, run.maps.layers["up"].values.clone()
    for word, times in (by or {}).items():
        values[list(maps.prompt.word(word).columns)] *= times
    layers = {"up": replace(maps.layers["up"], values=values)}
    return Run(run.image, {"cond": replace(maps, layers=layers, **of_maps)}, {}, run.record)


def longer(run: Run, steps: int) -> Run:
    """The same in each of so many steps, which are summed."""
    words = [word.text for word in run.maps.prompt.words()]
    return scaled(run, dict.fromkeys(words, steps), steps=steps)


def values(ax) -> np.ndarray:
    return np.asarray(ax.images[-1].get_array())


def test_runs_of_more_passes_are_compared_by_their_means() -> None:
    run = made("cat dog")
    runs = [longer(run, 2), longer(run, 3)]
    figure = plots.word(runs, "cat")
    one, other = (values(ax) for ax in figure.axes[:2])
    assert np.allclose(one, other, atol=1e-6) and one.max() > 0.5
    assert np.allclose(one, np.asarray(runs[0].maps.word("cat")) / 2, atol=1e-6)
    assert figure.get_suptitle() == "cat, means over passes"
    figure = plots.grid(runs, "cat")
    assert figure.axes[-1].get_xlabel().replace("\n", " ") == (
        "attention probability, sum over layers and heads, mean over steps"
    )
    assert np.allclose(values(figure.axes[1]), values(figure.axes[3]), atol=1e-6)
    left, right = (np.asarray(plots.overlay(runs, "cat"))[:, at : at + 64] for at in (0, 72))
    assert np.abs(left.astype(int) - right).max() <= 1 < np.ptp(left)


def test_runs_of_as_many_passes_are_sums() -> None:
    runs = [longer(made("cat dog", seed), 2) for seed in (0, 1)]
    figure = plots.grid(runs, "cat")
    assert figure.axes[-1].get_xlabel().split()[-2:] == ["2", "steps"]
    assert np.array_equal(values(figure.axes[1]), np.asarray(runs[0].maps.word("cat")))
    assert plots.word(runs, "cat").get_suptitle() == "cat"


@pytest.mark.parametrize("plot", ["word", "grid", "steps", "overlay", "animate"])
def test_runs_that_are_pooled_otherwise_are_refused(plot) -> None:
    run = made("cat dog")
    with pytest.raises(DaamkitError, match="pooled alike, .*; got 'daam' and 'paper'"):
        getattr(plots, plot)([run, scaled(run, rule="daam")], "cat")


def small(run: Run) -> list[np.ndarray]:
    """The pictures of a run's still: its image, then each word's map over it."""
    page = np.asarray(Image.open(io.BytesIO(still.png(run))))
    return [page[:64, at : at + 64].astype(int) for at in range(0, page.shape[1], 134)]


def brightness(picture: np.ndarray) -> float:
    """How yellow the yellowest place is: cividis ends in red without blue."""
    return float((picture[..., 0] - picture[..., 2]).max())


def test_a_word_that_gets_little_attention_is_dark_beside_one_that_gets_much(tmp_path) -> None:
    run = scaled(made("cat dog"), {"dog": 0.05})
    report.write(run, tmp_path / "report")
    run.export(tmp_path / "export")
    files = {"report": "report/words/{}.png", "export": "export/maps/{}.png"}
    for cat, dog in (
        small(run)[1:],
        *(
            [np.asarray(Image.open(tmp_path / name.format(word)), int) for word in WORDS]
            for name in files.values()
        ),
    ):
        assert brightness(cat) > 80 and brightness(dog) <= 0
    top = float(np.max(run.maps.word("cat")))
    assert f"<b>cat dog</b>, maps from 0 to {top:.2g}</p>" in still.html(run)


WORDS = ("00-cat", "01-dog")


@pytest.mark.parametrize("plot", ["word", "grid", "heads"])
def test_titles_have_a_font_with_their_letters(plot, monkeypatch) -> None:
    """Letters that only STIX has; warnings of boxes are errors here."""
    ttf = f"{matplotlib.get_data_path()}/fonts/ttf"
    stix = f"{ttf}/STIXGeneral.ttf"
    lacking = fonts._known(stix) - fonts._known(f"{ttf}/DejaVuSans.ttf")
    letter = next(chr(code) for code in sorted(lacking) if chr(code).isalpha())
    monkeypatch.setattr(fonts, "_machine", lambda: [stix])
    fonts._place.cache_clear()
    run = made(f"cat {letter}")
    run = scaled(run, keep=frozenset({"site"}))
    if plot == "heads":
        layer = run.maps.layers["up"]
        layers = {"up": replace(layer, values=layer.values[None])}
        maps = replace(run.maps, layers=layers, keep=frozenset({"site", "head"}))
        run = Run(run.image, {"cond": maps})
    for runs in (run, [run, run]):
        drawn = getattr(plots, plot)(runs, letter)
        figure = drawn if plot == "grid" else drawn.figure or drawn
        figure.savefig(io.BytesIO(), format="png")
        texts = [text for text in figure.findobj(plt.Text) if letter in text.get_text()]
        assert texts and all(text.get_fontproperties().get_file() == stix for text in texts)
        others = [text for text in figure.findobj(plt.Text) if text not in texts]
        assert not any(text.get_fontproperties().get_file() for text in others)
    fonts._place.cache_clear()


def test_a_font_of_ones_own_stays(monkeypatch) -> None:
    with matplotlib.rc_context({"font.family": "STIXGeneral"}):
        ax = plots.word(made("cat"), "cat")
    assert ax.title.get_fontproperties().get_file() is None
