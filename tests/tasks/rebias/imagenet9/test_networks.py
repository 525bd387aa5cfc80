"""ResNet-18 as torchvision's, and BagNet-18, which sees five pixels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from optathlon.tasks.images.scale_invariance import normalized_weights
from optathlon.tasks.rebias.imagenet9.networks import BagNet, Block, FeaturedResNet


def test_the_resnet_is_torchvisions_with_its_pooled_features() -> None:
    torch.default_generator.manual_seed(0)
    ours, theirs = FeaturedResNet(64).eval(), resnet18(num_classes=9).eval()
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    weights = {name.removeprefix("backbone."): value for name, value in ours.state_dict().items()}
    theirs.load_state_dict(weights)
    pooled: list[Tensor] = []
    theirs.avgpool.register_forward_hook(lambda _, __, out: pooled.append(out.flatten(1)))
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        logits, features = ours(images)
        assert torch.equal(logits, theirs(images))
    assert torch.equal(features, pooled[0])
    assert features.shape == (2, 512)


def test_bagnets_layers_are_the_published_ones() -> None:
    net = BagNet(64)
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert all(m.padding == (0, 0) and m.bias is None for m in convolutions)
    threes = [name for name, m in net.named_modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert threes == ["stem", "blocks.0.first"]
    assert net.pointwise.kernel_size == (1, 1)
    blocks = [block for block in net.blocks if isinstance(block, Block)]
    assert [block.first.out_channels for block in blocks] == [64, 64, 128, 128, 256, 256, 512, 512]
    assert [block.first.stride[0] for block in blocks] == [2, 1, 2, 1, 2, 1, 1, 1]
    shortcuts = [isinstance(block.shortcut, nn.Sequential) for block in blocks]
    assert shortcuts == [True, False, True, False, True, False, True, False]
    assert net.norm.momentum == 0.001
    logits, features = net(torch.randn(2, 3, 40, 40))
    assert (logits.shape, features.shape) == ((2, 9), (2, 512))
    # By hand: stem 3*64 + 9*64*64 + 128, then two blocks a stage with their norms and shortcuts, then 512*9 + 9.
    stages = 0
    before = 64
    for width, kernel in ((64, 9), (128, 1), (256, 1), (512, 1)):
        stages += kernel * before * width + width * width + before * width + 6 * width + 2 * width * width + 4 * width
        before = width
    assert sum(p.numel() for p in net.parameters()) == 3 * 64 + 9 * 64 * 64 + 128 + stages + 512 * 9 + 9


def test_bagnet_sees_five_pixels() -> None:
    torch.default_generator.manual_seed(0)
    net = BagNet(8).eval()
    image = torch.randn(1, 3, 33, 33, requires_grad=True)
    places = net.blocks(torch.relu(net.norm(net.stem(net.pointwise(image)))))
    (gradient,) = torch.autograd.grad(places[0, :, 1, 1].sum(), image)
    rows, columns = (gradient.abs().sum((0, 1)).sum(axis).nonzero().flatten().tolist() for axis in (1, 0))
    assert rows == columns == list(range(8, 13)), "eight pixels between two places, each of five"


def test_bagnets_features_are_the_mean_over_places() -> None:
    torch.default_generator.manual_seed(0)
    net = BagNet(8).eval()
    image = torch.randn(1, 3, 21, 21)
    with torch.no_grad():
        _, whole = net(image)
        patches = [net(image[:, :, y : y + 5, x : x + 5])[1] for y in (0, 8, 16) for x in (0, 8, 16)]
    torch.testing.assert_close(whole, torch.stack(patches).mean(0))


def test_bagnets_weights_start_as_published() -> None:
    torch.default_generator.manual_seed(0)
    net = BagNet(64)
    for convolution in (net.stem, net.blocks[0].first, net.blocks[7].second):
        assert isinstance(convolution, nn.Conv2d)
        expected = math.sqrt(2 / (convolution.kernel_size[0] ** 2 * convolution.out_channels))
        assert convolution.weight.std().item() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("kind", [BagNet, FeaturedResNet])
def test_scaling_what_is_found_scale_invariant_leaves_the_logits(kind: type[nn.Module]) -> None:
    torch.default_generator.manual_seed(0)
    net = kind(8).double()
    images = torch.randn(4, 3, 36, 36, dtype=torch.float64)
    before, _ = net(images)
    found = normalized_weights(net, images[:1])
    assert len(found) == (20 if kind is FeaturedResNet else 21)
    with torch.no_grad():
        for name in found:
            net.get_parameter(name).mul_(3)
    torch.testing.assert_close(net(images)[0], before, rtol=1e-3, atol=1e-3)
