"""What a tap sees is the softmax that the model uses, row by named row."""

import numpy as np
import pytest
import torch
from torch import nn

import daamkit
from daamkit.attention import hooks
from daamkit.attention.calls import Call, Pass
from daamkit.attention.families import find
from daamkit.attention.sites import Layout, Site
from daamkit.attention.taps import Attention, Tap
from tests.tiny import generate


class Keeping(Tap):
    """Keeps all probabilities of the first pass, and the inputs of each site's projections."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, torch.Tensor]] = {}
        self.sites = {}

    def observe(self, attention: Attention) -> None:
        if attention.now.index == 0:
            self.sites[attention.site.name] = attention.site
            self.seen[attention.site.name] = {
                branch: attention.probabilities(branch) for branch in attention.now.branches
            }


def explicit(site, inputs: torch.Tensor, text: torch.Tensor | None) -> torch.Tensor:
    """softmax(Q K^T / sqrt(d)) from a site's weights, in float32."""
    module = site.module
    text = inputs if text is None else text
    heads = lambda x: x.unflatten(-1, (site.heads, -1)).transpose(1, 2)  # noqa: E731
    query, key = heads(module.to_q(inputs)), heads(module.to_k(text))
    return (query @ key.transpose(-1, -2) * module.scale).softmax(-1)


@pytest.mark.parametrize("name", ["sd", "sdxl", "toybox"])
def test_equal_to_an_explicit_softmax(request, name):
    pipe = request.getfixturevalue(name)
    inputs: dict[str, tuple] = {}
    handles = []
    for site in find(pipe.unet):

        def note(module: nn.Module, args, kwargs, site=site):
            inputs.setdefault(site.name, (args[0], kwargs.get("encoder_hidden_states")))

        handles.append(site.module.register_forward_pre_hook(note, with_kwargs=True))
    tap = Keeping()
    with hooks.attach(pipe, tap), torch.no_grad():
        generate(pipe, prompt=["a cat", "two dogs and a car"], steps=1)
        for handle in handles:
            handle.remove()
        assert tap.seen.keys() == inputs.keys()
        for name, branches in tap.seen.items():
            both = explicit(tap.sites[name], *inputs[name])
            for branch, rows in (("uncond", slice(0, 2)), ("cond", slice(2, 4))):
                assert (branches[branch] - both[rows]).abs().max() < 1e-5
                assert torch.allclose(branches[branch].sum(-1), torch.ones(()), atol=1e-5)


def test_blocks_are_the_whole(sd):
    class Blocks(Tap):
        checked = 0

        def observe(self, attention):
            whole = attention.probabilities("cond")
            parts = [part for _, part in attention.blocks("cond", bytes_at_once=20_000)]
            assert len(parts) > 1 or whole.numel() * 4 <= 20_000
            assert torch.allclose(torch.cat(parts, 2), whole, atol=1e-7)
            self.checked += 1

    tap = Blocks()
    with hooks.attach(sd, tap):
        generate(sd, steps=1)
    assert tap.checked == len(find(sd.unet))


def site_and_pass(rows: slice) -> tuple[Site, Pass]:
    site = Site("somewhere", "cross", "up", 0, 4, nn.Identity())
    return site, Pass(Call(None, {}), 0, 0.0, {"cond": rows}, (3, 3))


def test_masks_and_grouped_keys_and_own_scales():
    """What other processors hand to the same kernel."""
    torch.manual_seed(0)
    query, key = torch.randn(2, 4, 9, 8), torch.randn(2, 2, 5, 8)
    value = torch.eye(5).expand(2, 2, 5, 5)
    boolean = torch.rand(2, 1, 1, 5) > 0.4
    boolean[..., 0] = True
    for mask in (None, boolean, torch.randn(2, 4, 9, 5)):
        seen = Attention(*site_and_pass(slice(1, 2)), query, key, 0.7, mask).probabilities("cond")
        fused = nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, scale=0.7, enable_gqa=True
        )
        assert torch.allclose(seen, fused[1:2], atol=1e-6)


def test_with_gradient_reaches_the_queries():
    query = torch.randn(1, 2, 9, 8, requires_grad=True)
    attention = Attention(*site_and_pass(slice(0, 1)), query, torch.randn(1, 2, 5, 8), 1.0)
    assert not attention.probabilities("cond").requires_grad
    attention.probabilities("cond", gradient=True)[..., 1].max().backward()
    assert query.grad is not None and query.grad.abs().sum() > 0


def test_autocast_does_not_reach_them():
    torch.manual_seed(0)
    query, key = torch.randn(1, 2, 9, 8), torch.randn(1, 2, 5, 8)
    plain = Attention(*site_and_pass(slice(0, 1)), query, key, 1.0).probabilities("cond")
    with torch.autocast("cpu", torch.bfloat16):
        under = Attention(*site_and_pass(slice(0, 1)), query, key, 1.0).probabilities("cond")
    assert torch.equal(plain, under)


def test_half_precision_is_summed_in_float32(sd):
    seen = []

    class Types(Tap):
        def observe(self, attention):
            seen.append(attention.probabilities("cond").dtype)

    import copy

    pipe = copy.deepcopy(sd).to(torch.bfloat16)
    with hooks.attach(pipe, Types()), daamkit.trace(pipe) as tracer:
        generate(pipe)
    assert set(seen) == {torch.float32}
    assert all(layer.values.dtype == torch.float32 for layer in tracer.run.maps.layers.values())
    assert tracer.run.maps.mass.sum() == pytest.approx(1, abs=1e-5)


def test_defaults_of_torch_that_a_script_has_set_do_not_matter(sd):
    """Sums are float32 on the model's device whatever torch's defaults are when they are made."""
    with daamkit.trace(sd) as plain:
        generate(sd, prompt="a red cat")
    torch.set_default_dtype(torch.bfloat16)
    try:
        with daamkit.trace(sd) as tracer:
            generate(sd, prompt="a red cat")
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.device("meta"):  # as `torch.set_default_device` has it; undone by every torch
        maps = tracer.run.maps
        pooled, mass = maps.word("cat").values, maps.mass
        paper = maps.word("cat", rule="paper").mask()
        assert tracer.run.table()["word"].tolist() == ["a", "red", "cat"]
        assert tracer.run.relations()["iou"].between(0, 1).all()
        assert set(np.unique(maps.argmax(["red", "cat"]))) == {0, 1}
        assert maps.word("cat").iou(maps.word("cat"), 0.4) == 1
    assert {layer.values.dtype for layer in maps.layers.values()} == {torch.float32}
    assert mass.sum() == pytest.approx(1, abs=1e-5) and paper.any()
    expected = plain.run.maps.word("cat").values
    assert (pooled - expected).abs().max() < 1e-2 * expected.max()


def test_cells_that_begin_elsewhere_in_each_row():
    """Texts of several lengths stand before the image in one batch."""
    torch.manual_seed(0)
    query, key = torch.randn(3, 2, 9, 8), torch.randn(3, 2, 9, 8)
    layout = Layout((2, 2), (slice(1, 5), slice(5, 9), slice(0, 4)))
    place, step = site_and_pass(slice(0, 2))
    step.branches["negative"] = slice(2, 3)
    seen = Attention(place, step, query, key, 0.5, layout=layout)
    whole = (query * 0.5 @ key.transpose(-1, -2)).softmax(-1)
    wanted = torch.stack([whole[0, :, 1:5], whole[1, :, 5:9]])
    assert torch.allclose(seen.cells("cond"), wanted, atol=1e-6)
    assert torch.allclose(seen.cells("negative"), whole[2:, :, :4], atol=1e-6)
    assert torch.allclose(seen.part("cond").cells("cond"), wanted, atol=1e-6)
    parts = list(seen.blocks("cond", bytes_at_once=200))
    assert [block for block, _ in parts] == [slice(i, i + 1) for i in range(4)]
    assert torch.allclose(torch.cat([part for _, part in parts], 2), wanted, atol=1e-6)
