"""Images a second of the detectors' parts, beside the plain way of doing the same, in turn in one process:
python benchmarks/detection.py

plain: torchvision's SSD and its reference augmentations; CenterNet's photos warped by Pillow, colors changed step by
step, Gaussians drawn object by object, losses as the reference code writes them.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from torch import Tensor  # noqa: E402
from torchvision import tv_tensors  # noqa: E402
from torchvision.models import vgg16_bn  # noqa: E402
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator  # noqa: E402
from torchvision.models.detection.ssd import SSD, SSDFeatureExtractorVGG, SSDHead  # noqa: E402
from torchvision.ops import box_iou  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

from optathlon import tasks  # noqa: E402
from optathlon.tasks.coco.categories import CATEGORIES  # noqa: E402
from optathlon.tasks.coco.centernet.augmentation import (  # noqa: E402
    EIGENVALUES,
    EIGENVECTORS,
    GRAY,
    MEAN,
    STD,
    random_window,
)
from optathlon.tasks.coco.centernet.loss import centernet_loss  # noqa: E402
from optathlon.tasks.coco.centernet.network import Outputs as Maps  # noqa: E402
from optathlon.tasks.coco.centernet.targets import targets  # noqa: E402
from optathlon.tasks.coco.dataset import Coco  # noqa: E402
from optathlon.tasks.coco.detection import Detection  # noqa: E402
from optathlon.tasks.coco.photos import Examples, as_corners  # noqa: E402
from optathlon.tasks.coco.settings import LAYOUTS  # noqa: E402
from optathlon.tasks.coco.ssd.loss import ssd_loss  # noqa: E402
from optathlon.tasks.coco.ssd.network import Outputs as Answers  # noqa: E402
from optathlon.tasks.coco.ssd.priors import match, priors  # noqa: E402
from optathlon.tasks.coco.ssd.workload import trained_boxes  # noqa: E402
from optathlon.tasks.coco.writing import Drawn, Picture, write_split  # noqa: E402
from optathlon.tasks.data.dataset import prepare  # noqa: E402
from optathlon.tasks.registry import resolve  # noqa: E402

CLASSES, WIDTH, HEIGHT, BOXES = 80, 640, 480, 7
Way = Callable[[], None]


def write_photos(folder: Path, count: int) -> None:
    """Smooth photos of COCO's usual size, each with about as many boxes as COCO's have."""
    random = np.random.default_rng(0)

    def pictures() -> Iterator[Picture]:
        for _ in range(count):
            coarse = Image.fromarray(random.integers(0, 256, (30, 40, 3), dtype=np.uint8))
            objects = []
            for _ in range(1 + random.poisson(BOXES - 1)):
                mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
                high, wide = (int(random.uniform(0.05, 0.6) * side) for side in (HEIGHT, WIDTH))
                top, left = random.integers(HEIGHT - high), random.integers(WIDTH - wide)
                mask[top : top + high, left : left + wide] = True
                objects.append(Drawn(int(random.choice([*CATEGORIES])), mask))
            yield Picture(np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)), objects)

    for split in ("train2017", "val2017"):
        write_split(folder, split, 0, CATEGORIES, pictures())


def workload(name: str, root: Path, batch: int, device: str) -> Detection:
    task = tasks.task(name)
    protocol = task.protocol("paper").override({"batch": batch})
    torch.default_generator.manual_seed(0)
    return resolve(task.workload)(protocol, root, device=device)


def plain_centernet_photo(live: Detection, index: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A photo and its heatmap, as the reference code makes them."""
    split = live._train
    photo = Image.open(split.path(index)).convert("RGB")
    window = random_window(*photo.size, 512, random)
    scale = (window.right - window.left) / 512
    flip = -1 if window.mirrored else 1
    start = window.right if window.mirrored else window.left
    matrix = (flip * scale, 0, start, 0, scale, window.top)
    warped = photo.transform((512, 512), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    image = np.asarray(warped)[:, :, ::-1].astype(np.float32) / 255
    gray = image @ np.array(GRAY, dtype=np.float32)
    mean = gray.mean()
    for change in random.permutation(["brightness", "contrast", "saturation"]):
        alpha = np.float32(random.uniform(0.6, 1.4))
        other = {"brightness": np.float32(0), "contrast": mean, "saturation": gray[:, :, None]}[change]
        image = alpha * image + (1 - alpha) * other
    image += np.array(EIGENVECTORS) @ (np.array(EIGENVALUES) * random.normal(0, 0.1, 3))
    image = (image - np.array(MEAN, dtype=np.float32)) / np.array(STD, dtype=np.float32)
    boxes = window.boxes(as_corners(split.boxes[split.boxes_of(index)]))
    return image.transpose(2, 0, 1), plain_heatmap(boxes, split.labels[split.boxes_of(index)])


def plain_heatmap(boxes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Object by object, as the reference code draws it (image.py)."""
    heatmap = np.zeros((CLASSES, 128, 128), dtype=np.float32)
    for box, label in zip(boxes / 4, labels, strict=True):
        left, top, right, bottom = box.clip(0, 127)
        if right <= left or bottom <= top:
            continue
        radius = plain_radius(math.ceil(bottom - top), math.ceil(right - left))
        x, y = int((left + right) / 2), int((top + bottom) / 2)
        side = np.arange(-radius, radius + 1)
        gaussian = np.exp(-(side[:, None] ** 2 + side**2) / (2 * ((2 * radius + 1) / 6) ** 2))
        l, r = min(x, radius), min(128 - x, radius + 1)  # noqa: E741
        t, b = min(y, radius), min(128 - y, radius + 1)
        part = heatmap[label, y - t : y + b, x - l : x + r]
        np.maximum(part, gaussian[radius - t : radius + b, radius - l : radius + r], out=part)
    return heatmap


def plain_radius(height: int, width: int) -> int:
    around, area, overlap = height + width, height * width, 0.7
    first = (around + np.sqrt(around**2 - 4 * area * (1 - overlap) / (1 + overlap))) / 2
    second = (2 * around + np.sqrt(4 * around**2 - 16 * (1 - overlap) * area)) / 2
    third = (-2 * overlap * around + np.sqrt(4 * overlap**2 * around**2 + 16 * overlap * (1 - overlap) * area)) / 2
    return max(0, int(min(first, second, third)))


def plain_focal_loss(logits: Tensor, heatmap: Tensor) -> Tensor:
    p = torch.clamp(logits.sigmoid(), min=1e-4, max=1 - 1e-4)
    positive, negative = heatmap.eq(1).float(), heatmap.lt(1).float()
    pull = torch.log(p) * torch.pow(1 - p, 2) * positive
    push = torch.log(1 - p) * torch.pow(p, 2) * torch.pow(1 - heatmap, 4) * negative
    return -(pull.sum() + push.sum()) / positive.sum()


def centernet(live: Detection, batch: int) -> Mapping[str, tuple[Way, Way]]:
    """Ours and the plain way by part: photos to inputs (and targets, where they are made there); targets and loss."""
    chosen = np.arange(batch)

    def plain_input() -> None:
        random = np.random.default_rng(0)
        images, heatmaps = zip(*(plain_centernet_photo(live, int(i), random) for i in chosen), strict=True)
        torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(heatmaps))

    data = live._training((0, chosen))
    examples = Examples(*(tensor.to(live.device) for tensor in data.examples))
    outputs = [torch.randn(batch, n, 128, 128, device=live.device, requires_grad=True) for n in (CLASSES, 2, 2)]

    def our_loss() -> None:
        centernet_loss(Maps(*outputs), targets(examples, CLASSES), 0.1).backward()

    def plain_loss() -> None:
        owners, labels, boxes = (t.cpu().numpy() for t in (examples.owners, examples.labels, examples.boxes))
        maps = np.stack([plain_heatmap(boxes[owners == i], labels[owners == i]) for i in range(batch)])
        target_maps = targets(examples, CLASSES)  # of sizes and offsets alone, which cost nothing
        heat = plain_focal_loss(outputs[0], torch.from_numpy(maps).to(live.device))
        errors = [
            (maps.flatten(2)[target_maps.owners, :, target_maps.places] - values).abs().sum() / (values.numel() + 1e-4)
            for maps, values in zip(outputs[1:], (target_maps.sizes, target_maps.offsets), strict=True)
        ]
        (heat + 0.1 * errors[0] + errors[1]).backward()

    return {
        "photos to inputs": (lambda: live._training((0, chosen)), plain_input),
        "targets and loss": (our_loss, plain_loss),
    }


def torchvisions_ssd(device: str) -> SSD:
    """torchvision's SSD300 on its VGG-16 with batch norm."""
    grids = LAYOUTS[300].grids
    generator = DefaultBoxGenerator(
        [list(grid.ratios) for grid in grids],
        scales=[grid.scale for grid in grids] + [grids[-1].next_scale],
        steps=[grid.step for grid in grids],
    )
    backbone = SSDFeatureExtractorVGG(vgg16_bn().features, highres=False)
    head = SSDHead([512, 1024, 512, 256, 256, 256], generator.num_anchors_per_location(), 1 + CLASSES)
    return SSD(backbone, generator, (300, 300), 1 + CLASSES, head=head).to(device)


def torchvisions_augmentation() -> v2.Compose:
    """Its references/detection for SSD."""
    return v2.Compose(
        [
            v2.RandomPhotometricDistort(),
            v2.RandomZoomOut(fill={tv_tensors.Image: (124, 116, 104), Image.Image: (124, 116, 104), "others": 0}),
            v2.RandomIoUCrop(),
            v2.RandomHorizontalFlip(),
            v2.SanitizeBoundingBoxes(),
            v2.Resize((300, 300)),
            v2.ToImage(),
        ]
    )


def ssd(live: Detection, batch: int) -> Mapping[str, tuple[Way, Way]]:
    chosen = np.arange(batch)
    augment = torchvisions_augmentation()

    def plain_input() -> None:
        images = []
        for index in chosen.tolist():
            boxes, labels = trained_boxes(live._train, index)
            photo = Image.open(live._train.path(index)).convert("RGB")
            boxes_of_photo = tv_tensors.BoundingBoxes(
                torch.from_numpy(boxes), format="XYXY", canvas_size=(HEIGHT, WIDTH)
            )
            image, _ = augment(photo, {"boxes": boxes_of_photo, "labels": torch.from_numpy(labels)})
            images.append(image)
        torch.stack(images)

    pixels, boxes, labels, owners = (tensor.to(live.device) for tensor in live._training((0, chosen)))
    default_boxes, theirs = priors(LAYOUTS[300], 300).to(live.device), torchvisions_ssd(str(live.device))
    values = [
        torch.randn(batch, len(default_boxes), n, device=live.device, requires_grad=True) for n in (1 + CLASSES, 4)
    ]
    truths = [{"boxes": boxes[owners == i], "labels": 1 + labels[owners == i]} for i in range(batch)]

    def our_loss() -> None:
        shares = boxes / 300
        matched = match(default_boxes, shares, owners, batch, 0.5)
        ssd_loss(Answers(*values), matched, default_boxes, shares, labels, 3.0).backward()

    def plain_loss() -> None:
        anchors = [300 * default_boxes] * batch
        matched = [theirs.proposal_matcher(box_iou(t["boxes"], a)) for t, a in zip(truths, anchors, strict=True)]
        answers = {"cls_logits": values[0], "bbox_regression": values[1]}
        sum(theirs.compute_loss(truths, answers, anchors, matched).values()).backward()

    def plain_step() -> None:
        sum(theirs(list(pixels.float() / 255), truths).values()).backward()

    made = next(iter(live.batches(0)))
    return {
        "photos to inputs": (lambda: live._training((0, chosen)), plain_input),
        "targets and loss": (our_loss, plain_loss),
        "forward, targets, loss, backward": (lambda: live.loss(made, "model").backward(), plain_step),
    }


def seconds(way: Way, device: str) -> float:
    start = time.perf_counter() if device != "cpu" else time.process_time()
    way()
    if device != "cpu":
        torch.cuda.synchronize()
        return time.perf_counter() - start
    return time.process_time() - start


def compare(title: str, ways: tuple[Way, Way], batch: int, repeats: int, device: str) -> None:
    taken: tuple[list[float], list[float]] = ([], [])
    for way in ways:
        seconds(way, device)
    for _ in range(repeats):  # in turn, so that a busy machine is busy for both
        for way, times in zip(ways, taken, strict=True):
            times.append(seconds(way, device))
    ours, plain = (batch / statistics.median(times) for times in taken)
    ratio = statistics.median(p / o for o, p in zip(*taken, strict=True))
    print(f"{title:48} {ours:10.1f} images/s  plain {plain:10.1f}  {ratio:6.2f} x", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--parts", nargs="+", default=["photos", "targets", "forward"])
    options: Any = parser.parse_args()
    torch.set_num_threads(options.threads)
    what = f"seconds of {options.threads} thread(s)" if options.device == "cpu" else torch.cuda.get_device_name()
    print(f"batches of {options.batch}, median of {options.repeats}, {what}")
    with tempfile.TemporaryDirectory() as root:
        write_photos(Path(root) / "coco", options.batch)
        prepare(Coco(), Path(root))
        for name, parts in (("centernet", centernet), ("ssd", ssd)):
            live = workload(f"coco-{name}-random", Path(root), options.batch, options.device)
            for title, ways in parts(live, options.batch).items():
                if title.split(",")[0].split()[0] in options.parts:
                    compare(f"{name}: {title}", ways, options.batch, options.repeats, options.device)


if __name__ == "__main__":
    main()
