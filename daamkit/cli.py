"""The command line: `daamkit explain "a red cat next to a blue car"`."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import re
import sys
import warnings
from pathlib import Path
from typing import Any

from daamkit import __version__, registry
from daamkit.errors import DaamkitError


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="daamkit", description="Which word made which pixels.")
    parser.add_argument("--version", action="version", version=f"daamkit {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True)
    _add_explain(verbs)
    _add_toybox(verbs)
    _add_study(verbs)
    asked = parser.parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            return int(asked.run(asked))
    except (DaamkitError, OSError) as error:
        _tell(str(error))
        return 2
    except KeyboardInterrupt:
        _tell("interrupted")
        return 130


_show = warnings.showwarning


def _warn(message: Any, category: type[Warning], *where: Any, **options: Any) -> None:
    """Our own warnings in a line, as errors are told; those of others as ever."""
    if category.__module__.startswith("daamkit"):
        _tell(str(message))
    else:
        _show(message, category, *where, **options)


class _Help(argparse.HelpFormatter):
    """Options tell what they do and what they are when nobody names them."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        told, default = action.help or "", action.default
        nothing = default is None or default is False or default is argparse.SUPPRESS
        if not action.option_strings or nothing:
            return told
        value = " ".join(map(str, default)) if isinstance(default, list | tuple) else default
        return f"{told} (default: {str(value).replace('%', '%%') or 'none'})".strip()


def _add_explain(verbs: Any) -> None:
    explain = verbs.add_parser(
        "explain",
        formatter_class=_Help,
        help="generate an image and show where each word went",
        description="Generate an image, trace it, and write the image, an overlay for each word, "
        "a table, the run, and report.html.",
    )
    explain.add_argument("prompt", help="what the image shall show")
    explain.add_argument("--out", type=Path, default=Path("explained"), help="folder to write")
    explain.add_argument("--model", default="toybox", help="toybox, a folder, or a Hub id")
    explain.add_argument("--seed", type=int, default=0, help="of the noise the image begins with")
    explain.add_argument("--steps", type=int, default=25, help="of the denoising")
    explain.add_argument("--guidance", type=float, help="guidance scale; default the model's")
    explain.add_argument("--negative", help="negative prompt; default none")
    explain.add_argument("--height", type=int, help="pixels; default the model's")
    explain.add_argument("--width", type=int, help="pixels; default the model's")
    explain.add_argument(
        "--threshold", type=float, default=0.4, help="of a map's maximum, from 0 to 1"
    )
    explain.add_argument("--device", help="cpu, cuda, mps; default a GPU by CUDA if there is one")
    explain.add_argument(
        "--dtype", choices=("float32", "float16", "bfloat16"), default="float32", help="precision"
    )
    explain.add_argument("--json", action="store_true", help="print the table as JSON")
    explain.set_defaults(run=_explain)


def _explain(asked: argparse.Namespace) -> int:
    if not 0 <= asked.threshold <= 1:
        raise DaamkitError(wanted="a threshold in [0, 1]", got=f"{asked.threshold}", mend="try 0.4")
    if asked.steps < 1:
        raise DaamkitError(wanted="at least one step", got=f"{asked.steps}", mend="try 25")
    if (asked.height is None) != (asked.width is None):
        raise DaamkitError(
            wanted="both --height and --width, or neither", got="one", mend="give both"
        )
    _quiet()
    import torch

    import daamkit
    from daamkit import zoo
    from daamkit.tracing.trace import BUDGET
    from daamkit.views import report

    report.claim(asked.out)

    pipe = daamkit.load(asked.model, dtype=getattr(torch, asked.dtype))
    zoo.move(pipe, asked.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    pipe.set_progress_bar_config(desc="generating", disable=False)
    options = {
        "guidance_scale": asked.guidance,
        "negative_prompt": asked.negative,
        "height": asked.height,
        "width": asked.width,
    }
    keep: tuple[str, ...] = ("step", "site", "head")
    size = {"height": asked.height, "width": asked.width, "steps": asked.steps}
    needed = daamkit.trace(pipe, keep=keep).bytes(asked.prompt, **size)
    if needed > BUDGET:
        _tell(f"single steps are not kept: {needed:,} bytes of maps, over {BUDGET:,}")
        keep = keep[1:]
    with daamkit.trace(pipe, keep=keep) as tracer:
        try:
            pipe(
                asked.prompt,
                num_inference_steps=asked.steps,
                generator=torch.Generator().manual_seed(asked.seed),
                **{name: value for name, value in options.items() if value is not None},
            )
        except ValueError as error:
            raise DaamkitError(
                wanted="arguments that the pipeline takes",
                got=str(error).strip().rstrip("."),
                mend="change them and try again",
            ) from error
    run = tracer.run
    for cut in run.maps.prompt.cuts.values():
        _tell(f"the model has not read {run.prompt[cut:].strip()!r}")
    if not run.maps.prompt.words():
        _tell("the prompt has no words: the report shows the image alone")
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
            print(table[columns].to_string(index=False, float_format=lambda x: f"{x:.3f}"))
        print(f"\nreport: {place.resolve()}")
    return 0


def _add_toybox(verbs: Any) -> None:
    parts = verbs.add_parser("toybox", help="the model that ships with daamkit").add_subparsers(
        dest="part", required=True
    )
    evaluate = parts.add_parser(
        "evaluate",
        formatter_class=_Help,
        help="measure what it draws and where its maps lie",
        description="Generate images, read them back with the oracle, and compare them with the "
        "prompts; compare nouns' maps with the things' masks, and with maps that know nothing; the "
        "same on drawn scenes, whose masks are exact. Intervals: 95%%, over prompts.",
    )
    evaluate.add_argument("--model", default="toybox", help="toybox, or a folder with one like it")
    evaluate.add_argument("--seeds", default="1000:1100", help="A:B, from A to B - 1")
    evaluate.add_argument(
        "--prompts", type=Path, help="a prompt a line, each with every seed; default a prompt of "
        "each kind for each seed"
    )  # fmt: skip
    evaluate.add_argument("--steps", type=int, default=25, help="of the denoising")
    evaluate.add_argument("--guidance", type=float, default=7.5, help="guidance scale")
    evaluate.add_argument("--batch", type=int, default=12, help="images at a time")
    evaluate.add_argument("--scenes", type=int, default=100, help="drawn scenes; 0: none")
    evaluate.add_argument("--quality", type=int, default=0, metavar="N", help="FID of N images")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object and no more")
    evaluate.set_defaults(run=_evaluate)
    scenes = parts.add_parser(
        "scenes", formatter_class=_Help, help="write drawn scenes as a Parquet data set"
    )
    scenes.add_argument("--n", type=int, default=1000, help="how many")
    scenes.add_argument("--seed", type=int, default=0, help="which")
    scenes.add_argument("--out", type=Path, default=Path("toy-scenes"), help="folder to write")
    scenes.add_argument(
        "--world",
        type=int,
        choices=[1, 2],
        default=1,
        help="1, or 2: verbs, names, compounds, up to five things",
    )
    scenes.add_argument(
        "--split",
        choices=["any", "training", "held-out"],
        default="any",
        help="of world 2: without compositions that are held out, or only such",
    )
    scenes.set_defaults(run=_scenes)


def _evaluate(asked: argparse.Namespace) -> int:
    if asked.steps < 1 or asked.batch < 1:
        raise DaamkitError(
            wanted="at least one step and one image at a time",
            got=f"--steps {asked.steps} --batch {asked.batch}",
            mend="try --steps 25 --batch 12",
        )
    if asked.scenes == 1 or asked.scenes < 0 or asked.quality in (1, 2, 3) or asked.quality < 0:
        raise DaamkitError(
            wanted="--scenes 0 or at least 2, --quality 0 or at least 4",
            got=f"--scenes {asked.scenes} --quality {asked.quality}",
            mend="try --scenes 100 --quality 300",
        )
    from daamkit.studies import evaluation, prompts

    seeds = prompts.span(asked.seeds)
    cases = prompts.from_file(asked.prompts, seeds) if asked.prompts else prompts.drawn(seeds)
    _quiet()
    import daamkit

    pipe = daamkit.load(asked.model)
    pipe.set_progress_bar_config(disable=True)
    tables, record = evaluation.evaluate(
        pipe,
        cases,
        seed=seeds.start,
        scenes_drawn=asked.scenes,
        pictures=asked.quality,
        batch=asked.batch,
        num_inference_steps=asked.steps,
        guidance_scale=asked.guidance,
    )
    if asked.json:
        rows = {name: json.loads(table.to_json(orient="records")) for name, table in tables.items()}
        print(json.dumps({"seeds": asked.seeds} | rows | {"record": record}))
        return 0
    for name, table in tables.items():
        print(f"\n{name}\n{table.to_string(index=False, float_format=lambda x: f'{x:.3f}')}")
    return 0


def _scenes(asked: argparse.Namespace) -> int:
    from daamkit.toybox import dataset

    for done in dataset.write(asked.out, asked.n, asked.seed, world=asked.world, split=asked.split):
        print(f"{done} of {asked.n} scenes in {asked.out}")
    return 0


def _add_study(verbs: Any) -> None:
    study = verbs.add_parser(
        "study",
        help="run a study of many images, or go on with one",
        description="Run a study and write its rows, tables and plot. Killed at any moment, the "
        "same command goes on where it was. `daamkit study NAME --help` tells its settings.",
    )
    study.add_argument(
        "study",
        metavar="NAME",
        help=f"{', '.join(registry.studies.names())}, or my_package:MyStudy",
    )
    study.add_argument("settings", nargs=argparse.REMAINDER)
    study.set_defaults(run=_study)


def _settings(name: str, kind: Any) -> argparse.ArgumentParser:
    """What a study can be told; made only when it is asked for, because studies load torch."""
    about = str(sys.modules[kind.__module__].__doc__)
    parser = argparse.ArgumentParser(
        prog=f"daamkit study {name}", description=about, formatter_class=_Help
    )
    parser.add_argument("--out", type=Path, help="folder, new or to go on with; has to be named")
    parser.add_argument(
        "--draw", type=Path, metavar="FOLDER", help="draw the images for people, measure nothing"
    )
    parser.add_argument("--batch-size", type=int, default=8, help="cases at a time")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU, for each worker")
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="here, or on a Ray cluster"
    )
    parser.add_argument("--workers", type=int, default=2, help="of the engine ray")
    told = _attributes(kind)
    for field in dataclasses.fields(kind):
        _add_field(parser, field, told.get(field.name, ""))
    return parser


def _attributes(kind: Any) -> dict[str, str]:
    """What the docstrings of a class and of those it derives from say of its settings."""
    told: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        names: list[str] = []
        for line in (
            inspect.cleandoc(each.__doc__ or "").partition("Attributes\n---")[2].split("\n")
        ):
            if re.fullmatch(r"\w+(, \w+)*", line):
                names = line.split(", ")
                told |= dict.fromkeys(names, "")
            elif line.startswith(" "):
                told |= {name: f"{told[name]} {line.strip()}".strip() for name in names}
            else:
                names = []
    return {name: text.replace("%", "%%") for name, text in told.items()}


_TYPES: dict[str, Any] = {"int": int, "float": float, "str": str}


def _add_field(parser: argparse.ArgumentParser, field: dataclasses.Field[Any], told: str) -> None:
    """An option for a study's setting."""
    option = f"--{field.name.replace('_', '-')}"
    named = field.type.__name__ if isinstance(field.type, type) else str(field.type)
    kind = named.split(" | ")[0]
    if kind == "bool":
        parser.add_argument(option, action="store_true", help=told)
    elif kind.startswith("tuple"):
        parser.add_argument(option, nargs="*", default=field.default, help=told)
    elif kind in _TYPES:
        parser.add_argument(option, type=_TYPES[kind], default=field.default, help=told)
    else:
        raise DaamkitError(
            wanted=f"a setting that can be written in a shell, {field.name!r}",
            got=f"one of the type {named}",
            mend=f"annotate it as bool, tuple[str, ...], {', '.join(_TYPES)}, or run the study "
            "from Python",
        )


def _study(asked: argparse.Namespace) -> int:
    from daamkit import studies
    from daamkit.studies import runner

    name = asked.study
    if registry.is_path(name):  # as `python -m` does: what lies in this folder is found
        sys.path.insert(0, str(Path.cwd()))
    kind = studies.find(name)

    asked = _settings(name, kind).parse_args(asked.settings)
    _quiet()
    given = {field.name: getattr(asked, field.name) for field in dataclasses.fields(kind)}
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    study = kind(**given)
    if asked.draw is not None:
        files = runner.draw(study, asked.draw)
        print(f"{len(files)} images in {asked.draw}")
        return 0
    if asked.out is None:
        raise DaamkitError(wanted="a folder for the rows", got="none", mend="name one with --out")
    rows = study.run(
        asked.out,
        batch_size=asked.batch_size,
        threads=asked.threads,
        engine=asked.engine,
        workers=asked.workers,
    )
    for title, table in study.write(rows, asked.out).items():
        if title not in ("sweep", "frequency"):  # long; their files have them
            text = table.to_string(index=False, float_format=lambda x: f"{x:.3f}")
            print(f"\n{title}\n{text}")
    print(f"\nrows, tables and {study.name}.png in {asked.out}")
    return 0


def _tell(text: str) -> None:
    print(f"daamkit: {text}", file=sys.stderr)


def _quiet() -> None:
    """Libraries say on loading what they lack; a reader of a report need not know."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    from diffusers.utils import logging as diffusers_logging

    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()


if __name__ == "__main__":
    sys.exit(main())
