"""Self-Attention Guidance by what is changed of it, and with which other guidance."""

from __future__ import annotations

from typing import Any

from daamkit.errors import DaamkitError
from daamkit.guidance.self_attention import SelfAttentionGuidance

SETTINGS = (
    "none", "sag", "cfg", "cfg+sag",
    "strategy=global", "strategy=high-frequency", "strategy=random", "strategy=square",
    "threshold=0.7", "threshold=1.3", "layer=down_blocks", "layer=up_blocks",
    "scale=0.1", "scale=1.5", "sigma=3,kernel_size=31",
)  # fmt: skip
CLASSIFIED = ("cg", "cg+sag")  # where there is a classifier of noisy pictures
GUIDED = ("cfg", "cg")  # other guidance, beside which the method stands
TYPES: dict[str, type] = {  # of what a setting may change
    "scale": float, "layer": str, "threshold": float,
    "sigma": float, "kernel_size": int, "strategy": str,
}  # fmt: skip


def parsed(setting: str) -> tuple[bool, dict[str, Any] | None]:
    """Whether a setting has prompts and classifier-free guidance ("cfg"; others have the empty
    prompt, "cg" classifier guidance too), and what it changes of Self-Attention Guidance: nothing
    ("sag") or what it says; None if it goes without.

    >>> parsed("none"), parsed("sag"), parsed("cfg"), parsed("cfg+scale=1.5,layer=up_blocks")
    ((False, None), (False, {}), (True, None), (True, {'scale': 1.5, 'layer': 'up_blocks'}))

    Raises
    ------
    DaamkitError
        If it says something else, or a value that the method refuses.
    """
    first, _, rest = setting.partition("+")
    prompted, told = first == "cfg", (rest or "none") if first in GUIDED else setting
    if told in ("none", "sag"):
        return prompted, {} if told == "sag" else None
    try:
        pairs = [each.split("=") for each in told.split(",")]
        changed = {name: TYPES[name](value) for name, value in pairs}
    except (KeyError, ValueError) as error:
        raise DaamkitError(
            wanted="a setting: 'none', 'sag', 'cfg', 'cfg+sag', 'cg', or what is changed of sag "
            f"({', '.join(TYPES)})",
            got=repr(setting),
            mend="write 'scale=1.5' or 'cfg+threshold=1.3,layer=up_blocks'",
        ) from error
    SelfAttentionGuidance(**changed)
    return prompted, changed


def base(setting: str) -> str:
    """What a setting is compared with: the one without its last part; "" for "none"."""
    _, changed = parsed(setting)
    first = setting.partition("+")[0]
    other = first if first in GUIDED else ""
    if changed:
        return f"{other}+sag" if other else "sag"
    if changed is not None:
        return other or "none"
    return "none" if other else ""


def classified(setting: str) -> bool:
    """Whether a setting has classifier guidance."""
    return setting.partition("+")[0] == "cg"
