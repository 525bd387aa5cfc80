"""Biased-MNIST's references: what the color alone tells, and what the mean image tells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from optathlon import tasks
from optathlon.tasks.rebias.coloring import assign_colors, digits, paint
from optathlon.tasks.rebias.references import biased_mnist
from tests.miniatures import put_miniatures

TASK = tasks.task("biased-mnist-0.990")
SMOKE = TASK.protocol("smoke")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    put_miniatures(root, "mnist")
    return root


def test_the_color_alone_is_always_right_or_never_or_at_chance(data: Path) -> None:
    scores = biased_mnist(SMOKE.with_validation(), data)
    for split in ("test", "validation"):
        color = {name: scores["color"][f"{split}/{name}"] for name in ("unbiased", "biased", "rho0")}
        assert (color["biased"], color["rho0"]) == (100.0, 0.0)
        assert color["unbiased"] <= 10
        assert {scores["majority"][f"{split}/{name}"] for name in color} == {10.0}
    assert set(scores) == {"majority", "color", "nearest mean"}
    assert TASK.references == "optathlon.tasks.rebias.references:biased_mnist"


def test_the_nearest_mean_is_that_of_painted_images(data: Path) -> None:
    images, labels = digits(data, "train", 1500, 3)
    painted = paint(images, assign_colors(labels, 0.8, "train")).reshape(len(labels), -1).astype(float)
    means = np.stack([painted[labels == label].mean(0) for label in range(10)])
    test, truth = digits(data, "test", 400, 3)
    scores = biased_mnist(SMOKE, data)["nearest mean"]
    for name, rho in (("unbiased", 0.1), ("biased", 1.0), ("rho0", 0.0)):
        shown = paint(test, assign_colors(truth, rho, "test")).reshape(len(truth), -1).astype(float)
        nearest = np.square(shown[:, None] - means[None]).sum(2).argmin(1)
        assert scores[f"test/{name}"] == pytest.approx(100 * (nearest == truth).mean())


def test_they_need_no_torch() -> None:
    code = "import sys, optathlon.tasks.rebias.references; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
