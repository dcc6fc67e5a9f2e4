"""Numbers that others have made of each family's attention (`DAAMKIT_FAMILIES_GOLDEN`)."""

import pytest
import torch

import daamkit
from daamkit.attention import hooks
from daamkit.attention.taps import Tap
from tests.families import goldens

FAMILIES = ("sd3", "sd35", "flux", "flux2", "flux2klein", "chroma", "qwenimage")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning"),
    pytest.mark.parametrize("family", goldens.here(*FAMILIES)),
]
NAMES = {"cond": ("cond",), "uncond": ("uncond", "negative")}  # ours of a golden's row


class Means(Tap):
    """The heads' mean at each joint site, by number of the pass and site."""

    def __init__(self) -> None:
        self.seen: dict = {}
        self.passes: list[tuple[str, ...]] = []

    def begin(self, step):
        self.passes.append(tuple(step.branches))

    def observe(self, attention):
        means = {name: attention.probabilities(name).mean(1) for name in attention.branches}
        self.seen[len(self.passes) - 1, attention.site.name] = means, attention.layout


def test_every_number(family):
    golden = goldens.read(family)
    plain = golden.run()
    told = Means()
    with hooks.attach(golden.pipe, told), daamkit.trace(golden.pipe, keep="site") as tracer:
        assert torch.equal(golden.run(), plain)
    assert golden.entries
    for entry in golden.entries:
        means, layout = told.seen[entry["call"], entry["layer"]]
        queries, keys = slice(*entry["q_range"]), slice(*entry["k_range"])
        spans = layout.text[0]
        text = slice(spans[0].start, max(span.start + span.length for span in spans))
        wanted = [layout.cells, text]
        if entry["relation"] in ("image->text", "text->image"):
            cells, others = wanted if entry["relation"] == "image->text" else wanted[::-1]
            assert (queries, keys) == (cells, others)
        rows = golden.meta["passes"][entry["call"]]["rows"]
        for row, name in enumerate(rows):
            (branch,) = set(NAMES[name]) & means.keys()
            difference = means[branch][0, queries, keys] - golden.maps[entry["key"]][row]
            assert difference.abs().max() < 2e-5
    words_are_where_the_golden_has_them(golden, tracer.run)


def words_are_where_the_golden_has_them(golden, run) -> None:
    """Sum over the prompt's own passes, token by token."""
    prompt, checked = run.maps.prompt, set()
    for part in golden.meta["text_keys"]:
        text = prompt.text
        own = [(key, stripped(text, *span)) for key, span in part["keys"] if span]
        for encoder in prompt.texts:
            tokens = [t for t in prompt.tokens if t.encoder == encoder and not t.special]
            if [stripped(text, t.start, t.end) for t in tokens] == [span for _, span in own]:
                checked.add(encoder)
                for token, (key, _) in zip(tokens, own, strict=True):
                    compare(golden, run, token.column, key)
    assert checked == set(prompt.texts)


def stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """Characters without the blanks before them: tokenizers differ in whether they tell these."""
    return end - len(text[start:end].lstrip()), end


def compare(golden, run, column: int, key: int) -> None:
    for name, layer in run.maps.layers.items():
        total = torch.zeros(layer.values[column].numel())
        for entry in golden.entries:
            rows = golden.meta["passes"][entry["call"]]["rows"]
            if (entry["layer"], entry["relation"]) == (name, "image->text") and "cond" in rows:
                at = key - entry["k_range"][0]
                total += golden.maps[entry["key"]][rows.index("cond"), :, at]
        mean = layer.values[column].flatten() / layer.heads
        assert (mean - total).abs().max() < 2e-5 * run.maps.steps
