"""Small random pipelines whose text and image attend in one softmax. They need no file of weights.

Images of 48 x 32 pixels are 12 x 8 cells (Qwen-Image: 6 x 4).
"""

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import torch
import transformers
from diffusers import (
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    ChromaPipeline,
    ChromaTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    QwenImageEditPipeline,
    QwenImageEditPlusPipeline,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    PixtralVisionConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2TokenizerFast,
    Qwen2VLProcessor,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
)

import daamkit
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


def flux1(seed: int = 0, kind: type = FluxPipeline, guidance_embeds: bool = True) -> FluxPipeline:
    """FLUX.1 [dev], or another pipeline of its parts; without embedded guidance [schnell]."""
    torch.manual_seed(seed)
    tokenizer, encoder = t5()
    transformer = FluxTransformer2DModel(
        **blocks(), pooled_projection_dim=WIDTH, guidance_embeds=guidance_embeds
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


CHAT = (
    "{% for said in messages %}<|im_start|>{{ said.role }}\n{% if said.content is string %}"
    "{{ said.content }}{% else %}{% for part in said.content %}{{ part.text }}{% endfor %}"
    "{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


PICTURED = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]


def bytes_tokenizer(more: Sequence[str] = ()) -> Qwen2TokenizerFast:
    """Byte-level pairs merged as the captions have them, in the form of Qwen's, with a chat."""
    learnt = Tokenizer(models.BPE())
    learnt.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learnt.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *more]
    trainer = trainers.BpeTrainer(
        vocab_size=360, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    learnt.train_from_iterator(CAPTIONS, trainer)
    told = json.loads(learnt.to_str())["model"]
    merges = [tuple(pair) for pair in told["merges"]]
    tokenizer = Qwen2TokenizerFast(vocab=told["vocab"], merges=merges, chat_template=CHAT)
    tokenizer.add_special_tokens({"additional_special_tokens": special[1:]})
    return tokenizer


def decoder(tokenizer, layers: int) -> dict:
    """What the configurations of causal text models have in common."""
    return {
        "vocab_size": len(tokenizer), "hidden_size": WIDTH, "intermediate_size": 48,
        "num_hidden_layers": layers, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 8, "max_position_embeddings": 2048, "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None, "eos_token_id": tokenizer.eos_token_id,
    }  # fmt: skip


def qwen(seed: int = 0, kind: Any = QwenImagePipeline) -> Any:
    """Qwen-Image, or one of those that edit pictures: 8 pixels a cell."""
    torch.manual_seed(seed)
    edits = kind is not QwenImagePipeline
    tokenizer = bytes_tokenizer(PICTURED if edits else ())
    places = tokenizer.convert_tokens_to_ids(PICTURED) if edits else ()
    names = ("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id")
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10_000.0}
    vision = {
        "depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "patch_size": 14,
        "spatial_merge_size": 1, "window_size": 14, "fullatt_block_indexes": [0],
        "out_hidden_size": WIDTH,
    }  # fmt: skip
    config = Qwen2_5_VLConfig(
        text_config=decoder(tokenizer, 2) | {"rope_parameters": rope},
        vision_config=vision,
        **dict(zip(names, places, strict=False)),
    )
    transformer = QwenImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=3, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=WIDTH, axes_dims_rope=(4, 6, 6),
    )  # fmt: skip
    vae = AutoencoderKLQwenImage(
        base_dim=8, z_dim=4, dim_mult=[1, 1, 1], num_res_blocks=1,
        temperal_downsample=[False, True], latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip
    parts = {"processor": reader_of_pictures(tokenizer)} if edits else {}
    pipe = kind(
        scheduler=scheduler(),
        vae=vae.eval(),
        text_encoder=Qwen2_5_VLForConditionalGeneration(config).eval(),
        tokenizer=tokenizer,
        transformer=spread(transformer, seed),
        **parts,
    )
    before = re.split(r"<\|vision_start\|>|\{\}", pipe.prompt_template_encode)[0]
    pipe.prompt_template_encode_start_idx = len(tokenizer(before).input_ids)
    return quiet(pipe)


of_pictures = pytest.mark.parametrize(("kind", "pictures"), [
    (QwenImageEditPipeline, 1), (QwenImageEditPlusPipeline, 1), (QwenImageEditPlusPipeline, 2),
])  # fmt: skip


def qwen_edit(kind: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A Qwen that edits pictures, which it makes no larger than 48 x 64 pixels."""
    module = sys.modules[kind.__module__]
    real = module.calculate_dimensions
    monkeypatch.setattr(module, "calculate_dimensions", lambda area, ratio: real(48 * 64, ratio))
    return qwen(kind=kind)


def reader_of_pictures(tokenizer: Qwen2TokenizerFast) -> Qwen2VLProcessor:
    """A place for each 14 x 14 pixels."""
    older, later = "Qwen2VLImageProcessor", "Qwen2VLImageProcessorPil"  # without torchvision
    kind = getattr(transformers, later if hasattr(transformers, later) else older)
    pictures = kind(
        patch_size=14, merge_size=1, size={"shortest_edge": 14 * 28, "longest_edge": 28 * 28}
    )
    reader = Qwen2VLProcessor.__new__(Qwen2VLProcessor)
    reader.image_processor, reader.tokenizer, reader.video_processor = pictures, tokenizer, None
    *_, reader.image_token, reader.video_token = PICTURED
    *_, reader.image_token_id, reader.video_token_id = tokenizer.convert_tokens_to_ids(PICTURED)
    reader.chat_template = None
    return reader


def flux2_parts(seed: int, guidance_embeds: bool) -> dict:
    transformer = Flux2Transformer2DModel(
        **blocks() | {"joint_attention_dim": 3 * WIDTH, "axes_dims_rope": (4, 4, 4, 4)},
        timestep_guidance_channels=32, guidance_embeds=guidance_embeds,
    )  # fmt: skip
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=4,
    )  # fmt: skip
    return {
        "scheduler": scheduler(),
        "vae": vae.eval(),
        "transformer": spread(transformer, seed),
        "tokenizer": bytes_tokenizer(),
    }


def klein(seed: int = 0) -> Flux2KleinPipeline:
    """FLUX.2 [klein], not distilled."""
    torch.manual_seed(seed)
    parts = flux2_parts(seed, guidance_embeds=False)
    encoder = Qwen3ForCausalLM(Qwen3Config(**decoder(parts["tokenizer"], 3))).eval()
    return quiet(Flux2KleinPipeline(**parts, text_encoder=encoder, is_distilled=False))


class Processor:
    """What FLUX.2 [dev] has around its tokenizer, but for pictures."""

    def __init__(self, tokenizer: Qwen2TokenizerFast) -> None:
        self.tokenizer = tokenizer

    def apply_chat_template(self, said: list, add_generation_prompt: bool, **options: Any) -> Any:
        assert options.pop("tokenize") and options.pop("return_dict")
        texts = self.tokenizer.apply_chat_template(
            said, tokenize=False, add_generation_prompt=add_generation_prompt
        )
        return self.tokenizer(texts, **options)


def flux2(seed: int = 0) -> Flux2Pipeline:
    """FLUX.2 [dev], with a tokenizer where the real one has a processor around it."""
    torch.manual_seed(seed)
    parts = flux2_parts(seed, guidance_embeds=True)
    vision = PixtralVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        image_size=28, patch_size=14,
    )  # fmt: skip
    text = {"model_type": "mistral"} | decoder(parts["tokenizer"], 3)
    config = Mistral3Config(text_config=text, vision_config=vision, image_token_index=5)
    encoder = Mistral3ForConditionalGeneration(config).eval()
    return quiet(Flux2Pipeline(**parts, text_encoder=encoder))


def toybox_flux() -> FluxPipeline:
    """The joint-attention toybox, untrained; text and pictures are coded as the toybox does."""
    toy, tokenizer = daamkit.load("toybox"), flux.learn_t5_tokenizer(CAPTIONS)
    parts = toy.text_encoder, toy.tokenizer, toy.vae
    return quiet(flux.assemble(flux.transformer(), flux.t5(tokenizer), tokenizer, *parts))


def generate(pipe, prompt="a red cat next to a glowing lantern", seed: int = 0, **options):
    """Images of 48 x 32 pixels in two steps."""
    size = {"height": 48, "width": 32, "num_inference_steps": 2, "output_type": "np"}
    random = torch.Generator().manual_seed(seed)
    return pipe(prompt=prompt, generator=random, **(size | options)).images
