"""What is true of every family that `tiny_cross` builds."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import daamkit
from daamkit import prompts
from daamkit.attention import families, hooks
from daamkit.attention.taps import Attention, Tap
from daamkit.guidance.subjects import find as find_subjects
from daamkit.maps.run import Run
from tests.families import goldens
from tests.families.tiny_cross import GRIDS, generate

BATCH = {"prompt": ["a red cat beside the blue car", "a dog"], "num_images_per_prompt": 2}


class Seen(Tap):
    """All attention of a call.

    Attributes
    ----------
    attentions
        By the number of the denoiser's pass and the site's name.
    errors
        Furthest that probabilities are from an explicit softmax, their sums from 1, and what they
        make of the values from the model's own output.
    """

    def __init__(self) -> None:
        self.passes: list[Any] = []
        self.attentions: dict[tuple[int, str], Attention] = {}
        self.errors = {"softmax": 0.0, "sum": 0.0, "output": 0.0}

    def begin(self, step):
        self.passes.append(step)

    def edit(self, attention, output):
        self.attentions[len(self.passes) - 1, attention.site.name] = attention
        scores = attention.query.double() @ attention.key.double().transpose(-1, -2)
        scores = scores * attention.scale
        if attention.mask is not None and attention.mask.dtype == torch.bool:
            scores = scores.masked_fill(~attention.mask, -torch.inf)
        elif attention.mask is not None:
            scores = scores + attention.mask.double()
        wanted = scores.softmax(-1)
        for branch, rows in attention.branches.items():
            shares = attention.probabilities(branch)
            made = shares @ attention.value[rows]
            size = output[rows].abs().max().clamp(min=1)
            for name, error in (
                ("softmax", shares - wanted[rows]),
                ("sum", shares.sum(-1) - 1),
                ("output", (made - output[rows]) / size),
            ):
                self.errors[name] = max(self.errors[name], float(error.abs().max()))
        return output


def seen(pipe: Any, name: str, **options: Any) -> Seen:
    tap = Seen()
    with hooks.attach(pipe, tap):
        generate(pipe, name, **options)
    return tap


def traced(pipe: Any, name: str, trace: dict | None = None, **options: Any) -> list[Run]:
    with daamkit.trace(pipe, **(trace or {})) as tracer:
        generate(pipe, name, **options)
    return tracer.runs


def untouched(pipe: Any, name: str) -> None:
    """Traced is untraced, bit for bit."""
    for options in ({}, BATCH, {"guidance_scale": 0.0}, {"negative_prompt": "a blue dog"}):
        options = {key: list(v) if isinstance(v, list) else v for key, v in options.items()}
        again = {key: list(v) if isinstance(v, list) else v for key, v in options.items()}
        before = generate(pipe, name, **options)
        with daamkit.trace(pipe, keep=("step", "site", "head")):
            assert torch.equal(before, generate(pipe, name, **again)), options


def exact(pipe: Any, name: str) -> None:
    """Probabilities are the model's, over all keys; every site is seen."""
    for prompt in ("a red cat", list(BATCH["prompt"])):
        tap = seen(pipe, name, prompt=prompt)
        assert tap.errors["softmax"] < 1e-5 and tap.errors["sum"] < 1e-5, tap.errors
        assert tap.errors["output"] < 1e-5, tap.errors
        sites = families.find(pipe.transformer)
        wanted = {site.name for site in sites if site.observable}
        assert wanted == {site for _, site in tap.attentions}
        ran = [site for number, site in tap.attentions if number == 0]
        assert ran == [s.name for s in sorted(sites, key=lambda s: s.order) if s.name in wanted]


def moved(pipe: Any, name: str) -> None:
    """One word exchanged: the keys that move are the columns that have the word's name."""
    first, second = (seen(pipe, name, prompt=f"A  Red {noun} ") for noun in ("cat", "dog"))
    checked = 0
    for (number, site), attention in first.attentions.items():
        if (
            number
            or attention.site.kind not in ("cross", "joint")
            or "cond" not in attention.branches
        ):
            continue
        row = attention.branches["cond"].start
        pair = [tap.attentions[number, site].key[row] for tap in (first, second)]
        changed = {int(k) for k in (pair[0] != pair[1]).any(0).any(-1).nonzero()}
        (read,) = prompts.texts(attention.step.call, "cond")
        places = {
            span.start + at: read.columns[span.encoder][span.first + at]
            for span in attention.layout.text[row]
            for at in range(span.length)
        }
        if checked == 0:  # later layers have mixed the cells' and the texts' streams
            own = {c for e in read.prompt.texts for c in read.prompt.word("CAT", encoder=e).columns}
            assert read.prompt.text == "A  Red cat " and own
            assert {places[key] for key in changed if key in places} == own
            if attention.site.kind == "cross":
                assert changed <= places.keys()
        checked += 1
    assert checked


def grid(pipe: Any, name: str) -> None:
    """Not square; the words have maps of the image's size."""
    (run,) = traced(pipe, name, output_type="np")
    layers = run.maps.layers.values()
    assert {layer.grid for layer in layers} == {GRIDS[name]}
    height, width = run.image.height, run.image.width
    assert run.maps.word("cat").mask().shape == (height, width) and height < width
    (latents,) = traced(pipe, name)
    assert latents.maps.size == (height, width)
    sizes = families.of(pipe).grid(pipe, height, width)
    assert sizes == GRIDS[name]


def columns(pipe: Any, name: str) -> None:
    """All that a site's text gets stands under a name: tokens, padding, template."""
    (run,) = traced(pipe, name, {"branches": ("cond", "uncond"), "keep": ("step", "site", "head")})
    tap = seen(pipe, name)
    for branch in ("cond", "uncond"):
        maps, index = run.branch(branch), 0
        for number, step in enumerate(tap.passes):
            if branch not in step.branches:
                continue
            for site, layer in maps.layers.items():
                attention = tap.attentions[number, site]
                keys = [
                    key
                    for span in attention.layout.text[attention.branches[branch].start]
                    for key in range(span.start, span.start + span.length)
                ]
                given = attention.cells(branch)[0][..., keys].sum(-1)
                kept = layer.values[index].sum(1).flatten(-2)
                assert (given - kept).abs().max() < 1e-5
                if attention.site.kind == "cross":
                    assert (kept - 1).abs().max() < 1e-5
            index += 1
        assert index == maps.steps


def batched(pipe: Any, name: str, *, own_masks: bool) -> None:
    """Each image of a batch has the maps that it has alone.

    Where the pipeline gives rows other rows' masks, those with their own alone.
    """
    seeds = [torch.Generator().manual_seed(seed) for seed in range(4)]
    batch = {key: list(v) if isinstance(v, list) else v for key, v in BATCH.items()}
    runs = traced(pipe, name, generator=seeds, **batch)
    for seed in range(4) if own_masks else (0, 3):
        prompt = BATCH["prompt"][seed // 2]
        (alone,) = traced(pipe, name, prompt=prompt, seed=seed)
        assert [w.word.text for w in runs[seed].maps.words()] == prompt.split()
        for word in set(prompt.split()):
            pair = [run.maps.word(word).values for run in (runs[seed], alone)]
            assert (pair[0] - pair[1]).abs().max() < 2e-3 * pair[1].max(), (seed, word)
    if own_masks:
        return
    assert [w.word.text for w in runs[2].maps.words()] == ["a", "dog"]
    unread = runs[1].maps.prompt
    assert runs[1].prompt == BATCH["prompt"][0] and not unread.reads(0, len(unread.text))
    with pytest.raises(daamkit.DaamkitError, match="the model has not read .*car"):
        runs[1].maps.word("car")


def kept(pipe: Any, name: str, folder: Path) -> None:
    """A run is saved and opened as it was."""
    (run,) = traced(pipe, name, output_type="np")
    again = daamkit.open(run.save(folder / "run"))
    assert again.maps.prompt == run.maps.prompt
    assert torch.equal(again.maps.word("cat").values, run.maps.word("cat").values)
    assert again.table().equals(run.table())


def cut_off(pipe: Any, name: str, places: int, **options: Any) -> None:
    """What lies beyond `max_sequence_length` is refused, and that before it is not."""
    text = "a red cat " * places + "and a dog"
    (run,) = traced(pipe, name, prompt=text, **options)
    assert run.maps.word("cat", 0).values.max() > 0
    with pytest.raises(daamkit.DaamkitError, match=re.escape("has not read")):
        run.maps.word("dog")


def golden(family: str) -> None:
    """The same pictures, every map within 2e-5, and each column where the key is said to be."""
    if family not in goldens.here(family):
        pytest.skip(f"no golden numbers of {family} in {goldens.FOLDER.name}")
    given = goldens.read(family)
    tap = Seen()
    trace = daamkit.trace(given.pipe, keep=("step", "site", "head"))
    with hooks.attach(given.pipe, tap), trace as tracer:
        latents = given.run()
    (wanted,) = load_file(goldens.FOLDER / family / "latents.safetensors").values()
    assert torch.allclose(latents, wanted, rtol=1e-3, atol=1e-3)
    assert given.entries
    for entry in given.entries:
        _probabilities(tap, given.meta, entry, given.maps[entry["key"]])
        if entry["relation"] == "image->text":
            _columns(tracer.run, given.meta, entry, given.maps[entry["key"]])


def _probabilities(tap: Seen, meta: dict, entry: dict, wanted: torch.Tensor) -> None:
    attention = tap.attentions[entry["call"], entry["layer"]]
    names = meta["passes"][entry["call"]]["rows"]
    assert set(attention.branches) == set(names)
    for row, branch in enumerate(names):
        shares = attention.probabilities(branch)[0].mean(0)
        part = shares[slice(*entry["q_range"]), slice(*entry["k_range"])]
        assert (part - wanted[row]).abs().max() < 2e-5, entry["key"]


def _columns(run: Any, meta: dict, entry: dict, wanted: torch.Tensor) -> None:
    """The traced maps of the prompt's tokens; of the others, all together."""
    calls = [at for at, each in enumerate(meta["passes"]) if "cond" in each["rows"]]
    if entry["call"] not in calls:
        return
    row = meta["passes"][entry["call"]]["rows"].index("cond")
    layer = run.maps.layers[entry["layer"]].values[calls.index(entry["call"])]
    maps = layer.mean(0).flatten(-2)  # (columns, cells)
    rest = torch.ones(wanted.shape[-1], dtype=torch.bool)
    named = []
    for part, encoder in zip(meta["text_keys"], run.maps.prompt.texts, strict=True):
        for key, span in part["keys"]:
            if span is None:
                continue
            (column,) = [
                token.column
                for token in run.maps.prompt.tokens
                if token.encoder == encoder
                and not token.special
                and [token.start, token.end] == span
            ]
            at = key - entry["k_range"][0]
            assert (maps[column] - wanted[row, :, at]).abs().max() < 2e-5, (entry["key"], span)
            rest[at] = False
            named.append(column)
    others = [column for column in range(len(maps)) if column not in named]
    assert named and (maps[others].sum(0) - wanted[row][:, rest].sum(-1)).abs().max() < 5e-5


def guided(pipe: Any, name: str) -> None:
    """Where guidance looks for a word, the word's own keys are."""
    tap = seen(pipe, name)
    for (number, _), attention in tap.attentions.items():
        if number or attention.site.kind not in ("cross", "joint"):
            continue
        if "cond" not in attention.branches:
            continue
        call = attention.step.call
        ((places,),) = find_subjects(call, ["cat"])
        (read,) = prompts.texts(call, "cond")
        keys = {
            span.start + at
            for span in attention.layout.text[attention.branches["cond"].start]
            for at in range(span.length)
            if read.columns[span.encoder][span.first + at] in read.prompt.word("cat").columns
        }
        shares = attention.cells("cond")[..., sorted(keys)]
        assert torch.equal(attention.text("cond")[..., sorted(places)], shares)


def shown(pipe: Any, name: str) -> None:
    """A run is shown, in full."""
    (run,) = traced(pipe, name, output_type="pil")
    assert len(run.relations()) and "<img" in run._repr_html_()
    daamkit.Inspector(run)
