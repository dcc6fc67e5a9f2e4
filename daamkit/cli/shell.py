"""What the commands share: help that tells defaults, lines on stderr, quiet libraries."""

from __future__ import annotations

import argparse
import sys


class Help(argparse.HelpFormatter):
    """Options tell what they do and what they are when nobody names them."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        told, default = action.help or "", action.default
        nothing = default is None or default is False or default is argparse.SUPPRESS
        if not action.option_strings or nothing:
            return told
        value = " ".join(map(str, default)) if isinstance(default, list | tuple) else default
        return f"{told} (default: {str(value).replace('%', '%%') or 'none'})".strip()


def tell(text: str) -> None:
    """Say a line to who runs the command, beside its output."""
    print(f"daamkit: {text}", file=sys.stderr)


def quiet() -> None:
    """Let libraries not say, on loading, what they lack; a reader of a report need not know."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    from diffusers.utils import logging as diffusers_logging

    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
