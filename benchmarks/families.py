"""What tracing costs at the shapes of real models, beside other ways to the same columns.

    python -m benchmarks.families --json
    python -m benchmarks.families --rival FOLDER    # attention-map-diffusers too, installed there

Models of a few blocks (`benchmarks/blocks.py`), images of 1024 x 1024 pixels, one step. In each
round every way makes the image once, the order turning; what is printed are ratios to the untraced
generation of the same round: median, and from the least to the greatest. Run it on a quiet machine:
beside other work the ratio is noise.

- daamkit: a trace with its defaults.
- chunks: where the image attends to text, explicit attention in place of the fused kernel, 256
  queries at a time, AttLine's way; the text's columns are kept.
- attention-map-diffusers: its `AttentionCapture` of image->text, all layers and steps.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

import daamkit
from benchmarks.blocks import MODELS, PROMPT
from benchmarks.memory import Peak
from daamkit.attention import hooks
from daamkit.attention.columns import cut
from daamkit.attention.sites import Site
from daamkit.attention.taps import Attention, Tap

RIVAL = "attention-map-diffusers"
VERSION = "1.0.0"
Sizes = tuple[int, int]  # how many queries and keys an attention has


class Texts(Tap):
    """Where the text is among the keys, by the family's layout."""

    def __init__(self) -> None:
        self.keys: dict[Sizes, slice] = {}

    def wants(self, site: Site) -> bool:
        return site.reads_text

    def observe(self, attention: Attention) -> None:
        sizes = attention.query.shape[2], attention.key.shape[2]
        self.keys[sizes] = attention.layout.keys(slice(0, len(attention.query)))


class Chunks(TorchFunctionMode):
    """Explicit attention in place of the fused kernel, some queries at a time, where there is text
    among the keys; `kept` are the text's columns call by call, a mean over heads."""

    def __init__(self, text: Mapping[Sizes, slice], queries: int = 256) -> None:
        super().__init__()
        self.text, self.queries, self.kept = text, queries, list[Tensor]()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        names = ("query", "key", "value", "attn_mask")
        given: dict[str, Any] = dict(zip(names, args, strict=False)) | (kwargs or {})
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        query, key, value = (given[name] for name in names[:3])
        keys = self.text.get((query.shape[2], key.shape[2]))
        if keys is None:
            return func(*args, **(kwargs or {}))
        mask, outputs, columns = given.get("attn_mask"), [], []
        for at in range(0, query.shape[2], self.queries):
            block = slice(at, at + self.queries)
            scores = query[:, :, block] @ key.mT * query.shape[-1] ** -0.5
            if mask is not None and mask.dtype == torch.bool:
                scores = scores.masked_fill(~cut(mask, block), -torch.inf)
            elif mask is not None:
                scores = scores + cut(mask, block)
            shares = scores.softmax(-1)
            outputs.append(shares @ value)
            columns.append(shares[..., keys].mean(1))
        self.kept.append(torch.cat(columns, 1))
        return torch.cat(outputs, 2)


@contextlib.contextmanager
def rival(pipe: Any) -> Iterator[None]:
    """attention-map-diffusers, with its maps computed."""
    from attention_map_diffusers import AttentionCapture  # type: ignore[import-not-found]

    with AttentionCapture(pipe, relations=["image->text"], timesteps="all") as capture:
        yield
    capture.compute()


def draw(pipe: Any, options: Mapping[str, Any]) -> Tensor:
    """One step's latents."""
    random = torch.Generator().manual_seed(0)
    latents: Tensor = pipe(
        PROMPT, num_inference_steps=1, output_type="latent", generator=random, **options
    ).images
    return latents


def ways(pipe: Any, options: Mapping[str, Any], rivals: bool) -> dict[str, Callable[[], Any]]:
    """What a pipeline draws under, by name."""
    texts = Texts()
    with hooks.attach(pipe, texts):
        draw(pipe, options)
    own: dict[str, Callable[[], Any]] = {
        "untraced": contextlib.nullcontext,
        "daamkit": partial(daamkit.trace, pipe),
        "chunks": partial(Chunks, texts.keys),
    }
    return own | ({RIVAL: partial(rival, pipe)} if rivals else {})


def compare(
    pipe: Any, options: Mapping[str, Any], rounds: int, rivals: bool = False
) -> dict[str, Any]:
    """Time and peak memory of each way over the untraced generation of the same round."""
    pipe.set_progress_bar_config(disable=True)
    peak, under = Peak(str(pipe.device)), ways(pipe, options, rivals)
    pictures: dict[str, Tensor] = {}

    def measure(name: str) -> tuple[float, int | None]:
        peak.reset()
        started = time.perf_counter()
        with under[name]():
            pictures[name] = draw(pipe, options)
        memory = peak.read()  # synchronizes
        return time.perf_counter() - started, memory

    names = list(under)
    for name in names:
        measure(name)  # warm-up
    found: dict[str, list[tuple[float, int | None]]] = {name: [] for name in names}
    for index in range(rounds):
        turned = names[index % len(names) :] + names[: index % len(names)]
        for name in turned:
            found[name].append(measure(name))
    plain = found["untraced"]
    result: dict[str, Any] = {
        "untraced_seconds": round(median(seconds for seconds, _ in plain), 3),
        "rounds": rounds,
    }
    for name in names[1:]:
        pairs = list(zip(found[name], plain, strict=True))
        times = [own[0] / other[0] for own, other in pairs]
        sizes = [own[1] / other[1] for own, other in pairs if own[1] and other[1]]
        result[name] = {
            "time": spread(times),
            "memory": spread(sizes) if sizes else None,
            "same_picture": torch.equal(pictures[name], pictures["untraced"]),
        }
    return result


def spread(numbers: list[float]) -> list[float]:
    """Median, least and greatest."""
    return [round(each, 3) for each in (median(numbers), min(numbers), max(numbers))]


def install(folder: Path) -> None:
    """attention-map-diffusers alone into a folder: this environment stays as it is, and lends it
    the torch and diffusers that daamkit runs on."""
    wanted = f"{RIVAL}=={VERSION}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    if not (folder / "attention_map_diffusers").is_dir():
        subprocess.run([*pip, wanted], check=True)
    sys.path.append(str(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object and no more")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=tuple(MODELS))
    parser.add_argument("--pixels", type=int, default=1024, help="side of the image")
    parser.add_argument("--small", action="store_true", help="tiny widths, to see that it runs")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    parser.add_argument("--rival", type=Path, metavar="FOLDER")
    asked = parser.parse_args()
    if asked.rival is not None:
        install(asked.rival)
    versions = {name: metadata.version(name) for name in ("torch", "diffusers")}
    versions |= {RIVAL: VERSION} if asked.rival else {}
    result: dict[str, Any] = {"device": asked.device, "dtype": asked.dtype, "versions": versions}
    for name, (build, options) in MODELS.items():
        if asked.only not in (None, name):
            continue
        torch.manual_seed(0)
        pipe = build(asked.small).to(asked.device, getattr(torch, asked.dtype))
        size = {"height": asked.pixels, "width": asked.pixels}
        result[name] = compare(pipe, options | size, asked.rounds, rivals=asked.rival is not None)
        if not asked.json:
            print(name, json.dumps(result[name]), file=sys.stderr)
        del pipe
    print(json.dumps(result, indent=None if asked.json else 1))


if __name__ == "__main__":
    main()
