"""The toybox with joint attention: a Flux in miniature, built from configurations or opened."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5TokenizerFast

from daamkit.toybox import pipeline

WIDTH, HEADS = 192, 4
SIDE = pipeline.LATENT_SIDE // 2  # places a side: latents are packed 2 x 2
PIECES = 400  # of words, in the T5 tokenizer's vocabulary
CALL = {  # what its training had: `FluxPipeline` by itself has 512 places, no guidance, 1024 pixels
    "max_sequence_length": 32,
    "true_cfg_scale": 3.0,
    "height": 4 * pipeline.LATENT_SIDE,
    "width": 4 * pipeline.LATENT_SIDE,
}


def transformer() -> FluxTransformer2DModel:
    """An untrained denoiser: two double and four single blocks over text and 16 x 16 places."""
    return FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=2,
        num_single_layers=4,
        attention_head_dim=WIDTH // HEADS,
        num_attention_heads=HEADS,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=128,
        guidance_embeds=False,
        axes_dims_rope=(16, 16, 16),
    )


def own(pipe: Any) -> dict[str, Any]:
    """How a pipeline is called unless told: `CALL` where it is a toybox, be it in a folder."""
    if not isinstance(pipe, FluxPipeline):
        return {}
    config = pipe.transformer.config
    toy = (config.joint_attention_dim, config.num_attention_heads) == (WIDTH, HEADS)
    return dict(CALL) if toy else {}


def t5(tokenizer: T5TokenizerFast) -> T5EncoderModel:
    """An untrained T5 encoder: three layers of the denoiser's width."""
    return T5EncoderModel(
        T5Config(
            vocab_size=len(tokenizer),
            d_model=WIDTH,
            d_kv=WIDTH // HEADS,
            d_ff=2 * WIDTH,
            num_layers=3,
            num_heads=HEADS,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def learn_t5_tokenizer(captions: list[str]) -> T5TokenizerFast:
    """A unigram tokenizer in T5's form: pieces of up to 7 letters that byte-pair merges find in the
    captions, as likely as they are there, and all printable ASCII letters, rarer than these."""
    letters = [chr(code) for code in range(33, 127)]
    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    trainer = trainers.BpeTrainer(vocab_size=PIECES, max_token_length=8, show_progress=False)
    tokens.train_from_iterator(captions, trainer)
    counts = Counter(piece for text in captions for piece in tokens.encode(text).tokens)
    whole = counts.total()
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocabulary += [
        (piece, math.log(counts[piece] / whole)) for piece in sorted(counts) if len(piece) > 1
    ]
    rare = min(score for _, score in vocabulary) - 1
    vocabulary += [(letter, rare) for letter in ("▁", *letters)]
    return T5TokenizerFast(vocab=vocabulary, extra_ids=0, model_max_length=512)


def scheduler() -> FlowMatchEulerDiscreteScheduler:
    """Straight paths from noise to image, no shift of times: the image is small."""
    return FlowMatchEulerDiscreteScheduler(shift=1.0)


def assemble(
    transformer: FluxTransformer2DModel,
    t5: T5EncoderModel,
    t5_tokenizer: T5TokenizerFast,
    clip: CLIPTextModel,
    clip_tokenizer: CLIPTokenizer,
    autoencoder: AutoencoderKL,
) -> FluxPipeline:
    """Put trained parts together."""
    autoencoder.register_to_config(shift_factor=0.0)  # FluxPipeline adds it
    pipe = FluxPipeline(
        scheduler=scheduler(),
        vae=autoencoder,
        text_encoder=clip,
        tokenizer=clip_tokenizer,
        text_encoder_2=t5,
        tokenizer_2=t5_tokenizer,
        transformer=transformer,
    )
    pipe.default_sample_size = pipeline.LATENT_SIDE
    return pipe


def toybox_flux(**options: Any) -> FluxPipeline:
    """The joint-attention toybox, in float32 on the CPU, once its training is done.

    Parameters
    ----------
    options
        For ``from_pretrained``; ``dtype`` among them.

    Raises
    ------
    DaamkitError
        If its weights are not there, or have not seen all their samples.
    """
    folder = pipeline.finished("toybox-flux", "daamkit.toybox.training.flux")
    pipe = FluxPipeline.from_pretrained(
        folder, local_files_only=True, **pipeline.in_float32(options)
    )
    pipe.default_sample_size = pipeline.LATENT_SIDE
    return pipe
