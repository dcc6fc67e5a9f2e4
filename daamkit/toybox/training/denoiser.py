"""What learns to be the joint-attention toybox: the transformer and its two text encoders."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import FluxPipeline
from torch import Tensor, nn
from transformers import T5TokenizerFast

from daamkit import resources
from daamkit.toybox import flux, pipeline
from daamkit.toybox.training import latents, loop

BLOCKS = ("transformer_blocks.", "t5.encoder.block.", "encoder.layers.")
LOUD = 2.0  # the text's keys at first, of which some 8 words stand beside 256 places
BIAS = "relative_attention_bias"  # T5's, a table of positions


class FluxDenoiser(nn.Module):
    """The transformer and its two text encoders, trained together."""

    places: Tensor

    def __init__(self, out: Path) -> None:
        super().__init__()
        self.t5_tokenizer = T5TokenizerFast.from_pretrained(out / "tokenizer_2")
        self.clip_tokenizer = pipeline.tokenizer(resources.path("toybox") / "tokenizer")
        self.transformer = flux.transformer()
        for block in self.transformer.transformer_blocks:
            nn.init.constant_(block.attn.norm_added_k.weight, LOUD)
        self.t5, self.clip = flux.t5(self.t5_tokenizer), pipeline.text_encoder(self.clip_tokenizer)
        self.reading = nn.Linear(flux.WIDTH, len(latents.NAMES) * latents.PARTS)
        side = torch.arange(flux.SIDE)
        places = torch.stack(
            [torch.zeros(flux.SIDE, flux.SIDE), *torch.meshgrid(side, side, indexing="ij")], -1
        )
        self.register_buffer("places", places.flatten(0, 1), persistent=False)
        self._behind: list[Tensor] = []
        self.transformer.transformer_blocks[-1].register_forward_hook(
            lambda module, given, made: self._behind.append(made[1])
        )

    def forward(
        self, noisy: Tensor, times: Tensor, t5_ids: Tensor, clip_ids: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Velocity (n, 256, 16), scores of `latents.answers` (n, 256, answers), and how much the
        text's end and padding tell of the prompt, before they are `quiet`."""
        text, told = self.quiet(t5_ids, self.t5(input_ids=t5_ids).last_hidden_state)
        pooled = self.clip(input_ids=clip_ids).pooler_output
        self._behind.clear()
        velocity = self.transformer(
            hidden_states=noisy,
            encoder_hidden_states=text,
            pooled_projections=pooled,
            timestep=times,
            img_ids=self.places,
            txt_ids=torch.zeros(text.shape[1], 3, device=text.device),
        ).sample
        return velocity, self.reading(self._behind.pop()), told

    def quiet(self, t5_ids: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Text whose end and padding are an empty prompt's, and how far they were from that: the
        mean square, which is to be learned away."""
        end, padding = self.t5_tokenizer.eos_token_id, self.t5_tokenizer.pad_token_id
        empty = torch.full_like(t5_ids[:1], padding)
        empty[:, 0] = end
        nothing = self.t5(input_ids=empty).last_hidden_state
        nothing = torch.where((t5_ids == end)[..., None], nothing[:, :1], nothing)
        wordless = ((t5_ids == end) | (t5_ids == padding))[..., None]
        told = ((text - nothing.detach()).float() ** 2)[wordless.expand_as(text)].mean()
        return torch.where(wordless, nothing, text), told

    def load_weights(self, folder: Path) -> int:
        """Take the weights of an exported pipeline; returns how many samples they have seen."""
        pipe = FluxPipeline.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
        for own, given in (
            (self.transformer, pipe.transformer),
            (self.t5, pipe.text_encoder_2),
            (self.clip, pipe.text_encoder),
        ):
            own.load_state_dict(given.state_dict())
        return loop.how_far(folder)


def packed(images: Tensor) -> Tensor:
    """(n, 4, 32, 32) to (n, 256, 16), as `FluxPipeline` packs latents."""
    n, channels, height, width = images.shape
    cells = images.view(n, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return cells.reshape(n, height * width // 4, 4 * channels)


def upper(caption: str) -> str:
    """With a capital letter at the start."""
    return caption[:1].upper() + caption[1:]


def ids(
    model: FluxDenoiser, texts: list[str], pooled: list[str], length: int
) -> tuple[Tensor, Tensor]:
    """Token ids of both encoders: T5's of `texts`, padded as `FluxPipeline` pads them, and CLIP's
    of `pooled`, to the longest (what it pools is not moved by what comes after)."""
    options = {"truncation": True, "return_tensors": "pt"}
    t5 = model.t5_tokenizer(texts, padding="max_length", max_length=length, **options)
    clip = model.clip_tokenizer(pooled, padding=True, max_length=77, **options)
    return t5.input_ids, clip.input_ids
