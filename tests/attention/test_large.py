"""Sites whose whole maps are not held at once: what is asked for is computed in blocks."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import daamkit
from daamkit import compat
from daamkit.attention import columns, recomputed
from daamkit.attention.calls import Call, Pass
from daamkit.attention.columns import of_keys
from daamkit.attention.families.cross import PixArt
from daamkit.attention.freezing import frozen
from daamkit.attention.sites import Layout, Site, Span
from daamkit.attention.taps import Attention
from daamkit.guidance.aggregation import Aggregate, attend
from daamkit.guidance.denoising import Method
from daamkit.guidance.descent import leaf
from tests.families import every
from tests.families.checks import explicit
from tests.families.every import CASES, generate

pytestmark = pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning")
HEADS, CELLS, KEYS, TEXT = 4, 512, 128, range(10, 40)
WHOLE = HEADS * CELLS * KEYS


class Largest(TorchDispatchMode):
    """The most elements of a tensor that was made."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for each in made if isinstance(made, list | tuple) else [made]:
            if isinstance(each, torch.Tensor):
                self.elements = max(self.elements, each.numel())
        return made


@pytest.fixture
def few(monkeypatch):
    """A sixteenth of the maps below is held at once."""
    monkeypatch.setattr(columns, "AT_ONCE", WHOLE * 4 // 16)


def masks():
    random = torch.Generator().manual_seed(1)
    hidden = torch.rand(1, 1, 1, KEYS, generator=random) > 0.3
    return {
        "none": None,
        "added": torch.randn(1, HEADS, 1, KEYS, generator=random),
        "hidden": hidden,
    }


def site_at_work(mask: torch.Tensor | None, told: bool) -> Attention:
    """Attention whose queries and keys want gradients, with the kernel's log-sum-exp or without."""
    random = torch.Generator().manual_seed(0)
    query, key = (
        torch.randn(1, HEADS, count, 8, generator=random).requires_grad_()
        for count in (CELLS, KEYS)
    )
    site = Site("somewhere", "cross", "block", 0, HEADS, nn.Identity())
    now = Pass(Call(None, {}, PixArt()), 0, 0.0, {"cond": slice(0, 1)}, (16, 32))
    text = ((Span("text_encoder", TEXT.start, len(TEXT)),),)
    layout = Layout((16, 32), slice(0, CELLS), text)
    attention = Attention(site, now, query, key, 0.5, mask, key, layout)
    if told:
        output = compat.with_statistic(query, key, key, mask, 0.5)
        assert output is not None
        attention.statistic = output[1]
    return attention


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("kind", masks())
def test_columns_of_cells(kind, told, few):
    attention = site_at_work(masks()[kind], told)
    wanted = explicit(attention)[..., TEXT.start : TEXT.stop]
    with Largest() as made:
        parts = [*of_keys(attention, "cond", slice(TEXT.start, TEXT.stop))]
    assert columns.large(attention) and len(parts) > 1 and made.elements <= WHOLE // 8
    assert (torch.cat([part for _, part in parts], 2) - wanted).abs().max() < 1e-5


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("kind", masks())
def test_means_and_their_gradients(kind, told, few):
    """Neither the way there nor the way back makes a map of all keys; none is kept between."""
    attention, kept = site_at_work(masks()[kind], told), []
    given = attention.query, attention.key
    wanted = explicit(attention)[..., TEXT.start : TEXT.stop].mean(1)
    weights = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2))
    with (
        Largest() as made,
        torch.autograd.graph.saved_tensors_hooks(lambda own: kept.append(own) or own, lambda x: x),
    ):
        found = recomputed.text(attention, "cond")
        back = torch.autograd.grad((found * weights).sum(), given)
    assert made.elements <= WHOLE // 8 and sum(own.numel() for own in kept) < WHOLE // 2
    assert (found - wanted).abs().max() < 1e-5
    for own, other in zip(back, torch.autograd.grad((wanted * weights).sum(), given), strict=True):
        assert other.abs().max() > 1e-3 and (own - other).abs().max() < 1e-5


def test_a_mean_over_sites_of_other_numbers_of_heads(few):
    """Each head counts once, be its site's maps held or not."""
    large = site_at_work(None, told=True)
    site = Site("small", "cross", "block", 1, 1, nn.Identity())
    now, query, key = large.now, 2 * large.query[:, :1], large.key[:, :1, :8]
    now.sites = (large.site, site)
    large.layout = Layout((16, 32), slice(0, CELLS), ((Span("text_encoder", 0, 8),),))
    small = Attention(site, now, query, key, 0.5, None, None, large.layout)
    assert columns.large(large) and not columns.large(small)
    aggregate = Aggregate(now, attn_res=(16, 32))
    for attention in (large, small):
        aggregate.observe(attention)
    each = [explicit(large)[0, ..., :8], explicit(small)[0, ..., :8]]
    wanted = torch.cat(each).mean(0).unflatten(0, (16, 32))
    assert (aggregate.mean() - wanted).abs().max() < 1e-6


@pytest.fixture
def never_whole(monkeypatch):
    """All sites are large, and no softmax over all keys is computed."""

    def whole(*given):
        raise AssertionError("a softmax over all keys")

    monkeypatch.setattr(columns, "AT_ONCE", 2000)
    monkeypatch.setattr(Attention, "_float_softmax", whole)


@pytest.mark.parametrize("name", CASES)
def test_a_trace_computes_the_texts_columns_alone(name, request):
    """Of images of several prompts: masks, cells that begin elsewhere in each row, encoders one
    after the other, two denoisers."""
    case, found = CASES[name], []
    pipe, options = case.build(), case.guided
    for fixture in (None, "never_whole"):
        if fixture is not None:
            request.getfixturevalue(fixture)
        with daamkit.trace(pipe, branches=case.branches) as tracer:
            picture = generate(case, pipe, every.TWO, range(2), **options)
        found.append((picture, tracer.runs))
    (plain, kept), (same, runs) = found
    assert torch.equal(plain, same)
    for run, other in zip(runs, kept, strict=True):
        for branch in case.branches:
            layers = run.branch(branch).layers
            for own, layer in other.branch(branch).layers.items():
                assert (layers[own].values - layer.values).abs().max() < 1e-5


class Gradient(Method):
    """The gradient of an extra pass's maps, weighed at random, in the first step."""

    gradient = True

    def __init__(self) -> None:
        self.found: list[tuple[torch.Tensor, torch.Tensor]] = []

    def before(self, now):
        if now.step:
            return
        with frozen(now.denoiser), torch.enable_grad():
            latents = leaf(now.noisy[:1])
            maps = attend(now, latents, 0, attn_res=now.grid)
            weights = torch.randn(maps.shape, generator=torch.manual_seed(0))
            (own,) = torch.autograd.grad((maps * weights).sum(), latents)
            self.found.append((maps.detach(), own))


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("name", ["sd", "pixart", "wan"])
def test_guidance_by_text_alone(name, told, request, monkeypatch):
    case, kept = CASES[name], Gradient()
    pipe = case.build()
    for fixture in (None, "never_whole"):
        if fixture is not None:
            request.getfixturevalue(fixture)
        if fixture is not None and not told:
            monkeypatch.setattr(compat, "with_statistic", lambda *given: None)
        with daamkit.guide(pipe, kept):
            generate(case, pipe)
    (maps, whole), (same, own) = kept.found
    assert (maps - same).abs().max() < 1e-5
    assert (own - whole).norm() < 1e-3 * whole.norm() and whole.norm() > 0
