"""What the papers' sweeps cost at paper scale, in GPU-hours: python benchmarks/paper_cost.py > cost.md

Nothing of it is timed. An update's floating-point operations are counted while the real workload trains two samples
of a miniature with the paper's network and picture size, and taken times the batch, the updates of an epoch and the
epochs. Hours are those of a V100, AdamP's card, as if every network kept it as busy as ResNet-50 does in single
precision: 380 pictures a second, which NVIDIA measured (DeepLearningExamples, PyTorch, resnet50v1.5/README.md, commit
3bbe228, DGX-1 with V100 16G, one GPU, FP32). Depthwise convolutions (MobileNet, EfficientNet, ReXNet, ShuffleNet) keep
it less busy, so that theirs are too low. Penn Treebank's are its authors' time. Evaluations, reading of data and
optimizers are not in it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils.flop_counter import conv_flop_count, flop_registry  # noqa: E402

from optathlon import tasks  # noqa: E402
from optathlon.suite.planning.sweep import Sweep  # noqa: E402
from optathlon.suite.planning.sweep_reader import built_in, find, load  # noqa: E402
from optathlon.tasks.data import dataset  # noqa: E402
from optathlon.tasks.imagenet.networks import build as build_network  # noqa: E402
from optathlon.tasks.imagenet.settings import ImageNetSettings  # noqa: E402
from optathlon.tasks.task import Protocol, Task  # noqa: E402
from optathlon.tasks.verified_workload import build  # noqa: E402
from optathlon.tasks.workload import Workload  # noqa: E402

PICTURES_A_SECOND = 380.44
SAMPLES = {
    "imagenet": 1_281_167,
    "coco": 117_266,
    "cifar10": 50_000,
    "mnist": 60_000,
    "imagenet9": 54_600,
    "mtat": 15_247,
    "speech-commands": 84_843,
    "dcase2017": 46_042,
    "cub": 5_864,
    "cars": 8_054,
    "inshop": 25_882,
    "sop": 59_551,
    "ptb": 929_589 // 70,
}
"""Training samples of the official data (docs/), of Penn Treebank windows of 70 words."""
LIKE = {
    "cub": "imagenet-resnet50",
    "cars": "imagenet-resnet50",
    "inshop": "imagenet-resnet50",
    "sop": "imagenet-resnet50",
}
"""Retrieval trains a ResNet-50 at 224 pixels, but needs pretrained weights to be built."""
OF_THE_MINIATURE = {
    "mtat": ("tags", "training_clips", "evaluation_clips"),
    "speech-commands": ("words", "training_clips", "evaluation_clips"),
    "dcase2017": ("tags", "training_clips", "evaluation_clips"),
    "coco": ("weights", "train_images", "test_images"),
    "imagenet": ("classes", "training_photos", "evaluation_photos", "train_loss_photos"),
    "imagenet9": ("train_images", "smallest_cell", "sampled"),
    "cifar10": ("train_images", "test_images"),
    "mnist": ("train_images", "test_images"),
    "wikitext-103": ("train_tokens", "evaluation_tokens", "cutoffs"),
}
"""Settings that say how much data there is, which are the smoke protocol's: no network is wider for them."""
PTB_EPOCH_SECONDS = 65
"""On a GP100, at a batch of 20, by the README of awd-lstm-lm: LSTMs are one operation, which has no count."""
WIKITEXT_HEAD = 20_003 * 410
"""Weights of the adaptive softmax that every word of WikiText-103 meets, which the miniature's vocabulary lacks."""
COUNTED = {"mnist": 4, "imagenet9": 4}
"""Samples that are trained on, where it is not two: HSIC needs four."""


class Cost(NamedTuple):
    """One sweep."""

    names: list[str]
    runs: int
    operations: float
    hours: float


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        counter = Counter(Path(folder))
        print("| sweep | runs | 10¹⁸ operations | V100-hours |\n|---|---|---|---|")
        for cost in costs(counter):
            hours = f"{cost.hours:,.0f}" if cost.hours >= 10 else f"{cost.hours:.1f}"
            names = ", ".join(f"`{name}`" for name in cost.names)
            print(f"| {names} | {cost.runs} | {cost.operations / 1e18:,.3g} | {hours} |", flush=True)


def costs(counter: Counter) -> Iterator[Cost]:
    """Each sweep of the papers, once where it has several names."""
    by_name: dict[str, list[str]] = {}
    for name in built_in():
        if name.startswith(("adamp/", "adarem/")):
            by_name.setdefault(load(find(name)).name, []).append(name)
    for names in by_name.values():
        sweep = load(find(names[0]))
        parts = list(_cells(sweep, counter))
        operations = sum(runs * each for runs, each in parts)
        yield Cost(names, sum(runs for runs, _ in parts), operations, operations / counter.a_second() / 3600)


def _cells(sweep: Sweep, counter: Counter) -> Iterator[tuple[int, float]]:
    """Of each optimizer on each task the number of its runs, and the operations of one."""
    tune, report = len(sweep.seeds.tune), len(sweep.seeds.report)
    for task in sweep.tasks:
        for entry in sweep.entries_on(task):
            settings = len(sweep.settings(entry, task)) * len(entry.schedules)
            protocol = sweep.protocol_of(task).override(entry.protocol)
            runs = settings * tune + report if tune else settings * report
            yield runs, counter.of_sample(task) * _samples(task, protocol)


def _samples(task: Task, protocol: Protocol) -> float:
    """How many samples a whole run trains on."""
    if protocol.unit == "steps":
        return float(protocol.length * protocol.batch)
    samples = SAMPLES[task.datasets[0]]
    return float(protocol.length * (samples // protocol.batch * protocol.batch))


class Counter:
    """Operations of training on one sample, counted once per network."""

    def __init__(self, data: Path) -> None:
        self.data, self.known = data, {}

    def a_second(self) -> float:
        """Of a V100."""
        return PICTURES_A_SECOND * self.of_sample(tasks.task("imagenet-resnet50"))

    def of_sample(self, task: Task) -> float:
        """Of a picture, a clip, a window of one stream of text; forward, backward, and what an attack needs."""
        if (data_set := task.datasets[0]) in LIKE:
            return self.of_sample(tasks.task(LIKE[data_set]))
        if data_set == "ptb":
            return PTB_EPOCH_SECONDS * self.a_second() / SAMPLES["ptb"]
        protocol = self._small(task)
        if "steps" in protocol.settings:  # of an attack, each of which costs the same
            one, two = (self._of_attack(steps) for steps in (1, 2))
            return one + (two - one) * (float(str(protocol.settings["steps"])) - 1)
        return self._counted(task, protocol)

    def _of_attack(self, steps: int) -> float:
        task = tasks.task("cifar10-linf4")
        return self._counted(task, self._small(task).override({"settings": {"steps": steps}}))

    def _counted(self, task: Task, protocol: Protocol) -> float:
        key = json.dumps([task.workload, protocol.settings], sort_keys=True, default=str)
        if key not in self.known and task.datasets == ("imagenet",):
            self.known[key] = _of_classifier(ImageNetSettings.read(protocol))
        elif key not in self.known:
            for name in task.datasets:
                if not (self.data / name).exists():
                    dataset.build(tasks.dataset(name), self.data, "miniature")
            self.known[key] = _operations(build(task, protocol, self.data)) / protocol.batch
            if task.datasets[0] == "wikitext-103":
                self.known[key] += 6.0 * WIKITEXT_HEAD * float(str(protocol.settings["tgt_len"]))
            print(f"{task.name}: {self.known[key] / 1e9:,.1f} 10⁹ operations a sample", file=sys.stderr, flush=True)
        return self.known[key]

    def _small(self, task: Task) -> Protocol:
        """The paper's protocol with the miniature's amount of data, and a batch of two samples, or of COUNTED."""
        paper, smoke = task.protocol("paper"), task.protocol("smoke")
        of_data = {k: smoke.settings[k] for k in OF_THE_MINIATURE[task.datasets[0]] if k in smoke.settings}
        counted = COUNTED.get(task.datasets[0], 2)
        return paper.override({"batch": counted, "micro_batch": counted, "settings": of_data})


def _of_classifier(settings: ImageNetSettings) -> float:
    """The operations of a picture in training, counted of shapes alone."""
    with torch.device("meta"), Operations() as operations:
        net = build_network(settings.network, 1000, width=settings.width, depth=settings.depth)
        net(torch.empty(2, 3, settings.crop, settings.crop)).sum().backward()
    return operations.total / 2


def _operations(workload: Workload) -> float:
    """The operations of one update of all players."""
    workload.start_epoch(0, resuming=False)
    batch = next(iter(workload.batches(0)))
    with Operations() as operations:
        for player in workload.players:
            workload.loss(batch, player).backward()
    return operations.total


class Operations(TorchDispatchMode):
    """Counts as torch's FlopCounterMode does, which an attack's gradients within a loss confuse, and which takes the
    gradients of convolutions in groups for whole ones: here each costs what the convolution does."""

    total = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution_backward.default:
            grad, pictures, weight, wanted = *args[:3], args[10]
            forward = conv_flop_count(pictures.shape, weight.shape, grad.shape, transposed=args[7])
            self.total += forward * (wanted[0] + wanted[1])
        elif formula := flop_registry.get(func._overloadpacket):
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


if __name__ == "__main__":
    main()
