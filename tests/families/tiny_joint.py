"""Small random pipelines whose text and image attend in one softmax. They need no file of weights.

Images of 48 x 32 pixels are 12 x 8 cells (Qwen-Image: 6 x 4).
"""

import torch
from diffusers import (
    ChromaPipeline,
    ChromaTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from transformers import CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

from daamkit.toybox import flux
from tests import tiny

CAPTIONS = [
    f"a {colour} {noun} on the grass next to a {other} house with {number} birds"
    for colour, other in (("red", "wooden"), ("blue", "green"), ("small", "glowing"))
    for noun in ("cat", "dog", "fox", "car", "lantern")
    for number in ("two", "three")
]
WIDTH = 32


def spread(model, seed: int, scale: float = 0.2):
    """Weights so large that attention is far from uniform."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=random)
            if weight.ndim > 1:
                weight.copy_(scale * noise)
            else:
                weight.copy_(0.1 * noise + ("norm" in name and name.endswith("weight")))
    return model.eval()


def t5():
    """A tokenizer and an encoder."""
    tokenizer = flux.learn_t5_tokenizer(CAPTIONS)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=WIDTH, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
        feed_forward_proj="gated-gelu", dropout_rate=0.0,
    )  # fmt: skip
    return tokenizer, T5EncoderModel(config).eval()


def autoencoder():
    model = tiny.autoencoder()
    model.register_to_config(shift_factor=0.1)
    return model.eval()


def scheduler() -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)


def quiet(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe


def sd3(seed: int = 0, dual: tuple[int, ...] = ()) -> StableDiffusion3Pipeline:
    """Stable Diffusion 3; with `dual` layers, 3.5."""
    torch.manual_seed(seed)
    tokenizer, encoder = t5()
    transformer = SD3Transformer2DModel(
        sample_size=24, patch_size=2, in_channels=4, out_channels=4, num_layers=3,
        attention_head_dim=8, num_attention_heads=4, caption_projection_dim=32,
        joint_attention_dim=WIDTH, pooled_projection_dim=WIDTH, pos_embed_max_size=24,
        dual_attention_layers=dual, qk_norm="rms_norm" if dual else None,
    )  # fmt: skip
    clip = tiny.text_config(WIDTH // 2)
    clip.projection_dim = WIDTH // 2
    return quiet(
        StableDiffusion3Pipeline(
            transformer=spread(transformer, seed),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=autoencoder(),
            text_encoder=CLIPTextModelWithProjection(clip).eval(),
            tokenizer=tiny.tokenizer(),
            text_encoder_2=CLIPTextModelWithProjection(clip).eval(),
            tokenizer_2=tiny.tokenizer(pad_token="!"),
            text_encoder_3=encoder,
            tokenizer_3=tokenizer,
        )
    )


def sd35(seed: int = 0) -> StableDiffusion3Pipeline:
    return sd3(seed, dual=(0, 1))


def blocks() -> dict:
    """What the transformers of the FLUX kind have in common."""
    return {
        "in_channels": 16,
        "num_layers": 2,
        "num_single_layers": 3,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": WIDTH,
        "axes_dims_rope": (4, 6, 6),
    }


def flux1(seed: int = 0, kind: type = FluxPipeline) -> FluxPipeline:
    """FLUX.1 [dev], or another pipeline of its parts."""
    torch.manual_seed(seed)
    tokenizer, encoder = t5()
    transformer = FluxTransformer2DModel(
        **blocks(), pooled_projection_dim=WIDTH, guidance_embeds=True
    )
    return quiet(
        kind(
            scheduler=scheduler(),
            vae=autoencoder(),
            text_encoder=CLIPTextModel(tiny.text_config(WIDTH)).eval(),
            tokenizer=tiny.tokenizer(),
            text_encoder_2=encoder,
            tokenizer_2=tokenizer,
            transformer=spread(transformer, seed),
        )
    )


def chroma(seed: int = 0) -> ChromaPipeline:
    torch.manual_seed(seed)
    tokenizer, encoder = t5()
    transformer = ChromaTransformer2DModel(
        **blocks(), approximator_num_channels=64, approximator_hidden_dim=32, approximator_layers=1
    )
    return quiet(
        ChromaPipeline(
            scheduler=scheduler(),
            vae=autoencoder(),
            text_encoder=encoder,
            tokenizer=tokenizer,
            transformer=spread(transformer, seed),
        )
    )


def generate(pipe, prompt="a red cat next to a glowing lantern", seed: int = 0, **options):
    """Images of 48 x 32 pixels in two steps."""
    size = {"height": 48, "width": 32, "num_inference_steps": 2, "output_type": "np"}
    return pipe(prompt, generator=torch.Generator().manual_seed(seed), **(size | options)).images
