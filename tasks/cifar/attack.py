"""Projected gradient descent (Madry et al. 2018): changes images, each within a ball, so that a network errs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optathlon.tasks.cifar.settings import Norm

TINY = 1e-12
"""Added to a gradient's norm, which is zero where the loss is flat."""


class Attack(NamedTuple):
    """An attack in the scale of pixels from 0 to 1."""

    norm: Norm
    epsilon: float
    """Radius of the ball around the image."""
    steps: int
    step_size: float
    step_rule: Literal["sign", "gradient"] = "sign"
    random_start: bool = False
    """Start from uniform noise of up to epsilon per pixel, in the l2 threat too, where that lies outside the ball."""


def attacked(net: nn.Module, images: Tensor, labels: Tensor, attack: Attack) -> Tensor:
    """Returns images (n, 3, h, w) in [0, 1] on which the cross-entropy of `net`, in eval mode, is higher.

    Makes one forward and one backward pass per step, the backward pass to the images alone. Leaves modes, buffers and
    gradients of `net` as they are. Random numbers come from torch's generator of the images' device.
    Source: louis2889184/pytorch-adversarial-training 4c18cef, fast_gradient_sign_untargeted.py.
    """
    adversarial = images
    if attack.random_start:
        noise = torch.empty_like(images).uniform_(-attack.epsilon, attack.epsilon)
        adversarial = (images + noise).clamp_(0.0, 1.0)
    with _constant(net), torch.enable_grad():
        for _ in range(attack.steps):
            adversarial = adversarial.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(F.cross_entropy(net(adversarial), labels), adversarial)
            step = attack.step_size * _direction(gradient, attack.step_rule)
            adversarial = project(adversarial.detach() + step, images, attack)
    return adversarial.detach()


def project(adversarial: Tensor, images: Tensor, attack: Attack) -> Tensor:
    """Returns the point of the ball around `images`, and of the pixels' range, that is nearest to `adversarial`."""
    if attack.norm == "linf":
        # Both are boxes, so going into one after the other is going into their intersection.
        return adversarial.clamp(images - attack.epsilon, images + attack.epsilon).clamp_(0.0, 1.0)
    change = adversarial - images
    norms = torch.linalg.vector_norm(change.flatten(1), dim=1)[:, None, None, None]
    # Within the ball the factor is exactly 1; and nothing is divided by zero.
    return (images + change * (attack.epsilon / norms.clamp(min=attack.epsilon))).clamp_(0.0, 1.0)


def _direction(gradient: Tensor, step_rule: str) -> Tensor:
    if step_rule == "sign":
        return gradient.sign()
    norms = torch.linalg.vector_norm(gradient.flatten(1), dim=1)[:, None, None, None]
    return gradient / (norms + TINY)


@contextmanager
def _constant(net: nn.Module) -> Iterator[None]:
    """`net` in eval mode and without gradients of its own, so that autograd keeps nothing for its weights."""
    modes = {module: module.training for module in net.modules()}
    learning = [parameter for parameter in net.parameters() if parameter.requires_grad]
    net.eval().requires_grad_(False)
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for parameter in learning:
            parameter.requires_grad_()
