"""The networks have the papers' sizes and scale-invariant shares, and are torchvision's and timm's own."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from optathlon.tasks.imagenet.networks import build
from optathlon.tasks.imagenet.settings import Network
from optathlon.tasks.images.scale_invariance import normalized_weights

NETWORKS = Network.__args__
PARAMETERS = {  # AdamP's tables 2 and D.2 in millions; torchvision's and timm's documentation to the last digit
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "mobilenetv2-1.0": 3_504_872,
    "mobilenetv2-0.5": 1_968_680,
    "shufflenetv2-1.0": 2_278_604,
    "shufflenetv2-0.5": 1_366_792,
    "efficientnet-b0": 5_288_548,
    "efficientnet-b1": 7_794_184,
    "efficientnet-b2": 9_109_994,
    "efficientnet-b3": 12_233_232,
    "rexnet-1.0": 4_796_873,
    "rexnet-1.3": 7_557_091,
}
SMALL = {"width": 0.25, "depth": 0.25}


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_it_has_the_papers_number_of_parameters(name) -> None:
    with torch.device("meta"):
        assert count(build(name, 1000)) == PARAMETERS[name]


@pytest.mark.parametrize(
    ("name", "theirs"), [("resnet18", "resnet18"), ("mobilenetv2-0.5", ""), ("shufflenetv2-0.5", "shufflenet_v2_x0_5")]
)
def test_the_same_generator_gives_torchvisions_network(name, theirs) -> None:
    def made(make) -> dict[str, torch.Tensor]:
        torch.default_generator.manual_seed(3)
        return make().state_dict()

    published = (
        getattr(torchvision.models, theirs) if theirs else lambda: torchvision.models.MobileNetV2(width_mult=0.5)
    )
    ours, expected = made(lambda: build(name, 1000, dropout=0.2)), made(published)
    assert list(ours) == list(expected)
    assert all(torch.equal(ours[key], expected[key]) for key in ours)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet-b0", "efficientnet-b2", "rexnet-1.3"])
def test_the_same_generator_gives_timms_network(name) -> None:
    timm = pytest.importorskip("timm")
    theirs = {"efficientnet-b0": "efficientnet_b0", "efficientnet-b2": "efficientnet_b2", "rexnet-1.3": "rexnet_130"}
    torch.default_generator.manual_seed(3)
    expected = timm.create_model(theirs[name], num_classes=1000).state_dict()
    torch.default_generator.manual_seed(3)
    ours = build(name, 1000).state_dict()
    assert list(ours) == list(expected)
    assert all(torch.equal(ours[key], expected[key]) for key in ours)


def test_a_narrow_resnet_of_full_width_would_be_torchvisions() -> None:
    """What is put together here for other widths has, but for the width, the same layers."""
    narrow, whole = build("resnet50", 10, width=0.9999, depth=0.5), build("resnet50", 10, depth=0.5)
    shapes = [tuple(v.shape) for v in whole.state_dict().values()]
    assert [tuple(v.shape) for v in narrow.state_dict().values()] == shapes
    assert list(narrow.state_dict()) == list(whole.state_dict())
    narrow.load_state_dict(whole.state_dict())
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(narrow.eval()(images), whole.eval()(images))


@pytest.mark.parametrize(("name", "share"), [("resnet18", 95.5), ("resnet50", 91.8)])
def test_the_scale_invariant_share_is_the_papers(name, share) -> None:
    """AdamP, section 1."""
    net = build(name, 1000)
    invariant = normalized_weights(net, torch.zeros(1, 3, 32, 32))
    named = dict(net.named_parameters())
    assert round(100 * sum(named[n].numel() for n in invariant) / count(net), 1) == share


@pytest.mark.parametrize(
    "name",
    [
        "resnet50",
        "mobilenetv2-1.0",
        "shufflenetv2-0.5",
        pytest.param("efficientnet-b0", marks=pytest.mark.slow),
        pytest.param("rexnet-1.0", marks=pytest.mark.slow),
    ],
)
def test_only_the_direction_of_these_weights_counts(name) -> None:
    """Twice as long, they leave the output as it was, as far as the norms' epsilon lets them; no other weight does."""
    torch.default_generator.manual_seed(0)
    net = build(name, 10, **SMALL).double()
    images = torch.randn(4, 3, 64, 64, dtype=torch.float64)
    modes = [m.training for m in net.modules()]
    invariant = normalized_weights(net, images[:1])
    assert modes == [m.training for m in net.modules()]
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eps = 1e-12

    def outputs() -> torch.Tensor:
        torch.default_generator.manual_seed(1)
        with torch.no_grad():
            return net.train()(images)

    before = outputs()
    for key, weight in net.named_parameters():
        if key.endswith("weight") and weight.ndim > 1:
            weight.data.mul_(2.0)
            changed = not torch.allclose(outputs(), before, rtol=1e-4, atol=1e-6)
            assert changed == (key not in invariant), key
            weight.data.div_(2.0)
