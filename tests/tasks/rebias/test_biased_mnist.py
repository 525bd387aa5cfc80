"""Biased-MNIST with ReBias: the published protocol, step by step."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from optathlon.tasks import registry
from optathlon.tasks.conformance.checks import prove
from optathlon.tasks.conformance.digests import digest
from optathlon.tasks.data.dataset import prepare
from optathlon.tasks.errors import DataError, TaskError
from optathlon.tasks.rebias import TASKS as FAMILY
from optathlon.tasks.rebias.biased_mnist import BiasedMnist
from optathlon.tasks.rebias.coloring import assign_colors, paint
from optathlon.tasks.rebias.hsic import hsic
from optathlon.tasks.rebias.mnist import dataset
from optathlon.tasks.rebias.painted import normalize
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Workload
from tests.miniatures import put_miniatures

TASKS = [task for task in FAMILY if task.benchmark == "biased-mnist"]
TASK = registry.task("biased-mnist-0.990")
SMOKE = TASK.protocol("smoke")
SMALL = SMOKE.override({"settings": {"channels": [4, 8], "train_images": 200}})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    put_miniatures(root, "mnist")
    return root


def workload(protocol: Protocol, data: Path, **how: Any) -> BiasedMnist:
    torch.default_generator.manual_seed(0)
    return BiasedMnist(protocol, data, **how)


def train(live: Workload, epochs: int, lr: float, weight_decay: float = 0.0) -> None:
    """The training loop in its shortest form, with torch's Adam for each player."""
    optimizers = {
        name: torch.optim.Adam(net.parameters(), lr, weight_decay=weight_decay) for name, net in live.players.items()
    }
    for epoch in range(epochs):
        for batch in live.batches(epoch):
            for name in live.players:
                for net in live.players.values():
                    net.zero_grad()
                live.loss(batch, name).backward()
                optimizers[name].step()


def test_the_descriptions_need_neither_torch_nor_numpy() -> None:
    code = "import sys, optathlon.tasks.rebias; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_the_paper_protocol() -> None:
    assert [task.name for task in TASKS] == [f"biased-mnist-{rho}" for rho in ("0.999", "0.997", "0.995", "0.990")]
    for task, rho in zip(TASKS, (0.999, 0.997, 0.995, 0.990), strict=True):
        paper = task.protocol("paper")
        assert (paper.length, paper.unit, paper.batch, paper.holdout, paper.checkpoint) == (
            80, "epochs", 256, "none", "last",
        )  # fmt: skip
        assert paper.settings["rho"] == task.protocol("mini").settings["rho"] == rho
        factors = [paper.schedule.factor(epoch, 80) for epoch in (0, 19, 20, 40, 60, 79)]
        assert factors == pytest.approx([1, 1, 0.1, 0.01, 0.001, 0.001])
        assert task.metrics[0].name == "unbiased"


def test_the_published_networks_have_the_published_number_of_parameters(data: Path) -> None:
    live = workload(TASK.protocol("paper"), data)
    counts = {name: sum(p.numel() for p in net.parameters()) for name, net in live.players.items()}
    assert list(counts.items()) == [("biased", 12_810), ("model", 531_210)], "g steps first"
    for net in live.players.values():
        logits, features = net(torch.zeros(2, 3, 28, 28))
        assert (logits.shape, features.shape) == ((2, 10), (2, 128))


def test_sixty_thousand_images_make_235_batches_and_the_last_has_96(tmp_path: Path) -> None:
    for split, count in (("train", 60_000), ("test", 10)):
        dataset.write(tmp_path / "mnist", split, np.zeros((count, 28, 28)), np.arange(count) % 10)
    prepare(dataset.Mnist(), tmp_path)
    live = workload(TASK.protocol("paper"), tmp_path)
    (last,) = live.batches(0, start=234)
    assert (last.index, last.of, last.size) == (234, 235, 96)
    assert last.data[0].shape == (96, 3, 28, 28)
    assert np.bincount(live.train.labels[live.train.colors == live.train.labels]).tolist() == [int(0.99 * 6000)] * 10


def test_it_honors_the_contract_of_workloads(data: Path) -> None:
    prove(lambda **how: workload(SMALL.with_validation(), data, **how))


def test_it_honors_the_contract_with_several_micro_batches_an_update(data: Path) -> None:
    protocol = SMALL.override({"micro_batch": 16})
    prove(lambda **how: workload(protocol, data, **how), splits=("test",))


def test_it_is_the_literal_trainer_bit_for_bit(data: Path) -> None:
    """ReBias, trainer.py: g steps first, then f; no detach, each optimizer clears only its own gradients."""
    ours = workload(SMALL, data, seed=3)
    literal = workload(SMALL, data, seed=3)
    g, f = literal.players["biased"], literal.players["model"]
    g_optimizer, f_optimizer = (torch.optim.Adam(net.parameters(), 1e-3, weight_decay=1e-4) for net in (g, f))
    for epoch in range(2):
        for batch in literal.batches(epoch):
            x, labels = batch.data
            g.train()
            f.train()
            predictions, g_features = g(x)
            g_loss = F.cross_entropy(predictions, labels)
            _, f_features = f(x)
            g_loss = g_loss + 1.0 * -hsic(g_features, f_features, 1.0)
            g_optimizer.zero_grad()
            g_loss.backward()
            g_optimizer.step()

            predictions, f_features = f(x)
            f_loss = F.cross_entropy(predictions, labels)
            _, g_features = g(x)
            f_loss = f_loss + 1.0 * hsic(f_features, g_features, 1.0)
            f_optimizer.zero_grad()
            f_loss.backward()
            f_optimizer.step()
    train(ours, 2, lr=1e-3, weight_decay=1e-4)
    for name in ("biased", "model"):
        assert digest(dict(ours.players[name].state_dict())) == digest(dict(literal.players[name].state_dict()))


def test_each_networks_batch_norm_statistics_move_twice_an_iteration(data: Path) -> None:
    live = workload(SMALL, data)
    for batch in itertools.islice(live.batches(0), 3):
        for name in live.players:
            live.loss(batch, name)
    for net in live.players.values():
        counts = {int(b) for n, b in net.named_buffers() if n.endswith("num_batches_tracked")}
        assert counts == {6}


def test_without_its_lambda_a_network_is_trained_alone(data: Path) -> None:
    live = workload(SMALL.override({"settings": {"lambda_f": 0.0}}), data)
    before = digest(dict(live.players["biased"].state_dict()))
    batch = next(live.batches(0))
    images, labels = batch.data
    logits, _ = live.players["model"](images)
    assert torch.equal(live.loss(batch, "model"), F.cross_entropy(logits, labels))
    assert digest(dict(live.players["biased"].state_dict())) == before


def test_under_autocast_hsic_stays_in_single_precision(data: Path) -> None:
    live = workload(SMALL, data)
    batch = next(live.batches(0))
    images, labels = batch.data
    with torch.autocast("cpu", torch.bfloat16):
        loss = live.loss(batch, "model")
        logits, features = live.players["model"](images)
        _, reference = live.players["biased"](images)
        classification = F.cross_entropy(logits, labels)
    assert features.dtype == torch.bfloat16
    assert torch.equal(loss, classification + hsic(features.float(), reference.float(), 1.0))


def test_scaling_a_filter_tagged_scale_invariant_leaves_the_loss(data: Path) -> None:
    live = workload(SMALL, data)
    batch = next(live.batches(0))
    for player, net in live.players.items():
        before = live.loss(batch, player).item()
        tagged = {name for name, tags in live.tags(player).items() if "scale_invariant" in tags}
        assert tagged == {"extractor.0.weight", "extractor.3.weight"}
        assert {name for name, tags in live.tags(player).items() if "head" in tags} == {"fc.weight", "fc.bias"}
        assert live.tags(player)["extractor.0.bias"] == {"bias"}
        with torch.no_grad():
            for name in tagged:
                net.get_parameter(name)[::2] *= 10
        assert live.loss(batch, player).item() == pytest.approx(before, rel=1e-3)
        with torch.no_grad():
            net.get_parameter("fc.weight").mul_(10)
        assert live.loss(batch, player).item() != pytest.approx(before, rel=1e-2)


def test_a_tenth_of_the_training_images_is_held_back_and_colored_as_the_test_is(data: Path) -> None:
    everything = workload(SMOKE, data)
    protocol = SMOKE.with_validation()
    live = workload(protocol, data, seed=1)
    images, labels = live.evaluated["validation"]
    assert (len(labels), len(live.train)) == (40, 360)
    assert np.bincount(labels).tolist() == [4] * 10
    np.testing.assert_array_equal(np.concatenate([images, live.train.images]), everything.train.images)
    np.testing.assert_array_equal(images, workload(protocol, data, seed=2).evaluated["validation"][0])
    per_class = np.bincount(live.train.labels[live.train.colors == live.train.labels])
    assert per_class.tolist() == [int(0.8 * 36)] * 10
    assert set(live.evaluate("validation")) == set(live.evaluate("test"))


def test_evaluation_measures_f_on_the_three_colorings(data: Path) -> None:
    live = workload(SMOKE, data)
    train(live, 1, lr=1e-3)
    scores = live.evaluate("test")
    images, labels = live.evaluated["test"]
    net = live.players["model"].eval()
    for name, rho in (("unbiased", 0.1), ("biased", 1.0), ("rho0", 0.0)):
        painted = normalize(torch.from_numpy(paint(images, assign_colors(labels, rho, "test"))))
        with torch.no_grad():
            logits = net(painted)[0]
        assert scores[name] == pytest.approx(100 * (logits.argmax(1).numpy() == labels).mean())
        if name == "unbiased":
            expected = F.cross_entropy(logits, torch.from_numpy(labels)).item()
            assert scores["loss"] == pytest.approx(expected, rel=1e-5)
    assert [metric.name for metric in TASK.metrics] == list(scores)


def test_blocks_of_pixels_keep_their_maximum(data: Path) -> None:
    live = workload(SMOKE, data)
    images, _ = live.evaluated["test"]
    assert images.shape == (100, 9, 9)
    whole, _ = workload(SMOKE.override({"settings": {"block": 1}}), data).evaluated["test"]
    assert images[5, 2, 7] == whole[5, 6:9, 21:24].max()
    assert images.sum() == sum(whole[:, 3 * r : 3 * r + 3, 3 * c : 3 * c + 3].max((1, 2)).sum(dtype=int)
                               for r in range(9) for c in range(9))  # fmt: skip


def test_a_last_batch_too_small_for_hsic_is_left_out(data: Path) -> None:
    live = workload(SMALL.override({"settings": {"train_images": 32 * 3 + 3}}), data)
    assert [batch.size for batch in live.batches(0)] == [32, 32, 32]
    live = workload(SMALL.override({"settings": {"train_images": 32 * 3 + 4}}), data)
    assert [(batch.size, batch.of) for batch in live.batches(0)] == [(32, 4)] * 3 + [(4, 4)]


def test_what_cannot_work_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="HSIC needs at least 4"):
        workload(SMOKE.override({"micro_batch": 2}), data)
    with pytest.raises(TaskError, match=r"protocol\.holdout: .* expected carved or none"):
        workload(SMOKE.override({"holdout": "published"}), data)
    with pytest.raises(TaskError, match=r"no 'validation' \(known: test\)"):
        workload(SMOKE, data).evaluate("validation")
    with pytest.raises(DataError, match="mnist: no prepared data"):
        workload(SMOKE, tmp_path)


@pytest.mark.slow
def test_smoke_learns_the_digits_and_not_only_the_colors(data: Path) -> None:
    live = workload(SMOKE, data)
    train(live, SMOKE.length, lr=1e-3)
    scores = live.evaluate("test")
    assert scores["unbiased"] > 30, scores
    assert scores["biased"] > 90, scores
