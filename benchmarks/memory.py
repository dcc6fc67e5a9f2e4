"""How much memory was held at once."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import torch


class Peak:
    """Highest memory since the last reset, in bytes: the GPU's, or this process's."""

    def __init__(self, device: str) -> None:
        self.cuda = device.startswith("cuda")

    def reset(self) -> None:
        gc.collect()
        if self.cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        elif sys.platform == "linux":
            Path("/proc/self/clear_refs").write_text("5")

    def read(self) -> int | None:
        """In bytes; None where the system does not tell."""
        if self.cuda:
            torch.cuda.synchronize()
            return torch.cuda.max_memory_allocated()
        if sys.platform != "linux":
            return None
        status = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in status if line.startswith("VmHWM")).split()[1])
