"""`daamkit explain`: generate an image and show where each word went."""

from __future__ import annotations

import argparse
import inspect
import json
from pathlib import Path
from typing import Any

from daamkit.cli.shell import Help, quiet, tell
from daamkit.errors import DaamkitError


def add(verbs: Any) -> None:
    parser = verbs.add_parser(
        "explain",
        formatter_class=Help,
        help="generate an image and show where each word went",
        description="Generate an image, trace it, and write the image, an overlay for each word, "
        "a table, the run, and report.html.",
    )
    parser.add_argument("prompt", help="what the image shall show")
    parser.add_argument("--out", type=Path, default=Path("explained"), help="folder to write")
    parser.add_argument("--model", default="toybox", help="toybox, a folder, or a Hub id")
    parser.add_argument("--seed", type=int, default=0, help="of the noise the image begins with")
    parser.add_argument("--steps", type=int, default=25, help="of the denoising")
    parser.add_argument(
        "--guidance", type=float, help="guidance scale, or true guidance; default the model's"
    )
    parser.add_argument("--negative", help="negative prompt; default none")
    parser.add_argument("--height", type=int, help="pixels; default the model's")
    parser.add_argument("--width", type=int, help="pixels; default the model's")
    parser.add_argument(
        "--threshold", type=float, default=0.4, help="of a map's maximum, from 0 to 1"
    )
    parser.add_argument("--device", help="cpu, cuda, mps; default a GPU by CUDA if there is one")
    parser.add_argument(
        "--dtype", choices=("float32", "float16", "bfloat16"), default="float32", help="precision"
    )
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.set_defaults(run=explain)


def explain(asked: argparse.Namespace) -> int:
    if not 0 <= asked.threshold <= 1:
        raise DaamkitError(wanted="a threshold in [0, 1]", got=f"{asked.threshold}", mend="try 0.4")
    if asked.steps < 1:
        raise DaamkitError(wanted="at least one step", got=f"{asked.steps}", mend="try 25")
    if (asked.height is None) != (asked.width is None):
        raise DaamkitError(
            wanted="both --height and --width, or neither", got="one", mend="give both"
        )
    quiet()
    import torch

    import daamkit
    from daamkit import zoo
    from daamkit.tracing.trace import BUDGET
    from daamkit.views import report

    report.claim(asked.out)

    pipe = daamkit.load(asked.model, dtype=getattr(torch, asked.dtype))
    zoo.move(pipe, asked.device or zoo.usual_device())
    pipe.set_progress_bar_config(desc="generating", disable=False)
    call = zoo.arguments(pipe, asked.prompt, asked.guidance, asked.negative)
    if asked.height is not None:
        call |= {"height": asked.height, "width": asked.width}
    _refuse_unknown(pipe, call)
    keep: tuple[str, ...] = ("step", "site", "head")
    size = {"height": call.get("height"), "width": call.get("width"), "steps": asked.steps}
    needed = daamkit.trace(pipe, keep=keep).bytes(asked.prompt, **size)
    if needed > BUDGET:
        tell(f"single steps are not kept: {needed:,} bytes of maps, over {BUDGET:,}")
        keep = keep[1:]
    with daamkit.trace(pipe, keep=keep) as tracer:
        try:
            pipe(
                **call,
                num_inference_steps=asked.steps,
                generator=torch.Generator().manual_seed(asked.seed),
            )
        except ValueError as error:
            raise DaamkitError(
                wanted="arguments that the pipeline takes",
                got=str(error).strip().rstrip("."),
                mend="change them and try again",
            ) from error
    run = tracer.run
    for cut in run.maps.prompt.cuts.values():
        tell(f"the model has not read {run.prompt[cut:].strip()!r}")
    if not run.maps.prompt.words():
        tell("the prompt has no words: the report shows the image alone")
    place = report.write(run, asked.out, asked.threshold)
    table = run.table(asked.threshold)
    if asked.json:
        print(
            json.dumps(
                {
                    "prompt": run.prompt,
                    "report": str(place),
                    "threshold": asked.threshold,
                    "words": table.to_dict("records"),
                    "record": run.record,
                }
            )
        )
    else:
        columns = ["word", "mass", "area", "centre_y", "centre_x", "peak_y", "peak_x", "peak"]
        if len(table):
            called = table[columns].assign(word=[w.label for w in run.maps.prompt.words()])
            print(called.to_string(index=False, float_format=lambda x: f"{x:.3f}"))
        print(f"\nreport: {place.resolve()}")
    return 0


def _refuse_unknown(pipe: Any, given: dict[str, Any]) -> None:
    """Refuse options that a pipeline's call has no argument for."""
    known = inspect.signature(type(pipe).__call__).parameters
    missing = [name for name in given if name not in known]
    if missing:
        raise DaamkitError(
            wanted="options that the pipeline takes",
            got=f"{', '.join(missing)} for {type(pipe).__name__}",
            mend="leave them out",
        )
