"""The networks are those of the protocol page, begin as it says, and take ImageNet's weights."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import resnet18, vgg16_bn

from optathlon import tasks
from optathlon.tasks.coco import weights
from optathlon.tasks.data.files import file_digest
from optathlon.tasks.images.weights import FOLDER
from optathlon.tasks.registry import resolve
from tests.tasks.coco.workloads import CENTERNET, SSD, make, small


def test_the_networks_are_those_of_the_protocol_page(data) -> None:
    """Parameters counted from the layers' sizes."""
    from optathlon.tasks.coco.centernet.network import CenterNet
    from optathlon.tasks.coco.settings import LAYOUTS, RESNET18, VGG16, boxes_per_cell
    from optathlon.tasks.coco.ssd.network import Ssd

    def count(net: torch.nn.Module) -> int:
        return sum(p.numel() for p in net.parameters())

    backbone = 11_689_512 - 513_000  # torchvision's ResNet-18 without its last layer

    def heads(wide: int) -> int:
        return sum(9 * wide * 64 + 64 + 64 * n + n for n in (80, 2, 2))

    doublings = 0
    for narrow, wide in ((512, 256), (256, 128), (128, 64)):
        doublings += 9 * narrow * wide + wide + 9 * narrow * 27 + 27 + 16 * wide * wide + 4 * wide
    with torch.device("meta"):
        deformable = CenterNet(RESNET18, 2, "deformable", [], 64, 80)
        plain = CenterNet(RESNET18, 2, "plain", [], 64, 80)
        ssds = {size: Ssd(LAYOUTS[size], VGG16, 1024, 1.0, 80) for size in (300, 512)}
    assert count(deformable) == backbone + doublings + heads(64)
    assert count(plain) == backbone + 16 * (512 + 256 + 256) * 256 + 6 * 256 + heads(256)
    trunk = 138_365_992 - 123_642_856  # torchvision's VGG-16 with batch norm without its classifier
    for size, net in ssds.items():
        expected = trunk + 512 + 9 * 512 * 1024 + 1024 + 1024 * 1024 + 1024
        widths = [512, 1024]
        for extra in LAYOUTS[size].extras:
            expected += widths[-1] * extra.narrow + extra.narrow
            expected += extra.kernel**2 * extra.narrow * extra.wide + extra.wide
            widths.append(extra.wide)
        for width, grid in zip(widths, LAYOUTS[size].grids, strict=True):
            outputs = 85 * boxes_per_cell(grid)
            expected += 9 * width * outputs + outputs
        assert count(net) == expected


@pytest.mark.slow
def test_the_maps_of_ssd_have_the_cells_of_its_priors() -> None:
    from optathlon.tasks.coco.settings import LAYOUTS
    from optathlon.tasks.coco.ssd.network import Ssd

    for size, grids in LAYOUTS.items():
        net = Ssd(LAYOUTS[size], [2, 2, 2, 4, 4], 4, 0.01, 3).eval()
        with torch.no_grad():
            outputs = net(torch.zeros(1, 3, size, size))
            cells = [tuple(f.shape[2:]) for f in net._features(torch.zeros(1, 3, size, size))]
        assert cells == [(grid.cells, grid.cells) for grid in grids.grids]
        assert outputs.logits.shape == (1, grids.priors, 4)
        assert outputs.corrections.shape == (1, grids.priors, 4)


def test_deformable_convolutions_begin_as_plain_ones_at_half_strength() -> None:
    from optathlon.tasks.coco.centernet.network import DeformableConv2d

    torch.default_generator.manual_seed(0)
    layer, features = DeformableConv2d(3, 5), torch.randn(2, 3, 9, 8)
    plain = torch.nn.functional.conv2d(features, layer.weight, padding=1) / 2
    torch.testing.assert_close(layer(features), plain, rtol=1e-4, atol=1e-5)


def test_transposed_convolutions_begin_bilinear_towards_the_first_channel() -> None:
    from optathlon.tasks.coco.centernet.network import CenterNet

    net = CenterNet([4, 4, 4, 4], 1, "deformable", [3, 3, 3], 4, 2)
    for name, weight in net.named_parameters():
        if weight.ndim == 4 and weight.shape[2] == 4:
            ramp = torch.nn.functional.conv_transpose2d(torch.ones(1, 1, 5, 5), weight[:1, :1].detach(), None, 2, 1)
            assert torch.equal(ramp[:, :, 2:-2, 2:-2], torch.ones(1, 1, 6, 6)), name
            assert torch.equal(weight[0, 0], weight[2, 0])
            assert not torch.equal(weight[0, 1], weight[0, 0])


@pytest.mark.parametrize(("name", "heads"), [(CENTERNET, 12), (SSD, 12)])
def test_tags(data, name, heads) -> None:
    live = make(data, small(name), name)
    tags, shapes = live.tags("model"), {n: p.shape for n, p in live.players["model"].named_parameters()}
    assert sum("head" in t for t in tags.values()) == heads
    before_norms = {n for n, t in tags.items() if "scale_invariant" in t}
    assert all(len(shapes[n]) == 4 and "head" not in tags[n] for n in before_norms)
    if name == SSD:
        assert before_norms == {n for n in tags if n.startswith("trunk.") and len(shapes[n]) == 4}
    else:
        assert before_norms == {n for n in tags if len(shapes[n]) == 4 and not n.startswith(live._heads)}
        assert {n for n, t in tags.items() if "transposed" in t} == {f"upsampling.{i}.weight" for i in (0, 3, 6)}


def test_offsets_of_deformable_convolutions_are_not_scale_invariant_but_their_weights_are(data) -> None:
    tags = make(data, small(CENTERNET, settings={"upsampling": "deformable"}), CENTERNET).tags("model")
    assert "scale_invariant" in tags["upsampling.0.weight"]
    assert "scale_invariant" not in tags["upsampling.0.points.weight"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), [("centernet", "RESNET18"), ("ssd", "VGG16_BN")])
def test_imagenets_weights_begin_the_backbone(data, tmp_path, monkeypatch, name, kind) -> None:
    """A file written by torchvision's own network, under the name that its digest gives it."""
    torch.default_generator.manual_seed(5)
    if name == "centernet":
        net = resnet18()
    else:
        net = vgg16_bn(num_classes=1)
        net.classifier = torch.nn.Sequential(torch.nn.Linear(1, 1))
    (tmp_path / FOLDER).mkdir()
    torch.save(net.state_dict(), tmp_path / FOLDER / "first.pth")
    file = f"any-{file_digest(tmp_path / FOLDER / 'first.pth')[:8]}.pth"
    (tmp_path / FOLDER / "first.pth").rename(tmp_path / FOLDER / file)
    (tmp_path / "coco").symlink_to(data / "coco")
    monkeypatch.setattr(weights, kind, (file,))
    task = tasks.task(f"coco-{name}-imagenet")
    protocol = task.protocol("mini").override({"batch": 8, "settings": {"train_images": 40, "test_images": 4}})
    resolve(task.ready or "")(protocol, tmp_path)
    live = make(tmp_path, protocol, task.name)
    ours = live.players["model"].state_dict()
    prefix = ("", "backbone.") if name == "centernet" else ("features.", "trunk.")
    compared = 0
    for key, value in net.state_dict().items():
        if key.startswith(prefix[0]) and not key.startswith("fc."):
            assert torch.equal(ours[prefix[1] + key.removeprefix(prefix[0])], value), key
            compared += 1
    assert compared > 80


def test_imagenets_backbone_is_torchvisions() -> None:
    from optathlon.tasks.coco.centernet.network import ResNet
    from optathlon.tasks.coco.settings import RESNET18

    torch.default_generator.manual_seed(0)
    theirs = resnet18().eval()
    ours = ResNet(RESNET18, 2).eval()
    ours.load_state_dict({n: w for n, w in theirs.state_dict().items() if not n.startswith("fc.")})
    features: list[torch.Tensor] = []
    theirs.layer4.register_forward_hook(lambda _, __, out: features.append(out))
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        theirs(images)
        torch.testing.assert_close(ours(images), features[0], rtol=1e-4, atol=1e-5)


def test_the_vgg_trunk_is_torchvisions_up_to_conv4_3() -> None:
    from optathlon.tasks.coco.settings import VGG16
    from optathlon.tasks.coco.ssd.network import CONV4_3
    from optathlon.tasks.coco.ssd.network import vgg16_bn as trunk

    with torch.device("meta"):
        theirs, ours = vgg16_bn().features, trunk(VGG16)
    assert {n: w.shape for n, w in ours.state_dict().items()} == {n: w.shape for n, w in theirs.state_dict().items()}
    assert [type(layer) for layer in ours] == [type(layer) for layer in theirs]
    assert [i for i, layer in enumerate(ours) if isinstance(layer, torch.nn.MaxPool2d)] == [6, 13, 23, 33, 43]
    assert isinstance(ours[CONV4_3 - 1], torch.nn.ReLU)
