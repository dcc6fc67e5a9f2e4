"""Freezing a model's weights, so that gradients pass through it and stop at none of them."""

from __future__ import annotations

from contextlib import ExitStack

from torch import nn

from daamkit.attention.faces import locked


class frozen(ExitStack):  # noqa: N801 - used like a function: `with frozen(model)`
    """Gradients inside pass through a model and stop at none of its parameters.

    The model is walked once, by the outermost of nested contexts.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def __enter__(self) -> frozen:
        try:
            for _ in range(2):  # an interrupt within the first undoing leaves the rest
                self.callback(_thaw, self.model, self)
            _freeze(self.model, self)
            return self
        except BaseException:
            self.close()
            raise


_FROZEN: dict[int, tuple[list[object], list[nn.Parameter]]] = {}  # by the model's id


@locked()
def _freeze(model: nn.Module, token: object) -> None:
    if id(model) in _FROZEN:
        _FROZEN[id(model)][0].append(token)
        return
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    _FROZEN[id(model)] = ([token], learning)
    for weight in learning:
        weight.requires_grad_(False)


@locked()
def _thaw(model: nn.Module, token: object) -> None:
    """Undo `_freeze`; nothing happens where it is undone already."""
    tokens, learning = _FROZEN.get(id(model), ([], []))
    tokens[:] = [each for each in tokens if each is not token]
    if not tokens:
        for weight in learning:
            weight.requires_grad_(True)
        _FROZEN.pop(id(model), None)
