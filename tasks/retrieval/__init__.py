"""Image retrieval with zero-shot classes: CUB, Cars-196, In-Shop and SOP, with triplets or proxies."""

from __future__ import annotations

from typing import Any

import msgspec

from optathlon.tasks.schedule import Step
from optathlon.tasks.task import Metric, Protocol, Select, Task

DATASETS = {
    "cub": "optathlon.tasks.retrieval.datasets.cub:Cub",
    "cars": "optathlon.tasks.retrieval.datasets.cars:Cars",
    "inshop": "optathlon.tasks.retrieval.datasets.inshop:InShop",
    "sop": "optathlon.tasks.retrieval.datasets.sop:Sop",
}
RECALLS = {
    "cub": (1, 2, 4, 8, 16, 32),
    "cars": (1, 2, 4, 8, 16, 32),
    "inshop": (1, 10, 20, 30, 40, 50),
    "sop": (1, 10, 100, 1000),
}
TITLES = {"cub": "CUB-200-2011", "cars": "Cars-196", "inshop": "In-Shop Clothes", "sop": "Stanford Online Products"}
WORKLOADS = {"cub": "Cub", "cars": "Cars", "inshop": "InShop", "sop": "Sop"}
LOSSES = {"triplet": "semi-hard triplets", "proxyanchor": "Proxy-Anchor"}

_PAPER = Protocol(
    length=60,
    batch=120,
    schedule=Step(every=5, gamma=0.5),
    clip_value=10.0,
    watch=("test",),
    select=Select(metric="recall@1", higher_is_better=True),
    tags={"proxy.lr_scale": 100.0},
    settings={
        "loss": "triplet",
        "backbone": "resnet50",
        "channels": [],
        "embedding": 512,
        "margin": 0.1,
        "alpha": 32.0,
        "warmup": 5,
        "resize": 256,
        "crop": 224,
        "smallest_crop": 0.08,
        "training_classes": 0,
        "evaluation_classes": 0,
        "evaluation_batch": 120,
    },
)
_MINI: dict[str, Any] = {
    "backbone": "small",
    "channels": [32, 64, 128, 256],
    "embedding": 128,
    "warmup": 1,
    "resize": 72,
    "crop": 64,
    "smallest_crop": 0.5,
}
_SMOKE: dict[str, Any] = _MINI | {
    "channels": [16, 32, 64],
    "embedding": 64,
    "resize": 36,
    "crop": 32,
    "training_classes": 80,
    "evaluation_classes": 80,
}


def _protocols(loss: str) -> dict[str, Protocol]:
    def scaled(length: int, batch: int, changes: dict[str, Any]) -> Protocol:
        settings = _PAPER.settings | {"loss": loss} | changes
        return msgspec.structs.replace(_PAPER, length=length, batch=batch, settings=settings)

    return {"paper": scaled(60, 120, {}), "mini": scaled(30, 120, _MINI), "smoke": scaled(15, 48, _SMOKE)}


def _task(data: str, loss: str) -> Task:
    return Task(
        name=f"{data}-{loss}",
        benchmark=data,
        family="retrieval",
        summary=(
            f"Retrieval of unseen classes: {TITLES[data]} with {LOSSES[loss]}. mini: four small convolutions from"
            " scratch for ResNet-50, 64 x 64 pixels, 30 epochs for 60. smoke: three convolutions, 32 x 32 pixels, the"
            " first 80 classes of each split, 15 epochs of batch 48."
        ),
        metrics=tuple(Metric(f"recall@{k}", "%", higher_is_better=True) for k in RECALLS[data]),
        protocols=_protocols(loss),
        workload=f"optathlon.tasks.retrieval.workload:{WORKLOADS[data]}",
        check="optathlon.tasks.retrieval.settings:RetrievalSettings.read",
        ready="optathlon.tasks.retrieval.weights:require",
        datasets=(data,),
        source="Heo et al. 2021 (AdamP), tables 6 and H.4, appendix E.6; Kim et al. 2020 (Proxy-Anchor)",
        version=1,
    )


TASKS = tuple(_task(data, loss) for data in DATASETS for loss in LOSSES)
