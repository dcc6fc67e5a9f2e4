"""What other libraries do not promise is still there: when a release takes it away, one of these
tests says what, and `daamkit/compat.py` is the place to mend."""

import ast
import gc
import weakref
from pathlib import Path

import diffusers
import pytest
import torch
from diffusers.hooks import PyramidAttentionBroadcastConfig, apply_pyramid_attention_broadcast
from diffusers.models.attention_dispatch import AttentionBackendName, attention_backend
from diffusers.models.transformers.transformer_flux import FluxAttnProcessor
from torch import nn

from daamkit import compat
from daamkit.language import taxonomy
from tests import tiny

ROOT = Path(compat.__file__).parent


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # torch's own
def test_torch_marks_a_compiled_module() -> None:
    wrapped = torch.compile(nn.Linear(2, 2), backend="eager")
    assert isinstance(wrapped._orig_mod, nn.Linear) and compat.is_compiled(wrapped)
    assert compat.uncompiled(wrapped) is wrapped._orig_mod
    for backend in ("eager", "inductor", str):
        wrapped = torch.compile(nn.Linear(2, 2), backend=backend)
        assert compat.compiler(wrapped) == getattr(backend, "__name__", backend)
    inside = nn.Linear(2, 2)
    assert compat.compiler(inside) == ""
    assert not compat.is_compiled(inside) and compat.uncompiled(inside) is inside
    inside.compile(backend="eager")
    assert inside._compiled_call_impl is not None and compat.is_compiled(inside)


def test_torch_moves_many_tensors_at_once() -> None:
    own, other = [torch.zeros(2), torch.ones(3)], [torch.ones(2), 3 * torch.ones(3)]
    compat.lerp(own, other, 0.25)
    assert own[0].tolist() == [0.25] * 2 and own[1].tolist() == [1.5] * 3


def test_torch_keeps_hooks_where_they_can_be_taken_off() -> None:
    module, ran = nn.Linear(2, 2), []
    module.register_forward_hook(lambda *_: ran.append(1))
    module(torch.zeros(2))
    compat.clear_hooks(module)
    module(torch.zeros(2))
    assert ran == [1]


def test_torch_tells_saved_buffers_from_others_and_counts_writes() -> None:
    module = nn.BatchNorm1d(2)
    module.register_buffer("fleeting", torch.zeros(1), persistent=False)
    saved = dict(compat.saved_tensors(module))
    assert saved.keys() == module.state_dict().keys()
    before = compat.writes(saved["weight"])
    with torch.no_grad():
        saved["weight"].mul_(2)
    assert compat.writes(saved["weight"]) == before + 1
    with torch.inference_mode():
        assert compat.writes(torch.zeros(1)) is None


def test_accelerate_hangs_its_hook_on_the_module() -> None:
    hooks = pytest.importorskip("accelerate.hooks")
    module, hook = nn.Linear(2, 2), hooks.ModelHook()
    assert compat.offloading(module) is None
    hooks.add_hook_to_module(module, hook)
    assert compat.offloading(module) is hook


def test_diffusers_hooks_are_found_and_tell_whether_they_remember() -> None:
    unet = tiny.unet()
    assert compat.model_hooks(unet) == {}
    unet.enable_layerwise_casting(storage_dtype=torch.bfloat16, compute_dtype=torch.float32)
    casting = compat.model_hooks(unet)["layerwise_casting"]
    assert not compat.remembers(casting)
    apply_pyramid_attention_broadcast(
        unet,
        PyramidAttentionBroadcastConfig(
            spatial_attention_block_skip_range=2, current_timestep_callback=lambda: 500
        ),
    )
    assert compat.remembers(compat.model_hooks(unet)["pyramid_attention_broadcast"])


@pytest.mark.parametrize("make", [tiny.sd, tiny.sdxl])
def test_diffusers_pipelines_know_the_number_of_their_steps(make) -> None:
    pipe, seen = make(), []

    def note(pipe, step, time, kept):
        seen.append(compat.planned_passes(pipe))
        return kept

    assert compat.planned_passes(pipe) is None
    tiny.generate(pipe, steps=3, callback_on_step_end=note)
    assert seen == [3] * 3 and compat.planned_passes(object()) is None


def test_diffusers_pipelines_end_where_they_are_interrupted() -> None:
    pipe, steps = tiny.sd(), []

    def stop(pipe, step, timestep, tensors):
        steps.append(step)
        compat.interrupt(pipe)
        return tensors

    tiny.generate(pipe, "a cat", steps=3, callback_on_step_end=stop)
    assert pipe.interrupt and steps == [0]


def test_diffusers_and_transformers_note_where_a_part_was_loaded_from(tmp_path) -> None:
    part = tiny.autoencoder()
    assert compat.source(part.config) == "" and compat.source(None) == ""
    part.save_pretrained(tmp_path / "vae")
    assert compat.source(type(part).from_pretrained(tmp_path / "vae").config) == str(
        tmp_path / "vae"
    )


def test_torch_hooks_are_taken_off_by_what_they_call_and_not_copied() -> None:
    module, told = torch.nn.Identity(), []

    def before(module, args, kwargs):
        told.append("before")

    def after(module, args, kwargs, output):
        told.append("after")

    names = [name for name in vars(module) if "forward" in name and "hook" in name]
    fresh = {name: dict(getattr(module, name)) for name in names}
    module.register_forward_pre_hook(before, with_kwargs=True)
    module.register_forward_hook(after, with_kwargs=True, always_call=True)
    state = compat.state_without(module, [before, after])
    assert {name: dict(state[name]) for name in names} == fresh
    module(torch.ones(1))
    compat.drop_hooks(module, [after])
    module(torch.ones(1))
    assert told == ["before", "after", "before"]
    compat.drop_hooks(module, [before])
    assert {name: dict(getattr(module, name)) for name in names} == fresh


@pytest.mark.parametrize(
    ("name", "solver"),
    [
        ("DPMSolverMultistepScheduler", True), ("DEISMultistepScheduler", True),
        ("UniPCMultistepScheduler", True), ("EulerDiscreteScheduler", False),
        ("HeunDiscreteScheduler", False), ("DDIMScheduler", False),
    ],
)  # fmt: skip
def test_diffusers_solvers_are_told_from_other_schedulers(name, solver) -> None:
    assert compat.is_solver(getattr(diffusers, name)()) == solver


def test_nltk_gives_all_forms_of_a_word() -> None:
    assert compat.base_forms(taxonomy.wordnet(), "windows", "n") == ["windows", "window"]


def test_ipywidgets_lets_a_widget_go_with_its_last_name() -> None:
    from ipywidgets import IntSlider
    from ipywidgets.widgets import widget as registry

    held, free = IntSlider(), IntSlider()
    compat.let_go(free)
    name, alive = free.model_id, (weakref.ref(held), weakref.ref(free))
    assert registry._instances[name].value == free.value  # still found by its name
    free.comm.handle_msg({"content": {"data": {"method": "update", "state": {"value": 7}}}})
    assert free.value == 7  # still heard
    comm = free.comm
    del held, free
    gc.collect()
    assert alive[0]() is not None and alive[1]() is None  # ipywidgets holds what is not let go
    assert name not in registry._instances
    comm.handle_msg({"content": {"data": {"method": "update", "state": {"value": 8}}}})


def test_each_of_these_is_tried_here() -> None:
    tree = ast.parse(Path(compat.__file__).read_text())
    names = [each.name for each in tree.body if isinstance(each, ast.FunctionDef)]
    tried, public = Path(__file__).read_text(), [n for n in names if not n.startswith("_")]
    assert len(public) > 15 and [n for n in public if f"compat.{n}(" not in tried] == []


def test_no_other_file_touches_what_begins_with_an_underscore() -> None:
    found = []
    for path in ROOT.rglob("*.py"):
        if path.name == "compat.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Attribute(value=ast.Name(id="self" | "cls" | "other")):  # of one kind
                    continue
                case ast.Attribute(attr=name):
                    pass
                case ast.Call(
                    func=ast.Name(id="getattr" | "hasattr"), args=[_, ast.Constant(name), *_]
                ):
                    pass
                case _:
                    continue
            if name.startswith("_") and not name.startswith("__"):
                found.append(f"{path.relative_to(ROOT)}: {name}")
    assert found == ["views/widget.py: _repr_mimebundle_"]  # IPython's protocol, of the super class


@pytest.mark.parametrize("mask", [None, "added", "hidden keys", "hidden places"])
def test_torch_tells_the_log_sum_exp_beside_the_very_same_output(mask) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 40, 8) for _ in range(3))
    seen = (torch.arange(40) < 30).expand(2, 1, 1, 40)
    given = {
        None: None,
        "added": torch.ones(2, 1, 40, 40),
        "hidden keys": seen,
        "hidden places": seen & seen.mT,  # which see nothing themselves
    }[mask]
    output, statistic = compat.with_statistic(query, key, value, given, 0.5)
    own = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=given, scale=0.5)
    assert torch.equal(output, own)
    scores = query @ key.transpose(-1, -2) * 0.5
    if given is not None:
        scores = scores + given if mask == "added" else scores.masked_fill(~given, -torch.inf)
    wanted = scores.logsumexp(-1)
    assert torch.allclose(statistic, wanted.masked_fill(wanted.isneginf(), 0.0), atol=1e-5)


def test_torch_tells_no_log_sum_exp_where_it_takes_another_way() -> None:
    query, key, value = (torch.randn(1, 2, 5, 8) for _ in range(3))
    learning, told = compat.with_statistic(query.clone().requires_grad_(), key, value)
    assert learning.requires_grad and not told.requires_grad
    with torch.autocast("cpu"), torch.no_grad():
        assert compat.with_statistic(query, key, value) is None
    with (
        torch.no_grad(),
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
    ):
        assert compat.with_statistic(query, key, value) is None


def test_diffusers_processors_keep_their_backend_or_the_process_does() -> None:
    processor = FluxAttnProcessor()
    processor._attention_backend = AttentionBackendName.SAGE
    with attention_backend("flex"):
        assert compat.attention_backend(processor) == ("sage", False)
        processor._attention_backend = None
        assert compat.attention_backend(processor) == ("flex", True)
    assert compat.attention_backend(object()) is None


def test_diffusers_names_what_it_keeps_in_float32() -> None:
    kept = diffusers.WanTransformer3DModel._keep_in_fp32_modules
    with compat.in_one_precision(diffusers.WanTransformer3DModel):
        assert diffusers.WanTransformer3DModel._keep_in_fp32_modules is None
    assert kept and diffusers.WanTransformer3DModel._keep_in_fp32_modules == kept
