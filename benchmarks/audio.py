"""Clips a second of the audio tasks from decoded files to the loss and its gradients, beside a plain torchaudio loop:
python benchmarks/audio.py"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402
from torchaudio.transforms import AmplitudeToDB, Spectrogram  # noqa: E402

from optathlon.tasks.audio import recordings  # noqa: E402
from optathlon.tasks.audio.harmonic_cnn import harmonic_centers  # noqa: E402
from optathlon.tasks.audio.keyword_spotting import KeywordSpotting  # noqa: E402
from optathlon.tasks.audio.tagging import MusicTagging, SoundEvents  # noqa: E402
from optathlon.tasks.audio.windows import Windows  # noqa: E402
from optathlon.tasks.data.dataset import build  # noqa: E402
from optathlon.tasks.registry import dataset, task  # noqa: E402

Audio = MusicTagging | SoundEvents | KeywordSpotting
KINDS: dict[str, type[Audio]] = {
    "mtat": MusicTagging,
    "speech-commands": KeywordSpotting,
    "dcase2017": SoundEvents,
}


class PlainClips(Dataset):
    """A decoded .npy file per clip and a random crop of it, as repositories of taggers have it."""

    def __init__(self, folder: Path, windows: Windows, samples: np.ndarray) -> None:
        self.length, self.labels, self.paths = windows.length, windows.labels, []
        for number, clip in enumerate(windows.clips):
            self.paths.append(folder / f"{number}.npy")
            np.save(self.paths[-1], samples[clip.start : clip.start + clip.length])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        sound = np.load(self.paths[index], mmap_mode="r")
        if len(sound) < self.length:
            padded = np.zeros(self.length, dtype=np.float32)
            start = int(np.random.rand() * (self.length - len(sound)))
            padded[start : start + len(sound)] = sound
            return padded, self.labels[index]
        start = int(np.random.rand() * (len(sound) - self.length))
        return np.array(sound[start : start + self.length]), self.labels[index]


class PlainNet(nn.Module):
    """The Harmonic CNN as one writes it down: the triangles as two slopes of which the lower counts, cut off at zero,
    then the layers of `net` in their order, in contiguous memory."""

    centers: Tensor
    bins: Tensor

    def __init__(self, net: nn.Module, n_fft: int) -> None:
        super().__init__()
        self.net = net
        self.spectrogram, self.decibels = Spectrogram(n_fft=n_fft, hop_length=n_fft // 2), AmplitudeToDB("power")
        self.register_buffer("centers", harmonic_centers().flatten().float())
        self.register_buffer("bins", torch.linspace(0, 8000, n_fft // 2 + 1)[:, None])

    def forward(self, waves: Tensor) -> Tensor:
        quality = self.net.get_parameter("filters.Q")
        width = (0.1079 * self.centers + 24.7) / quality
        rising = self.bins * (2 / width) + 1 - 2 * self.centers / width
        falling = self.bins * (-2 / width) + 1 + 2 * self.centers / width
        bank = torch.minimum(rising, falling).clamp(min=0)
        x = (self.spectrogram(waves).transpose(1, 2) @ bank).transpose(1, 2)
        x = self.net.get_submodule("input_norm")(self.decibels(x.unflatten(1, (6, 128))))
        x = self.net.get_submodule("stages")(x).amax(dim=(2, 3))
        x = torch.relu(self.net.get_submodule("hidden_norm")(self.net.get_submodule("hidden")(x)))
        return self.net.get_submodule("output")(self.net.get_submodule("dropout")(x))


def ours(workload: Audio) -> Iterator[Callable[[], int]]:
    """A step of the workload for each batch, from its files to the gradients."""
    epoch = 0
    while True:
        for batch in workload.batches(epoch):
            yield lambda batch=batch: _backward(workload.loss(batch, "model"), batch.size)
        epoch += 1


def plain(clips: PlainClips, net: PlainNet, size: int) -> Iterator[Callable[[], int]]:
    """As `ours`, by a DataLoader, and BCELoss after a sigmoid or CrossEntropyLoss."""
    while True:
        for waves, labels in DataLoader(clips, batch_size=size, shuffle=True, drop_last=True):
            yield lambda waves=waves, labels=labels: _backward(_plain_loss(net(waves), labels), len(waves))


def _plain_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    if labels.dtype == torch.bool:
        return nn.BCELoss()(outputs.sigmoid(), labels.float())
    return nn.CrossEntropyLoss()(outputs, labels)


def _backward(loss: Tensor, size: int) -> int:
    loss.backward()
    return size


def clips_a_second(steps: Iterator[Callable[[], int]], updates: int) -> float:
    """Clips per second of CPU time over so many batches, loading included."""
    start, clips = time.process_time(), 0
    for _ in range(updates):
        clips += next(steps)()
    return clips / (time.process_time() - start)


def front_end_share(workload: Audio, updates: int) -> float:
    """The share of CPU time that goes into spectrogram, filters and decibels, forward and backward, with its norm left
    out."""
    filters, batches = workload.players["model"].get_submodule("filters"), workload.batches(0)
    front = whole = 0.0
    for _ in range(updates):
        batch = next(batches)
        start = time.process_time()
        filters(batch.data[0]).sum().backward()
        middle = time.process_time()
        workload.loss(batch, "model").backward()
        front, whole = front + middle - start, whole + time.process_time() - middle
    return front / whole


def measure(name: str, root: Path, scale: str, updates: int, repeats: int) -> None:
    protocol = task(name).protocol(scale)
    torch.default_generator.manual_seed(0)
    workload = KINDS[name](protocol, root)
    with tempfile.TemporaryDirectory() as folder:
        clips = PlainClips(Path(folder), workload._splits["training"], recordings.samples(root / name))
        net = PlainNet(workload.players["model"], workload.settings.n_fft)
        rivals = {"ours": ours(workload), "plain": plain(clips, net, protocol.batch)}
        for steps in rivals.values():
            clips_a_second(steps, 1)
        rates: dict[str, list[float]] = {rival: [] for rival in rivals}
        for _ in range(repeats):  # in turn, so that a busy machine is busy for both
            for rival, steps in rivals.items():
                rates[rival].append(clips_a_second(steps, updates))
    ratio = statistics.median(a / b for a, b in zip(rates["ours"], rates["plain"], strict=True))
    middle = {rival: statistics.median(values) for rival, values in rates.items()}
    print(
        f"{name:15} {scale:6} batch {protocol.batch:3}  ours {middle['ours']:8.1f} clips/s"
        f"  plain {middle['plain']:8.1f}  ratio {ratio:.2f}"
        f"  front end {100 * front_end_share(workload, updates):.0f} % of ours",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--scales", nargs="+", choices=["smoke", "mini", "paper"], default=["smoke", "mini"])
    parser.add_argument("--updates", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        for name in options.tasks:
            build(dataset(name), Path(root), "miniature")
            for scale in options.scales:
                measure(name, Path(root), scale, options.updates, options.repeats)


if __name__ == "__main__":
    main()
