"""The checks of this folder's neighbours on real weights, for whoever has them.

    DAAMKIT_HUB=1 pytest tests/hub                       # Stable Diffusion 1.5: 4 GB from the Hub
    DAAMKIT_HUB=ID_OR_FOLDER pytest tests/hub            # another model with a UNet
    DAAMKIT_SEGMENTER=CIDAS/clipseg-rd64-refined ...     # also hold the map against a mask

A GPU is used where there is one. diffusers' Attend-and-Excite wants some 8 GB beside the model.
"""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from torch.nn import functional as F

import daamkit
from tests.parity.test_attend_and_excite import Case, difference
from tests.parity.test_self_attention_guidance import check

ASKED = os.environ.get("DAAMKIT_HUB", "")
MODEL = "stable-diffusion-v1-5/stable-diffusion-v1-5" if ASKED == "1" else ASKED
SEGMENTER = os.environ.get("DAAMKIT_SEGMENTER", "")
CUDA = torch.cuda.is_available()
DTYPES = [torch.float32, torch.float16] if CUDA else [torch.float32]
PROMPT, STEPS = "a red cat next to a blue car", 8
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_first_map.ipynb"
TOLERANCE = 2e-5

pytestmark = [
    pytest.mark.skipif(not MODEL, reason="wants real weights: DAAMKIT_HUB=1 pytest tests/hub"),
    pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning"),  # diffusers' A&E pipeline
]


def opened(dtype: torch.dtype):
    pipe = daamkit.load(MODEL, dtype=dtype).to("cuda" if CUDA else "cpu")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe, **options):
    generator = torch.Generator().manual_seed(0)
    return pipe(PROMPT, num_inference_steps=STEPS, generator=generator, **options).images[0]


@pytest.fixture(scope="module")
def pipe():
    return opened(torch.float32)


@pytest.fixture(scope="module")
def run(pipe):
    with daamkit.trace(pipe) as tracer:
        draw(pipe)
    return tracer.run


@pytest.fixture
def ordinary(pipe):
    """diffusers' deprecated pipelines take the parts of this class alone."""
    if type(pipe) is not StableDiffusionPipeline:
        pytest.skip(f"diffusers has no pipeline to compare with for {type(pipe).__name__}")
    return pipe


class Formula:
    """daam 0.2.0's global heat map, step by step from the modules' own projections."""

    def __init__(self, pipe, tokens: int) -> None:
        side = pipe.unet.config.sample_size * pipe.vae_scale_factor
        self.base = 64 if side in (512, 1024) else 96
        self.tokens = tokens
        self.sums: dict[str, torch.Tensor] = {}  # (heads, tokens, y, x) each
        self.hooks = [
            module.register_forward_pre_hook(self.watch(name), with_kwargs=True)
            for name, module in pipe.unet.named_modules()
            if name.endswith("attn2") and not name.startswith("mid_block")
        ]

    def watch(self, name: str):
        def add(module, args, options):
            states = args[0] if args else options["hidden_states"]
            keys = module.to_k(options["encoder_hidden_states"])
            queries = module.to_q(states)
            split = [x.unflatten(-1, (module.heads, -1)).transpose(1, 2) for x in (queries, keys)]
            scores = split[0] @ split[1].transpose(-1, -2) * module.scale
            rows = scores.float().softmax(-1)[-1]  # (heads, cells, tokens) of the conditional row
            side = math.isqrt(rows.shape[1])
            maps = rows[..., : self.tokens].transpose(1, 2).unflatten(-1, (side, side))
            self.sums[name] = self.sums.get(name, 0) + maps.detach()

        return add

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        for hook in self.hooks:
            hook.remove()

    def heat(self) -> torch.Tensor:
        """The mean over heads of all sites that are not 8 times coarser than the base."""
        fine = [m for m in self.sums.values() if math.isqrt(self.base**2 // m[0, 0].numel()) != 8]
        size = (self.base, self.base)
        large = [F.interpolate(maps, size, mode="bicubic").clamp(min=0) for maps in fine]
        return torch.cat(large).mean(0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_picture_is_not_touched(dtype):
    pipe = opened(dtype)
    plain, again = (np.array(draw(pipe)) for _ in range(2))
    assert np.array_equal(plain, again), "the model itself does not repeat: nothing to compare"
    with daamkit.trace(pipe, keep=("step", "site", "head"), self_attention=True, self_grid=16):
        traced = np.array(draw(pipe))
    assert np.array_equal(plain, traced)


def test_each_word_has_a_map_of_its_own(run):
    maps = [run.maps.word(word).values for word in ("red", "cat", "blue", "car")]
    assert all(torch.isfinite(values).all() and values.std() > 0 for values in maps)
    unit = [(values - values.min()) / (values.max() - values.min()) for values in maps]
    for index, values in enumerate(unit):
        assert all((values - other).abs().mean() > 0.01 for other in unit[:index])
    assert run.maps.mass.sum() == pytest.approx(1, abs=1e-3)


def test_the_maps_are_daams_formula(pipe, run):
    tokens = len(pipe.tokenizer(PROMPT).input_ids)  # start, words, end
    with Formula(pipe, tokens) as formula:
        draw(pipe)
    ours = run.maps.pool("daam", exact=True)[:tokens].cpu()
    assert difference(ours, formula.heat().cpu()) < TOLERANCE


@pytest.mark.skipif(
    not SEGMENTER, reason="wants DAAMKIT_SEGMENTER, a name for segmentation.segmenter"
)
def test_the_cat_is_where_its_map_is_high(run):
    from daamkit.vision import segmentation

    (mask,) = segmentation.segmenter(SEGMENTER).segment(run.image, ["cat"])
    assert mask.any(), "the segmenter sees no cat"
    values = run.maps.word("cat").expand(absolute=True).cpu().numpy()
    assert values[mask].mean() > 1.5 * values[~mask].mean()


def test_attend_and_excite_is_diffusers(ordinary):
    side = ordinary.unet.config.sample_size
    settings = {"max_iter_to_alter": 2, "thresholds": {}, "attn_res": (side // 4, side // 4)}
    case = Case([2, 5], "a cat and a frog", size=(side, side), settings=settings)
    theirs = case.theirs(ordinary, seed=0)
    ours, table = case.ours(ordinary, 0, exact=True)
    plain, _ = case.ours(ordinary, 0, scale_factor=0)
    off = difference(ours.cpu(), theirs.cpu())
    assert off == 0 or CUDA and off < 1e-3  # gradients of padding do not repeat on a GPU
    assert len(table) == 2 and (table["gradient"] > 0).all()
    assert difference(plain.cpu(), theirs.cpu()) > 10 * off


def test_self_attention_guidance_is_diffusers(ordinary):
    check(ordinary, "ddim", 0, prompt=PROMPT, steps=3)


def test_the_inspectors_page_is_small(pipe, tmp_path):
    with daamkit.trace(pipe, keep=("step", "site", "head")) as tracer:
        draw(pipe)
    place = tmp_path / "inspector.html"
    daamkit.Inspector(tracer.run).save(place)
    assert 10_000 < place.stat().st_size <= 6_000_000


def test_the_first_notebook_runs(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    (parameters,) = tagged
    parameters.source += f"\nMODEL = {MODEL!r}"
    nbclient.NotebookClient(
        notebook, timeout=1800, resources={"metadata": {"path": tmp_path}}
    ).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any(kind.startswith("image/") for output in shown for kind in output.get("data", {}))
