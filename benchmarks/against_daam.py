"""What tracing costs with the reference, daam 0.2.0, and, if asked, with daamkit.

The script builds a virtual environment of its own, pinned to what daam 0.2.0 runs with, and times
there a Stable Diffusion 1.5 UNet of full size on the CPU: a generation without tracing, the same
generation inside ``daam.trace``, and the global heat map that the trace is then asked for. The
weights are random, since the time does not depend on them, so nothing is fetched but packages. All
but the UNet is small and the latents are not decoded: the ratio is that of the denoising loop.

    python benchmarks/against_daam.py                     # daam only
    python benchmarks/against_daam.py --with-daamkit      # and benchmarks/tracing.py beside it

Standard output is one JSON object; progress goes to standard error::

    {"daam": {"time_ratio": ..., "heat_map_seconds": ..., "untraced_seconds": ..., "rounds": ...}}

``time_ratio`` is the median over the rounds of traced / untraced seconds; the other two are medians
in seconds, and the heat map's time is not part of the ratio. A round runs both generations, and the
one that comes first alternates, so that a machine that slows down favours neither.

daam's cost is small beside the UNet's, some per cent: it shows on a quiet machine only, and beside
other work the ratio is noise. It takes Python 3.11, 2 GB of disk, 5 GB of memory and, on two quiet
cores, half a minute a round. The environment is kept and used again; remove the folder for another.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import venv
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

ROOT = Path(__file__).resolve().parents[1]
TOKENIZER = ROOT / "tests" / "golden" / "daam" / "pipeline" / "tokenizer"

# What `import daam` and `daam.trace` use. The package also asks for gradio, numba, nltk, inflect
# and others, for its demo and its experiments: it is installed without them.
DAAM = "daam==0.2.0"
PINS = (
    *("diffusers==0.21.2", "transformers==4.30.2", "accelerate==0.23.0"),
    *("huggingface_hub==0.17.3", "numpy<2", "safetensors", "pillow", "matplotlib"),
    *("scipy", "spacy"),
)

PROMPT = "a photo of a hedgehog and a bicycle"
SIZE = 512  # pixels: 64x64 latents
STEPS = 2
GUIDANCE = 7.5


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def build_environment(folder: Path, torch_version: str) -> Path:
    """Build daam's environment in `folder`, or find it there; returns its Python.

    Raises
    ------
    SystemExit
        If the running Python is not one that daam's pins have wheels for.
    subprocess.CalledProcessError
        If a package cannot be installed.
    """
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    torch = f"torch=={torch_version}"
    wanted = "\n".join((torch, *PINS, DAAM))
    built = folder / "built.txt"  # written last: without it the folder is half a build
    if built.is_file() and built.read_text(encoding="utf-8") == wanted:
        return python
    if sys.version_info[:2] != (3, 11):
        raise SystemExit(
            "building daam's environment wants Python 3.11, got "
            f"{sys.version_info.major}.{sys.version_info.minor}: transformers 4.30 needs "
            "tokenizers 0.13, which has no wheel for 3.12 and later. Start this script with "
            "python3.11; it needs no package there."
        )

    say(f"building the environment of {DAAM} in {folder}")
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # torch comes first and is named again: nothing after it may choose another build. daam comes
    # last and without its requirements.
    for packages in ([torch], [torch, *PINS], ["--no-deps", DAAM]):
        say(f"  installing {' '.join(packages)}")
        subprocess.run([*pip, *packages], check=True, stdout=sys.stderr)
    built.write_text(wanted, encoding="utf-8")
    return python


def read_json(command: list[str], environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Run `command` and read the JSON object that it prints."""
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def build_pipeline(tokenizer: Path) -> StableDiffusionPipeline:
    """Stable Diffusion 1.5 with its UNet in full and all the rest small; random weights."""
    import diffusers
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=SIZE // 8,
        block_out_channels=(320, 640, 1280, 1280),
        layers_per_block=2,
        cross_attention_dim=768,
        attention_head_dim=8,  # diffusers' name for the number of heads
    )
    text_config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=768,
        intermediate_size=768,
        num_hidden_layers=1,
        num_attention_heads=12,
    )
    vae = diffusers.AutoencoderKL(  # four blocks: 8 pixels to a latent
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32,) * 4,
        latent_channels=4,
    )
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    pipe = diffusers.StableDiffusionPipeline(
        vae=vae.eval(),
        text_encoder=CLIPTextModel(text_config).eval(),
        tokenizer=CLIPTokenizer.from_pretrained(str(tokenizer)),
        unet=unet.eval(),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def generate(pipe: StableDiffusionPipeline, steps: int) -> float:
    """Seconds of one generation, the latents left undecoded."""
    import torch

    generator = torch.Generator().manual_seed(0)
    start = time.perf_counter()
    pipe(
        PROMPT,
        height=SIZE,
        width=SIZE,
        num_inference_steps=steps,
        guidance_scale=GUIDANCE,
        generator=generator,
        output_type="latent",
    )
    return time.perf_counter() - start


def generate_traced(pipe: StableDiffusionPipeline, steps: int, heads: Path) -> tuple[float, float]:
    """Seconds of one generation inside `daam.trace`, and of the global heat map after it.

    `heads` is the folder that daam makes at every trace, else in the user's cache. The heat map
    is not parsed: only there would daam load a spaCy model, or download one.
    """
    import daam

    with daam.trace(pipe, data_dir=heads) as tracer:
        generation = generate(pipe, steps)
        start = time.perf_counter()
        tracer.compute_global_heat_map()
        return generation, time.perf_counter() - start


def measure(tokenizer: Path, heads: Path, rounds: int) -> dict[str, float]:
    """The medians over `rounds` rounds, after one step of each kind to warm up."""
    pipe = build_pipeline(tokenizer)
    generate(pipe, 1)
    generate_traced(pipe, 1, heads)

    untraced: list[float] = []
    traced: list[float] = []
    heat_map: list[float] = []
    for index in range(rounds):
        for kind in ("untraced", "traced") if index % 2 == 0 else ("traced", "untraced"):
            if kind == "untraced":
                untraced.append(generate(pipe, STEPS))
            else:
                generation, aggregation = generate_traced(pipe, STEPS, heads)
                traced.append(generation)
                heat_map.append(aggregation)
        say(
            f"  round {index + 1} of {rounds}: untraced {untraced[-1]:.2f} s, "
            f"traced {traced[-1]:.2f} s, heat map {heat_map[-1]:.3f} s"
        )
    return {
        "time_ratio": round(median(t / u for t, u in zip(traced, untraced, strict=True)), 3),
        "heat_map_seconds": round(median(heat_map), 3),
        "untraced_seconds": round(median(untraced), 2),
        "rounds": rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("command", nargs="?", choices=("compare", "measure"), default="compare")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "against_daam")
    parser.add_argument("--tokenizer", type=Path, default=TOKENIZER, help="CLIP's tokenizer files")
    parser.add_argument("--torch", default="2.13.0", metavar="VERSION")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--with-daamkit", action="store_true", help="run tracing.py as well")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error(f"--rounds wants 1 or more, got {given.rounds}")
    if not (given.tokenizer / "vocab.json").is_file():
        parser.error(f"--tokenizer wants CLIP's vocab.json and merges.txt in {given.tokenizer}")
    folder, tokenizer = given.folder.resolve(), given.tokenizer.resolve()

    if given.command == "measure":  # the script has called itself, in daam's environment
        print(json.dumps(measure(tokenizer, folder / "heads", given.rounds)))
        return

    python = build_environment(folder / "environment", given.torch)
    command = [str(python), "-I", __file__, "measure", "--folder", str(folder)]
    command += ["--tokenizer", str(tokenizer), "--rounds", str(given.rounds)]
    # No hub; and no GPU, since daam turns CUDA's autocast on wherever it sees one.
    apart = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    say("measuring daam")
    result = {"daam": read_json(command, {**os.environ, **apart})}
    if given.with_daamkit:
        say("measuring daamkit")
        tracing = Path(__file__).with_name("tracing.py")
        result["daamkit"] = read_json([sys.executable, str(tracing), "--json"])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
