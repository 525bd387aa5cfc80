"""ImageNet classification by the protocols of AdamP (Heo et al., ICLR 2021) and of AdaRem."""

from __future__ import annotations

from typing import Any

import msgspec

from optathlon.tasks.schedule import Cosine, CosineWithCooldown
from optathlon.tasks.task import Metric, Protocol, Select, Task

DATASETS = {"imagenet": "optathlon.tasks.imagenet.ilsvrc2012.dataset:ILSVRC2012"}

METRICS = (
    Metric("accuracy", "%", higher_is_better=True),
    Metric("top5", "%", higher_is_better=True),
    Metric("loss", "nats", higher_is_better=False),
    Metric("train_loss", "nats", higher_is_better=False),
    Metric("norm_first", "", higher_is_better=False),
    Metric("norm_last", "", higher_is_better=False),
)
"""norm_first, norm_last: how long the filters of scale-invariant weights are after the first epoch and at the end, as
in AdamP's tables 1 and H.6."""

_BASE = Protocol(
    length=100,
    batch=256,
    micro_batch=64,
    schedule=Cosine(per="update"),
    watch=("test",),
    select=Select(metric="accuracy", higher_is_better=True),
    settings={
        "network": "resnet18",
        "width": 1.0,
        "depth": 1.0,
        "dropout": 0.0,
        "drop_path": 0.0,
        "classes": 0,
        "training_photos": 0,
        "evaluation_photos": 0,
        "resize": 256,
        "crop": 224,
        "smallest_crop": 0.08,
        "interpolation": "bilinear",
        "training_interpolation": "bilinear",
        "draft": False,
        "jitter": 0.0,
        "lighting": 0.0,
        "randaugment": 0.0,
        "randaugment_deviation": 0.0,
        "erasing": 0.0,
        "mixing": "none",
        "mixing_alpha": 1.0,
        "mixing_epochs": 0,
        "label_smoothing": 0.0,
        "train_loss_photos": 50,
        "evaluation_batch": 256,
    },
)
_MINI: dict[str, Any] = {
    "classes": 100,
    "resize": 72,
    "crop": 64,
    "smallest_crop": 0.25,
    "draft": True,
    "train_loss_photos": 10,
}
_SMOKE: dict[str, Any] = _MINI | {
    "classes": 20,
    "training_photos": 40,
    "evaluation_photos": 10,
    "resize": 44,
    "crop": 40,
    "smallest_crop": 0.8,
    "width": 0.25,
    "depth": 0.25,
    "dropout": 0.0,
    "drop_path": 0.0,
    "mixing_epochs": 1,
    "label_smoothing": 0.0,
    "train_loss_photos": 5,
}
_MINI_EPOCHS = 30
_SMOKE_STEPS, _SMOKE_BATCH = 80, 32
"""Steps, as the stand-in has a sixth of the photos a class that the miniature and the official data have."""


def _set(protocol: Protocol, settings: dict[str, Any] | None = None, **fields: Any) -> Protocol:
    merged = protocol.settings | (settings or {})
    return msgspec.structs.replace(protocol, settings=merged, **fields)


def _scales(paper: Protocol, **smoke_settings: Any) -> dict[str, Protocol]:
    """The three scales of a paper's protocol."""
    mini = _set(paper, _MINI, length=_MINI_EPOCHS, batch=256, micro_batch=64)
    smoke = _set(
        paper,
        _SMOKE | smoke_settings,
        unit="steps",
        length=_SMOKE_STEPS,
        evaluate_every=_SMOKE_STEPS,
        batch=_SMOKE_BATCH,
        micro_batch=None,
        precision="fp32",
    )
    return {"paper": paper, "mini": mini, "smoke": smoke}


def _task(name: str, protocols: dict[str, Protocol], recipe: str, source: str) -> Task:
    smoke = protocols["smoke"]
    return Task(
        name=f"imagenet-{name}",
        benchmark="imagenet",
        family="imagenet",
        summary=(
            f"ImageNet classification: {recipe}. mini: every tenth class, 64 x 64 pixels, {_MINI_EPOCHS} epochs of"
            f" batch {protocols['mini'].batch:,}. smoke: {smoke.settings['width']:g} times the channels, fewer blocks,"
            f" {smoke.settings['classes']} classes of 40 photos, 40 x 40 pixels, {smoke.length} steps of {smoke.batch}."
        ),
        metrics=METRICS,
        protocols=protocols,
        workload="optathlon.tasks.imagenet.workload:ImageNet",
        check="optathlon.tasks.imagenet.settings:ImageNetSettings.read",
        ready="optathlon.tasks.imagenet.settings:require_timm",
        references="optathlon.tasks.imagenet.references:references",
        datasets=("imagenet",),
        source=source,
        version=1,
    )


_ADAMP = "Heo et al. 2021 (AdamP), section 4.1, appendix E.2"


def _resnet(network: str, source: str) -> Task:
    """AdamP's ResNets, which its analyses look at as well."""
    paper = _set(_BASE, {"network": network})
    return _task(network, _scales(paper), f"ResNet-{network[6:]}, 100 epochs of batch 256", source)


def _large_batch(thousands: int) -> Task:
    """AdamP's table D.3: ResNet-50's protocol with another batch, of micro-batches of 64 as before."""
    batch = 1024 * thousands
    changed = _scales(_set(_BASE, {"network": "resnet50"}))
    changed["paper"] = changed["paper"].override({"batch": batch})
    changed["mini"] = changed["mini"].override({"batch": batch // 4})
    batch_of_smoke, steps = {4: (32, 80), 8: (64, 45), 16: (96, 30)}[thousands]
    changed["smoke"] = _set(changed["smoke"], batch=batch_of_smoke, micro_batch=16, length=steps, evaluate_every=steps)
    recipe = f"ResNet-50, 100 epochs of batch {batch:,}"
    return _task(f"resnet50-batch-{thousands}k", changed, recipe, f"{_ADAMP}, table D.3")


def _cutmix() -> Task:
    settings = {"network": "resnet50", "mixing": "cutmix", "jitter": 0.4, "lighting": 0.1}
    paper = _set(_BASE, settings, length=150)
    source = f"{_ADAMP}, tables 2 and H.1; Yun et al. 2019 (CutMix)"
    return _task("resnet50-cutmix", _scales(paper), "ResNet-50 with CutMix, 150 epochs of batch 256", source)


def _mobile(name: str, network: str, title: str, source: str) -> Task:
    dropout = 0.2 if network.startswith("mobilenetv2") else 0.0
    settings = {"network": network, "dropout": dropout, "label_smoothing": 0.1}
    paper = _set(_BASE, settings, length=150, batch=1024, micro_batch=256)
    return _task(name, _scales(paper, width=0.5), f"{title}, 150 epochs of batch 1,024, smoothed labels", source)


def _timm(name: str, title: str, side: int, resize: int, source: str, warmup_rate: float, **rates: float) -> Task:
    """AdamP's table D.2: timm's recipe as its second author published it, at a rate of 2e-3."""
    rate = 2e-3
    settings = {
        "network": name,
        "resize": resize,
        "crop": side,
        "interpolation": "bicubic",
        "training_interpolation": "random",
        "randaugment": 9.0,
        "randaugment_deviation": 0.5,
        "erasing": 0.2,
        "mixing": "mixup",
        "mixing_alpha": 0.2,
        "mixing_epochs": 400,
        "label_smoothing": 0.1,
        **rates,
    }
    schedule = CosineWithCooldown(warmup=3, warmup_start=warmup_rate / rate, floor=1e-5 / rate, cooldown=10)
    tags = {"norm.weight_decay": 0.0, "bias.weight_decay": 0.0}
    paper = _set(
        _BASE, settings, length=410, batch=512, micro_batch=128, schedule=schedule, precision="fp16", tags=tags
    )
    # In few steps EfficientNet learns little of many classes, and of pictures that are changed so much.
    easy = {"randaugment": 0.0, "classes": 6} if name.startswith("efficientnet") else {}
    protocols = _scales(paper, width=0.5, depth=0.1, mixing="none", erasing=0.1, **easy)
    short = msgspec.structs.replace(schedule, warmup=1.0, cooldown=1.0)
    protocols["mini"] = _set(protocols["mini"], {"mixing_epochs": _MINI_EPOCHS - 1}, schedule=short)
    batch, steps = (20, 48) if easy else (_SMOKE_BATCH // 2, 100)
    protocols["smoke"] = _set(protocols["smoke"], schedule=short, batch=batch, length=steps, evaluate_every=steps)
    return _task(name, protocols, f"{title}, timm's recipe, 410 epochs of batch 512", source)


_TIMM = "Heo et al. 2021 (AdamP), appendix D.2, table D.2; timm, pull requests 195 and 197"
_UNPUBLISHED = "no published numbers: by AdamP's protocol of MobileNetV2 (Heo et al. 2021, appendix E.2)"
_ADAREM = "AdaRem, section 4.1, appendix B, tables 1, 5, 6 and 7"


def _adarem(name: str, network: str, title: str) -> Task:
    dropout = 0.2 if network.startswith("mobilenetv2") else 0.0
    paper = _set(_BASE, {"network": network, "dropout": dropout}, batch=1024)
    source = f"{_ADAREM}; table 2" if network == "resnet18" else _ADAREM
    wider = {} if network.startswith("resnet") else {"width": 0.5}
    return _task(f"adarem-{name}", _scales(paper, **wider), f"{title}, 100 epochs of batch 1,024", source)


TASKS = (
    _resnet("resnet18", f"{_ADAMP}, tables 1, 2, B.1, G.1, H.1, H.6 and H.7"),
    _resnet("resnet50", f"{_ADAMP}, tables 2, H.1 and H.7"),
    _cutmix(),
    *map(_large_batch, (4, 8, 16)),
    _mobile("mobilenetv2", "mobilenetv2-1.0", "MobileNetV2", f"{_ADAMP}, tables 2, H.1 and H.7"),
    _mobile("mobilenetv2-0.5", "mobilenetv2-0.5", "MobileNetV2 of half the width", _UNPUBLISHED),
    _mobile("shufflenetv2", "shufflenetv2-1.0", "ShuffleNetV2", _UNPUBLISHED),
    _mobile("shufflenetv2-0.5", "shufflenetv2-0.5", "ShuffleNetV2 of half the width", _UNPUBLISHED),
    _timm("efficientnet-b0", "EfficientNet-B0", 224, 256, _TIMM, 1e-4, dropout=0.2, drop_path=0.2),
    _timm("efficientnet-b1", "EfficientNet-B1", 240, 274, _TIMM, 1e-6, dropout=0.2, drop_path=0.2),
    _timm("efficientnet-b2", "EfficientNet-B2", 260, 297, _TIMM, 1e-6, dropout=0.4, drop_path=0.4),
    _timm("efficientnet-b3", "EfficientNet-B3", 300, 331, _TIMM, 1e-6, dropout=0.4, drop_path=0.4),
    _timm("rexnet-1.0", "ReXNet", 224, 256, _TIMM, 1e-4, dropout=0.2),
    _timm("rexnet-1.3", "ReXNet of 1.3 times the width", 224, 256, _TIMM, 1e-4, dropout=0.2),
    _adarem("resnet18", "resnet18", "ResNet-18"),
    _adarem("resnet50", "resnet50", "ResNet-50"),
    _adarem("mobilenetv2-1.0", "mobilenetv2-1.0", "MobileNetV2"),
    _adarem("mobilenetv2-0.5", "mobilenetv2-0.5", "MobileNetV2 of half the width"),
    _adarem("shufflenetv2-1.0", "shufflenetv2-1.0", "ShuffleNetV2"),
    _adarem("shufflenetv2-0.5", "shufflenetv2-0.5", "ShuffleNetV2 of half the width"),
)
