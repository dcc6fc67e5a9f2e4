"""What each edit does on each family's small pipeline, beside an explicit softmax.

All of it in float64, so that what an edit does is told from rounding.
"""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

import daamkit
from daamkit.attention import families
from daamkit.attention.hooks import attach
from daamkit.attention.sites import places
from daamkit.attention.taps import Tap
from daamkit.errors import DaamkitError
from tests.families import every
from tests.families.checks import explicit
from tests.families.every import CASES, generate

pytestmark = [
    pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The config attributes:UserWarning"),
]
PROMPT, SOURCE = "a red cat beside the blue car", "a red dog beside the blue car"
LINEAR = ("sana",)  # cells look at each other without a softmax
REGISTERS = {"auraflow": 8}  # keys of the model's own before the text's
APART = {"hunyuandit": "lie apart", "zimage": "none of tensors", "hidream": "lie apart"}
SIGMA = 0.8


def doubled(pipe):
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.double()
    return pipe


@pytest.fixture(scope="module", params=CASES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def pipe(name):
    return doubled(CASES[name].build())


class Outputs(Tap):
    """What each site had and said in the first pass of the prompt, after all edits."""

    def __init__(self):
        self.seen = {}

    def wants(self, site):
        return site.kind != "text"

    def edit(self, attention, output):
        if "cond" in attention.branches:
            self.seen.setdefault(attention.site.name, (attention, output.clone()))
        return output


def made(name, pipe, *taps, prompt=PROMPT, **options):
    """Latents of one prompt under guidance."""
    case = CASES[name]
    call = {key: v[0] if isinstance(v, list) else v for key, v in case.guided.items()}
    with attach(pipe, *taps):
        return generate(case, pipe, prompt, **call, **options)


def borne(name, pipe, edit):
    """Whether a family bears an edit; if it does not, it says so."""
    why = APART.get(name) if isinstance(edit, daamkit.Exchange) else None
    if name in LINEAR and edit.reads == "image":
        why = "without a softmax that could be changed"
    if why:
        with pytest.raises(DaamkitError, match=why):
            made(name, pipe, edit)
    return not why


def said(name, pipe, edit):
    """Of each site that the edit means: attention as the model had it, the prompt's rows of its
    softmax and values, and what these rows say. All else says what it would without."""
    tap = Outputs()
    made(name, pipe, edit, tap, num_inference_steps=1)
    assert tap.seen
    for attention, output in tap.seen.values():
        rows, site = attention.branches["cond"], attention.site
        shares, value = explicit(attention), attention.every_value()
        rest = torch.ones(len(output), dtype=torch.bool)
        if site.reads_text if edit.reads == "text" else site.reads_image:
            rest[rows] = False
            yield attention, shares[rows], value[rows], output[rows]
        close(output[rest], (explicit(attention) @ value)[rest])


def close(output, wanted, tolerance=1e-9):
    """Within so much of the largest, at least 1; NaN is of a place that sees nothing."""
    seeing = wanted.isfinite().all(-1)
    size = max([1.0, *wanted[seeing].abs().flatten().tolist()])
    assert float((output - wanted)[seeing].abs().sum(-1).max() if seeing.any() else 0) < (
        tolerance * size
    )


@pytest.mark.parametrize(
    "edit",
    [
        daamkit.Silence([]),
        daamkit.Silence("cat", steps=[]),
        daamkit.Silence("cat", heads=[]),
        daamkit.Exchange([], SOURCE),
        daamkit.KnockOut(heads=[]),
        daamkit.KnockOutSelf(steps=[9]),
        daamkit.Identity(heads=[]),
        daamkit.Blur(2.0, steps=[]),
    ],
    ids=lambda edit: f"{type(edit).__name__}-{edit.steps}-{edit.heads}",
)
def test_what_asks_for_nothing_changes_no_bit(name, pipe, edit):
    if borne(name, pipe, edit):
        assert torch.equal(made(name, pipe, edit), made(name, pipe))


@pytest.fixture(scope="module")
def moved(name):
    """Which of the text's places, among keys, move with the word, where encoders mix none."""
    deaf, seen = every.deaf(doubled(CASES[name].build())), []
    for prompt in (PROMPT, SOURCE):
        tap = Outputs()
        made(name, deaf, tap, prompt=prompt, num_inference_steps=1)
        seen.append(next(own for own, _ in tap.seen.values() if own.site.reads_text))
    row = seen[0].branches["cond"].start
    differ = (seen[0].key[row] != seen[1].key[row]).any(0).any(-1)
    text = places(seen[0].layout.text[row])
    found = [at for at, key in enumerate(text) if differ[key]]
    assert 0 < len(found) == differ.sum() < len(text)
    return found


@pytest.mark.parametrize("renormalize", [True, False])
def test_silence_is_the_attention_without_the_words_columns(name, pipe, moved, renormalize):
    edit = daamkit.Silence("cat", renormalize=renormalize)
    for attention, shares, value, output in said(name, pipe, edit):
        text = places(attention.layout.text[attention.branches["cond"].start])
        shares[..., [text[at] for at in moved]] = 0
        if renormalize:
            shares = shares / shares.sum(-1, keepdim=True)
        close(output, shares @ value)


def test_exchange_is_the_call_with_these_embeddings(name, pipe, moved, monkeypatch):
    edit, kept = daamkit.Exchange("cat", SOURCE), made(name, pipe)
    if not borne(name, pipe, edit):
        return
    found, encode = made(name, pipe, edit), pipe.encode_prompt

    def encoded(*args, **kwargs):
        own, other = encode(*args, **kwargs), encode(*swapped(args), **swapped(kwargs))
        embeds, at = own[0].clone(), [place - REGISTERS.get(name, 0) for place in moved]
        embeds[:, at] = other[0][:, at]
        return (embeds, *own[1:])

    monkeypatch.setattr(pipe, "encode_prompt", encoded)
    assert torch.equal(found, made(name, pipe)) and not torch.equal(found, kept)


def swapped(given):
    """The same arguments with the other prompt; a negative one stays."""
    if isinstance(given, dict):
        return {key: swapped(value) for key, value in given.items()}
    if isinstance(given, list | tuple):
        return type(given)(map(swapped, given))
    return SOURCE if isinstance(given, str) and given == PROMPT else given


@pytest.mark.parametrize("kind", [daamkit.KnockOut, daamkit.KnockOutSelf])
@pytest.mark.parametrize("by", ["zero", "mean"])
def test_heads_that_are_knocked_out_say_nothing_or_their_mean(name, pipe, kind, by):
    edit = kind(by=by, heads=[0])
    each = said(name, pipe, edit) if borne(name, pipe, edit) else ()
    for attention, shares, value, output in each:
        whole = shares @ value
        assert (output[:, 0] != whole[:, 0])[whole[:, 0].isfinite()].any()
        (cells,) = attention.layout.cells_of(slice(0, 1))
        heard = whole[:, 0, cells].nan_to_num(0).mean(1, keepdim=True)
        whole[:, 0] = heard if by == "mean" else 0
        close(output, whole)


def test_blind_cells_see_themselves_and_text(name, pipe):
    edit = daamkit.Identity()
    for attention, shares, value, output in (
        said(name, pipe, edit) if borne(name, pipe, edit) else ()
    ):
        if attention.site.kind == "self":
            assert torch.equal(output, value)
            continue
        cells = attention.layout.cells_of(slice(0, 1))[0]
        among = shares[:, :, cells, cells]
        among.copy_(among.diagonal(0, -2, -1).diag_embed())
        close(output, shares / shares.sum(-1, keepdim=True) @ value)


def test_blurred_queries_attend(name, pipe):
    """In float32, as the edit has it."""
    edit = daamkit.Blur(SIGMA)
    for attention, _, value, output in said(name, pipe, edit) if borne(name, pipe, edit) else ():
        rows = attention.branches["cond"]
        cells, query = attention.layout.cells_of(slice(0, 1))[0], attention.query
        attention.query = query.clone()
        attention.query[rows, :, cells] = blurred(query[rows, :, cells], attention.layout.grid[-2:])
        close(output, explicit(attention)[rows] @ value, 1e-5)
        attention.query = query


def blurred(query, grid, sigma=SIGMA):
    """Of cells in rows, frame by frame, by SciPy."""
    image = query.mT.reshape(-1, *grid).numpy()
    for axis, side in enumerate(grid, 1):
        reach = min(math.ceil(6 * sigma) // 2, side // 2)
        weights = [math.exp(-((at / sigma) ** 2) / 2) for at in range(-reach, reach + 1)]
        weights = [each / sum(weights) for each in weights]
        image = ndimage.correlate1d(image, weights, axis, mode="mirror")
    return torch.from_numpy(image).reshape(query.mT.shape).mT


@pytest.mark.parametrize("edit", [daamkit.Identity(), daamkit.Blur(SIGMA)])
def test_each_row_has_cells_at_its_own_places(edit):
    """Of Lumina 2, where they follow each prompt's text."""
    several = 0
    for attention, output in in_rows(edit):
        rows, query = attention.branches["cond"], attention.query.clone()
        cells, value = attention.layout.cells_of(rows), attention.every_value()
        several += cells[0] != cells[1]
        for row, own in zip(range(rows.start, rows.stop), cells, strict=True):
            if isinstance(edit, daamkit.Blur):
                whole = query[row : row + 1, :, own]
                attention.query[row : row + 1, :, own] = blurred(whole, attention.layout.grid)
            shares = explicit(attention)[row]
            attention.query = query.clone()
            if isinstance(edit, daamkit.Identity):
                among = shares[:, own, own]
                among.copy_(among.diagonal(0, -2, -1).diag_embed())
                shares = shares / shares.sum(-1, keepdim=True)
            close(output[row], shares @ value[row], 1e-5)
    assert several


def test_a_part_of_the_picture_has_cells_at_each_rows_places():
    words, where = [["cat"], ["dog"]], np.eye(2, 3) > 0
    plain, whole, here = (
        next(each for each in in_rows(edit) if each[0].site.reads_text)
        for edit in (
            daamkit.Silence([]), daamkit.Silence(words), daamkit.Silence(words, where=where)
        )
    )  # fmt: skip
    rows = here[0].branches["cond"]
    one, other = (range(99)[each] for each in here[0].layout.cells_of(rows))
    assert one != other and len(one) == len(other) == where.size
    for row, own in zip(range(rows.start, rows.stop), (one, other), strict=True):
        chosen = torch.zeros(here[1].shape[2], dtype=torch.bool)
        chosen[[*own]] = torch.from_numpy(where.flatten())
        close(here[1][row][:, chosen], whole[1][row][:, chosen])
        close(here[1][row][:, ~chosen], plain[1][row][:, ~chosen])
        assert (plain[1][row] - whole[1][row])[:, chosen].abs().max() > 1e-4


def in_rows(edit):
    """Of each site, for two prompts in a pass."""
    pipe, tap = doubled(CASES["lumina2"].build()), Outputs()
    with attach(pipe, edit, tap):
        generate(CASES["lumina2"], pipe, [PROMPT, "a dog"], num_inference_steps=1)
    return [each for each in tap.seen.values() if each[0].site.reads_image]


def test_what_a_model_has_not_got(name, pipe):
    sites = [site for own in families.sites(pipe).values() for site in own if site.reads_text]
    for edit, told in (
        (daamkit.KnockOut(heads=[max(site.heads for site in sites)]), "heads from 0 to"),
        (daamkit.KnockOut(layers="nowhere"), "in 'nowhere'"),
        (daamkit.Silence("cat", branch="image"), "the branch 'image'"),
        (daamkit.Silence("fox"), "'fox'"),
    ):
        with pytest.raises(DaamkitError, match=told):
            made(name, pipe, edit, num_inference_steps=1)
