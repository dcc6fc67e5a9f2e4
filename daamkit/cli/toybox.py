"""`daamkit toybox`: measure the model that ships, write scenes that are drawn."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from daamkit.cli.shell import Help, quiet
from daamkit.errors import DaamkitError

READ = 9001  # of the drawn scenes that an oracle is tried on


def add(verbs: Any) -> None:
    parts = verbs.add_parser("toybox", help="the model that ships with daamkit").add_subparsers(
        dest="part", required=True
    )
    evaluate = parts.add_parser(
        "evaluate",
        formatter_class=Help,
        help="measure what it draws and where its maps lie",
        description="Generate images, read them back with the oracle, and compare them with the "
        "prompts; compare nouns' maps with the things' masks, and with maps that know nothing; the "
        "same on drawn scenes, whose masks are exact. Intervals: 95%, over prompts.",
    )
    evaluate.add_argument(
        "--model",
        nargs="+",
        default=["toybox"],
        help="toybox; of world 2 toybox-2, toybox-flux, or several, side by side; or a folder with "
        "one like these",
    )
    evaluate.add_argument(
        "--world",
        type=int,
        choices=[1, 2],
        default=1,
        help="2: the card of models of world 2: things, colours, places, sides, two to four things "
        "at once, in compositions seen and held out",
    )
    evaluate.add_argument("--oracle", type=Path, help="weights of world 2's; default the shipped")
    evaluate.add_argument("--out", type=Path, help="folder for card.json and card.md, of world 2")
    evaluate.add_argument("--seeds", default="1000:1100", help="A:B, from A to B - 1")
    evaluate.add_argument(
        "--prompts", type=Path, help="a prompt a line, each with every seed; default a prompt of "
        "each kind for each seed"
    )  # fmt: skip
    evaluate.add_argument("--steps", type=int, default=25, help="of the denoising")
    evaluate.add_argument("--guidance", type=float, help="guidance scale; default the model's")
    evaluate.add_argument("--batch", type=int, default=12, help="images at a time")
    evaluate.add_argument("--scenes", type=int, default=100, help="drawn scenes; 0: none")
    evaluate.add_argument("--quality", type=int, default=0, metavar="N", help="FID of N images")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object and no more")
    evaluate.set_defaults(run=_evaluate)
    scenes = parts.add_parser(
        "scenes", formatter_class=Help, help="write drawn scenes as a Parquet data set"
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
    if asked.scenes == 1 or asked.scenes < 0 or (asked.quality and asked.quality < 8):
        raise DaamkitError(
            wanted="--scenes 0 or at least 2, --quality 0 or at least 8",
            got=f"--scenes {asked.scenes} --quality {asked.quality}",
            mend="try --scenes 100 --quality 300",
        )
    from daamkit.studies import evaluation, prompts

    seeds = prompts.span(asked.seeds)
    if asked.world == 2:
        if asked.prompts or asked.quality:
            raise DaamkitError(
                wanted="neither --prompts nor --quality with --world 2, whose prompts are its own",
                got="one of them",
                mend="leave it out",
            )
        _of_world(asked.model, 2)
        return _card(asked, seeds)
    if len(asked.model) > 1 or asked.oracle or asked.out:
        raise DaamkitError(
            wanted="one model of world 1, and neither --oracle nor --out",
            got=f"--model {' '.join(asked.model)}",
            mend="add --world 2, or evaluate them one by one",
        )
    _of_world(asked.model, 1)
    cases = prompts.from_file(asked.prompts, seeds) if asked.prompts else prompts.drawn(seeds)
    quiet()
    import daamkit

    pipe = daamkit.load(asked.model[0])
    pipe.set_progress_bar_config(disable=True)
    tables, record = evaluation.evaluate(
        pipe,
        cases,
        seed=seeds.start,
        scenes_drawn=asked.scenes,
        pictures=asked.quality,
        batch=asked.batch,
        num_inference_steps=asked.steps,
        guidance=asked.guidance,
    )
    if asked.json:
        rows = {name: json.loads(table.to_json(orient="records")) for name, table in tables.items()}
        print(json.dumps({"seeds": asked.seeds} | rows | {"record": record}))
        return 0
    for name, table in tables.items():
        print(f"\n{name}\n{table.to_string(index=False, float_format=lambda x: f'{x:.3f}')}")
    return 0


def _of_world(models: list[str], world: int) -> None:
    """Refuse a shipped model that has learned another world."""
    from daamkit import zoo

    for model in models:
        own = zoo.SHIPPED.get(model, world)  # of a folder nothing is known
        if own != world:
            raise DaamkitError(
                wanted=f"models of world {world}",
                got=f"the model {model}, of world {own}",
                mend="add --world 2" if own == 2 else "name toybox-2 or toybox-flux",
            )


def _card(asked: argparse.Namespace, seeds: range) -> int:
    """Models of world 2 side by side."""
    from daamkit.maps import folders
    from daamkit.studies import card, reading
    from daamkit.toybox import oracle, scenes

    kind = folders.Kind("card", "card.md", belongs=re.compile(r"card\.(json|md)"))
    if asked.out is not None:
        folders.claim(asked.out, kind, make=True)
    quiet()
    import daamkit

    reader = oracle.trained(2, asked.oracle)
    tables, facts = {}, {}
    for model in asked.model:
        pipe = daamkit.load(model)
        pipe.set_progress_bar_config(disable=True)
        tables[model], known = card.evaluate(
            pipe, seeds, reader, asked.batch, asked.steps, asked.guidance
        )
        facts[model] = known | card.learned(model)
    rows = {
        model: facts[model] | {"card": json.loads(table.to_json(orient="records"))}
        for model, table in tables.items()
    }
    text, read = card.markdown(tables, facts), dict[str, Any]()
    if asked.scenes:
        table, read = reading.measure(scenes.sample(asked.scenes, READ, world=2), reader)
        text += f"\n{reading.markdown(table, read)}"
        read["reading"] = json.loads(table.to_json(orient="records"))
    written = json.dumps({"world": 2, "seeds": asked.seeds, "models": rows, "oracle": read})
    print(written if asked.json else text, flush=True)

    def draw(place: Path) -> None:
        (place / "card.json").write_text(written + "\n", "utf-8")
        (place / "card.md").write_text(text, "utf-8")

    if asked.out is not None:
        folders.write(asked.out, kind, draw)
    return 0


def _scenes(asked: argparse.Namespace) -> int:
    from daamkit.toybox import dataset

    for done in dataset.write(asked.out, asked.n, asked.seed, world=asked.world, split=asked.split):
        print(f"{done} of {asked.n} scenes in {asked.out}")
    return 0
