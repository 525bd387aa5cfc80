"""What cannot run is refused with its field, and what is missing is named with the place where it goes."""

from __future__ import annotations

import pytest

from optathlon import tasks
from optathlon.tasks.errors import DataError, TaskError
from optathlon.tasks.retrieval.weights import require
from tests.tasks.retrieval.workloads import make, small


def test_without_imagenets_weights_the_paper_scale_says_where_they_come_from(data) -> None:
    with pytest.raises(DataError, match=r"no resnet50-0676ba61\.pth in .*imagenet-weights; .* put https://download"):
        make(data, tasks.task("cub-triplet").protocol("paper"))
    with pytest.raises(DataError, match=r"no resnet50-0676ba61\.pth"):
        require(tasks.task("cub-triplet").protocol("paper"), data)
    require(tasks.task("cub-triplet").protocol("mini"), data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"loss": "contrastive"}}, r"protocol\.settings\.loss: "),
        ({"settings": {"backbone": "vgg"}}, r"protocol\.settings\.backbone: "),
        ({"settings": {"margin": -0.1}}, r"protocol\.settings\.margin: "),
        ({"settings": {"smallest_crop": 0.0}}, r"protocol\.settings\.smallest_crop: "),
        ({"settings": {"crop": 21}}, r"protocol\.settings\.crop: 21 is more than resize, which is 20"),
        ({"settings": {"channels": []}}, r"protocol\.settings\.channels: the small backbone needs"),
        ({"settings": {"crop": 3}}, r"protocol\.settings\.crop: 3 is too small to be halved 2 times"),
        ({"settings": {"training_classes": 6}}, r"protocol\.batch: 40 is more than the 36 training photos"),
        ({"micro_batch": 1}, r"protocol\.micro_batch: 1 is too small"),
        ({"holdout": "published"}, r"protocol\.holdout: no validation split is published, expected carved or none"),
    ],
)
def test_what_cannot_run_is_refused(data, changes, message) -> None:
    with pytest.raises(TaskError, match=message):
        make(data, small("cub-triplet", **changes), "cub-triplet")


def test_missing_data_names_the_command(tmp_path) -> None:
    with pytest.raises(DataError, match=r"no prepared data in .*optathlon data prepare cub"):
        make(tmp_path, small("cub-triplet"), "cub-triplet")
