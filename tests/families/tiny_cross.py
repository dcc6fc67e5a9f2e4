"""Small random pipelines of the real classes: cross-attention transformers and single streams.

Their text encoders do not mix places: what a key is, its own token decides. So a test can see which
keys a word has. Sizes are not square.
"""

from typing import Any

import torch
import transformers
from diffusers import (
    AuraFlowPipeline,
    AuraFlowTransformer2DModel,
    AutoencoderDC,
    AutoencoderKL,
    CogView4Pipeline,
    CogView4Transformer2DModel,
    DDIMScheduler,
    DDPMScheduler,
    FlowMatchEulerDiscreteScheduler,
    HunyuanDiT2DModel,
    HunyuanDiTPipeline,
    Lumina2Pipeline,
    Lumina2Transformer2DModel,
    PixArtAlphaPipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    SanaPipeline,
    SanaTransformer2DModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

WORDS = ["a", "the", "red", "blue", "cat", "dog", "fox", "car", "tree", "beside", "and", "under"]
LETTERS = [chr(code) for code in range(33, 127)]
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


# -- tokenizers: each word of WORDS in one piece, all else in letters


def t5() -> transformers.T5TokenizerFast:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -8.0)]
    pieces += [(f"\u2581{word}", -2.0) for word in WORDS] + [(letter, -9.0) for letter in LETTERS]
    return transformers.T5TokenizerFast(vocab=pieces, extra_ids=0)


def bert() -> transformers.BertTokenizer:
    small = [letter for letter in LETTERS if not letter.isupper()]
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *small, *(f"##{x}" for x in small)]
    names += [word for word in WORDS if word not in small]
    return transformers.BertTokenizer(
        vocab={name: i for i, name in enumerate(names)}, model_max_length=77
    )


def pairs(blank: str, special: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A vocabulary and the merges that make each word, with a blank before it and without."""
    names, merges = [*special, blank, *LETTERS], []
    for word in [*(blank + word for word in WORDS), *WORDS]:
        for end in range(1, len(word)):
            merges.append((word[:end], word[end]))
            names.append(word[: end + 1])
    return {name: i for i, name in enumerate(dict.fromkeys(names))}, list(dict.fromkeys(merges))


def gemma() -> transformers.GemmaTokenizerFast:
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    vocab, merges = pairs("\u2581", special)
    vocab["\n"] = len(vocab)
    made = transformers.GemmaTokenizerFast(vocab=vocab, merges=merges)
    begin = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", made.bos_token_id)]
    )
    made.backend_tokenizer.post_processor = begin
    return made


def qwen() -> transformers.Qwen2TokenizerFast:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocab, merges = pairs("\u0120", special)
    vocab["\u010a"] = len(vocab)  # the line's end, as bytes are written
    made = transformers.Qwen2TokenizerFast(vocab=vocab, merges=merges, chat_template=CHAT)
    made.add_tokens([AddedToken(name, special=True) for name in special[1:]], special_tokens=True)
    return made


def glm() -> transformers.PreTrainedTokenizerFast:
    special = ["<|endoftext|>", "[gMASK]", "<sop>"]
    vocab, merges = pairs("\u0120", special)
    made = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.post_processor = processors.TemplateProcessing(
        single="[gMASK] <sop> $A", special_tokens=[(name, vocab[name]) for name in special[1:]]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=special[0], eos_token=special[0],
        additional_special_tokens=special[1:], padding_side="left",
    )  # fmt: skip


# -- parts


def separate(encoder: torch.nn.Module) -> torch.nn.Module:
    """A text encoder none of whose layers adds anything."""
    ends = ("o", "wo", "o_proj", "down_proj", "output.dense")
    with torch.no_grad():
        for name, part in encoder.named_modules():
            if isinstance(part, torch.nn.Linear) and any(
                name == end or name.endswith(f".{end}") for end in ends
            ):
                part.weight.zero_()
                if part.bias is not None:
                    part.bias.zero_()
    return encoder.eval()


def t5_encoder(tokenizer: Any, kind: str = "T5") -> torch.nn.Module:
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=24, num_layers=1, num_heads=2,
        is_encoder_decoder=False, use_cache=False,
    )  # fmt: skip
    return separate(getattr(transformers, f"{kind}EncoderModel")(config))


def decoder(kind: str, tokenizer: Any) -> torch.nn.Module:
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, head_dim=16, max_position_embeddings=2048,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    return separate(getattr(transformers, f"{kind}Model")(config))


def autoencoder(levels: int = 2, **options: float) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(4,) * levels, down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels, latent_channels=4, norm_num_groups=2,
        **options,
    ).eval()  # fmt: skip


def vary(model: torch.nn.Module, scale: float) -> torch.nn.Module:
    """Weights large enough that attention is far from flat; refiners of text mix nothing."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                torch.nn.init.normal_(weight, std=scale)
            if "context_refiner" in name and "to_out" in name:
                weight.zero_()
    return model.eval()


def quiet(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    return pipe


# -- pipelines


def pixart() -> PixArtSigmaPipeline:
    tokenizer = t5()
    transformer = PixArtTransformer2DModel(
        sample_size=16, num_layers=2, patch_size=2, attention_head_dim=8, num_attention_heads=2,
        caption_channels=32, in_channels=4, cross_attention_dim=16, out_channels=8,
        norm_type="ada_norm_single", use_additional_conditions=False,
    )  # fmt: skip
    return quiet(
        PixArtSigmaPipeline(
            tokenizer=tokenizer,
            text_encoder=t5_encoder(tokenizer),
            vae=autoencoder(),
            transformer=vary(transformer, 0.2),
            scheduler=DDIMScheduler(clip_sample=False),
        )
    )


def pixartalpha() -> PixArtAlphaPipeline:
    """PixArt-alpha, which of 1024 pixels a side is told the picture's size and aspect."""
    own = pixart()
    transformer = PixArtTransformer2DModel(
        sample_size=128, num_layers=2, patch_size=2, attention_head_dim=12, num_attention_heads=2,
        caption_channels=32, in_channels=4, cross_attention_dim=24, out_channels=8,
        norm_type="ada_norm_single", use_additional_conditions=True,
    )  # fmt: skip
    return quiet(
        PixArtAlphaPipeline(
            tokenizer=own.tokenizer,
            text_encoder=own.text_encoder,
            vae=own.vae,
            transformer=vary(transformer, 0.2),
            scheduler=own.scheduler,
        )
    )


def sana() -> SanaPipeline:
    tokenizer = gemma()
    transformer = SanaTransformer2DModel(
        in_channels=4, out_channels=4, num_layers=2, num_attention_heads=2, attention_head_dim=8,
        num_cross_attention_heads=2, cross_attention_head_dim=8, cross_attention_dim=16,
        caption_channels=32, sample_size=32,
    )  # fmt: skip
    blocks = {
        f"{way}_{name}": value
        for way in ("encoder", "decoder")
        for name, value in {
            "block_out_channels": (8, 8),
            "layers_per_block": (1, 1),
            "qkv_multiscales": ((), ()),
            "block_types": "ResBlock",
        }.items()
    }
    vae = AutoencoderDC(
        latent_channels=4, attention_head_dim=2, downsample_block_type="conv",
        upsample_block_type="interpolate", **blocks,
    )  # fmt: skip
    return quiet(
        SanaPipeline(
            tokenizer=tokenizer,
            text_encoder=decoder("Gemma2", tokenizer),
            vae=vae.eval(),
            transformer=vary(transformer, 0.2),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        )
    )


def hunyuandit() -> HunyuanDiTPipeline:
    first, second = bert(), t5()
    transformer = HunyuanDiT2DModel(
        sample_size=16, num_layers=2, patch_size=2, attention_head_dim=8, num_attention_heads=2,
        hidden_size=16, in_channels=4, cross_attention_dim=32, cross_attention_dim_t5=32,
        pooled_projection_dim=8, activation_fn="gelu-approximate",
    )  # fmt: skip
    config = transformers.BertConfig(
        vocab_size=len(first), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=77,
    )  # fmt: skip
    return quiet(
        HunyuanDiTPipeline(
            vae=autoencoder(4),  # the pipeline takes 8 pixels a latent for granted
            text_encoder=separate(transformers.BertModel(config)),
            tokenizer=first,
            transformer=vary(transformer, 0.3),
            scheduler=DDPMScheduler(clip_sample=False),
            text_encoder_2=t5_encoder(second),
            tokenizer_2=second,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    )


def zimage() -> ZImagePipeline:
    tokenizer = qwen()
    transformer = ZImageTransformer2DModel(
        in_channels=4, dim=16, n_layers=2, n_refiner_layers=1, n_heads=1, n_kv_heads=1,
        cap_feat_dim=32, axes_dims=[4, 6, 6], axes_lens=[256, 32, 32],
    )  # fmt: skip
    return quiet(
        ZImagePipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
            vae=autoencoder(shift_factor=0.1),
            text_encoder=decoder("Qwen3", tokenizer),
            tokenizer=tokenizer,
            transformer=vary(transformer, 0.3),
        )
    )


def lumina2() -> Lumina2Pipeline:
    tokenizer = gemma()
    transformer = Lumina2Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, hidden_size=32, num_layers=2,
        num_refiner_layers=1, num_attention_heads=4, num_kv_heads=2, multiple_of=16,
        axes_dim_rope=(4, 2, 2), axes_lens=(300, 32, 32), cap_feat_dim=32,
    )  # fmt: skip
    pipe = Lumina2Pipeline(
        transformer=vary(transformer, 0.3),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=autoencoder(4, shift_factor=0.1),  # the pipeline takes 8 pixels a latent for granted
        text_encoder=decoder("Gemma2", tokenizer),
        tokenizer=tokenizer,
    )
    pipe.system_prompt = "the fox and the tree"  # shorter in letters than its own
    return quiet(pipe)


def auraflow() -> AuraFlowPipeline:
    tokenizer = t5()
    transformer = AuraFlowTransformer2DModel(
        sample_size=16, patch_size=2, in_channels=4, out_channels=4, num_mmdit_layers=1,
        num_single_dit_layers=1, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=32, caption_projection_dim=16, pos_embed_max_size=256,
    )  # fmt: skip
    return quiet(
        AuraFlowPipeline(
            tokenizer=tokenizer,
            text_encoder=t5_encoder(tokenizer, "UMT5"),
            vae=autoencoder(),
            transformer=vary(transformer, 0.2),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=1.73),
        )
    )


def cogview4() -> CogView4Pipeline:
    tokenizer = glm()
    transformer = CogView4Transformer2DModel(
        patch_size=2, in_channels=4, out_channels=4, num_layers=2, attention_head_dim=8,
        num_attention_heads=2, text_embed_dim=32, time_embed_dim=16, condition_dim=4,
        sample_size=16, rope_axes_dim=(8, 8),
    )  # fmt: skip
    return quiet(
        CogView4Pipeline(
            tokenizer=tokenizer,
            text_encoder=decoder("Glm", tokenizer),
            vae=autoencoder(),
            transformer=vary(transformer, 0.2),
            scheduler=FlowMatchEulerDiscreteScheduler(
                base_shift=0.25, max_shift=0.75, use_dynamic_shifting=True,
                time_shift_type="linear",
            ),
        )
    )  # fmt: skip


CALLS: dict[str, dict[str, Any]] = {
    "pixart": {"height": 16, "width": 24, "max_sequence_length": 24, "clean_caption": False},
    "pixartalpha": {"height": 16, "width": 24, "max_sequence_length": 24, "clean_caption": False},
    "sana": {"height": 32, "width": 64, "max_sequence_length": 24},
    "hunyuandit": {"height": 32, "width": 48},
    "zimage": {"height": 20, "width": 24, "max_sequence_length": 80},
    "lumina2": {"height": 32, "width": 48, "max_sequence_length": 64},
    "auraflow": {"height": 16, "width": 24, "max_sequence_length": 24},
    "cogview4": {"height": 16, "width": 32, "max_sequence_length": 64},
}  # fmt: skip
for name in ("pixart", "pixartalpha", "sana", "hunyuandit"):
    CALLS[name]["use_resolution_binning"] = False
GRIDS = {
    "pixart": (4, 6), "pixartalpha": (4, 6), "sana": (16, 32), "hunyuandit": (2, 3),
    "zimage": (5, 6), "lumina2": (2, 3), "auraflow": (4, 6), "cogview4": (4, 8),
}  # fmt: skip


def build(name: str, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return globals()[name]()


def generate(pipe: Any, name: str, prompt: Any = "a red cat", seed: int = 0, **options: Any) -> Any:
    """Latents, unless another output is asked for."""
    call = {"num_inference_steps": 2, "output_type": "latent", **CALLS[name], **options}
    call.setdefault("generator", torch.Generator().manual_seed(seed))
    return pipe(prompt, **call).images
