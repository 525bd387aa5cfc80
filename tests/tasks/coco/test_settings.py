"""What cannot run is refused with the field that says so, and what is missing by the place where it goes."""

from __future__ import annotations

import pytest

from optathlon import tasks
from optathlon.tasks.errors import DataError, TaskError
from optathlon.tasks.registry import resolve
from tests.tasks.coco.workloads import CENTERNET, SSD, make, small


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
