"""Models of a few blocks: random weights at the width, heads and lengths of the real ones.

One double and one single block of FLUX.1, a block of Stable Diffusion 3.5 medium and its last, the
finest stage of Stable Diffusion XL that attends to text; or tiny ones of the same making.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
)

from daamkit import resources
from daamkit.toybox import flux as toy
from daamkit.toybox import pipeline

PROMPT = "a red cat next to a blue car"


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
