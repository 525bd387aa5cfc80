"""Both detectors keep the contract of a workload, follow the protocol page, learn, and resume exactly."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import adamp
import numpy as np
import pytest
import torch
from torchvision.models import resnet18, vgg16_bn

from optathlon import tasks
from optathlon.tasks.coco import TASKS, layout, weights
from optathlon.tasks.coco.detection import Detection
from optathlon.tasks.coco.ssd.workload import trained_boxes
from optathlon.tasks.conformance.checks import prove
from optathlon.tasks.conformance.digests import digest
from optathlon.tasks.data.dataset import build, prepare
from optathlon.tasks.data.files import file_digest
from optathlon.tasks.errors import DataError, TaskError
from optathlon.tasks.images.weights import FOLDER
from optathlon.tasks.metrics.average_precision import NAMES
from optathlon.tasks.registry import resolve
from optathlon.tasks.task import Protocol

CENTERNET, SSD = "coco-centernet-random", "coco-ssd-random"
SMALL: dict[str, Any] = {"length": 3, "batch": 8, "settings": {"train_images": 48, "test_images": 12}}
NARROW: dict[str, dict[str, Any]] = {
    CENTERNET: {"channels": [4, 4, 8, 8], "up_channels": [8, 8, 8], "head_channels": 8},
    SSD: {"channels": [2, 4, 4, 8, 8], "fc_channels": 8, "extra_share": 0.03},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    build(tasks.dataset("coco"), root, "miniature")
    return root


def small(name: str, **changes: Any) -> Protocol:
    settings = NARROW[name] | changes.pop("settings", {})
    return tasks.task(name).protocol("smoke").override(SMALL).override({**changes, "settings": settings})


def make(data: Path, protocol: Protocol, name: str, **how: Any) -> Detection:
    torch.default_generator.manual_seed(1)
    return resolve(tasks.task(name).workload)(protocol, data, **how)


def train(live: Detection, optimizer: torch.optim.Optimizer, epochs: range, start: int = 0, most: int = 10**6) -> None:
    """The training loop in its shortest form, for `most` updates at most."""
    for epoch in epochs:
        factor = live.protocol.schedule.factor(epoch, live.protocol.length)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        for batch in live.batches(epoch, start):
            if most == 0:
                return
            most -= 1
            optimizer.zero_grad()
            live.loss(batch, "model").backward()
            optimizer.step()
        start = 0


def optimizer_of(live: Detection, kind: str, lr: float) -> torch.optim.Optimizer:
    make_one = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "adamp": adamp.AdamP}[kind]
    groups = [{"params": list(live.players["model"].parameters()), "initial_lr": lr}]
    return make_one(groups, lr=lr, weight_decay=1e-5)


def test_the_descriptions_need_no_torch() -> None:
    code = (
        "import sys, optathlon.tasks.coco, optathlon.tasks.coco.settings, optathlon.tasks.coco.weights,"
        " optathlon.tasks.coco.references; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_the_paper_protocols() -> None:
    assert [task.name for task in TASKS] == [
        f"coco-{name}-{begin}" for name in ("centernet", "ssd") for begin in ("random", "imagenet")
    ]
    for task in TASKS:
        paper = task.protocol("paper")
        assert (paper.batch, paper.micro_batches, paper.unit, paper.checkpoint, paper.holdout) == (
            64,
            1,
            "epochs",
            "last",
            "none",
        )
        assert paper.settings["weights"] == task.name.rpartition("-")[2]
        assert [m.name for m in task.metrics] == list(NAMES)
        for scale in ("mini", "smoke"):
            assert set(task.protocol(scale).settings) == set(paper.settings)
            resolve(task.check or "")(task.protocol(scale))
        resolve(task.check or "")(paper)
    centernet, ssd = (tasks.task(name).protocol("paper") for name in (CENTERNET, SSD))
    assert (centernet.length, ssd.length) == (140, 110)
    assert [ssd.schedule.factor(e, 110) for e in (0, 76, 77, 98, 99)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert centernet.schedule.factor(70, 140) == pytest.approx(0.5)
    expected = {"upsampling": "deformable", "size": 512, "wh_weight": 0.1, "max_objects": 128, "keep_resolution": True}
    assert centernet.settings.items() >= expected.items()
    assert ssd.settings.items() >= {"size": 300, "overlap": 0.5, "negatives": 3.0}.items()


@pytest.mark.slow
@pytest.mark.parametrize("name", [CENTERNET, SSD])
def test_the_contract_of_a_workload_holds(data, name) -> None:
    protocol = small(name).with_validation()
    prove(lambda **how: make(data, protocol, name, **how))


@pytest.mark.slow
@pytest.mark.parametrize("name", [CENTERNET, SSD])
def test_the_contract_holds_for_updates_of_several_parts(data, name) -> None:
    settings = {"upsampling": "deformable", "keep_resolution": True} if name == CENTERNET else {}
    protocol = small(name, micro_batch=4, settings=settings)
    prove(lambda **how: make(data, protocol, name, **how), splits=("test",))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["adam", "adamp"])
@pytest.mark.parametrize("name", [CENTERNET, SSD])
def test_a_run_stopped_anywhere_goes_on_exactly(data, name, kind) -> None:
    settings = {"upsampling": "deformable"} if name == CENTERNET else {}
    protocol = small(name, settings=settings)
    whole = make(data, protocol, name)
    per_epoch = next(whole.batches(0)).of  # SSD leaves images without boxes out
    train(whole, optimizer_of(whole, kind, 1e-2), range(2))
    for stop in (1, per_epoch, per_epoch + 3):
        first = make(data, protocol, name)
        optimizer = optimizer_of(first, kind, 1e-2)
        train(first, optimizer, range(2), most=stop)
        saved = copy.deepcopy((first.players["model"].state_dict(), optimizer.state_dict()))
        second = make(data, protocol, name)
        optimizer = optimizer_of(second, kind, 1e-2)
        second.players["model"].load_state_dict(saved[0])
        optimizer.load_state_dict(saved[1])
        train(second, optimizer, range(stop // per_epoch, 2), start=stop % per_epoch)
        assert digest(second.players["model"].state_dict()) == digest(whole.players["model"].state_dict()), stop


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["adam", "adamp"])
@pytest.mark.parametrize("name", [CENTERNET, SSD])
def test_both_detectors_learn_on_the_miniature(data, name, kind) -> None:
    task = tasks.task(name)
    live = make(data, task.protocol("smoke"), name)
    before = live.evaluate("test")
    train(live, optimizer_of(live, kind, 5e-3), range(live.protocol.length))
    after = live.evaluate("test")
    assert list(after) == [m.name for m in task.metrics]
    mean_boxes = resolve(task.references or "")(live.protocol, data)["mean boxes"]
    assert before["ap"] < 1
    assert after["ap"] > 4
    assert after["ap75"] > 3 * mean_boxes["test/ap75"], "what looks at no photo hits no box well"


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


def test_crowds_are_objects_to_centernet_and_nothing_to_ssd(data) -> None:
    train, _ = layout.read_both(data / "coco")
    crowded = int(np.searchsorted(train.starts, train.crowd.nonzero()[0][0], side="right")) - 1
    boxes, labels = trained_boxes(train, crowded)
    assert len(boxes) == len(labels) == (~train.crowd[train.boxes_of(crowded)]).sum()
    centernet = make(data, small(CENTERNET, settings={"train_images": 0}), CENTERNET)
    ssd = make(data, small(SSD, settings={"train_images": 0}), SSD)
    assert len(centernet._train) == len(train) == 200
    assert len(ssd._train) == train.subset(range(len(train))).with_boxes - sum(
        bool(train.crowd[train.boxes_of(i)].all()) for i in range(len(train)) if len(train.labels[train.boxes_of(i)])
    )
    given = train.boxes_of(crowded)
    assert len(centernet._training((0, np.array([crowded]))).examples.labels) == given.stop - given.start


def edited(data: Path, root: Path, change: Callable[[Any], Any], added: Sequence[list[float]] = ()) -> None:
    """The miniature, prepared below `root`, with each annotation changed, and boxes added beside each image's first."""
    (root / "coco" / "annotations").mkdir(parents=True)
    for part in ("train2017", "val2017"):
        (root / "coco" / part).symlink_to(data / "coco" / part)
        content = json.loads((data / "coco" / "annotations" / f"instances_{part}.json").read_bytes())
        first = {annotation["image_id"]: annotation for annotation in reversed(content["annotations"])}
        for annotation in content["annotations"]:
            change(annotation)
        for number, (one, box) in enumerate((one, box) for one in first.values() for box in added):
            content["annotations"].append({**one, "id": 10**6 + number, "bbox": box})
        (root / "coco" / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))
    prepare(tasks.dataset("coco"), root)


def test_images_whose_boxes_are_at_most_a_pixel_wide_are_left_out_of_ssd_alone(data, tmp_path) -> None:
    flat: dict[int, list[float]] = {}
    for split in layout.read_both(data / "coco"):
        flat |= dict(zip(split.ids[:2].tolist(), ([3, 4, 0, 5], [3, 4, 1, 90]), strict=True))
    edited(data, tmp_path, lambda one: one.update(bbox=flat.get(one["image_id"], one["bbox"])))
    for name, fewer in ((SSD, 2), (CENTERNET, 0)):
        before = make(data, small(name, settings={"train_images": 0}), name)
        live = make(tmp_path, small(name, settings={"train_images": 0}), name)
        assert len(before._train) - len(live._train) == fewer
        loss = live.loss(next(live.batches(0)), "model")
        assert loss.isfinite()
        assert live.evaluate("test")["ap"] >= 0


def test_a_split_with_crowds_alone_trains_centernet_and_is_refused_by_ssd(data, tmp_path) -> None:
    edited(data, tmp_path, lambda annotation: annotation.update(iscrowd=1))
    live = make(tmp_path, small(CENTERNET), CENTERNET)
    assert live.loss(next(live.batches(0)), "model").isfinite()
    assert live.evaluate("test")["ap"] == -1, "there is nothing that could be found"
    with pytest.raises(TaskError, match=r"0 training images \(those without a box of more than a pixel, crowds' aside"):
        make(tmp_path, small(SSD), SSD)


def test_boxes_thinner_than_any_pixel_beyond_any_border_and_larger_than_any_photo_can_be_trained_on(
    data, tmp_path
) -> None:
    """Beside a usable one in each photo, as SSD leaves photos without such a box out."""
    odd = [[33.3, 20.7, 1e-6, 1e-6], [33.3, 20.7, 9, 1e-7], [-50, -50, 10, 10], [1e6, 5, 9, 9], [-1e6, -1e6, 3e6, 3e6]]
    edited(data, tmp_path, lambda annotation: annotation.update(bbox=[20, 10, 40, 50]), added=odd)
    for name in (CENTERNET, SSD):
        live = make(tmp_path, small(name), name)
        losses = [live.loss(batch, "model") for batch in (*live.batches(0), *live.batches(1))]
        assert all(loss.isfinite() for loss in losses)
        sum(losses, torch.zeros(())).backward()
        assert all(p.grad.isfinite().all() for p in live.players["model"].parameters() if p.grad is not None)
        assert 0 <= live.evaluate("test")["ap"] <= 100


def test_a_batch_without_objects_can_be_descended(data) -> None:
    for name in (CENTERNET, SSD):
        live = make(data, small(name), name)
        batch = next(live.batches(0))
        examples = batch.data.examples if name == CENTERNET else batch.data
        none = examples._replace(**{part: getattr(examples, part)[:0] for part in ("boxes", "labels", "owners")})
        empty = batch.data._replace(examples=none) if name == CENTERNET else none
        object.__setattr__(batch, "data", empty)
        loss = live.loss(batch, "model")
        loss.backward()
        assert loss.isfinite()


def test_a_diverged_network_is_judged_at_0(data) -> None:
    for name in (CENTERNET, SSD):
        live = make(data, small(name), name)
        with torch.no_grad():
            for parameter in live.players["model"].parameters():
                parameter.fill_(torch.nan)
        assert live.evaluate("test")["ap"] == 0


def test_evaluation_does_not_depend_on_its_batch(data) -> None:
    for name in (CENTERNET, SSD):
        settings = {"keep_resolution": True} if name == CENTERNET else {}
        whole = make(data, small(name, settings=settings), name)
        parts = make(data, small(name, settings=settings | {"evaluation_batch": 3}), name)
        train(whole, optimizer_of(whole, "adam", 1e-2), range(1))
        parts.players["model"].load_state_dict(whole.players["model"].state_dict())
        assert parts.evaluate("test") == pytest.approx(whole.evaluate("test"), abs=0.1)


def test_the_validation_split_is_a_tenth_of_training_and_the_same_for_every_seed(data) -> None:
    protocol = small(CENTERNET, settings={"train_images": 100}).with_validation()
    lives = [make(data, protocol, CENTERNET, seed=seed) for seed in (0, 1)]
    held = [set(live._evaluated["validation"].files) for live in lives]
    assert held[0] == held[1]
    assert len(held[0]) == 10
    assert len(lives[0]._train) == 90
    assert not held[0] & set(lives[0]._train.files)
    with pytest.raises(TaskError, match=r"no 'validation' \(known: test\)"):
        make(data, small(CENTERNET), CENTERNET).evaluate("validation")


def test_the_mean_boxes_are_a_reference_of_both_splits(data) -> None:
    protocol = small(SSD, settings={"train_images": 0, "test_images": 0}).with_validation()
    found = resolve(tasks.task(SSD).references or "")(protocol, data)["mean boxes"]
    assert set(found) == {f"{split}/{name}" for split in ("validation", "test") for name in NAMES}
    assert 0 < found["test/ap"] < 5
    assert found["test/ap50"] > found["test/ap75"]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (CENTERNET, {"settings": {"weights": "coco"}}, r"protocol\.settings\.weights"),
        (
            CENTERNET,
            {"settings": {"weights": "imagenet"}},
            r"protocol\.settings\.weights: imagenet's are of a ResNet-18",
        ),
        (CENTERNET, {"settings": {"upsampling": "bilinear"}}, r"protocol\.settings\.upsampling"),
        (CENTERNET, {"settings": {"size": 100}}, r"protocol\.settings\.size"),
        (CENTERNET, {"settings": {"channels": [4, 4]}}, r"protocol\.settings\.channels"),
        (
            CENTERNET,
            {"settings": {"up_channels": [4]}},
            r"protocol\.settings\.up_channels: \[4\] must be three numbers",
        ),
        (CENTERNET, {"micro_batch": 1, "settings": {"size": 32}}, r"protocol\.settings\.size: 32 leaves one place"),
        (CENTERNET, {"holdout": "published"}, r"protocol\.holdout: .* expected carved or none"),
        (
            CENTERNET,
            {"batch": 64},
            r"protocol\.settings\.train_images: 48 leave 48 to train on, less than one batch of 64",
        ),
        (
            CENTERNET,
            {"holdout": "carved", "settings": {"train_images": 9}},
            r"protocol\.settings\.train_images: one in 10 is for validation, and 9 training samples leave none",
        ),
        (
            SSD,
            {"settings": {"size": 301}},
            r"protocol\.settings\.size: 301 has no priors, expected one of \[32, 300, 512\]",
        ),
        (SSD, {"settings": {"overlap": 1.5}}, r"protocol\.settings\.overlap"),
        (SSD, {"settings": {"negatives": -1.0}}, r"protocol\.settings\.negatives"),
        (SSD, {"settings": {"weights": "imagenet"}}, r"protocol\.settings\.weights: imagenet's are of a VGG-16"),
        (SSD, {"holdout": "published"}, r"protocol\.holdout"),
    ],
)
def test_what_cannot_run_is_refused_at_planning(name, changes, message) -> None:
    with pytest.raises(TaskError, match=message):
        resolve(tasks.task(name).check or "")(small(name, **changes))


def test_more_in_a_batch_than_there_are_images_is_refused(data) -> None:
    with pytest.raises(TaskError, match=r"protocol\.batch: 400 is more than the 200 training images"):
        make(data, small(CENTERNET, batch=400, settings={"train_images": 0}), CENTERNET)


def test_missing_data_names_the_command(tmp_path) -> None:
    with pytest.raises(DataError, match=r"no prepared data in .*optathlon data prepare coco"):
        make(tmp_path, small(SSD), SSD)


@pytest.mark.parametrize(("name", "file"), [("centernet", "resnet18-f37072fd.pth"), ("ssd", "vgg16_bn-6c64b313.pth")])
def test_without_imagenets_weights_a_run_is_not_ready_and_says_where_they_go(tmp_path, name, file) -> None:
    task = tasks.task(f"coco-{name}-imagenet")
    for scale in ("paper", "mini"):
        with pytest.raises(DataError, match=rf"no {file} in .*imagenet-weights; .* put https://download.*{file} there"):
            resolve(task.ready or "")(task.protocol(scale), tmp_path)
    resolve(task.ready or "")(task.protocol("smoke"), tmp_path)
    random = tasks.task(f"coco-{name}-random")
    resolve(random.ready or "")(random.protocol("paper"), tmp_path)


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
