"""Numbers that others have made of each family's attention (`DAAMKIT_FAMILIES_GOLDEN`)."""

import json

import pytest
import torch
from safetensors.torch import load_file

import daamkit
from daamkit import prompts
from daamkit.attention import hooks
from daamkit.attention.taps import Tap
from tests.families import goldens

pytestmark = pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning")
NAMES = {"cond": ("cond",), "uncond": ("uncond", "negative")}  # ours of a golden's row
CLOSE = 2e-5  # far more than sums of 250 keys are off, 5e-7; another machine has other latents


class Means(Tap):
    """The heads' mean at each site, by number of the pass and site; what the prompt's keys are."""

    def __init__(self) -> None:
        self.seen: dict = {}
        self.passes: list[tuple[str, ...]] = []
        self.columns: dict[str, dict[int, list[tuple[str, int]]]] = {}  # by site and key

    def begin(self, now):
        self.passes.append(tuple(now.branches))

    def observe(self, attention):
        means = {name: attention.probabilities(name).mean(1) for name in attention.branches}
        self.seen[len(self.passes) - 1, attention.site.name] = means
        if "cond" not in means or attention.site.name in self.columns:
            return
        (read,) = prompts.texts(attention.now.call, "cond")
        keys = self.columns[attention.site.name] = {}
        layout = attention.layout.for_rows(attention.branches["cond"])
        for span in layout.text[0] if layout.text else ():
            for at in range(span.length):
                column = read.columns[span.encoder][span.first + at]
                keys.setdefault(span.start + at, []).append((span.encoder, column))


@pytest.mark.parametrize("family", goldens.here())
def test_every_number(family):
    golden, told = goldens.read(family), Means()
    with (
        hooks.attach(golden.pipe, told),
        daamkit.trace(golden.pipe, keep=("step", "site", "head")) as tracer,
    ):
        latents = golden.run()
    (wanted,) = load_file(goldens.FOLDER / family / "latents.safetensors").values()
    assert torch.allclose(latents, wanted, rtol=1e-3, atol=1e-3)
    passes = golden.meta["passes"]
    assert golden.entries and len(told.passes) == len(passes)
    checked: set[tuple[str, int]] = set()
    for entry in golden.entries:
        means = told.seen[entry["call"], entry["layer"]]
        queries, keys = slice(*entry["q_range"]), slice(*entry["k_range"])
        for row, name in enumerate(passes[entry["call"]]["rows"]):
            (branch,) = set(NAMES[name]) & means.keys()
            difference = means[branch][0, queries, keys] - golden.maps[entry["key"]][row]
            assert difference.abs().max() < CLOSE, entry["key"]
        if entry["relation"].endswith("->text"):
            checked |= columns_have_the_numbers(golden, told, tracer.run, entry)
    words = {column for word in tracer.run.maps.words() for column in word.word.columns}
    assert words <= {column for _, column in checked}


def columns_have_the_numbers(golden, told, run, entry) -> set[tuple[str, int]]:
    """The traced columns of the prompt's tokens are the golden's at the keys called so; those of
    padding and templates are the sum of theirs."""
    passes = [at for at, each in enumerate(golden.meta["passes"]) if "cond" in each["rows"]]
    if entry["call"] not in passes:
        return set()
    row = golden.meta["passes"][entry["call"]]["rows"].index("cond")
    layer = run.maps.layers[entry["layer"]].values[passes.index(entry["call"])].mean(0)
    layer = layer.movedim(-3, 0).flatten(1)  # (columns, cells)
    wanted = golden.maps[entry["key"]][row]
    tokens = {(token.encoder, token.column): token for token in run.maps.prompt.tokens}
    sums, found = torch.zeros_like(layer), set()
    keys = told.columns[entry["layer"]]
    for key, named in keys.items():
        sums[named[0][1]] += wanted[:, key - entry["k_range"][0]]
        found |= set(named)
    assert (sums - layer).abs().max() < CLOSE
    for part in golden.meta["text_keys"]:
        if part["part"].startswith("byt5"):
            continue  # which of the quoted bytes are where, the golden does not say
        for key, span in part["keys"]:
            for name in keys.get(key, ()):
                token = tokens[name]
                text = run.maps.prompt.texts[token.encoder]
                if span is None:
                    assert token.special or not token.text.strip()
                else:
                    assert not token.special
                    assert stripped(text, token.start, token.end) == stripped(text, *span)
            assert span is None or key in keys
    return {name for name in found if not tokens[name].special}


def stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """Characters without the blanks before them: tokenizers differ in whether they tell these."""
    return end - len(text[start:end].lstrip()), end


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_a_folder_without_families_fails(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(goldens, "FOLDER", tmp_path / folder)
    (family,) = goldens.here()
    with pytest.raises(AssertionError, match="got none that can be read; name another in DAAMKIT_"):
        goldens.read(family)


def test_a_family_that_lacks_something_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(goldens, "FOLDER", tmp_path)
    for family, name in (("wan", "maps.safetensors"), ("hunyuanvideo15", "meta.json")):
        (tmp_path / family).mkdir()
        (tmp_path / family / name).write_text(
            json.dumps({"saved": False, "build": "tiny_none.build(0)"})
        )
    assert goldens.here() == ["hunyuanvideo15", "wan"]
    with pytest.raises(AssertionError, match="wan without"):
        goldens.read("wan")
    with pytest.raises(AssertionError, match=r"tiny_none\.py.*DAAMKIT_FAMILIES_SCRIPTS"):
        goldens.read("hunyuanvideo15")
