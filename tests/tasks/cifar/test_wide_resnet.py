"""WRN-34-10 as adversarial training has it: counts, layout, and what of it is scale-invariant."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from optathlon.tasks.cifar.wide_resnet import Block, WideResNet


def test_the_published_network_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        net = WideResNet(34, 10, 16)
        assert sum(p.numel() for p in net.parameters()) == 45_901_914
        assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert [block.first.out_channels for block in net.blocks] == [160] * 5 + [320] * 5 + [640] * 5
    assert [block.stride for block in net.blocks] == [1] * 5 + [2, 1, 1, 1, 1] * 2


def by_hand(net: WideResNet, images: Tensor) -> Tensor:
    """The published forward pass from the weights alone, with its shortcut: average, and zeros on both sides."""

    def norm_relu(norm: torch.nn.BatchNorm2d, x: Tensor) -> Tensor:
        mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
        scaled = (x - mean) / torch.sqrt(var + 1e-5)
        return torch.clamp(scaled * norm.weight[:, None, None] + norm.bias[:, None, None], min=0)

    x = F.conv2d(images, net.stem.weight, padding=1)
    for block in net.blocks:
        assert isinstance(block, Block)
        before, width, stride = block.first.in_channels, block.first.out_channels, block.stride
        activated = norm_relu(block.first_norm, x)
        out = F.conv2d(activated, block.first.weight, stride=stride, padding=1)
        out = F.conv2d(norm_relu(block.second_norm, out), block.second.weight, padding=1)
        if before != width:
            zeros = activated.new_zeros(len(images), (width - before) // 2, *out.shape[2:])
            n, c, h, w = activated.shape
            pooled = activated.reshape(n, c, h // stride, stride, w // stride, stride).mean((3, 5))
            x = torch.cat([zeros, pooled, zeros], 1)
        x = x + out
    x = norm_relu(net.norm, x).mean((2, 3))
    return x @ net.head.weight.T + net.head.bias


@pytest.mark.parametrize(("widen", "stem"), [(1, 8), (3, 4)])
def test_the_forward_pass_is_the_published_one(widen: int, stem: int) -> None:
    torch.default_generator.manual_seed(0)
    net = WideResNet(16, widen, stem).double()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    images = torch.rand(5, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(net(images), by_hand(net, images))


def test_weights_start_as_published() -> None:
    torch.default_generator.manual_seed(0)
    net = WideResNet(10, 4, 16)
    for block in net.blocks:
        for convolution in (block.first, block.second):
            expected = math.sqrt(2 / (9 * convolution.out_channels))
            assert convolution.weight.std().item() == pytest.approx(expected, rel=0.05)
    assert net.head.bias.count_nonzero() == 0


@pytest.mark.parametrize("widen", [1, 2])
def test_scaling_what_is_called_scale_invariant_leaves_the_logits_and_nothing_else_does(widen: int) -> None:
    torch.default_generator.manual_seed(0)
    net = WideResNet(16, widen, 8).double()
    images = torch.rand(6, 3, 8, 8, dtype=torch.float64)
    before = net(images)
    invariant = []
    for name, parameter in net.named_parameters():
        if parameter.ndim == 4:
            with torch.no_grad():
                parameter[::2] *= 8
                if torch.allclose(net(images), before, rtol=1e-3, atol=1e-3):
                    invariant.append(name)
                parameter[::2] /= 8
    assert invariant == net.scale_invariant
    assert ("stem.weight" in invariant) == (widen == 2), "without a change of width the stem feeds the first shortcut"
