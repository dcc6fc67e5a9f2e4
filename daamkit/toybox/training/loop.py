"""What the training loops share: the learning rate's course, steps, checkpoints, progress."""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from daamkit.errors import DaamkitError
from daamkit.toybox.pipeline import TRAINING

COOLING = 0.2  # part of the samples over which the rate falls to a thirtieth
TOLD = 0.5  # weight of what lies in each place, at the start
TOLD_UNTIL = 0.7  # part of the samples


def rate(seen: int, samples: int, peak: float, warmup: int = 6400, floor: float = 1 / 30) -> float:
    """Learning rate after `seen` samples: linear warm-up, constant, cosine cooling at the end."""
    cooling = min(max(0.0, (seen / samples - (1 - COOLING)) / COOLING), 1.0)
    falling = floor + (1 - floor) * math.cos(math.pi / 2 * cooling) ** 2
    return peak * min(1.0, (seen + 1) / warmup) * falling


def hot(seen: int, samples: int) -> bool:
    """Whether the rate is still constant after `seen` samples, and not cooling."""
    return seen < samples * (1 - COOLING)


def told(seen: int, samples: int) -> float:
    """Weight, after `seen` samples, of telling what lies in each place: falls to zero."""
    return TOLD * max(0.0, 1 - seen / (TOLD_UNTIL * samples))


def half(device: str | torch.device) -> torch.autocast:
    """bfloat16 where the machine is fast at it, float32 elsewhere: without AVX-512 a CPU takes
    tens of times as long in bfloat16."""
    kind = torch.device(device).type
    fast = kind != "cpu" or torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return torch.autocast(kind, torch.bfloat16, enabled=fast)


def write(state: dict, place: Path) -> None:
    """Save a checkpoint whole or not at all."""
    with _part(place) as part:
        torch.save(state, part)


def write_tensors(tensors: dict[str, torch.Tensor], place: Path) -> None:
    """Save a stage's result whole or not at all: its presence says that the stage is done."""
    with _part(place) as part:
        save_file(tensors, part)


@contextmanager
def _part(place: Path) -> Iterator[Path]:
    """A file of one's own, which takes the place when it is written; not read into memory."""
    real = Path(os.path.realpath(place))
    with tempfile.TemporaryDirectory(
        prefix=f".{place.name}-", suffix=".part", dir=real.parent
    ) as own:
        part = Path(own) / place.name
        yield part
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.replace(real)


def keep(place: Path, model: nn.Module, optimizer: torch.optim.Optimizer, **counts: Any) -> None:
    """Save a checkpoint that `resume` goes on from."""
    write({"model": model.state_dict(), "optimizer": optimizer.state_dict()} | counts, place)


def resume(
    place: Path, model: nn.Module, optimizer: torch.optim.Optimizer, device: str
) -> dict[str, Any]:
    """Put a checkpoint's weights in place, and return what else it holds; nothing without one.

    Raises
    ------
    DaamkitError
        If it is of another model or optimizer.
    """
    if not place.exists():
        return {}
    state: dict[str, Any] = torch.load(place, map_location=device, weights_only=True)
    try:
        model.load_state_dict(state.pop("model"))
        optimizer.load_state_dict(state.pop("optimizer"))
    except (RuntimeError, ValueError) as error:
        raise DaamkitError(
            wanted=f"a checkpoint of this training in {place}",
            got=f"that of another model or optimizer ({str(error).strip().splitlines()[0]})",
            mend="name another folder with --out; --start goes on from exported weights",
        ) from error
    return state


def descend(loss: torch.Tensor, optimizer: torch.optim.Optimizer, rate: float) -> None:
    """One step against the gradient, whose norm is held to 1."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
    optimizer.step()


class Progress:
    """A line now and then: samples done, loss, speed, time left."""

    def __init__(self, total: int, done: int = 0, every: float = 20.0) -> None:
        self.total, self.every = total, every
        self.started = self.said = time.monotonic()
        self.begun_at = self.done = done
        self.losses: list[float] = []

    def tell(self, done: int, loss: float) -> None:
        self.losses.append(loss)
        self.done = done
        now = time.monotonic()
        if now - self.said < self.every and done < self.total:
            return
        speed = (done - self.begun_at) / (now - self.started)
        left = max(0, self.total - done) / max(speed, 1e-9) / 60
        mean = float(np.mean(self.losses))
        print(
            f"{done:8d}/{self.total}  loss {mean:.4f}  {speed:5.1f}/s  {left:5.1f} min left",
            flush=True,
        )
        self.said, self.losses = now, []

    def reached(self, deadline: float) -> int:
        """Samples done at a time of the monotonic clock, if the speed stays; what is done by now
        once that time has passed."""
        now = time.monotonic()
        done = self.done - self.begun_at
        return self.begun_at + int(
            done * max(1.0, (deadline - self.started) / (now - self.started))
        )


def tell_how_far(place: Path, seen: int, samples: int, scenes: int = 0) -> None:
    """Write beside exported weights how many samples they have seen, of how many, and of how many
    drawn scenes, where that is known."""
    known = {"seen": seen, "samples": samples} | ({"scenes": scenes} if scenes else {})
    told = json.dumps(known) + "\n"
    (place / TRAINING).write_text(told, encoding="utf-8")
    print(f"{place}: after {seen} of {samples} samples")


def how_far(place: Path) -> int:
    """How many samples exported weights have seen; 0 where nothing is told of it."""
    file = place / TRAINING
    return int(json.loads(file.read_text(encoding="utf-8"))["seen"]) if file.exists() else 0


def portable(place: Path) -> None:
    """Name the weights of a saved pipeline's CLIP as those of the Hub are, which every transformers
    reads: 5.0 takes those of later ones for unknown, and leaves its own at random."""
    file = place / "text_encoder" / "model.safetensors"
    weights = load_file(file)
    prefix = "text_model."
    named = {prefix + name.removeprefix(prefix): each for name, each in weights.items()}
    save_file(named, file, metadata={"format": "pt"})
