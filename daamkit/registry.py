"""Names to things: ours, those that a decorator adds, those that other packages bring.

    from daamkit.extend import Study, studies

    @studies.register("order")
    class Order(Study): ...

makes ``daamkit.extend.studies.find("order")`` know the class, wherever that module was imported. A
package that is installed need not be imported first: it says in its ``pyproject.toml``

    [project.entry-points."daamkit.studies"]
    order = "my_package:Order"

and without any of that ``my_package:Order`` is itself a name, as in
``daamkit study my_package:Order``. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from daamkit.errors import DaamkitError

T = TypeVar("T")
_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


class RegistryError(DaamkitError, LookupError):
    """A name that nothing has, that two things would have, or whose thing cannot be imported."""


class Registry:
    """Things of one kind by name.

    Our own names come first: neither a decorator nor another package can take them.

    Parameters
    ----------
    kind
        What the things are, with an article: "a study".
    group
        The group of entry points under which other packages name theirs: "daamkit.studies".
    own
        Ours, as "module:attribute" within daamkit.
    """

    def __init__(self, kind: str, group: str, own: Mapping[str, str]) -> None:
        self.kind, self.group = kind, group
        self._own = {name: f"daamkit.{path}" for name, path in own.items()}
        self._registered: dict[str, Any] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorate what shall be known by a name.

        A cell of a notebook may run twice: what has the same module and name as what it replaces
        takes its place.

        Raises
        ------
        RegistryError
            If the name is taken by something else.
        """

        def keep(thing: T) -> T:
            known = self._registered.get(name)
            if name in self._own or (known is not None and _origin(known) != _origin(thing)):
                there = self._own.get(name) or ".".join(_origin(known))
                raise RegistryError(
                    wanted=f"a name of its own for {self.kind}, {'.'.join(_origin(thing))}",
                    got=f"{name!r}, which {there} has",
                    mend="choose another name",
                )
            self._registered[name] = thing
            return thing

        return keep

    def names(self) -> list[str]:
        """All names: ours, then registered ones, then those of installed packages."""
        return list(dict.fromkeys([*self._own, *self._registered, *self._installed()]))

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def find(self, name: str) -> Any:
        """What has this name, or lies at ``module:attribute``.

        Raises
        ------
        RegistryError
            If nothing has the name (the nearest names are told), two packages have it, or it cannot
            be imported.
        """
        if name in self._own:
            return _imported(self.kind, self._own[name])
        if name in self._registered:
            return self._registered[name]
        installed = self._installed().get(name, [])
        if len(installed) > 1:
            raise RegistryError(
                wanted=f"{self.kind} {name!r}",
                got=f"one each from {', '.join(sorted(map(_package, installed)))}",
                mend=f"name one by its place, {installed[0].value!r}, say",
            )
        if installed:
            return _imported(self.kind, installed[0].value, _package(installed[0]))
        if is_path(name):
            return _imported(self.kind, name)
        raise self.unknown(name)

    def unknown(self, name: str, also: Iterable[str] = ()) -> RegistryError:
        """The error of a name that nothing has; `also` are names that would have done too."""
        known = list(dict.fromkeys([*also, *self.names()]))
        near = difflib.get_close_matches(name, known, n=3)
        return RegistryError(
            wanted=f"the name of {self.kind}",
            got=repr(name),
            mend=f"did you mean {' or '.join(map(repr, near))}?"
            if near
            else f"name one of {', '.join(known)}; or 'my_package:MyThing', or register yours "
            "(docs/extending.md)",
        )

    def _installed(self) -> dict[str, list[EntryPoint]]:
        return _entry_points(self.group, _places())


def _places() -> tuple[tuple[str, int], ...]:
    """Where packages lie and when something was last installed there, in nanoseconds."""
    found = {place or ".": Path(place) for place in sys.path}
    return tuple((k, place.stat().st_mtime_ns) for k, place in found.items() if place.exists())


@lru_cache(maxsize=32)
def _entry_points(group: str, places: tuple[Any, ...]) -> dict[str, list[EntryPoint]]:
    """What installed packages name in a group; to read them all takes tens of milliseconds."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=group):
        others = found.setdefault(entry.name, [])
        if entry.value not in {other.value for other in others}:  # a package seen twice
            others.append(entry)
    return found


def is_path(name: str) -> bool:
    """Whether a name has the form "module:attribute"."""
    return _PATH.fullmatch(name) is not None


def _origin(thing: Any) -> tuple[str, str]:
    kind = thing if hasattr(thing, "__qualname__") else type(thing)
    return kind.__module__, kind.__qualname__


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value


def _imported(kind: str, path: str, package: str | None = None) -> Any:
    module, _, attribute = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        if module.startswith("daamkit."):
            raise  # a package that ours needs is missing, and says so itself
        raise RegistryError(
            wanted=f"{kind} at {path!r}" + (f", of the package {package}" if package else ""),
            got=f"{type(error).__name__}: {error}",
            mend="install or mend that package",
        ) from error
    return found


families = Registry(
    "a family of models",
    "daamkit.families",
    {
        "unet": "attention.families.unet:UNet",
        "sd3": "attention.families.joint:SD3",
        "flux": "attention.families.joint:FLUX",
        "flux2": "attention.families.joint:FLUX2",
        "chroma": "attention.families.joint:CHROMA",
        "pixart": "attention.families.cross:PixArt",
        "sana": "attention.families.cross:Sana",
        "hunyuandit": "attention.families.cross:HunyuanDiT",
        "zimage": "attention.families.single:ZImage",
        "lumina2": "attention.families.single:Lumina2",
        "auraflow": "attention.families.single:AuraFlow",
        "cogview4": "attention.families.single:CogView4",
        "qwen-image": "attention.families.joint:QWEN",
        "hidream": "attention.families.hidream:HiDream",
        "wan": "attention.families.video:Wan",
        "ltx": "attention.families.video:LTX",
        "cogvideox": "attention.families.video:CogVideoX",
        "hunyuanvideo-1.5": "attention.families.hunyuanvideo:HunyuanVideo15",
    },
)
guidance_methods = Registry(
    "a guidance method",
    "daamkit.guidance_methods",
    {
        "attend_and_excite": "guidance.attend_and_excite:AttendAndExcite",
        "divide_and_bind": "guidance.divide_and_bind:DivideAndBind",
        "syngen": "guidance.syngen:SynGen",
        "self_attention": "guidance.self_attention:SelfAttentionGuidance",
        "perturbed": "guidance.perturbed:PerturbedAttentionGuidance",
        "smoothed": "guidance.smoothed:SmoothedEnergyGuidance",
        "classifier": "guidance.classifier:ClassifierGuidance",
    },
)
attributions = Registry(  # made without arguments
    "a method of attribution",
    "daamkit.attributions",
    {
        "daam": "attribution.pooling:daam",
        "paper": "attribution.pooling:paper",
        "share": "attribution.share:Share",
        "text_to_image": "attribution.related:TextToImage",
        "propagation": "attribution.propagation:Propagation",
        "concepts": "attribution.concepts:ConceptAttention",
        "ovam": "attribution.vocabulary:OpenVocabulary",
        "gradients": "attribution.gradients:GradientAttention",
        "occlusion": "attribution.occlusion:Occlusion",
        "layers": "attribution.learned:LayerWeights",
        "heads": "attribution.learned:BestHeads",
        "relevance": "attribution.learned:RelevantHeads",
        "selected": "attribution.learned:SelectedHeads",
    },
)
studies = Registry(
    "a study",
    "daamkit.studies",
    {
        "objects": "studies.objects:Objects",
        "parts_of_speech": "studies.parts_of_speech:PartsOfSpeech",
        "relations": "studies.relations:Relations",
        "cohyponyms": "studies.cohyponyms:Cohyponyms",
        "likeness": "studies.likeness:Likeness",
        "adjectives": "studies.adjectives:Adjectives",
        "neglect": "studies.neglect:Neglect",
        "self_attention": "studies.self_attention:SelfAttention",
        "guidance_effects": "studies.guidance_effects:GuidanceEffects",
        "reliability": "studies.reliability:Reliability",
        "attribution": "studies.attribution:AttributionStudy",
        "layers": "studies.layers:Layers",
        "faithfulness": "studies.faithfulness:Faithfulness",
        "necessity": "studies.necessity:Necessity",
        "agreement": "studies.agreement:Agreement",
        "interventions": "studies.interventions:Interventions",
        "binding": "studies.binding:Binding",
    },
)
# Each of these is called with the device on which it shall run.
truths = Registry("a truth", "daamkit.truths", {"oracle": "studies.truths:OracleTruth"})
captioners = Registry(
    "a captioner",
    "daamkit.captioners",
    {
        "toybox": "studies.captions:OracleCaptioner",
        "toybox-2": "studies.captions:World2Captioner",
    },
)
segmenters = Registry("a segmenter", "daamkit.segmenters", {})
