"""Edits one after another, in both orders, beside an explicit softmax; or they are refused.

In float64, so that an edit that has come back is told from rounding; blur and tapes are float32.
"""

import numpy as np
import pytest
import torch

import daamkit
from daamkit import prompts
from daamkit.attention import families
from daamkit.attention.calls import Call, Pass
from daamkit.attention.hooks import attach
from daamkit.attention.taps import Attention, Tap
from daamkit.edits import part
from daamkit.edits.edit import Edit
from daamkit.edits.local import LocalExchange
from daamkit.edits.replay import Tape
from daamkit.errors import DaamkitError
from tests import tiny
from tests.edits.test_families import blurred, doubled
from tests.families.every import CASES, generate

PROMPT, DOG, CAR = (f"a red {noun} beside the blue car" for noun in ("cat", "dog", "car"))
LEFT, TOP = np.zeros((2, 8, 8), bool)
LEFT[:, :4], TOP[:4] = True, True
NAMES = {"unet": "sd", "joint": "sd3"}


class Seen(Tap):
    """What the first site of each kind had, what it says after all edits, and its third word's
    keys."""

    def __init__(self):
        self.first = {}

    def edit(self, attention, output):
        kind = attention.site.kind
        if "cond" not in attention.branches or kind in self.first or kind == "text":
            return output
        (read,) = prompts.texts(attention.now.call, "cond")
        row = attention.branches["cond"].start
        spans = attention.layout.text[row] if attention.layout.text else ()
        keys = read.keys(spans, read.prompt.words()[2].columns)
        self.first[kind] = attention, output[row].clone(), keys
        return output


class Reference:
    """One image's attention, head by head, in float64."""

    def __init__(self, attention, cat):
        row = attention.branches["cond"].start
        every = attention.query, attention.every_key(), attention.every_value()
        self.query, self.key, self.value = (each[row].double().clone() for each in every)
        self.bias = (self.query @ self.key.mT).zero_()
        if attention.mask is not None:
            mask = attention.every_mask()[row]
            self.bias += torch.log(mask.double()) if mask.dtype == torch.bool else mask
        self.site, self.layout, self.scale = attention.site, attention.layout, attention.scale
        (own,) = attention.layout.cells_of(slice(row, row + 1))
        self.cells, self.cat = range(*own.indices(self.query.shape[1])), list(cat)

    def says(self):
        return (self.query @ self.key.mT * self.scale + self.bias).softmax(-1) @ self.value

    def within(self, part):
        """The cells of a part of whole blocks of pixels."""
        height, width = self.layout.grid
        ys, xs = (np.arange(n) * 8 // n for n in (height, width))
        meant = torch.zeros(self.query.shape[1], dtype=torch.bool)
        meant[self.cells.start : self.cells.stop] = torch.from_numpy(part[ys][:, xs].flatten())
        return meant

    # -- edits

    def silence(self, heads, part=None):
        cells = torch.ones(self.query.shape[1], dtype=torch.bool)
        cells = cells if part is None else self.within(part)
        for head in heads:
            for key in self.cat:
                self.bias[head, cells, key] = -torch.inf

    def shares(self, heads):
        for head in heads:
            self.value[head, self.cat] = 0

    def knock_out(self, heads, by):
        says = self.says()
        for head in heads:
            self.value[head] = 0 if by == "zero" else says[head, list(self.cells)].mean(0)

    def identity(self, heads):
        for head in heads:
            for cell in self.cells:
                others = [key for key in self.cells if key != cell]
                self.bias[head, cell, others] = -torch.inf

    def blur(self, heads, sigma):
        own = slice(self.cells.start, self.cells.stop)
        for head in heads:
            self.query[head, own] = blurred(self.query[head : head + 1, own], self.grid, sigma)[0]

    def replay(self, heads, tape):
        for head in heads:
            self.query[head] = 0
            self.bias[head] = tape.kept[1, 0, self.site.name][0, head].double().log()

    def local(self, part, key, value):
        cells, count, own = self.within(part), self.key.shape[1], len(key[0])
        alike = [self.cat[at::own] for at in range(own)]
        bias = torch.stack([self.bias[..., keys].amax(-1) for keys in alike], -1)
        bias[:, ~cells] = -torch.inf
        for each in self.cat:
            self.bias[:, cells, each] = -torch.inf
        self.bias = torch.cat([self.bias, bias], -1)
        self.key, self.value = torch.cat([self.key, key], 1), torch.cat([self.value, value], 1)
        self.cat += range(count, count + own)

    @property
    def grid(self):
        return self.layout.grid


class Model:
    """A small pipeline, what it says unedited, a tape of another prompt, and others' keys."""

    def __init__(self, kind):
        self.case = CASES[NAMES[kind]]
        self.pipe, self.tape = doubled(self.case.build()), Tape()
        self.made(self.tape, prompt=DOG)
        self.tape.kept = {
            place: shares.float() / shares.float().sum(-1, keepdim=True)
            for place, shares in self.tape.kept.items()
        }
        self.plain, self.others = self.made(), {}
        for source in (DOG, CAR):
            attention, _, cat = self.text(self.made(daamkit.Exchange("cat", source)))
            row = attention.branches["cond"].start
            own = attention.every_key()[row][:, cat], attention.every_value()[row][:, cat]
            self.others[source] = own

    def made(self, *edits, prompt=PROMPT):
        tap = Seen()
        with attach(self.pipe, *edits, tap):
            generate(self.case, self.pipe, prompt, num_inference_steps=1)
        return tap.first

    def text(self, first):
        return first.get("joint") or first["cross"]


@pytest.fixture(scope="module", params=["unet", "joint"])
def model(request):
    return Model(request.param)


ALL = range(4)
EDITS = {  # each, and what it does to the reference of a model
    "silence": (lambda m: daamkit.Silence("cat"), lambda m, r: r.silence(ALL)),
    "silence of a head": (
        lambda m: daamkit.Silence("cat", heads=[0]),
        lambda m, r: r.silence([0]),
    ),
    "silence above": (
        lambda m: daamkit.Silence("cat", where=TOP),
        lambda m, r: r.silence(ALL, TOP),
    ),
    "shares": (
        lambda m: daamkit.Silence("cat", renormalize=False),
        lambda m, r: r.shares(ALL),
    ),
    "shares of a head": (
        lambda m: daamkit.Silence("cat", renormalize=False, heads=[2]),
        lambda m, r: r.shares([2]),
    ),
    "zero": (lambda m: daamkit.KnockOut(heads=[1]), lambda m, r: r.knock_out([1], "zero")),
    "mean": (
        lambda m: daamkit.KnockOut(by="mean", heads=[1, 2]),
        lambda m, r: r.knock_out([1, 2], "mean"),
    ),
    "dog": (
        lambda m: LocalExchange("cat", DOG, where=LEFT),
        lambda m, r: r.local(LEFT, *m.others[DOG]),
    ),
    "car": (
        lambda m: LocalExchange("cat", CAR, where=TOP),
        lambda m, r: r.local(TOP, *m.others[CAR]),
    ),
    "replay": (
        lambda m: daamkit.Replay(m.tape, heads=[2, 3]),
        lambda m, r: r.replay([2, 3], m.tape),
    ),
    "zero self": (
        lambda m: daamkit.KnockOutSelf(heads=[0]),
        lambda m, r: r.knock_out([0], "zero"),
    ),
    "mean self": (
        lambda m: daamkit.KnockOutSelf(by="mean"),
        lambda m, r: r.knock_out(ALL, "mean"),
    ),
    "identity": (lambda m: daamkit.Identity(heads=[1, 2]), lambda m, r: r.identity([1, 2])),
    "blur": (lambda m: daamkit.Blur(0.8, heads=[0, 2]), lambda m, r: r.blur([0, 2], 0.8)),
    "blur of a head": (lambda m: daamkit.Blur(1.5, heads=[1]), lambda m, r: r.blur([1], 1.5)),
}
OF_CELLS = ("zero self", "mean self", "identity", "blur", "blur of a head")
PUT_IN = ("dog", "car")
VALUES = ("shares", "shares of a head", "zero", "mean", "zero self", "mean self")
REFUSED = {(first, second) for first in VALUES for second in PUT_IN} | {
    (first, "replay")
    for first in ("silence", "silence above", "dog", "car", "replay", "identity", "blur")
} | {("replay", "blur")}  # fmt: skip


@pytest.mark.parametrize("second", EDITS)
@pytest.mark.parametrize("first", EDITS)
def test_each_edit_starts_from_what_the_one_before_has_left(model, first, second):
    kinds = {name: name in OF_CELLS for name in (first, second)}
    joint = "joint" in model.plain
    if not joint and kinds[first] != kinds[second]:
        return  # they meet at no site
    edits = [EDITS[name][0](model) for name in (first, second)]
    if (first, second) in REFUSED:
        names = [type(each).__name__ for each in edits]
        told = f"{names[1]} before {names[0]} at|{names[0]} or {names[1]} at"
        with pytest.raises(DaamkitError, match=told):
            model.made(*edits)
        return
    attention, says, cat = model.made(*edits)[
        "joint" if joint else "self" if kinds[first] else "cross"
    ]
    reference = Reference(attention, cat)
    plain = reference.says()
    for name in (first, second):
        EDITS[name][1](model, reference)
    exact = {first, second}.isdisjoint({"replay", "blur", "blur of a head"})
    size = plain.abs().max().clamp(min=1)
    assert (says - reference.says()).abs().max() < (1e-9 if exact else 1e-5) * size
    assert (says - plain).abs().max() > 1e-3 * size


class Even(Edit):
    """All that it says is in its output."""

    def change(self, attention, output):
        return attention.value.mean(2, keepdim=True).expand_as(output)


def test_an_edit_that_exchanges_nothing_is_the_last(sd):
    def made(*edits):
        with daamkit.edit(sd, *edits):
            return tiny.generate(sd, PROMPT, steps=1)

    silence, told = daamkit.Silence("cat"), "Even as the last edit at .*Name Even last"
    with pytest.raises(DaamkitError, match=told):
        made(Even(), silence)
    with pytest.raises(DaamkitError, match=told), daamkit.edit(sd, Even(heads=[1])):
        made(Even(heads=[1, 2]))
    shares = daamkit.Silence("cat", renormalize=False)
    assert np.array_equal(made(Even()), made(silence, Even()))  # it asks what is of value alone
    assert not np.array_equal(made(Even()), made(shares, Even()))
    nothing = [daamkit.Silence([]), daamkit.Silence("cat", heads=[]), daamkit.KnockOut(steps=[1])]
    assert np.array_equal(made(Even()), made(Even(), *nothing))
    knocked = made(daamkit.KnockOut(heads=[1]))
    assert np.array_equal(knocked, made(Even(heads=[1]), daamkit.KnockOut(heads=[1])))
    own = [Even(heads=[1]), daamkit.Silence("cat", heads=[0])]
    apart = [made(*order) for order in (own, own[::-1])]
    assert np.allclose(*apart, atol=1e-6) and not np.allclose(apart[0], made(own[0]), atol=1e-6)


class Hide(Edit):
    """The first key is not seen."""

    reads = "image"

    def change(self, attention, output):
        hidden = torch.zeros(1, 1, 1, attention.key.shape[2], dtype=torch.bool)
        hidden[..., 0] = True
        attention.mask = part.without(attention.mask, hidden)
        return attention.fused()


class Doubled(Edit):
    """All keys stand there twice."""

    reads = "image"

    def change(self, attention, output):
        attention.key, attention.value = (
            each.repeat(1, 1, 2, 1) for each in (attention.key, attention.value)
        )
        return attention.fused()


def grouped(sd, masked):
    """Attention of four heads that share two of keys and values, in two batch rows."""
    site = next(site for site in families.find(sd.unet) if site.kind == "self")
    random = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(2, *shape, generator=random, dtype=torch.double)  # noqa: E731
    now = Pass(Call(None, {}), 0, 0, {"uncond": slice(0, 1), "cond": slice(1, 2)}, (3, 4))
    mask = draw(1, 1, 12) if masked else None
    return Attention(site, now, draw(4, 12, 8), draw(2, 12, 8), 0.5, mask, draw(2, 12, 8))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("first", ["knock", "blur", "hide", "identity"])
@pytest.mark.parametrize("second", ["knock", "blur", "hide", "identity"])
def test_heads_that_share_keys_and_values_are_changed_alone(sd, first, second, masked):
    attention = grouped(sd, masked)
    reference, plain = Reference(attention, [0]), Reference(attention, [0]).says()
    before = [each.clone() for each in (attention.query, attention.key, attention.value)]
    output = untouched = attention.fused()
    for name in (first, second):
        edit, act = {
            "knock": (
                daamkit.KnockOutSelf(by="mean", heads=[1]),
                lambda r: r.knock_out([1], "mean"),
            ),
            "blur": (daamkit.Blur(0.8, heads=[1, 2]), lambda r: r.blur([1, 2], 0.8)),
            "hide": (Hide(heads=[0, 2, 2]), lambda r: r.silence([0, 2])),
            "identity": (daamkit.Identity(heads=[3]), lambda r: r.identity([3])),
        }[name]
        edit.choose(sd)
        output = edit.edit(attention, output)
        act(reference)
    assert torch.equal(output[0], untouched[0])
    assert (output[1] - reference.says()).abs().max() < (
        1e-5 if "blur" in (first, second) else 1e-9
    )
    assert (output[1] - plain).abs().max() > 1e-3
    after = attention.query, attention.key, attention.value
    assert all(map(torch.equal, before, after))  # the model's own are nobody's


def test_more_keys_are_of_all_heads(sd):
    attention = grouped(sd, False)
    for heads in (None, [0]):
        edit = Doubled(heads=heads)
        edit.choose(sd)
        if heads is None:
            found, plain = edit.edit(attention, attention.fused()), attention.fused()
            assert torch.allclose(found, plain) and attention.part("cond").key.shape[2] == 24
            continue
        with pytest.raises(DaamkitError, match="as many keys at all heads"):
            edit.edit(attention, attention.fused())
