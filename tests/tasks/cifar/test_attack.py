"""Projected gradient descent: step by step as published, within the ball, and the worst case where that is known."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from optathlon.tasks.cifar.attack import Attack, attacked, project
from optathlon.tasks.cifar.wide_resnet import WideResNet

LINF = Attack("linf", 8 / 255, 5, 2 / 255)
L2 = Attack("l2", 80 / 255, 5, 2 / 255)


def seeded(seed: int) -> None:
    torch.default_generator.manual_seed(seed)


def network() -> WideResNet:
    """With batch-norm statistics of its own, so that train and eval mode differ."""
    seeded(0)
    net = WideResNet(10, 1, 8)
    with torch.no_grad():
        for _ in range(3):
            net(torch.rand(16, 3, 8, 8))
    return net


def photos(count: int = 12, side: int = 8) -> tuple[Tensor, Tensor]:
    seeded(1)
    return torch.rand(count, 3, side, side).mul(1.4).sub(0.2).clamp(0, 1), torch.arange(count) % 10


def literal(net: nn.Module, images: Tensor, labels: Tensor, attack: Attack, start: Tensor | None = None) -> Tensor:
    """fast_gradient_sign_untargeted.py as it is written, one image at a time where it projects."""
    x = images.clone() if start is None else torch.clamp(images + start, 0, 1)
    net.eval()
    for _ in range(attack.steps):
        x = x.detach().clone().requires_grad_(True)
        F.cross_entropy(net(x), labels).backward()
        assert x.grad is not None
        moved = []
        for before, image, gradient in zip(x.detach(), images, x.grad, strict=True):
            step = torch.sign(gradient) if attack.step_rule == "sign" else gradient / (gradient.norm() + 1e-12)
            after = before + attack.step_size * step
            if attack.norm == "linf":
                after = torch.max(torch.min(after, image + attack.epsilon), image - attack.epsilon)
            elif (after - image).norm() > attack.epsilon:
                after = image + (after - image) / (after - image).norm() * attack.epsilon
            moved.append(after.clamp(0, 1))
        x = torch.stack(moved)
    net.train()
    return x.detach()


@pytest.mark.parametrize("attack", [LINF, L2, L2._replace(step_rule="gradient", step_size=0.1)])
def test_it_is_the_published_loop(attack: Attack) -> None:
    net, (images, labels) = network(), photos()
    ours = attacked(net, images, labels, attack)
    theirs = literal(net, images, labels, attack)
    if attack.norm == "linf":
        assert torch.equal(ours, theirs)
    else:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert not torch.equal(ours, images)


def test_it_starts_at_noise_up_to_epsilon_cut_to_the_range_of_pixels() -> None:
    net, (images, labels) = network(), photos()
    seeded(5)
    ours = attacked(net, images, labels, LINF._replace(random_start=True))
    seeded(5)
    noise = torch.empty_like(images).uniform_(-LINF.epsilon, LINF.epsilon)
    assert torch.equal(ours, literal(net, images, labels, LINF, noise))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), epsilon=st.floats(1e-3, 2.0), far=st.floats(0.0, 10.0))
def test_a_projection_is_within_the_ball_and_the_range_and_no_further_off_than_any_other_point(
    norm: Any, seed: int, epsilon: float, far: float
) -> None:
    seeded(seed)
    images = torch.rand(4, 3, 5, 5, dtype=torch.float64)
    points = images + far * torch.randn_like(images)
    attack = Attack(norm, epsilon, 1, 1.0)
    projected = project(points, images, attack)
    assert projected.min() >= 0
    assert projected.max() <= 1
    assert distance(projected, images, norm).max() <= epsilon * (1 + 1e-9)
    torch.testing.assert_close(project(projected, images, attack), projected)
    if norm == "linf":  # the nearest point of a box: no point of it on the way to `here` is nearer
        other = (images + epsilon * (2 * torch.rand_like(images) - 1)).clamp(0, 1)
        assert (distance(points, projected, "l2") <= distance(points, other, "l2") + 1e-9).all()


def test_what_is_in_the_ball_stays_and_the_image_itself_is_no_division_by_zero() -> None:
    images, _ = photos()
    for attack in (LINF, L2):
        assert torch.equal(project(images, images, attack), images)
    near = (images + 0.001).clamp(0, 1)
    assert torch.equal(project(near, images, L2), near)


@pytest.mark.parametrize("attack", [LINF, L2])
def test_attacked_images_are_in_the_ball_and_the_range(attack: Attack) -> None:
    net, (images, labels) = network(), photos()
    for start in (False, True):
        there = attacked(net, images, labels, attack._replace(random_start=start))
        assert there.min() >= 0
        assert there.max() <= 1
        assert distance(there, images, attack.norm).max() <= attack.epsilon + 1e-6


class Linear(nn.Module):
    def __init__(self, classes: int = 2, pixels: int = 3 * 8 * 8) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, pixels, dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T


def test_each_step_raises_the_loss_of_a_linear_model() -> None:
    seeded(0)
    net, images, labels = Linear(5), torch.rand(6, 3, 8, 8, dtype=torch.float64), torch.arange(6) % 5
    for attack in (LINF, L2._replace(step_rule="gradient", step_size=0.05)):
        runs = [attacked(net, images, labels, attack._replace(steps=steps)) for steps in range(1, 12)]
        losses = [F.cross_entropy(net(run), labels, reduction="none") for run in (images, *runs)]
        assert all((after >= before - 1e-9).all() for before, after in itertools.pairwise(losses))
        assert (losses[1] > losses[0]).all()


def test_on_a_linear_classifier_of_two_classes_it_finds_the_worst_case() -> None:
    """In the l-inf ball and the range every pixel goes as far as it may against the weight; in the l2 ball all go along
    the weights' difference."""
    seeded(0)
    net, labels = Linear(), torch.arange(6) % 2
    images = torch.rand(6, 3, 8, 8, dtype=torch.float64)
    against = (net.weight[1 - labels] - net.weight[labels]).detach().reshape(images.shape)
    worst = (images + LINF.epsilon * against.sign()).clamp(0, 1)
    torch.testing.assert_close(attacked(net, images, labels, LINF), worst)
    inside = images * 0.5 + 0.25  # no pixel reaches the range's end
    units = against / against.flatten(1).norm(dim=1)[:, None, None, None]
    found = attacked(net, inside, labels, L2._replace(step_rule="gradient", steps=20, step_size=0.1))
    torch.testing.assert_close(found, inside + L2.epsilon * units)


def test_one_forward_and_one_backward_pass_a_step_and_none_to_the_weights() -> None:
    net, (images, labels) = network(), photos()
    forward: list[bool] = []
    backward: list[int] = []
    net.register_forward_pre_hook(lambda module, _: forward.append(module.training))
    net.stem.register_full_backward_hook(lambda *_: backward.append(1))
    learning: list[bool] = []
    net.head.register_forward_pre_hook(lambda module, _: learning.append(module.weight.requires_grad))
    attacked(net, images, labels, LINF)
    assert forward == [False] * LINF.steps
    assert len(backward) == LINF.steps
    assert learning == [False] * LINF.steps


def test_it_leaves_modes_buffers_gradients_and_frozen_weights() -> None:
    net, (images, labels) = network(), photos()
    net.norm.eval()
    net.stem.weight.requires_grad_(False)
    modes = [module.training for module in net.modules()]
    buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
    adversarial = attacked(net, images, labels, LINF)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in net.named_buffers())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert [name for name, parameter in net.named_parameters() if not parameter.requires_grad] == ["stem.weight"]
    assert not adversarial.requires_grad
    assert not images.requires_grad


def test_a_network_that_breaks_in_an_attack_is_put_back_as_it_was() -> None:
    net, (images, labels) = network(), photos()
    with pytest.raises(IndexError):
        attacked(net, images, labels + 100, LINF)
    assert net.training
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_it_works_where_nothing_is_differentiated() -> None:
    net, (images, labels) = network(), photos()
    with torch.no_grad():
        there = attacked(net, images, labels, LINF)
    assert torch.equal(there, attacked(net, images, labels, LINF))


def distance(x: Tensor, y: Tensor, norm: str) -> Tensor:
    change = (x - y).flatten(1)
    return change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
