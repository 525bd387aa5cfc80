"""CIFAR-10's references: the commonest class, and the nearest mean under the worst attack there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from optathlon import tasks
from optathlon.tasks.cifar import references
from optathlon.tasks.cifar.attack import Attack, attacked
from optathlon.tasks.cifar.cifar10.dataset import find
from optathlon.tasks.cifar.cifar10.layout import read
from optathlon.tasks.cifar.references import robust
from optathlon.tasks.cifar.settings import Norm
from optathlon.tasks.registry import resolve
from tests.miniatures import put_miniatures


class NearestMean(nn.Module):
    def __init__(self, means: np.ndarray) -> None:
        super().__init__()
        self.means = torch.from_numpy(means)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return -torch.cdist(images.flatten(1), self.means).square()


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.0), ("linf", 0.02), ("l2", 0.3)])
def test_no_attack_does_better_than_the_worst_that_is_counted(norm: Norm, epsilon: float) -> None:
    """With two classes PGD reaches it; a ball that leaves the range of pixels makes the l2 count a lower bound."""
    random = np.random.default_rng(0)
    means = random.uniform(0.45, 0.55, (2, 48))
    images = (means[np.arange(300) % 2] + random.normal(0, 0.12, (300, 48))).clip(0, 1)
    labels = np.arange(300) % 2
    counted = robust(images, labels, means, np.arange(2), norm, epsilon)
    attack = Attack(norm, max(epsilon, 1e-9), 50, 0.2 * epsilon, "sign" if norm == "linf" else "gradient")
    pictures, truth = torch.from_numpy(images.reshape(300, 3, 4, 4)), torch.from_numpy(labels)
    net = NearestMean(means)
    survived = int((net(attacked(net, pictures, truth, attack)).argmax(1) == truth).sum())
    assert counted == survived
    assert 0 < counted < 300


def test_the_scores_of_each_task_have_its_metrics(tmp_path: Path) -> None:
    put_miniatures(tmp_path, "cifar10")
    for name in ("cifar10-linf4", "cifar10-l2", "cifar10-linf8"):
        task = tasks.task(name)
        protocol = task.protocol("smoke").with_validation()
        scores = resolve(task.references or "")(protocol, tmp_path)
        expected = {f"{split}/{m.name}" for split in ("test", "validation") for m in task.metrics if m.name != "loss"}
        assert {model: set(found) for model, found in scores.items()} == {
            "majority": expected,
            "nearest mean": expected,
        }
        assert set(scores["majority"].values()) == {10.0}
        mean = scores["nearest mean"]
        attacked_ones = [mean[f"test/{m.name}"] for m in task.metrics if m.name.startswith("attacked")]
        assert mean["test/standard"] > attacked_ones[0] > 10
        assert attacked_ones == sorted(attacked_ones, reverse=True)


def test_the_clean_score_is_that_of_the_nearest_mean(tmp_path: Path) -> None:
    put_miniatures(tmp_path, "cifar10")
    protocol = tasks.task("cifar10-l2").protocol("smoke").override({"settings": {"block": 1}})
    (train, labels), (test, truth) = (read(find(tmp_path / "cifar10"), name) for name in ("train", "test"))
    train, test = train.reshape(len(train), -1) / 255, test.reshape(len(test), -1) / 255
    means = np.stack([train[labels == label].mean(0) for label in range(10)])
    nearest = np.square(test[:, None] - means[None]).sum(2).argmin(1)
    expected = 100 * (nearest == truth).mean()
    assert references.l2(protocol, tmp_path)["nearest mean"]["test/standard"] == pytest.approx(expected)


def test_they_need_no_torch() -> None:
    code = "import sys, optathlon.tasks.cifar.references; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
