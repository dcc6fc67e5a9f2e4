"""Through which vectors does a colour reach its thing?

A prompt of two coloured things is drawn while some of its places have the vectors of the same
prompt with its colours swapped: the nouns, the colour words, both, the end of the text, its
padding, the pooled vector, or the rest. The seed is held fixed, and the oracle reads which things
keep their own colour and which take the swapped one. The control is an unrelated prompt's vectors
at the same places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from PIL import Image

from daamkit.attention import families
from daamkit.attention.families.reworded import pools
from daamkit.edits.edit import edit
from daamkit.edits.exchange import POOLED, Exchange
from daamkit.errors import DaamkitError
from daamkit.maps.prompt import Prompt
from daamkit.measures import intervals
from daamkit.prompts import tokenized
from daamkit.studies import drawing, instruments, prompts, truths
from daamkit.studies.session import Case, Row, Session
from daamkit.studies.study import Study, in_world
from daamkit.toybox import claims, heldout, oracle, sprites
from daamkit.toybox.phrases import PAIRED
from daamkit.toybox.scenes import SPLITS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Things = Sequence[Sequence[str]]  # colour and name of each
FORMS = ("attributive", "predicative")
NOTHING, ALL = "nothing", "all"  # places: none, and all together
NONE, SWAPPED, UNRELATED, ITSELF = "none", "swapped", "unrelated", "itself"  # whose vectors
OUTCOMES = ("own", "swapped", "other", "missing")  # what a thing's colour is
TRIES = 1000  # unrelated prompts that are looked at


@dataclass(frozen=True, kw_only=True)
class Binding(Study):
    """Settings of the study; see `Study` for the common ones.

    Attributes
    ----------
    n
        How many prompts: two things in one form ("a red cat and a blue car"), then in the other ("a
        cat that is red and a car that is blue"), then the next two.
    world
        The toy world of the things and of the oracle, 1 or 2. Every other pair is a composition
        that the training of world 2's models holds, with the colours as they are and swapped; that
        of world 1's has seen all.
    """

    name: ClassVar[str] = "binding"
    fewest: ClassVar[int] = 4
    world: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        in_world(self.world)
        if self.prompts is not None:
            raise DaamkitError(
                wanted="prompts of two coloured things, which the study makes",
                got=f"prompts={self.prompts!r}",
                mend="leave `prompts` out",
            )

    def check(self) -> None:
        """The oracle."""
        oracle.trained(self.world)

    def instruments(self) -> dict[str, str]:
        """The oracle."""
        return instruments.oracle(self.world)

    def cases(self) -> list[Case]:
        """A prompt each: seed, form, split, and things, colour and name of both."""
        rng, found = np.random.default_rng((self.seed, 281)), list[Case]()
        known = dict[str, None]()
        while len(found) < self.n:
            split = SPLITS[1 + len(known) % 2]
            pair = drawn(rng, self.world)
            if said(pair) in known or held_out(pair) != (split == SPLITS[2]):
                continue
            told = {"seed": self.seed + len(known), "split": split, "things": pair}
            found += [{"prompt": said(pair, form), "form": form} | told for form in FORMS]
            known[said(pair)] = None
        return found[: self.n]

    def measure(self, session: Session, cases: Sequence[Case]) -> list[list[Row]]:
        """A row a thing and exchange: prompt, seed, form, split, things (of the prompt, what it is
        a cluster of), thing ("first", "second"), name, exchanged (which places), source (whose
        vectors), same (whether the image is bit for bit that without), and one of own, swapped,
        other and missing is 1: the colour of the largest such thing there. No rows of a prompt
        whose tokens do not line up with the swapped one's."""
        texts, seeds = [case["prompt"] for case in cases], [case["seed"] for case in cases]
        runs = session.runs(texts, seeds, keep=())
        plain = [run.image for run in runs if run.image is not None]
        truths.require_toy(plain[0])
        sources = [_sources(session.pipe, case, self.world) for case in cases]
        sites = [places(run.maps.prompt, _pooled(session.pipe)) for run in runs]
        rows: list[list[Row]] = [[] for _ in cases]
        images: dict[tuple[str, str], Sequence[Image.Image]] = {(NOTHING, NONE): plain}
        for where, whose in exchanges(sites[0]):
            words = [
                site[where] if whose in own else []
                for site, own in zip(sites, sources, strict=True)
            ]
            given = [own.get(whose, text) for own, text in zip(sources, texts, strict=True)]
            with edit(session.pipe, Exchange(words, given)):
                images[where, whose] = session.call(texts, seeds).images
        for (where, whose), found in images.items():
            readings = oracle.read_all(found, oracle.trained(self.world))
            for i, (case, reading) in enumerate(zip(cases, readings, strict=True)):
                if SWAPPED in sources[i] and whose in (NONE, *sources[i]):
                    same = float(found[i].tobytes() == plain[i].tobytes())
                    told = {"exchanged": where, "source": whose, "same": same}
                    rows[i] += [row | told for row in _seen(case, reading)]
        return rows

    def tables(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """With 95% intervals over prompts that name the same things, for each form, exchanged and
        source:

        "binding": by split, and of "all", the shares of things that have their "own" colour, the
        "swapped" one, an "other" one or are "missing"; "own_over", "swapped_over": how much more
        these are than without an exchange, pair by pair; "own_over_unrelated",
        "swapped_over_unrelated": than with an unrelated prompt's vectors there; "same": the share
        of images that are bit for bit the same; n.
        "order": the same of the "first" and of the "second" thing.
        """
        every = [rows.assign(split="all"), *([rows] if rows["split"].nunique() > 1 else [])]
        return {
            "binding": pd.DataFrame(_lines(pd.concat(every, ignore_index=True), "split")),
            "order": pd.DataFrame(_lines(rows, "thing")),
        }

    def plot(self, tables: Mapping[str, pd.DataFrame]) -> Figure:
        """What colours things have, by the places exchanged."""
        from daamkit.studies import charts

        return charts.binding(tables["binding"])


# -- prompts


def drawn(rng: np.random.Generator, world: int, besides: Things = ()) -> list[list[str]]:
    """Colours and names of two things, none of them among some others'."""
    taken = {word for thing in besides for word in thing} | {PAIRED, *sprites.NAMES}
    every = sprites.THINGS if world == 1 else sprites.EVERYTHING
    names = rng.choice([name for name in every if name not in taken], 2, replace=False)
    colours = [colour for colour in sprites.COLOURS if colour not in taken]
    pairs = zip(rng.choice(colours, 2, replace=False), names, strict=True)
    return [[str(colour), str(name)] for colour, name in pairs]


def said(things: Things, form: str = FORMS[0]) -> str:
    """A prompt of coloured things.

    >>> said([["red", "cat"], ["blue", "car"]], "predicative")
    'a cat that is red and a car that is blue'
    """
    later = form == FORMS[1]
    return " and ".join(
        prompts.article(f"{name} that is {colour}" if later else f"{colour} {name}")
        for colour, name in things
    )


def swapped(things: Things) -> list[list[str]]:
    """The same things in each other's colours."""
    (one, first), (other, second) = things
    return [[other, first], [one, second]]


def held_out(things: Things) -> bool:
    """Whether no training caption of world 2 holds the things together, or one in either colour."""
    looks = [(colour, name) for each in (things, swapped(things)) for colour, name in each]
    return heldout.is_held_out({name for _, name in things}, looks)


def _sources(pipe: Any, case: Case, world: int) -> dict[str, str]:
    """The prompts whose vectors are given, by `SWAPPED` and the like: those that line up."""
    text, things, form = case["prompt"], case["things"], case["form"]
    wanted = _standing(pipe, text)
    rng = np.random.default_rng((case["seed"], 283))
    others = (said(drawn(rng, world, things), form) for _ in range(TRIES))
    found = {ITSELF: text, SWAPPED: said(swapped(things), form)}
    found[UNRELATED] = next((each for each in others if _standing(pipe, each) == wanted), "")
    return {
        whose: each for whose, each in found.items() if each and _standing(pipe, each) == wanted
    }


def _standing(pipe: Any, text: str) -> list[tuple[int, ...]]:
    """Where a prompt's nouns and colours stand, and each of its words: "alarm clock" may have as
    many tokens as "wheel"."""
    prompt = tokenized(pipe, text)
    looked = places(prompt, False)["nouns and colours"]
    return [word.columns for word in (*looked, *prompt.words())]


# -- places


def places(prompt: Prompt, pooled: bool) -> dict[str, list[Any]]:
    """Words of a prompt of coloured things, by what they are; see `Exchange`.

    Parameters
    ----------
    prompt
        Its words.
    pooled
        Whether the model is given pooled text.
    """
    asked = claims.parse(prompt.text).things
    nouns = [prompt.span(thing.start, thing.end) for thing in asked]
    colours = [prompt.word(str(thing.colour)) for thing in asked]
    taken = {column for word in (*nouns, *colours) for column in word.columns}
    special = {token.special for token in prompt.tokens}
    rest: list[Any] = [word for word in prompt.words() if taken.isdisjoint(word.columns)]
    rest += [name for name in ("SOS", "template") if name in special]
    named = {"end": "EOS", "padding": "padding"}
    parts: dict[str, list[Any]] = {"nouns": [*nouns], "colours": [*colours]}
    parts["nouns and colours"] = [*nouns, *colours]
    parts |= {name: [token] for name, token in named.items() if token in special}
    parts |= {"pooled": [POOLED]} if pooled else {}
    parts["the rest"] = rest
    return parts | {ALL: [word for own in list(parts.values())[2:] for word in own]}


def exchanges(sites: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Which places are given whose vectors, in this order."""
    yield ALL, ITSELF
    yield from ((where, SWAPPED) for where in sites)
    yield from ((where, UNRELATED) for where in sites if where != ALL)


def _pooled(pipe: Any) -> bool:
    denoisers = families.family_of(pipe).denoisers(pipe)
    return any(pools(each) for each in denoisers.values())


# -- what came of it


def _seen(case: Case, reading: pd.DataFrame) -> Iterator[Row]:
    """A row a thing."""
    named = {key: case[key] for key in ("prompt", "seed", "form", "split")}
    named["things"] = drawing.together(case["prompt"], [name for _, name in case["things"]])
    both = zip(("first", "second"), case["things"], swapped(case["things"]), strict=True)
    for thing, (own, name), (other, _) in both:
        found = outcome(reading, name, own, other)
        shares = {each: float(each == found) for each in OUTCOMES}
        yield named | {"thing": thing, "name": name} | shares


def outcome(reading: pd.DataFrame, name: str, own: str, other: str) -> str:
    """Which of `OUTCOMES` a thing is: the colour of the largest of its name."""
    seen = reading[reading["name"] == name]
    if seen.empty:
        return "missing"
    return {own: "own", other: "swapped"}.get(seen.loc[seen["area"].idxmax(), "colour"], "other")


def _lines(rows: pd.DataFrame, by: str) -> Iterator[Row]:
    keys = ["prompt", "seed", "thing"]
    for (form, name), part in rows.groupby(["form", by], sort=False):
        each = dict(list(part.groupby(["exchanged", "source"], sort=False)))
        for (where, whose), own in each.items():
            line: Row = {"form": form, by: name, "exchanged": where, "source": whose}
            clusters = own["things"].tolist()
            for share in OUTCOMES:
                mean = intervals.mean(own[share].to_numpy(), clusters, kind="share")
                line |= dict(zip(intervals.columns(share), mean, strict=True))
            compared = {"over": (NOTHING, NONE)} if whose != NONE else {}
            compared |= {"over_unrelated": (where, UNRELATED)} if whose == SWAPPED else {}
            beside = {over: each[key] for over, key in compared.items() if key in each}
            for over, less in beside.items():
                both = own.merge(less, on=keys, suffixes=("", "_less"))
                for share in ("own", "swapped"):
                    pair = both[share].to_numpy(), both[f"{share}_less"].to_numpy()
                    gain = intervals.gain(*pair, both["things"].tolist())
                    line |= dict(zip(intervals.columns(f"{share}_{over}"), gain, strict=True))
            yield line | {"same": float(own["same"].mean()), "n": len(own)}
