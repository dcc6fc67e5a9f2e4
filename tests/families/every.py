"""Every family's small pipeline, and how it is called."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import torch

from tests import tiny
from tests.families import tiny_cross, tiny_joint, tiny_video

TWO = ["a red cat beside the blue car", "a dog"]


@dataclasses.dataclass(frozen=True)
class Case:
    """A family.

    Attributes
    ----------
    build
        Its pipeline.
    call
        A call's arguments, not square.
    grid
        Of these.
    guided, alone
        Further ones, with guidance (for two prompts) and without.
    branches
        Of a guided call.
    images
        What several images of a prompt are called; "" where there is always one.
    places
        Of its longest text.
    own_masks
        Whether the pipeline gives each of them its own prompt's mask.
    """

    build: Callable[[], Any]
    call: dict[str, Any]
    grid: tuple[int, ...]
    guided: dict[str, Any] = dataclasses.field(default_factory=dict)
    alone: dict[str, Any] = dataclasses.field(default_factory=lambda: {"guidance_scale": 1.0})
    branches: tuple[str, ...] = ("cond", "uncond")
    images: str = "num_images_per_prompt"
    places: int = 77
    own_masks: bool = True


def cross(name: str, **options: Any) -> Case:
    build = lambda: tiny_cross.build(name)  # noqa: E731
    return Case(build, tiny_cross.CALLS[name], tiny_cross.GRIDS[name], **options)


def joint(build: Callable[[], Any], *, true: bool = False, **options: Any) -> Case:
    """Images of 48 x 32 pixels; under true guidance, each prompt with its negative."""
    call = {"height": 48, "width": 32, **options.pop("call", {})}
    if true:
        options |= {
            "guided": {"true_cfg_scale": 3.0, "negative_prompt": ["a tree", "a blue fox"]},
            "alone": {},
            "branches": ("cond", "negative"),
        }
    return Case(build, call, **{"grid": (12, 8), **options})


def video(name: str, height: int, width: int, **options: Any) -> Case:
    call = {"height": height, "width": width, "num_frames": 9, **options.pop("call", {})}
    options = {"images": "num_videos_per_prompt", **options}
    return Case(lambda: tiny_video.build(name), call, **options)


SHORT = {"max_sequence_length": 24}
CHAT = {"max_sequence_length": 64, "text_encoder_out_layers": (1, 2, 3)}
CASES = {
    "sd": Case(tiny.sd, {"height": 48, "width": 64}, (24, 32)),
    "sdxl": Case(tiny.sdxl, {"height": 48, "width": 64}, (24, 32)),
    "pixart": cross("pixart"),
    "pixartalpha": cross("pixartalpha"),
    "sana": cross("sana", own_masks=False),
    "hunyuandit": cross("hunyuandit", own_masks=False, places=256),
    "zimage": cross("zimage", alone={"guidance_scale": 0.0}),
    "lumina2": cross("lumina2", own_masks=False),
    "auraflow": cross("auraflow"),
    "cogview4": cross("cogview4"),
    "sd3": joint(tiny_joint.sd3, call=SHORT),
    "sd35": joint(tiny_joint.sd35, call=SHORT),
    "flux": joint(tiny_joint.flux1, call=SHORT, true=True),
    "chroma": joint(tiny_joint.chroma, call=SHORT),
    "qwenimage": joint(tiny_joint.qwen, call=SHORT, true=True, grid=(6, 4)),
    "flux2": joint(
        tiny_joint.flux2, call=CHAT | {"max_sequence_length": 512}, branches=("cond",), alone={},
        places=512,
    ),
    "flux2klein": joint(tiny_joint.klein, call=CHAT, guided={"guidance_scale": 4.0}),
    "hidream": Case(
        lambda: tiny_video.build("hidream"), {"height": 16, "width": 32} | SHORT, (4, 8)
    ),
    "wan": video("wan", 16, 48, grid=(3, 2, 6), call=SHORT),
    "wan22": video("wan22", 16, 48, grid=(3, 2, 6), call=SHORT),
    "ltx": video("ltx", 32, 64, grid=(3, 4, 8), call=SHORT, own_masks=False),
    "cogvideox": video("cogvideox", 16, 32, grid=(3, 2, 4), call=SHORT, images=""),
    # The guider, no argument, sets guidance; images to begin with are of too few rows for several.
    "hunyuanvideo": video("hunyuanvideo", 32, 48, grid=(3, 4, 6), alone={}, images=""),
}  # fmt: skip


def generate(
    case: Case, pipe: Any, prompt: Any = "a red cat", seed: Any = 0, **options: Any
) -> Any:
    """Latents of two steps; for each of several seeds, an image."""
    seeds = [seed] if isinstance(seed, int) else seed
    random = [torch.Generator().manual_seed(each) for each in seeds]
    call = {"num_inference_steps": 2, "output_type": "latent", **case.call, **options}
    given = copy.deepcopy({"prompt": prompt} | call)  # some pipelines write into their lists
    return pipe(**given, generator=random[0] if isinstance(seed, int) else random)[0]


_MIXING = (  # of text encoders: what a place hears of others
    "SelfAttention.o.weight", "self_attn.out_proj.weight", "self_attn.out_proj.bias",
    "self_attn.o_proj.weight",
)  # fmt: skip
_POOLED = (  # of denoisers: what a pooled text does to all places; refiners of text
    "time_text_embed.text_embedder", "p_embedder", "context_embedder.token_refiner.refiner_blocks",
)  # fmt: skip


def deaf(pipe: Any) -> Any:
    """No token of a prompt reaches another's place before the first attention to text."""
    with torch.no_grad():
        for name, part in pipe.components.items():
            if name.startswith("text_encoder") and part is not None:
                for path, weight in part.named_parameters():
                    if path.endswith(_MIXING):
                        weight.zero_()
            if name.startswith("transformer") and part is not None:
                for path, weight in part.named_parameters():
                    if path.startswith(_POOLED) or ".time_text_embed.text_embedder" in path:
                        weight.zero_()
    return pipe
