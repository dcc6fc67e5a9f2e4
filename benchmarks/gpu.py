"""Whether a GPU's fused kernels tell the log-sum-exp as daamkit reads it. Under ten minutes.

    python -m benchmarks.gpu --json

For each of torch's kernels (flash, memory-efficient, cuDNN) and the shapes of FLUX.1, Stable
Diffusion 3.5 medium and Stable Diffusion XL, with and without a mask: is the output bit for bit
that of `scaled_dot_product_attention`; how far are the text's columns, the columns' sums and the
gradient from a float32 softmax; what time and memory do they take, over the kernel alone. Then each
model of a few blocks (`benchmarks/blocks.py`) is traced: the picture must be the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

import daamkit
from benchmarks import blocks, families
from daamkit import compat
from daamkit.attention import columns, recomputed
from daamkit.attention.calls import Call, Pass
from daamkit.attention.sites import Layout, Site, Span
from daamkit.attention.taps import Attention

KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}
SHAPES = {  # rows, heads, cells, text, channels
    "flux": (1, 24, 4096, 512, 128),
    "sd35": (2, 24, 4096, 333, 64),
    "sdxl": (2, 10, 4096, 0, 64),
}


def attention(query: Tensor, key: Tensor, mask: Tensor | None, cells: int) -> Attention:
    """One site at work: the text first, then the cells."""
    rows, _, places, channels = query.shape
    site = Site("site", "joint", "block", 0, query.shape[1], torch.nn.Identity())
    text = ((Span("text_encoder", 0, places - cells),),) * rows
    layout = Layout((64, cells // 64), slice(places - cells, places), text)
    step = Pass(Call(None, {}), 0, 0.0, {"cond": slice(0, rows)}, layout.grid)
    return Attention(site, step, query, key, channels**-0.5, mask, None, layout)


def check(kernel: str, shape: str, dtype: torch.dtype, masked: bool) -> dict[str, Any]:
    """One row of the table; "not run" where torch has no such kernel for it."""
    rows, heads, cells, text, channels = SHAPES[shape]
    torch.manual_seed(0)
    size = (rows, heads, cells + text, channels)
    query, key, value = (torch.randn(size, device="cuda", dtype=dtype) for _ in range(3))
    mask = None
    if masked:
        mask = torch.zeros(rows, 1, 1, cells + text, device="cuda", dtype=dtype)
        mask[-1, ..., : max(text // 2, 8)] = -10_000.0
    row: dict[str, Any] = {"kernel": kernel, "shape": shape, "dtype": str(dtype), "mask": masked}
    with sdpa_kernel(KERNELS[kernel]):
        try:
            plain = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        except RuntimeError as error:
            return row | {"not run": str(error).splitlines()[0]}
        told = compat.with_statistic(query, key, value, mask)
        if told is None:
            return row | {"not run": "no log-sum-exp: daamkit takes a softmax"}
        output, statistic = told
        now = attention(query, key, mask, cells)
        now.statistic = statistic
        row["same output"] = torch.equal(output, plain)
        keys = slice(0, text or 16)
        found = columns.between(now, slice(0, rows), now.layout.cells_of(slice(0, 1))[0], keys)
        now.statistic = None
        wanted = torch.cat([part[..., keys] for _, part in now.blocks("cond", 2**28)], 2)
        row["columns"] = float((found - wanted).abs().max())
        slow = columns.received(now, "cond")
        now.statistic = statistic
        row["sums"] = float((columns.received(now, "cond") - slow).abs().max())
        if text:
            with sdpa_kernel([KERNELS[kernel], SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
                row["gradient"] = gradient(query, key, statistic, mask, cells)

        def with_columns() -> Any:
            now.statistic = compat.with_statistic(query, key, value, mask)[1]  # type: ignore[index]
            return [part.sum(1) for _, part in columns.of_keys(now, "cond", keys)]

        alone = cost(lambda: F.scaled_dot_product_attention(query, key, value, attn_mask=mask))
        more = cost(with_columns)
    row["milliseconds"], row["time"] = round(alone[0], 3), round(more[0] / alone[0], 3)
    row["MiB more"] = round((more[1] - alone[1]) / 2**20, 1)
    return row


def gradient(
    query: Tensor, key: Tensor, statistic: Tensor, mask: Tensor | None, cells: int
) -> float:
    """How far the gradient by way of the kernel's log-sum-exp is from that of an explicit softmax
    in float32, relative, of the last row's first head."""
    one, hidden = (slice(-1, None), slice(1)), None if mask is None else mask[-1:]
    own, other = (each[one].detach().requires_grad_() for each in (query, key))
    now = attention(own, other, hidden, cells)
    now.statistic = statistic[one]
    found = recomputed.text(now, "cond")
    weights = torch.randn(found.shape, generator=torch.manual_seed(0)).to(found)
    told = torch.autograd.grad((found * weights).sum(), (own, other))
    own, other = (each[one].detach().float().requires_grad_() for each in (query, key))
    wanted = attention(own, other, hidden, cells).text("cond", gradient=True).mean(1)
    whole = torch.autograd.grad((wanted * weights).sum(), (own, other))
    pairs = zip(told, whole, strict=True)
    return max(float((a.float() - b).norm() / b.norm()) for a, b in pairs)


def cost(run: Callable[[], Any], rounds: int = 20) -> tuple[float, float]:
    """Median milliseconds, and the most memory in bytes."""
    run()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(rounds):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return median(times), torch.cuda.max_memory_allocated()


def pictures(rounds: int) -> dict[str, Any]:
    """Each model of a few blocks, traced beside untraced, in bfloat16."""
    result = {}
    for name, (build, options) in blocks.MODELS.items():
        torch.manual_seed(0)
        pipe = build(False).to("cuda", torch.bfloat16)
        size = {"height": 1024, "width": 1024}
        result[name] = families.compare(pipe, options | size, rounds)
        del pipe
        torch.cuda.empty_cache()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object and no more")
    parser.add_argument("--rounds", type=int, default=10, help="of each picture")
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("no GPU here; the CPU's kernel is seen by tests/attention")
    cases = [
        (kernel, shape, dtype, masked)
        for kernel in KERNELS
        for shape in SHAPES
        for dtype in (torch.bfloat16, torch.float16)
        for masked in (False, True)
    ]
    rows = []
    for case in cases:
        rows.append(check(*case))
        if not asked.json:
            print(*(f"{name}={value}" for name, value in rows[-1].items()), file=sys.stderr)
    result = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "daamkit": daamkit.__version__,
        "kernels": rows,
        "pictures": pictures(asked.rounds),
    }
    print(json.dumps(result, indent=None if asked.json else 1))


if __name__ == "__main__":
    main()
