"""The ImageNet workloads keep the contract, follow the protocol page, learn, and resume exactly."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from optathlon import optimizers, tasks
from optathlon.suite.training.parameter_groups import groups
from optathlon.tasks.conformance.checks import prove
from optathlon.tasks.errors import DataError, TaskError
from optathlon.tasks.imagenet import METRICS, TASKS
from optathlon.tasks.imagenet.ilsvrc2012.layout import read
from optathlon.tasks.imagenet.references import references
from optathlon.tasks.imagenet.settings import ImageNetSettings, require_timm
from optathlon.tasks.imagenet.splits import split_photos
from optathlon.tasks.imagenet.workload import ImageNet, Shown
from optathlon.tasks.images.crops import center_crop
from optathlon.tasks.images.files import open_photo
from optathlon.tasks.images.transforms import normalize
from optathlon.tasks.registry import resolve
from optathlon.tasks.schedule import CosineWithCooldown
from optathlon.tasks.task import Protocol
from optathlon.tasks.verified_workload import scores_of

TINY = {
    "length": 2,
    "unit": "epochs",
    "batch": 16,
    "settings": {"classes": 6, "training_photos": 12, "evaluation_photos": 4, "crop": 32, "resize": 36}
    | {"width": 0.1, "depth": 0.25, "train_loss_photos": 2},
}
ALL_AT_ONCE = {"randaugment": 9.0, "erasing": 0.5, "jitter": 0.4, "lighting": 0.1, "label_smoothing": 0.1}


def tiny(name: str = "imagenet-resnet18", **changes: Any) -> Protocol:
    return tasks.task(name).protocol("smoke").override(TINY).override(changes)


def make(data: Path, protocol: Protocol, name: str = "imagenet-resnet18", **process: Any) -> ImageNet:
    torch.default_generator.manual_seed(1)
    return resolve(tasks.task(name).workload)(protocol, data, **process)


def optimizer_of(live: ImageNet, name: str, **values: Any) -> torch.optim.Optimizer:
    spec = optimizers.optimizer(name)
    resolved = spec.resolve(values)
    made = groups(live.players["model"], live.tags("model"), spec, live.protocol.tags, resolved)
    optimizer = spec.build(made, resolved)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def train(live: ImageNet, optimizer: torch.optim.Optimizer, epochs: range, start: int = 0, most: int = 10**6) -> None:
    """The training loop in its shortest form, for `most` updates at most."""
    net, protocol = live.players["model"], live.protocol
    for epoch in epochs:
        for batch in live.batches(epoch, start):
            if batch.index % protocol.micro_batches == 0:
                if most == 0:
                    return
                most -= 1
                optimizer.zero_grad()
                for group in optimizer.param_groups:
                    time = epoch + batch.index / batch.of
                    group["lr"] = group["initial_lr"] * protocol.schedule.factor(time, protocol.length)
            torch.default_generator.manual_seed(1000 * epoch + batch.index)
            (live.loss(batch, "model") / protocol.micro_batches).backward()
            if (batch.index + 1) % protocol.micro_batches == 0:
                optimizer.step()
        start = 0
    assert all(torch.isfinite(p).all() for p in net.parameters())


def test_the_descriptions_need_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, optathlon.tasks.imagenet, optathlon.tasks.imagenet.settings;"
        "sys.exit(bool({'torch', 'numpy', 'PIL', 'scipy', 'timm'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_the_references_need_no_torch() -> None:
    code = "import sys, optathlon.tasks.imagenet.references; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def recipe(name: str) -> tuple[Any, ...]:
    p = tasks.task(f"imagenet-{name}").protocol("paper")
    return p.length, p.batch, p.micro_batch_size, p.precision, p.settings["label_smoothing"], p.settings["mixing"]


def test_the_paper_protocols() -> None:
    """AdamP, section 4.1, E.2, D.2 and D.3; AdaRem, section 4.1 and B.1."""
    assert recipe("resnet18") == recipe("resnet50") == (100, 256, 64, "fp32", 0.0, "none")
    assert recipe("resnet50-cutmix") == (150, 256, 64, "fp32", 0.0, "cutmix")
    assert [recipe(f"resnet50-batch-{n}k")[1] for n in (4, 8, 16)] == [4096, 8192, 16384]
    assert (
        recipe("mobilenetv2")
        == recipe("mobilenetv2-0.5")
        == recipe("shufflenetv2")
        == (150, 1024, 256, "fp32", 0.1, "none")
    )
    assert recipe("adarem-resnet18") == recipe("adarem-shufflenetv2-0.5") == (100, 1024, 64, "fp32", 0.0, "none")
    for name in ("efficientnet-b0", "efficientnet-b1", "efficientnet-b2", "efficientnet-b3", "rexnet-1.0"):
        assert recipe(name) == (410, 512, 128, "fp16", 0.1, "mixup")
    for task in TASKS:
        for scale in tasks.SCALES:
            protocol = task.protocol(scale)
            ImageNetSettings.read(protocol)
            assert (protocol.holdout, protocol.checkpoint, protocol.watch) == ("none", "last", ("test",))


def test_large_batches_are_overrides_of_resnet50s_protocol() -> None:
    plain = tasks.task("imagenet-resnet50")
    for thousands in (4, 8, 16):
        large = tasks.task(f"imagenet-resnet50-batch-{thousands}k")
        assert large.protocol("paper") == plain.protocol("paper").override({"batch": 1024 * thousands})


def test_timms_schedule_is_timms() -> None:
    scheduler = pytest.importorskip("timm.scheduler")
    schedule = tasks.task("imagenet-efficientnet-b0").protocol("paper").schedule
    assert isinstance(schedule, CosineWithCooldown)
    parameter = torch.nn.Parameter(torch.zeros(1))
    theirs = scheduler.CosineLRScheduler(
        torch.optim.SGD([parameter], lr=2e-3), t_initial=400, lr_min=1e-5, warmup_t=3, warmup_lr_init=1e-4
    )
    expected = [theirs._get_lr(epoch)[0] for epoch in range(410)]
    ours = [2e-3 * schedule.factor(epoch + 0.7, 410) for epoch in range(410)]
    assert ours == pytest.approx(expected, rel=1e-9)
    assert ours[400:] == pytest.approx([1e-5] * 10)


@pytest.mark.slow
def test_the_contract_of_a_workload_holds(miniature) -> None:
    protocol = tiny(settings={"training_photos": 12}).with_validation()
    prove(lambda **process: make(miniature, protocol, **process))


@pytest.mark.slow
def test_the_contract_holds_for_updates_of_several_parts_with_every_augmentation(miniature) -> None:
    settings = ALL_AT_ONCE | {
        "mixing": "cutmix",
        "mixing_epochs": 0,
        "training_interpolation": "random",
        "draft": False,
    }
    protocol = tiny(micro_batch=8, settings=settings)
    prove(lambda **process: make(miniature, protocol, **process), splits=("test",))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shufflenetv2-0.5", "efficientnet-b0"])
def test_the_contract_holds_for_networks_that_shuffle_or_drop(miniature, name) -> None:
    drops = {} if name.startswith("shuffle") else {"dropout": 0.2}
    drops |= {"drop_path": 0.2} if name.startswith(("efficient", "rex")) else {}
    protocol = tiny(f"imagenet-{name}", settings=drops)
    prove(lambda **process: make(miniature, protocol, **process), splits=("test",))


def gradients(live: ImageNet, parts: int) -> dict[str, torch.Tensor]:
    """Of the mean over `parts` micro-batches, with batch norms by their running statistics."""
    net = live.players["model"].eval()
    for batch in [*live.batches(0)][:parts]:
        (live.loss(batch, "model") / parts).backward()
    return {name: p.grad for name, p in net.named_parameters() if p.grad is not None}


def test_a_large_batch_in_small_parts_is_the_same_as_in_large_parts(miniature) -> None:
    """The identity behind the batch of 16k; batch statistics are those of one part, so they are left out here."""
    changes: dict[str, Any] = {"batch": 64, "settings": {"training_photos": 16}}
    small = gradients(make(miniature, tiny(micro_batch=4, **changes)), 16)
    large = gradients(make(miniature, tiny(micro_batch=32, **changes)), 2)
    assert small.keys() == large.keys()
    torch.testing.assert_close(small, large, rtol=1e-4, atol=1e-6)


def test_batches_are_mixed_in_the_first_epochs_only(miniature) -> None:
    live = make(miniature, tiny(settings={"mixing": "mixup", "mixing_alpha": 0.2, "mixing_epochs": 1}))
    assert [next(live.batches(epoch)).data.mix is None for epoch in range(3)] == [False, True, True]


def test_cutmix_has_one_box_a_batch_as_its_repository_and_mixup_one_share_a_micro_batch_as_timm(miniature) -> None:
    """Of 16 in micro-batches of 4; partners are drawn in each micro-batch, as no two are ever in memory at once."""
    boxes, shares = [], []
    for mixing, kept in (("cutmix", boxes), ("mixup", shares)):
        protocol = tiny(micro_batch=4, settings={"mixing": mixing, "mixing_epochs": 0})
        mixes = [batch.data.mix for batch in make(miniature, protocol).batches(0)]
        kept += [mix.box or mix.share for mix in mixes]
        assert len({tuple(mix.partner.tolist()) for mix in mixes[:4]}) == (4 if mixing == "cutmix" else 1)
    assert [len({*boxes[begin : begin + 4]}) for begin in range(0, len(boxes), 4)] == [1] * 4
    assert len({*boxes}) == 4
    assert len({*shares}) == len(shares) == 16


def test_the_loss_of_a_mixed_batch_is_the_mixture_of_two_losses(miniature) -> None:
    live = make(miniature, tiny(settings={"mixing": "cutmix", "label_smoothing": 0.1, "jitter": 0.4}))
    batch = next(live.batches(0))
    shown: Shown = batch.data
    assert shown.mix is not None
    logits = live.players["model"](live._images(shown))
    both = [
        cross_entropy(logits, labels, label_smoothing=0.1) for labels in (shown.labels, shown.labels[shown.mix.partner])
    ]
    expected = shown.mix.share * both[0] + (1 - shown.mix.share) * both[1]
    live.players["model"].load_state_dict(make(miniature, live.protocol).players["model"].state_dict())
    torch.testing.assert_close(live.loss(batch, "model"), expected)


def test_the_loss_of_mixed_and_smoothed_labels_is_timms(miniature) -> None:
    mixup, losses = pytest.importorskip("timm.data.mixup"), pytest.importorskip("timm.loss")
    settings = {"mixing": "mixup", "mixing_alpha": 0.2, "mixing_epochs": 0, "label_smoothing": 0.1}
    live = make(miniature, tiny(settings=settings))
    batch = next(live.batches(0))
    shown: Shown = batch.data
    assert shown.mix is not None
    net = live.players["model"].eval()
    blended = shown.mix.share * shown.pixels.float() + (1 - shown.mix.share) * shown.pixels.float().flip(0)
    logits = net(normalize(blended / 255, live.memory_format))
    targets = mixup.mixup_target(shown.labels, 6, shown.mix.share, smoothing=0.1)
    torch.testing.assert_close(live.loss(batch, "model"), losses.SoftTargetCrossEntropy()(logits, targets))


def test_scores_are_those_of_the_logits_one_photo_at_a_time(miniature) -> None:
    live = make(miniature, tiny(settings={"evaluation_batch": 7}))
    train(live, optimizer_of(live, "adamw", lr=3e-3), range(2))
    net = live.players["model"].eval()
    hits1, hits5, losses = [], [], []
    for entry in live._evaluated["test"]:
        cut = center_crop(open_photo(entry.path, (36, 36)), 36, 32)
        with torch.no_grad():
            logits = net(normalize(torch.from_numpy(np.array(cut)).permute(2, 0, 1)[None]))[0]
        hits1.append(int(logits.argmax()) == entry.label)
        hits5.append(entry.label in logits.topk(5).indices)
        losses.append(float(cross_entropy(logits, torch.tensor(entry.label))))
    scores = scores_of(live, tasks.task("imagenet-resnet18"), "test")
    assert set(scores) == {metric.name for metric in METRICS}
    assert scores["accuracy"] == pytest.approx(100 * np.mean(hits1))
    assert scores["top5"] == pytest.approx(100 * np.mean(hits5))
    assert scores["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert live.evaluate("test") == scores


def test_the_first_norm_is_that_after_the_first_epoch_whatever_comes_later(miniature) -> None:
    live = make(miniature, tiny())
    norms = []
    for epoch in range(2):
        live.start_epoch(epoch, resuming=False)
        train(live, optimizer_of(live, "sgd", lr=0.1), range(epoch, epoch + 1), most=2)
        norms.append(live.evaluate("test"))
    assert norms[0]["norm_first"] == norms[0]["norm_last"]
    assert norms[1]["norm_first"] == norms[0]["norm_last"] != norms[1]["norm_last"]
    again = make(miniature, tiny())
    again.load_state_dict(live.state_dict())
    assert again.evaluate("test")["norm_first"] == norms[0]["norm_last"]


def test_the_filter_norm_is_the_mean_over_output_channels_of_normalized_weights(miniature) -> None:
    live = make(miniature, tiny())
    named, tags = dict(live.players["model"].named_parameters()), live.tags("model")
    norms = [row.norm() for n, w in named.items() if "scale_invariant" in tags[n] for row in w.detach().flatten(1)]
    assert live.evaluate("test")["norm_last"] == pytest.approx(float(torch.stack(norms).mean()), rel=1e-5)
    assert {n for n in named if "head" in tags[n]} == {"fc.weight", "fc.bias"}
    assert sum("scale_invariant" in facts for facts in tags.values()) == sum(w.ndim == 4 for w in named.values())


def test_a_torchvision_resnet18_begins_with_the_filter_norm_of_the_first_epochs(miniature) -> None:
    """1.245 at the start, where AdamP's table 1 has 1.21 to 1.35 after one epoch."""
    live = make(miniature, tiny(settings={"width": 1.0, "depth": 1.0}))
    assert live._filter_norm() == pytest.approx(1.245, abs=0.01)


def test_the_carved_validation_split_is_the_same_for_every_seed_and_not_trained_on(miniature) -> None:
    settings = ImageNetSettings.read(tasks.task("imagenet-resnet18").protocol("paper"))
    photos = read(miniature / "imagenet")
    splits = split_photos(photos, settings, carve=True)
    assert splits.validation is not None
    held = {p.path for p in splits.validation}
    assert held.isdisjoint({p.path for p in splits.train})
    assert held | {p.path for p in splits.train} == {p.path for p in photos.train}
    assert np.bincount(splits.validation.labels).tolist() == [1] * 20
    first, second = (make(miniature, tiny().with_validation(), seed=seed) for seed in (0, 1))
    assert [*first._evaluated["validation"]] == [*second._evaluated["validation"]]


def test_fewer_classes_are_evenly_spaced_and_numbered_without_gaps(miniature) -> None:
    settings = ImageNetSettings.read(tiny(settings={"classes": 4}))
    splits = split_photos(read(miniature / "imagenet"), settings, carve=False)
    assert splits.classes == ("n01440764", "n01440769", "n01440774", "n01440779")
    assert [sorted(set(p.labels.tolist())) for p in (splits.train, splits.test)] == [[0, 1, 2, 3]] * 2
    assert len(splits.train) == 4 * 12


def test_references_tell_what_learning_means(miniature) -> None:
    scores = references(tasks.task("imagenet-resnet18").protocol("smoke").with_validation(), miniature)
    assert scores["majority"] == {
        f"{s}/{m}": v for s in ("test", "validation") for m, v in (("accuracy", 5.0), ("top5", 25.0))
    }
    assert scores["class-mean"]["test/accuracy"] > 10.0
    assert scores["class-mean"]["test/top5"] > scores["class-mean"]["test/accuracy"]


def test_the_memory_format_changes_nothing_but_rounding(miniature) -> None:
    """Pictures are channels last in memory by themselves, with the same noise in the same erased places."""
    protocol = tiny(settings=ALL_AT_ONCE | {"mixing": "cutmix"})
    last, contiguous = (make(miniature, protocol) for _ in range(2))
    contiguous.lay_out(torch.contiguous_format)
    images, losses = [], []
    for live in (last, contiguous):
        batch = next(live.batches(0))
        torch.default_generator.manual_seed(0)
        images.append(live._images(batch.data))
        torch.default_generator.manual_seed(0)
        losses.append(live.loss(batch, "model"))
    assert torch.equal(*images)
    assert images[0].is_contiguous(memory_format=torch.channels_last)
    assert images[1].is_contiguous()
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"network": "vgg16"}}, r"protocol\.settings\.network: "),
        ({"settings": {"width": 0.0}}, r"protocol\.settings\.width: "),
        ({"settings": {"crop": 45}}, r"protocol\.settings\.crop: 45 is more than resize, which is 36"),
        ({"settings": {"classes": 1}}, r"protocol\.settings\.classes: 1 class leaves nothing to tell apart"),
        ({"settings": {"dropout": 0.2}}, r"protocol\.settings\.dropout: resnet18 has no dropout, expected 0"),
        ({"settings": {"drop_path": 0.2}}, r"protocol\.settings\.drop_path: resnet18 drops no paths"),
        ({"settings": {"randaugment": 11.0}}, r"protocol\.settings\.randaugment: 11 must be a magnitude from 0 to 10"),
        ({"settings": {"mixing": "cutmix", "mixing_alpha": 0.0}}, r"mixing_alpha: cutmix needs one above 0"),
        ({"settings": {"interpolation": "random"}}, r"protocol\.settings\.interpolation: "),
        ({"settings": {"erasing": 1.5}}, r"protocol\.settings\.erasing: "),
        ({"settings": {"colour": 0.4}}, r"protocol\.settings\.colour: unknown"),
        ({"micro_batch": 1}, r"protocol\.micro_batch: 1 is too small, batch normalization needs two photos"),
        (
            {"batch": 64, "micro_batch": 64, "settings": {"classes": 3, "training_photos": 20}},
            r"protocol\.batch: 64 is more than the 60 training photos; .* more protocol\.settings\.classes",
        ),
        ({"holdout": "published"}, r"protocol\.holdout: no validation split is published"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused_at_planning(changes, message) -> None:
    with pytest.raises(TaskError, match=message):
        ImageNetSettings.read(tiny(**changes))


def test_a_batch_larger_than_the_data_is_refused(miniature) -> None:
    with pytest.raises(TaskError, match=r"protocol\.batch: 100 is more than the 72 training photos"):
        make(miniature, tiny(batch=100))


def test_missing_data_names_the_command(tmp_path) -> None:
    with pytest.raises(DataError, match=r"no prepared data in .*optathlon data prepare imagenet"):
        make(tmp_path, tiny())


def test_networks_of_timm_ask_for_it_before_anything_is_written(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    require_timm(tasks.task("imagenet-resnet18").protocol("paper"), tmp_path)
    with pytest.raises(
        DataError, match=r"efficientnet-b0 comes from the package timm.*pip install 'optathlon\[vision\]'"
    ):
        require_timm(tasks.task("imagenet-efficientnet-b0").protocol("paper"), tmp_path)
