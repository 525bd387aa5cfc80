"""ImageNet's training pictures a second, beside torchvision's ImageFolder and DataLoader, in turn:
python benchmarks/input_pipeline.py. With --loads N, what it costs to begin an epoch with kept and with new workers."""

from __future__ import annotations

import argparse
import contextlib
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from torch import Tensor  # noqa: E402

from optathlon.tasks.data.data_workers import DataWorkers  # noqa: E402
from optathlon.tasks.images.photos import PhotoIndex  # noqa: E402
from optathlon.tasks.images.pictures import Cuts, Pictures  # noqa: E402
from optathlon.tasks.images.transforms import MEAN, STD, normalize  # noqa: E402

SIZE, QUALITY = (500, 375), 92  # of a usual ImageNet photo, which has about 110 kB
EMPTY_JOBS = 8
SIDES = {"paper": (256, 224, 0.08, False), "mini": (72, 64, 0.25, True)}


def write_photos(folder: Path, count: int) -> PhotoIndex:
    """`count` photos of soft blobs with grain, in ten class folders."""
    random = np.random.default_rng(0)
    paths, labels = [], []
    for number in range(count):
        blobs = random.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        image = np.asarray(Image.fromarray(blobs).resize(SIZE, Image.Resampling.BICUBIC), dtype=np.int16)
        grain = random.normal(0, 8, image.shape).astype(np.int16)
        paths.append(f"{number % 10}/{number:05}.JPEG")
        labels.append(number % 10)
        (folder / paths[-1]).parent.mkdir(exist_ok=True)
        pixels = np.clip(image + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / paths[-1], format="JPEG", quality=QUALITY)
    order = sorted(range(count), key=lambda i: paths[i])
    return PhotoIndex.from_lists(folder, [paths[i] for i in order], [labels[i] for i in order])


def ours(photos: PhotoIndex, scale: str, batch: int, workers: int) -> Iterator[Tensor]:
    """As the workload reads: bytes from the data workers, normalized where the network is."""
    resize, crop, smallest, draft = SIDES[scale]
    pictures = Pictures(photos, Cuts(resize, crop, smallest, draft=draft), seed=0)
    order = np.random.default_rng(0).permutation(len(photos))
    jobs = [(0, order[begin : begin + batch]) for begin in range(0, len(photos), batch)]
    with contextlib.closing(DataWorkers(workers)) as processes:
        for pixels, _ in processes.load(pictures.training, jobs):
            yield normalize(pixels, torch.channels_last)


def torchvisions(photos: PhotoIndex, scale: str, batch: int, workers: int) -> Iterator[Tensor]:
    """The usual loop: an ImageFolder with random cuts to normalized tensors, behind a DataLoader."""
    from torchvision import datasets, transforms

    _, crop, smallest, _ = SIDES[scale]
    shown = transforms.Compose(
        [
            transforms.RandomResizedCrop(crop, (smallest, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    folder = datasets.ImageFolder(str(photos.folder), shown)
    for images, _ in torch.utils.data.DataLoader(folder, batch, shuffle=True, num_workers=workers):
        yield images


PIPELINES: dict[str, Callable[[PhotoIndex, str, int, int], Iterator[Tensor]]] = {
    "ours": ours,
    "torchvision": torchvisions,
}


def rate(pipeline: str, photos: PhotoIndex, scale: str, batch: int, workers: int) -> float:
    """Pictures a second: of this process's CPU time without data workers, else by the clock."""
    clock = time.perf_counter if workers else time.process_time
    begun = clock()
    seen = sum(len(images) for images in PIPELINES[pipeline](photos, scale, batch, workers))
    return seen / (clock() - begun)


def cpu_seconds() -> float:
    """Of this process and of those that it has started and that have ended."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def cost_of_loads(pictures: Pictures, workers: int, loads: int, kept: bool) -> float:
    """CPU seconds, of all processes, of so many loads of no pictures: by workers kept from one to the next, or new."""
    begun = cpu_seconds()
    jobs = [(0, np.arange(0))] * EMPTY_JOBS
    with contextlib.closing(DataWorkers(workers)) as processes:
        for _ in range(loads):
            for _ in processes.load(pictures.training, jobs):
                pass
            if not kept:
                processes.close()
    return cpu_seconds() - begun


def print_cost_of_loads(photos: PhotoIndex, workers: int, loads: int, rounds: int) -> None:
    """How many milliseconds a load takes with new workers, with kept ones, and with kept ones after the first load."""
    pictures = Pictures(photos, Cuts(*SIDES["mini"][:3]), seed=0)
    rows = []
    for _ in range(rounds):  # in turn, so that a busy machine is busy for all
        new, kept = (cost_of_loads(pictures, workers, loads, kept=kept) for kept in (False, True))
        only_first = cost_of_loads(pictures, workers, 1, kept=True)
        rows.append((1000 * new / loads, 1000 * only_first, 1000 * (kept - only_first) / (loads - 1)))
    new, first, later = (f"{statistics.median(v):.1f} ({min(v):.1f} to {max(v):.1f})" for v in zip(*rows, strict=True))
    print(f"{workers} workers, ms of CPU a load: new ones {new}, kept ones {first} at first, then {later}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=320)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int, nargs="+", default=[0])
    parser.add_argument("--loads", type=int, default=0, help="cost of so many loads (2 or more) of no pictures instead")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        photos = write_photos(Path(folder), options.photos)
        size = sum(p.path.stat().st_size for p in photos) / len(photos) / 1000
        print(
            f"{len(photos)} photos of {SIZE[0]} x {SIZE[1]}, {size:.0f} kB;"
            f" batch {options.batch}, {options.rounds} rounds"
        )
        if options.loads:
            for workers in options.workers:
                print_cost_of_loads(photos, workers, options.loads, options.rounds)
            return
        for scale in SIDES:
            for workers in options.workers:
                rates: dict[str, list[float]] = {name: [] for name in PIPELINES}
                for _ in range(options.rounds):  # in turn, so that a busy machine is busy for both
                    for name in PIPELINES:
                        rates[name].append(rate(name, photos, scale, options.batch, workers))
                ratios = [a / b for a, b in zip(rates["ours"], rates["torchvision"], strict=True)]
                middle = {name: statistics.median(values) for name, values in rates.items()}
                print(
                    f"{scale:6} {SIDES[scale][1]:4} px, {workers} workers: ours {middle['ours']:7.0f}/s,"
                    f" torchvision {middle['torchvision']:7.0f}/s, ratio {statistics.median(ratios):.2f}"
                    f" ({min(ratios):.2f} to {max(ratios):.2f})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
