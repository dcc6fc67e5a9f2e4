"""What is kept, and that its size is known beforehand."""

import gc

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import daamkit
from daamkit.attention.families import find
from daamkit.attention.stores import MemoryBudgetError, Plan
from daamkit.errors import DaamkitError
from tests.tiny import generate


def traced(pipe, steps=3, call=None, **options):
    with daamkit.trace(pipe, **options) as tracer:
        generate(pipe, steps=steps, **(call or {}))
    return tracer.run


def test_every_reduction_is_a_sum_of_what_was_kept(sd):
    full = traced(sd, keep=("step", "site", "head"))
    for keep in [(), ("step",), ("site",), ("head",), ("site", "head"), ("step", "site")]:
        less = traced(sd, keep=keep)
        assert less.maps.keep == frozenset(keep)
        assert torch.allclose(less.maps.mass, full.maps.mass, atol=1e-6)
        assert torch.allclose(
            less.maps.pool("paper"), full.maps.pool("paper"), rtol=1e-4, atol=1e-4
        )
        for layer in less.maps.layers.values():
            parts = [full.maps.layers[site].values for site in layer.sites]  # (step, head, ...)
            total = torch.stack(parts).sum(0)
            if "step" not in keep:
                total = total.sum(0, keepdim=True)
            if "head" not in keep:
                total = total.sum(1, keepdim=True)
            assert torch.allclose(layer.values, total.reshape(layer.values.shape), atol=1e-5)


@pytest.mark.parametrize("keep", [(), ("site", "head"), ("step", "site", "head")])
@pytest.mark.parametrize("more", [{}, {"branches": ("cond", "uncond")}])
def test_a_trace_tells_its_bytes_beforehand(sd, keep, more):
    tracer = daamkit.trace(sd, keep=keep, self_attention=True, self_grid=16, **more)
    told = tracer.bytes("two dogs", height=64, width=32, steps=3, images=2)
    with tracer:
        generate(sd, "two dogs", steps=3, height=64, width=32, num_images_per_prompt=2)
    kept = [
        layer.values
        for run in tracer.runs
        for maps in (*run.branches.values(), *run.self_attention.values())
        for layer in maps.layers.values()
    ]
    same = "uncond" not in more.get("branches", ())  # an empty prompt has fewer tokens
    taken = sum(4 * values.numel() for values in kept)
    assert told == taken if same else told > taken


def test_over_the_budget_is_refused_before_the_first_step(sd):
    passes = []
    handle = sd.unet.conv_in.register_forward_hook(lambda *_: passes.append(1))
    try:
        with pytest.raises(MemoryBudgetError, match=r"at most 1,000 bytes.*got [\d,]+ bytes"):
            traced(sd, budget=1000)
    finally:
        handle.remove()
    assert passes == []


def test_spilled_maps_lie_in_files_as_long_as_they_are_needed(sd, tmp_path):
    sizes = []

    def look(pipe, step, time, tensors):
        sizes.append(sum(file.stat().st_size for file in tmp_path.rglob("*.f32")))
        return {}

    spilled = traced(sd, spill=tmp_path, call={"callback_on_step_end": look})
    assert sizes == 3 * [daamkit.trace(sd).bytes("a red cat and a blue car")]
    assert torch.equal(spilled.maps.pool(), traced(sd).maps.pool())
    del spilled
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_axis_is_refused(sd):
    with pytest.raises(DaamkitError, match=r"out of step, site, head.*got \['layer'\]"):
        daamkit.trace(sd, keep=("layer",))


def test_the_budget_is_for_all_that_is_kept(sd):
    options = {"branches": ("cond", "uncond"), "self_attention": True}
    needed = daamkit.trace(sd, **options).bytes("a red cat and a blue car", steps=3)
    with pytest.raises(MemoryBudgetError):
        traced(sd, **options, budget=needed // 2)
    traced(sd, **options, budget=needed)


def test_a_spill_folder_that_is_not_there(sd, tmp_path):
    with pytest.raises(DaamkitError, match="folder to spill to; got .*nowhere"):
        daamkit.trace(sd, spill=tmp_path / "nowhere")


@pytest.mark.parametrize("what", ["os.posix_fallocate", "tempfile.mkdtemp"])
def test_a_full_spill_folder_is_told(sd, tmp_path, monkeypatch, what):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(what, full)
    with pytest.raises(DaamkitError, match=r"[\d,]{5,} bytes of.*No space left.*`spill=`"):
        traced(sd, spill=tmp_path)


def test_bytes_wants_both_sides(sd):
    with pytest.raises(DaamkitError, match="both height and width"):
        daamkit.trace(sd).bytes("a cat", height=64)


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    keep=st.sets(st.sampled_from(["step", "site", "head"])),
)
def test_slots_hold_each_site_once(sd, height, width, keep):
    sites = find(sd.unet)
    slots = Plan.slots_of(sites, (height, width), frozenset(keep))
    assert sorted(name for slot in slots for name in slot.sites) == sorted(s.name for s in sites)
    assert len({slot.name for slot in slots}) == len(slots)
