"""Small random pipelines of the real classes: HiDream, and those whose cells lie in frames.

As in `tiny_cross`, their text encoders do not mix places, and no pooled text moves all of them.
"""

from typing import Any

import torch
import transformers
from diffusers import (
    AutoencoderKLCogVideoX,
    AutoencoderKLHunyuanVideo15,
    AutoencoderKLLTXVideo,
    AutoencoderKLWan,
    ClassifierFreeGuidance,
    CogVideoXDDIMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    FlowMatchEulerDiscreteScheduler,
    HiDreamImagePipeline,
    HiDreamImageTransformer2DModel,
    HunyuanVideo15Pipeline,
    HunyuanVideo15Transformer3DModel,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from tokenizers import processors

from tests import tiny
from tests.families.tiny_cross import (
    autoencoder,
    pairs,
    quiet,
    qwen,
    separate,
    t5,
    t5_encoder,
    vary,
)


def silent(model: torch.nn.Module, *parts: str) -> torch.nn.Module:
    """A model some of whose parts add nothing."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if any(part in name for part in parts):
                weight.zero_()
    return model


def llama() -> transformers.LlamaTokenizerFast:
    special = ["<unk>", "<s>", "</s>", "<pad>"]
    vocab, merges = pairs("\u2581", special)
    made = transformers.LlamaTokenizerFast(vocab=vocab, merges=merges, pad_token="<pad>")
    made.padding_side = "right"
    begin = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", vocab["<s>"])])
    made.backend_tokenizer.post_processor = begin
    return made


def hidream() -> HiDreamImagePipeline:
    clip, first, second = tiny.text_config(16), t5(), llama()
    clip.projection_dim = 16
    config = transformers.LlamaConfig(
        vocab_size=len(second), hidden_size=32, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, pad_token_id=3, bos_token_id=1, eos_token_id=2,
        attn_implementation="eager",
    )  # fmt: skip
    transformer = HiDreamImageTransformer2DModel(
        patch_size=2, in_channels=4, out_channels=4, num_layers=1, num_single_layers=1,
        attention_head_dim=8, num_attention_heads=2, caption_channels=[32, 32], text_emb_dim=32,
        num_routed_experts=2, num_activated_experts=1, axes_dims_rope=(4, 2, 2),
        max_resolution=(12, 12), llama_layers=[0, 1],
    )  # fmt: skip
    pipe = HiDreamImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=autoencoder(shift_factor=0.1),
        text_encoder=transformers.CLIPTextModelWithProjection(clip).eval(),
        tokenizer=tiny.tokenizer(),
        text_encoder_2=transformers.CLIPTextModelWithProjection(clip).eval(),
        tokenizer_2=tiny.tokenizer(),
        text_encoder_3=t5_encoder(first),
        tokenizer_3=first,
        text_encoder_4=separate(transformers.LlamaForCausalLM(config)),
        tokenizer_4=second,
        transformer=silent(vary(transformer, 0.2), "p_embedder"),
    )
    pipe.default_sample_size = 12
    return quiet(pipe)


def wan_transformer() -> WanTransformer3DModel:
    made = WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=32,
        freq_dim=8, ffn_dim=24, num_layers=2, cross_attn_norm=True, rope_max_seq_len=32,
    )  # fmt: skip
    return vary(made, 0.2)


def wan(two: bool = False) -> WanPipeline:
    """Wan 2.1; with `two` denoisers, 2.2: the second for the last of two steps."""
    tokenizer = t5()
    vae = AutoencoderKLWan(
        base_dim=4, z_dim=4, dim_mult=[1, 1, 1], num_res_blocks=1, latents_mean=[0.0] * 4,
        temperal_downsample=[True, True], latents_std=[1.0] * 4, scale_factor_temporal=4,
        scale_factor_spatial=4,
    )  # fmt: skip
    return quiet(
        WanPipeline(
            tokenizer=tokenizer,
            text_encoder=t5_encoder(tokenizer, "UMT5"),
            vae=vae.eval(),
            scheduler=FlowMatchEulerDiscreteScheduler(),
            transformer=wan_transformer(),
            transformer_2=wan_transformer() if two else None,
            boundary_ratio=0.75 if two else None,
        )
    )


def wan22() -> WanPipeline:
    return wan(two=True)


def wan_i2v() -> WanImageToVideoPipeline:
    """Wan 2.1 that begins with a picture, of which it reads 257 places beside the text's."""
    own = wan()
    transformer = WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=12, out_channels=4, text_dim=32,
        freq_dim=8, ffn_dim=24, num_layers=2, cross_attn_norm=True, rope_max_seq_len=32,
        image_dim=16, added_kv_proj_dim=24,
    )  # fmt: skip
    vision = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        image_size=32, patch_size=2,
    )  # fmt: skip
    return quiet(
        WanImageToVideoPipeline(
            tokenizer=own.tokenizer,
            text_encoder=own.text_encoder,
            vae=own.vae,
            scheduler=own.scheduler,
            transformer=vary(transformer, 0.2),
            image_encoder=transformers.CLIPVisionModel(vision).eval(),
            image_processor=transformers.CLIPImageProcessor(crop_size=32, size=32),
        )
    )


def cogvideox() -> CogVideoXPipeline:
    tokenizer = t5()
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4,
        time_embed_dim=8, text_embed_dim=32, num_layers=2, sample_width=12, sample_height=8,
        sample_frames=9, max_text_seq_length=24, use_rotary_positional_embeddings=True,
    )  # fmt: skip
    vae = AutoencoderKLCogVideoX(
        block_out_channels=(4, 4, 4), down_block_types=("CogVideoXDownBlock3D",) * 3,
        up_block_types=("CogVideoXUpBlock3D",) * 3, latent_channels=4, layers_per_block=1,
        norm_num_groups=2,
    )  # fmt: skip
    return quiet(
        CogVideoXPipeline(
            tokenizer=tokenizer,
            text_encoder=t5_encoder(tokenizer),
            vae=vae.eval(),
            transformer=vary(transformer, 0.2),
            scheduler=CogVideoXDDIMScheduler(),
        )
    )


def ltx() -> LTXPipeline:
    tokenizer, sides = t5(), (8, 8, 8, 8)
    transformer = LTXVideoTransformer3DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=12,
        cross_attention_dim=24, num_layers=2, caption_channels=32,
    )  # fmt: skip
    vae = AutoencoderKLLTXVideo(
        latent_channels=4, block_out_channels=sides, decoder_block_out_channels=sides,
        layers_per_block=(1,) * 5, decoder_layers_per_block=(1,) * 5, patch_size=2,
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
    )  # fmt: skip
    return quiet(
        LTXPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
            vae=vae.eval(),
            text_encoder=t5_encoder(tokenizer),
            tokenizer=tokenizer,
            transformer=vary(transformer, 0.2),
        )
    )


def hunyuanvideo() -> HunyuanVideo15Pipeline:
    """HunyuanVideo-1.5, whose ByT5's projection has millions of weights by its code."""
    tokenizer, glyphs = qwen(), transformers.ByT5Tokenizer(extra_ids=0)
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
    config = transformers.Qwen2_5_VLTextConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=24, num_hidden_layers=3,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=2048,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=None, eos_token_id=None,
        rope_parameters=rope,
    )  # fmt: skip
    transformer = HunyuanVideo15Transformer3DModel(
        in_channels=9, out_channels=4, num_attention_heads=2, attention_head_dim=12, num_layers=2,
        num_refiner_layers=1, mlp_ratio=2.0, text_embed_dim=32, text_embed_2_dim=32,
        image_embed_dim=8, rope_axes_dim=(4, 4, 4), target_size=32, task_type="t2v",
    )  # fmt: skip
    pooled = ("context_embedder.time_text_embed.text_embedder", "refiner_blocks.0.attn.to_out")
    vae = AutoencoderKLHunyuanVideo15(
        latent_channels=4, block_out_channels=(16, 16, 16, 16), layers_per_block=1,
        spatial_compression_ratio=8,
    )  # fmt: skip
    pipe = HunyuanVideo15Pipeline(
        text_encoder=separate(transformers.Qwen2_5_VLTextModel(config)),
        tokenizer=tokenizer,
        transformer=silent(vary(transformer, 0.2), *pooled),
        vae=vae.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        text_encoder_2=t5_encoder(glyphs),
        tokenizer_2=glyphs,
        guider=ClassifierFreeGuidance(guidance_scale=6.0),
    )
    pipe.system_message = "the fox and the tree"
    before = f"<|im_start|>system\n{pipe.system_message}<|im_end|>\n<|im_start|>user\n"
    pipe.prompt_template_encode_start_idx = len(tokenizer(before).input_ids)
    pipe.tokenizer_max_length, pipe.tokenizer_2_max_length = 48, 64
    pipe.vision_num_semantic_tokens = 3
    return quiet(pipe)


def build(name: str, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return globals()[name]()
