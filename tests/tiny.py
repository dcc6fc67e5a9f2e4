"""Small random pipelines of the real classes. They need no file but the shipped tokenizer."""

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from daamkit import resources


def tokenizer(**options: str) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(resources.path("toybox", "tokenizer"), **options)


def text_config(width: int = 32) -> CLIPTextConfig:
    tokens = tokenizer()
    return CLIPTextConfig(
        vocab_size=len(tokens),
        hidden_size=width,
        intermediate_size=37,
        projection_dim=32,
        num_attention_heads=4,
        num_hidden_layers=3,
        max_position_embeddings=77,
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
    )


def autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
    )


def unet(**changes: object) -> UNet2DConditionModel:
    config: dict = {
        "sample_size": 32,
        "block_out_channels": (16, 32, 32),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 32,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
    }
    return UNet2DConditionModel(**{**config, **changes})


def sd(seed: int = 0, **changes: object) -> StableDiffusionPipeline:
    """Stable Diffusion: 64 x 64 pixels, latents 32 x 32, cross-attention at 32, 16 and 8."""
    torch.manual_seed(seed)
    pipe = StableDiffusionPipeline(
        unet=unet(**changes).eval(),
        vae=autoencoder().eval(),
        text_encoder=CLIPTextModel(text_config()).eval(),
        tokenizer=tokenizer(),
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear", clip_sample=False, steps_offset=1, set_alpha_to_one=False
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def sdxl(seed: int = 0) -> StableDiffusionXLPipeline:
    """Stable Diffusion XL: two text encoders, several transformer blocks a site."""
    torch.manual_seed(seed)
    pipe = StableDiffusionXLPipeline(
        unet=unet(
            block_out_channels=(16, 32),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=(2, 4),
            transformer_layers_per_block=(1, 2),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=80,
            cross_attention_dim=64,
        ).eval(),
        vae=autoencoder().eval(),
        text_encoder=CLIPTextModel(text_config()).eval(),
        text_encoder_2=CLIPTextModelWithProjection(text_config()).eval(),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(pad_token="!"),
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", steps_offset=1),
        add_watermarker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def generate(pipe, prompt="a red cat and a blue car", seed: int = 0, steps: int = 2, **options):
    """Images (or latents) as one tensor-like list, from a seed."""
    options = {"num_inference_steps": steps, "output_type": "np"} | options
    return pipe(prompt, generator=torch.Generator().manual_seed(seed), **options).images
