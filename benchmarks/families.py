"""What tracing costs at the shapes of real models, beside other ways to the same columns.

    python benchmarks/families.py --json
    python benchmarks/families.py --rival FOLDER    # attention-map-diffusers too, installed there

Random weights at the width, heads and lengths of the real models, but a few blocks of each: one
double and one single block of FLUX.1, a block of Stable Diffusion 3.5 medium and its last, the
finest stage of Stable Diffusion XL that attends to text. Images of 1024 x 1024 pixels, one step.
In each round every way makes the image once, the order turning; what is printed are ratios to the
untraced generation of the same round: median, and from the least to the greatest. Run it on a quiet
machine: beside other work the ratio is noise.

- daamkit: a trace with its defaults.
- chunks: explicit attention in place of the fused kernel, 256 queries at a time, AttLine's way.
- attention-map-diffusers: its `AttentionCapture` of image->text, all layers and steps.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
)

import daamkit
from daamkit import resources
from daamkit.toybox import flux as toy
from daamkit.toybox import pipeline

sys.path.insert(0, str(Path(__file__).parent))
from tracing import Peak

PROMPT = "a red cat next to a blue car"
RIVAL = "attention-map-diffusers"
VERSION = "1.0.0"


# -- models of a few blocks


def clip(width: int, projected: bool = False) -> Any:
    """A CLIP of two layers."""
    tokenizer = pipeline.tokenizer(resources.path("toybox", "tokenizer"))
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=64,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return tokenizer, (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def t5(width: int) -> Any:
    """A T5 of one layer."""
    tokenizer = toy.learn_t5_tokenizer([PROMPT, "a dog on the grass"])
    config = T5Config(
        vocab_size=len(tokenizer), d_model=width, d_kv=8, d_ff=16, num_layers=1, num_heads=4
    )
    return tokenizer, T5EncoderModel(config).eval()


def autoencoder(channels: int) -> AutoencoderKL:
    """Eight pixels a latent; it is not run."""
    return AutoencoderKL(
        block_out_channels=(8,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=channels,
        norm_num_groups=4,
    ).eval()


def flux(small: bool = False) -> FluxPipeline:
    """FLUX.1: one double and one single block; 24 heads, 4,096 + 512 places."""
    heads, width, text = (2, 16, 32) if small else (24, 128, 4096)
    (tokenizer, encoder), (tokenizer_2, encoder_2) = clip(32 if small else 768), t5(text)
    transformer = FluxTransformer2DModel(
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        num_attention_heads=heads,
        attention_head_dim=width,
        joint_attention_dim=text,
        pooled_projection_dim=encoder.config.hidden_size,
        guidance_embeds=True,
        axes_dims_rope=(4, 6, 6) if small else (16, 56, 56),
    )
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=autoencoder(16),
        text_encoder=encoder,
        tokenizer=tokenizer,
        text_encoder_2=encoder_2,
        tokenizer_2=tokenizer_2,
        transformer=transformer.eval(),
    )


def sd35(small: bool = False) -> StableDiffusion3Pipeline:
    """Stable Diffusion 3.5 medium: two blocks; 24 heads, 4,096 + 333 places, guidance."""
    heads, width, text = (2, 16, 64) if small else (24, 64, 4096)
    (tokenizer, one), (_, other) = (
        clip(each, projected=True) for each in ((16, 16) if small else (768, 1280))
    )
    tokenizer_3, encoder_3 = t5(text)
    transformer = SD3Transformer2DModel(
        sample_size=128,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=2,
        num_attention_heads=heads,
        attention_head_dim=width,
        joint_attention_dim=text,
        caption_projection_dim=heads * width,
        pooled_projection_dim=one.config.projection_dim + other.config.projection_dim,
        pos_embed_max_size=384,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    return StableDiffusion3Pipeline(
        transformer=transformer.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=autoencoder(16),
        text_encoder=one,
        tokenizer=tokenizer,
        text_encoder_2=other,
        tokenizer_2=tokenizer,
        text_encoder_3=encoder_3,
        tokenizer_3=tokenizer_3,
    )


def sdxl(small: bool = False) -> StableDiffusionXLPipeline:
    """Stable Diffusion XL: the stage of 64 x 64 cells, 10 heads; guidance."""
    channels = (32, 64) if small else (320, 640)
    tokenizer, one = clip(16 if small else 768)
    _, other = clip(16 if small else 1280, projected=True)
    width = one.config.hidden_size + other.config.hidden_size
    unet = UNet2DConditionModel(
        sample_size=128,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type=None,
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=channels,
        layers_per_block=1,
        transformer_layers_per_block=(1, 2),
        attention_head_dim=(5, 10) if not small else (1, 2),
        cross_attention_dim=width,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=other.config.projection_dim + 6 * 256,
    )
    return StableDiffusionXLPipeline(
        vae=autoencoder(4),
        text_encoder=one,
        text_encoder_2=other,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet.eval(),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
    )


MODELS: dict[str, tuple[Callable[[bool], Any], dict[str, int]]] = {
    "flux": (flux, {"max_sequence_length": 512}),
    "sd35": (sd35, {"max_sequence_length": 256}),
    "sdxl": (sdxl, {}),
}


# -- ways to the maps


class Chunks(TorchFunctionMode):
    """Explicit attention in place of the fused kernel, some queries at a time; of each call the
    columns are kept, a mean over heads."""

    def __init__(self, columns: int = 512, queries: int = 256) -> None:
        super().__init__()
        self.columns, self.queries, self.kept = columns, queries, list[Tensor]()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        names = ("query", "key", "value", "attn_mask")
        given = dict(zip(names, args, strict=False)) | (kwargs or {})
        query, key, value = (given[name] for name in names[:3])
        outputs, columns = [], []
        for at in range(0, query.shape[2], self.queries):
            scores = query[:, :, at : at + self.queries] @ key.mT * query.shape[-1] ** -0.5
            shares = scores.softmax(-1)
            outputs.append(shares @ value)
            columns.append(shares[..., : self.columns].mean(1))
        self.kept.append(torch.cat(columns, 1))
        return torch.cat(outputs, 2)


@contextlib.contextmanager
def rival(pipe: Any) -> Iterator[None]:
    """attention-map-diffusers, with its maps computed."""
    from attention_map_diffusers import AttentionCapture  # type: ignore[import-not-found]

    with AttentionCapture(pipe, relations=["image->text"], timesteps="all") as capture:
        yield
    capture.compute()


WAYS: dict[str, Callable[[Any], Any]] = {
    "untraced": lambda pipe: contextlib.nullcontext(),
    "daamkit": daamkit.trace,
    "chunks": lambda pipe: Chunks(),
}


def compare(
    pipe: Any, options: dict[str, Any], ways: dict[str, Callable[[Any], Any]], rounds: int
) -> dict[str, Any]:
    """Time and peak memory of each way over the untraced generation of the same round."""
    pipe.set_progress_bar_config(disable=True)
    device = str(pipe.device)
    peak = Peak(device)
    pictures: dict[str, Tensor] = {}

    def measure(name: str) -> tuple[float, int | None]:
        peak.reset()
        started = time.perf_counter()
        with ways[name](pipe):
            pictures[name] = pipe(
                PROMPT,
                num_inference_steps=1,
                output_type="latent",
                generator=torch.Generator().manual_seed(0),
                **options,
            ).images
        memory = peak.read()  # synchronizes
        return time.perf_counter() - started, memory

    names = list(ways)
    for name in names:
        measure(name)  # warm-up
    found: dict[str, list[tuple[float, int | None]]] = {name: [] for name in names}
    for index in range(rounds):
        turned = names[index % len(names) :] + names[: index % len(names)]
        for name in turned:
            found[name].append(measure(name))
    plain = found["untraced"]
    result: dict[str, Any] = {
        "untraced_seconds": round(median(seconds for seconds, _ in plain), 3),
        "rounds": rounds,
    }
    for name in names[1:]:
        pairs = list(zip(found[name], plain, strict=True))
        times = [own[0] / other[0] for own, other in pairs]
        sizes = [own[1] / other[1] for own, other in pairs if own[1] and other[1]]
        result[name] = {
            "time": spread(times),
            "memory": spread(sizes) if sizes else None,
            "same_picture": torch.equal(pictures[name], pictures["untraced"]),
        }
    return result


def spread(numbers: list[float]) -> list[float]:
    """Median, least and greatest."""
    return [round(each, 3) for each in (median(numbers), min(numbers), max(numbers))]


def install(folder: Path) -> None:
    """attention-map-diffusers alone into a folder; it runs on this environment's diffusers."""
    wanted = f"{RIVAL}=={VERSION}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    if not (folder / "attention_map_diffusers").is_dir():
        subprocess.run([*pip, wanted], check=True)
    sys.path.append(str(folder))
    WAYS[RIVAL] = rival


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object and no more")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=tuple(MODELS))
    parser.add_argument("--pixels", type=int, default=1024, help="side of the image")
    parser.add_argument("--small", action="store_true", help="tiny widths, to see that it runs")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    parser.add_argument("--rival", type=Path, metavar="FOLDER")
    asked = parser.parse_args()
    if asked.rival is not None:
        install(asked.rival)
    versions = {name: metadata.version(name) for name in ("torch", "diffusers")}
    versions |= {RIVAL: VERSION} if asked.rival else {}
    result: dict[str, Any] = {"device": asked.device, "dtype": asked.dtype, "versions": versions}
    for name, (build, options) in MODELS.items():
        if asked.only not in (None, name):
            continue
        torch.manual_seed(0)
        pipe = build(asked.small).to(asked.device, getattr(torch, asked.dtype))
        size = {"height": asked.pixels, "width": asked.pixels}
        result[name] = compare(pipe, options | size, WAYS, asked.rounds)
        if not asked.json:
            print(name, json.dumps(result[name]), file=sys.stderr)
        del pipe
    print(json.dumps(result, indent=None if asked.json else 1))


if __name__ == "__main__":
    main()
