"""The toybox: a Stable Diffusion in miniature, built from configurations or opened from disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from daamkit import resources
from daamkit.errors import DaamkitError

LATENT_SIDE = 32
TRAINING = "training.json"  # beside weights: how many samples they have seen, of how many


def autoencoder() -> AutoencoderKL:
    """An untrained autoencoder: 128 x 128 pixels to 4 x 32 x 32 latents."""
    return AutoencoderKL(
        sample_size=128,
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        mid_block_add_attention=False,
        scaling_factor=1.0,  # its latents are standardized
    )


def unet() -> UNet2DConditionModel:
    """An untrained denoiser: cross-attention at 16 x 16 and 8 x 8, the middle block at 8 x 8."""
    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        layers_per_block=1,
        block_out_channels=(48, 96, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=128,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def text_config(
    tokenizer: CLIPTokenizer, layers: int, inner: int, **options: Any
) -> CLIPTextConfig:
    """A causal text encoder of width 128 for a tokenizer's words; `inner` is the MLPs' width."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **options,
    )


def text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained text encoder: two causal layers of width 128."""
    return CLIPTextModel(text_config(tokenizer, layers=2, inner=256))


def scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise, v-prediction, time steps counted from the noisy end.

    No signal is left in the first of them (arXiv 2305.08891): else no drawing is dark, for the mean
    of a picture shines through all the noise that training sees. The shipped toybox of world 1 is
    older, and keeps its own.
    """
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        steps_offset=1,
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
    )


def tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer saved in a folder."""
    return CLIPTokenizer.from_pretrained(folder)


def assemble(
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    autoencoder: AutoencoderKL,
    tokenizer: CLIPTokenizer,
) -> StableDiffusionPipeline:
    """Put trained parts together."""
    return StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def toybox(**options: Any) -> StableDiffusionPipeline:
    """The toybox that ships with the package, in float32 on the CPU.

    Parameters
    ----------
    options
        For ``from_pretrained``; ``dtype`` among them.
    """
    return StableDiffusionPipeline.from_pretrained(
        resources.path("toybox"), local_files_only=True, **in_float32(options)
    )


def toybox_2(**options: Any) -> StableDiffusionPipeline:
    """The UNet of world 2, in float32 on the CPU, once its training is done.

    Parameters
    ----------
    options
        For ``from_pretrained``; ``dtype`` among them.

    Raises
    ------
    DaamkitError
        If its weights are not there, or have not seen all their samples.
    """
    folder = finished("toybox-2", "daamkit.toybox.training.unet --world 2")
    return StableDiffusionPipeline.from_pretrained(
        folder, local_files_only=True, **in_float32(options)
    )


def finished(name: str, training: str) -> Path:
    """The folder of a model of world 2 whose training is done; `training` is the module of it.

    Raises
    ------
    DaamkitError
        If its weights are not there, or have not seen all their samples.
    """
    got = "no weights: this version of daamkit ships none"
    try:
        folder = resources.path(name)
        told = folder / TRAINING
        far = json.loads(told.read_text(encoding="utf-8")) if told.exists() else None
        if far is None or far["seen"] >= far["samples"]:
            return folder
        got = f"weights that have seen {far['seen']} of {far['samples']} samples"
    except DaamkitError:
        pass
    raise DaamkitError(
        wanted=f"the toybox {name}",
        got=got,
        mend=f"train it with `python -m {training} --out build/{name}`, write it with `--export "
        "FOLDER`, and name that folder",
    )


def in_float32(options: dict[str, Any]) -> dict[str, Any]:
    """Options for ``from_pretrained``, in float32 where they name no precision."""
    defaults: dict[str, Any] = {"low_cpu_mem_usage": False}
    if "torch_dtype" not in options:
        defaults["dtype"] = torch.float32
    return defaults | options
