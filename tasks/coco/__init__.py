"""Object detection on MS-COCO: CenterNet and SSD, each from scratch and from ImageNet's weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from optathlon.tasks.schedule import Cosine, MultiStep, Schedule
from optathlon.tasks.task import Metric, Protocol, Task

DATASETS = {"coco": "optathlon.tasks.coco.dataset:Coco"}
METRICS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")


class _Detector(NamedTuple):
    """What the two tasks of one detector have in common: its protocols from scratch, and where the rest is."""

    title: str
    protocols: dict[str, Protocol]
    smaller: str
    workload: str
    check: str
    ready: str
    source: str


_COMMON: dict[str, Any] = {"weights": "random", "train_images": 0, "test_images": 0, "evaluation_batch": 32}
_MINI: dict[str, Any] = {"train_images": 12000, "test_images": 2000}
_SMOKE: dict[str, Any] = {"train_images": 200, "test_images": 60}
_CENTERNET: dict[str, Any] = _COMMON | {
    "upsampling": "deformable",
    "size": 512,
    "channels": [64, 128, 256, 512],
    "blocks": 2,
    "up_channels": [],
    "head_channels": 64,
    "wh_weight": 0.1,
    "max_objects": 128,
    "keep_resolution": True,
}
_CENTERNET_SMOKE: dict[str, Any] = {
    "upsampling": "plain",
    "size": 64,
    "channels": [8, 16, 24, 32],
    "blocks": 1,
    "up_channels": [24, 16, 16],
    "head_channels": 16,
    "keep_resolution": False,
}
_SSD: dict[str, Any] = _COMMON | {
    "size": 300,
    "channels": [64, 128, 256, 512, 512],
    "fc_channels": 1024,
    "extra_share": 1.0,
    "overlap": 0.5,
    "negatives": 3.0,
}
_SSD_SMOKE: dict[str, Any] = {
    "size": 32,
    "channels": [8, 8, 16, 32, 32],
    "fc_channels": 48,
    "extra_share": 0.125,
}


def _protocol(length: int, batch: int, every: int, schedule: Schedule, settings: dict[str, Any]) -> Protocol:
    return Protocol(
        length=length, batch=batch, evaluate_every=every, schedule=schedule, watch=("test",), settings=settings
    )


CENTERNET = _Detector(
    title="CenterNet with a ResNet-18",
    protocols={
        "paper": _protocol(140, 64, 10, Cosine(), _CENTERNET),
        "mini": _protocol(20, 64, 5, Cosine(), _CENTERNET | _MINI | {"size": 256, "keep_resolution": False}),
        "smoke": _protocol(10, 8, 5, Cosine(), _CENTERNET | _CENTERNET_SMOKE | _SMOKE),
    },
    smaller=(
        "mini: inputs of 256 x 256, 12,000 images, 20 epochs for 140. smoke: 64 x 64, a residual block of 8 to 32"
        " channels for each stage, from scratch, plain upsampling, 200 images, 10 epochs of batch 8."
    ),
    workload="optathlon.tasks.coco.centernet.workload:CenterNet",
    check="optathlon.tasks.coco.settings:CenterNetSettings.read",
    ready="optathlon.tasks.coco.weights:require_resnet18",
    source="Zhou et al. 2019 (CenterNet)",
)
SSD = _Detector(
    title="SSD300 with a VGG-16 (batch norm)",
    protocols={
        "paper": _protocol(110, 64, 10, MultiStep(milestones=(77, 99)), _SSD),
        "mini": _protocol(20, 64, 5, MultiStep(milestones=(14, 18)), _SSD | _MINI),
        "smoke": _protocol(10, 8, 5, MultiStep(milestones=(7, 9)), _SSD | _SSD_SMOKE | _SMOKE),
    },
    smaller=(
        "mini: 12,000 images, 20 epochs for 110. smoke: inputs of 32 x 32, 8 to 32 channels, from scratch, 200 images,"
        " 10 epochs of batch 8."
    ),
    workload="optathlon.tasks.coco.ssd.workload:Ssd",
    check="optathlon.tasks.coco.settings:SsdSettings.read",
    ready="optathlon.tasks.coco.weights:require_vgg16_bn",
    source="Liu et al. 2016 (SSD)",
)


def _task(name: str, detector: _Detector, weights: str) -> Task:
    protocols = dict(detector.protocols)
    for scale in ("paper", "mini"):  # smoke's networks are too narrow for ImageNet's weights
        settings = protocols[scale].settings | {"weights": weights}
        protocols[scale] = msgspec.structs.replace(protocols[scale], settings=settings)
    begins = {"random": "from scratch", "imagenet": "from ImageNet's weights"}[weights]
    return Task(
        name=f"coco-{name}-{weights}",
        benchmark="coco",
        family="coco",
        summary=f"Objects of 80 categories in photos: {detector.title}, {begins}. {detector.smaller}",
        metrics=tuple(Metric(metric, "%", higher_is_better=True) for metric in METRICS),
        protocols=protocols,
        workload=detector.workload,
        check=detector.check,
        ready=detector.ready,
        references="optathlon.tasks.coco.references:mean_boxes",
        datasets=("coco",),
        source=f"Heo et al. 2021 (AdamP), table 3 and appendix E.3; {detector.source}",
        version=1,
    )


TASKS = (
    _task("centernet", CENTERNET, "random"),
    _task("centernet", CENTERNET, "imagenet"),
    _task("ssd", SSD, "random"),
    _task("ssd", SSD, "imagenet"),
)
