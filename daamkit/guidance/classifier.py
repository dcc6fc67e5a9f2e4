"""Classifier guidance: towards what a classifier of noisy images takes for the class wanted
(Dhariwal and Nichol 2021, arXiv 2105.05233)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from daamkit.attention.calls import Call, Pass
from daamkit.attention.noise import noise_level, prediction_type, process
from daamkit.attention.taps import Image
from daamkit.errors import DaamkitError
from daamkit.guidance.denoising import Latents, Method

Classifier = Callable[[Tensor, Tensor], Tensor]


@dataclass(eq=False)
class ClassifierGuidance(Method):
    """After the prediction, move its noise against the gradient of the class's log-probability.

    eps becomes eps - scale * noise * grad log p(label | x), where x is what the denoiser sees and
    noise = sqrt(1 - alpha_bar), or a flow's sigma (algorithm 2). Other kinds of predictions are
    split into x0 and eps and put together again, x0 changed to agree with the new eps.

    Parameters
    ----------
    classifier
        Given x, (samples, channels, height, width), and the denoiser's times, (samples,), it
        returns logits, (samples, classes). It should have been trained on noisy images.
    label
        The class, counted from 0; or one for each image.
    scale
        s in the paper. With 0 the classifier is not called.

    Raises
    ------
    DaamkitError
        When the pipeline is called: if there are not as many labels as images, a label is not one
        of the classes, the classifier's output has another shape or is not computed from x, or the
        scheduler's noise level is not known.

    Notes
    -----
    Each step notes ``log_probability``, that of the label before the step, and ``gradient``, the
    norm of its gradient. Where a schedule ends in pure noise (signal 0) the prediction stays as it
    is: no change of eps would agree with x.
    """

    classifier: Classifier
    label: int | Sequence[int]
    scale: float = 1.0

    gradient = True

    def start(self, call: Call) -> None:
        process(call.pipe.scheduler)  # is it known?
        labels = [self.label] if isinstance(self.label, int) else list(self.label)
        self._labels = labels * call.samples if isinstance(self.label, int) else labels
        if len(self._labels) != call.samples:
            raise DaamkitError(
                wanted=f"a label for each of {call.samples} images",
                got=f"{len(labels)}",
                mend="give one number for all, or a list with one for each image",
            )

    def after(self, now: Pass, prediction: Image) -> Image:
        """The guided prediction; a learned variance in its last channels stays as it is."""
        if not self.scale:
            return prediction
        at, said = noise_level(now), prediction_type(now.call.pipe.scheduler)
        signal, noise = at.seen
        slope = self._slope(now, at.scale * now.noisy)
        if signal == 0:
            return prediction
        x0, eps = at.split(prediction, now.noisy, said)
        change = -self.scale * noise * slope
        guided = at.join(x0 - noise / signal * change, eps + change, said)
        return torch.cat([guided, prediction[:, guided.shape[1] :]], 1)

    def _slope(self, now: Pass, x: Latents) -> Latents:
        """The gradient of log p(label | x)."""
        x = x.detach().requires_grad_()
        time = torch.as_tensor(now.time, device=x.device).flatten()[:1].expand(len(x))
        with torch.enable_grad():
            logits = self.classifier(x, time)
            chosen = self._chosen(logits)
            slopes: tuple[Tensor | None, ...] = (None,)
            if chosen.requires_grad:
                slopes = torch.autograd.grad(chosen.sum(), [x], allow_unused=True)
        slope = slopes[0]
        if slope is None:
            raise DaamkitError(
                wanted="logits that follow from the noisy image",
                got="some without a gradient",
                mend="leave out torch.no_grad and detach inside the classifier",
            )
        told = zip(chosen.tolist(), slope.flatten(1).float().norm(dim=1).tolist(), strict=True)
        for sample, (log_probability, norm) in enumerate(told):
            self.note(now, sample, log_probability=log_probability, gradient=norm)
        return slope

    def _chosen(self, logits: Tensor) -> Float[Tensor, " samples"]:
        """log p(label) of each image."""
        wanted = len(self._labels)
        if logits.ndim != 2 or len(logits) != wanted:
            raise DaamkitError(
                wanted=f"logits of shape ({wanted}, classes) from the classifier",
                got=f"{tuple(logits.shape)}",
                mend="return one row for each image",
            )
        beyond = [label for label in self._labels if not 0 <= label < logits.shape[1]]
        if beyond:
            raise DaamkitError(
                wanted=f"labels from 0 to {logits.shape[1] - 1}",
                got=f"{beyond[0]}",
                mend="count the classifier's classes from 0",
            )
        return logits.float().log_softmax(-1)[range(wanted), self._labels]
