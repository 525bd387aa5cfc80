"""The retrieval workloads keep the contract, follow the protocol page, learn, and resume exactly."""

from __future__ import annotations

import copy
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize as unit_rows
from torchvision.models import resnet50 as torchvision_resnet50

from optathlon import tasks
from optathlon.tasks.conformance.checks import prove
from optathlon.tasks.conformance.digests import digest
from optathlon.tasks.errors import DataError, TaskError
from optathlon.tasks.images import weights
from optathlon.tasks.registry import resolve
from optathlon.tasks.retrieval import DATASETS, LOSSES, RECALLS, TASKS
from optathlon.tasks.retrieval.networks import Embedder, resnet50
from optathlon.tasks.retrieval.settings import HELD_BACK
from optathlon.tasks.retrieval.workload import Cub
from tests.tasks.retrieval.workloads import make, optimizer_of, small, train


def test_the_descriptions_need_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, optathlon.tasks.retrieval, optathlon.tasks.retrieval.settings, optathlon.tasks.retrieval.weights;"
        "sys.exit(bool({'torch', 'numpy', 'PIL', 'scipy'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_the_paper_protocol() -> None:
    assert [task.name for task in TASKS] == [f"{data}-{loss}" for data in DATASETS for loss in LOSSES]
    for task in TASKS:
        paper = task.protocol("paper")
        assert (paper.length, paper.unit, paper.batch, paper.micro_batches, paper.clip_value) == (
            60,
            "epochs",
            120,
            1,
            10.0,
        )
        assert (paper.holdout, paper.checkpoint, paper.watch) == ("none", "last", ("test",))
        factors = [paper.schedule.factor(epoch, 60) for epoch in (0, 4.9, 5, 10, 59)]
        assert factors == [1, 1, 0.5, 0.25, 2**-11]
        assert paper.tags == {"proxy.lr_scale": 100.0}
        expected = {"backbone": "resnet50", "embedding": 512, "margin": 0.1, "alpha": 32.0, "warmup": 5}
        expected |= {"resize": 256, "crop": 224, "smallest_crop": 0.08, "loss": task.name.partition("-")[2]}
        assert paper.settings.items() >= expected.items()
        assert [m.name for m in task.metrics] == [f"recall@{k}" for k in RECALLS[task.benchmark]]
        for scale in ("mini", "smoke"):
            assert set(task.protocol(scale).settings) == set(paper.settings)
    assert RECALLS["cub"] == RECALLS["cars"] == (1, 2, 4, 8, 16, 32)
    assert RECALLS["sop"] == (1, 10, 100, 1000)
    assert RECALLS["inshop"] == (1, 10, 20, 30, 40, 50)


@pytest.mark.slow
def test_the_contract_of_a_workload_holds(data) -> None:
    protocol = small("cub-triplet", settings={"warmup": 0}).with_validation()
    prove(lambda **how: make(data, protocol, "cub-triplet", **how))


@pytest.mark.slow
def test_the_contract_holds_for_updates_of_several_parts_and_a_frozen_backbone(data) -> None:
    protocol = small("cub-proxyanchor", micro_batch=20, settings={"warmup": 2})
    prove(lambda **how: make(data, protocol, **how), splits=("test",))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cars-triplet", "inshop-triplet", "inshop-proxyanchor", "sop-proxyanchor"])
def test_the_contract_holds_for_every_data_set(all_data, name) -> None:
    protocol = small(name).with_validation()
    prove(lambda **how: make(all_data, protocol, name, **how))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["adamw", "adamp"])
@pytest.mark.parametrize("name", [task.name for task in TASKS])
def test_every_task_learns_on_its_miniature(all_data, name, kind) -> None:
    """Unseen classes: chance is about 1 %, and the untrained network finds some by color."""
    live = make(all_data, tasks.task(name).protocol("smoke"), name)
    before = live.evaluate("test")
    train(live, optimizer_of(live, kind, lr=3e-3), range(6))
    after = live.evaluate("test")
    assert list(after) == [m.name for m in tasks.task(name).metrics]
    assert after["recall@1"] > 40
    assert after["recall@1"] > before["recall@1"] + 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["adamw", "adamp"])
@pytest.mark.parametrize("name", ["cub-triplet", "cub-proxyanchor"])
def test_a_run_stopped_anywhere_goes_on_exactly(data, name, kind) -> None:
    """Also within and right behind the warm-up, where some parameters have no optimizer state yet."""
    protocol = small(name, batch=80)
    per_epoch = 6
    whole = make(data, protocol, name)
    train(whole, optimizer_of(whole, kind, 1e-2), range(3))
    for stop in (1, per_epoch, per_epoch + 1, 2 * per_epoch + 3):
        first = make(data, protocol, name)
        optimizer = optimizer_of(first, kind, 1e-2)
        train(first, optimizer, range(3), most=stop)
        saved = copy.deepcopy((first.players["model"].state_dict(), optimizer.state_dict(), first.state_dict()))
        second = make(data, protocol, name)
        optimizer = optimizer_of(second, kind, 1e-2)
        second.players["model"].load_state_dict(saved[0])
        optimizer.load_state_dict(saved[1])
        second.load_state_dict(saved[2])
        train(second, optimizer, range(stop // per_epoch, 3), start=stop % per_epoch)
        assert digest(second.players["model"].state_dict()) == digest(whole.players["model"].state_dict()), stop


def test_only_embedding_and_proxies_train_in_the_warm_up(data) -> None:
    live = make(data, small("cub-proxyanchor", settings={"warmup": 1}))
    net = live.players["model"]
    before = {n: p.detach().clone() for n, p in net.named_parameters()}
    optimizer = optimizer_of(live, "adamw", 1e-2)
    train(live, optimizer, range(1))
    moved = {n for n, p in net.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {"embedding.weight", "embedding.bias", "proxies"}
    train(live, optimizer, range(1, 2))
    moved = {n for n, p in net.named_parameters() if not torch.equal(p, before[n])}
    assert moved == set(before), "batch norms' weights and biases train as well"


def test_batch_statistics_never_move(data) -> None:
    live = make(data, small("cub-proxyanchor"))
    net = live.players["model"]
    before = digest(dict(net.named_buffers()))
    net.train()
    train(live, optimizer_of(live, "adamw", 1e-2), range(2))
    assert dict(net.named_buffers())
    assert digest(dict(net.named_buffers())) == before
    modes = {m.training for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert modes == {False}
    assert net.training


def test_proxies_are_parameters_for_each_training_class_and_tagged(data) -> None:
    live = make(data, small("cub-proxyanchor"))
    tags, named = live.tags("model"), dict(live.players["model"].named_parameters())
    assert named["proxies"].shape == (80, 8)
    assert tags["proxies"] == {"proxy", "scale_invariant"}
    assert tags["embedding.weight"] == {"head"}
    assert tags["embedding.bias"] == {"head", "bias"}
    assert {n for n, t in tags.items() if "scale_invariant" in t} == {"proxies"}
    batch = next(live.batches(0))
    loss = live.loss(batch, "model").item()
    with torch.no_grad():
        named["proxies"][3] *= 7
    assert live.loss(batch, "model").item() == pytest.approx(loss, rel=1e-6)
    triplet = make(data, small("cub-triplet"), "cub-triplet")
    assert "proxies" not in triplet.tags("model")


def test_batches_are_random_photos_without_the_last_short_one(data) -> None:
    live = make(data, small("cub-triplet", batch=110, settings={"training_classes": 0}), "cub-triplet")
    batches = list(live.batches(0))
    assert [(b.size, b.of, len(b.data[1])) for b in batches] == [(110, 5, 110)] * 5  # of 600 photos
    counts = torch.bincount(torch.cat([b.data[1] for b in batches]), minlength=100)
    assert counts.max() <= 6
    assert len({tuple(torch.bincount(b.data[1], minlength=100).tolist()) for b in batches}) == 5
    assert {int((torch.bincount(b.data[1]) > 0).sum()) for b in batches} != {100}, "no balanced sampler"


def test_a_batch_without_triplets_is_survived(data) -> None:
    live = make(data, small("cub-triplet", settings={"warmup": 0}), "cub-triplet")
    batch = next(live.batches(0))
    pixels, labels = batch.data
    object.__setattr__(batch, "data", (pixels, torch.arange(len(labels))))
    loss = live.loss(batch, "model")
    loss.backward()
    assert loss.item() == 0
    gradients = [p.grad for p in live.players["model"].parameters()]
    assert all(g is not None and not g.any() for g in gradients)


def test_the_validation_split_holds_back_classes_the_same_for_every_seed(data) -> None:
    everything = make(data, small("cub-triplet", settings={"training_classes": 0}), "cub-triplet")
    protocol = small("cub-triplet", settings={"training_classes": 0}).with_validation()
    lives = [make(data, protocol, "cub-triplet", seed=seed) for seed in (0, 1)]
    held = [{p.label for p in live._evaluated["validation"][0]} for live in lives]
    assert held[0] == held[1]
    assert len(held[0]) == 100 // HELD_BACK
    assert max(held[0]) <= 100, "training classes"
    assert len(lives[0]._train) == len(everything._train) - 6 * len(held[0])
    assert {p.label for p in lives[0]._train} == set(range(90))
    assert [*lives[0]._evaluated["test"][0]] == [*everything._evaluated["test"][0]]
    assert set(lives[0].evaluate("validation")) == set(lives[0].evaluate("test"))
    with pytest.raises(TaskError, match=r"no 'validation' \(known: test\)"):
        everything.evaluate("validation")


@pytest.mark.slow
def test_inshop_queries_look_in_the_gallery(all_data) -> None:
    live = make(all_data, small("inshop-triplet"), "inshop-triplet")
    queries, gallery = live._evaluated["test"]
    assert gallery is not None
    with torch.no_grad():
        (q, q_labels), (g, g_labels) = live._embed(queries), live._embed(gallery)
    nearest = g_labels[(q @ g.T).argmax(1)]
    assert live.evaluate("test")["recall@1"] == pytest.approx(100 * (nearest == q_labels).float().mean().item())


def test_evaluation_does_not_depend_on_its_batch(data) -> None:
    whole = make(data, small("cub-triplet"), "cub-triplet").evaluate("test")
    parts = make(data, small("cub-triplet", settings={"evaluation_batch": 7}), "cub-triplet").evaluate("test")
    assert parts == pytest.approx(whole, abs=0.3)  # a near tie of 480 may turn


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    """A data folder with random weights in the published file's place, and the network that they are of."""
    root = tmp_path_factory.mktemp("weights")
    torch.default_generator.manual_seed(0)
    net = torchvision_resnet50().eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var, module.running_mean = (
                0.5 + torch.rand(module.num_features),
                0.1 * torch.randn(module.num_features),
            )
    (root / weights.FOLDER).mkdir()
    torch.save(net.state_dict(), root / weights.FOLDER / "first.pth")
    name = f"resnet50-{weights.file_digest(root / weights.FOLDER / 'first.pth')[:8]}.pth"
    (root / weights.FOLDER / "first.pth").rename(root / weights.FOLDER / name)
    return root, net


@pytest.mark.slow
def test_the_published_network(imagenet, monkeypatch) -> None:
    """torchvision's backbone with average and maximum pooling summed, a linear layer with bias, unit length."""
    root, net = imagenet
    monkeypatch.setattr(weights, "NAMES", (next((root / weights.FOLDER).iterdir()).name,))
    ours = Embedder(resnet50(root), 2048, 512, classes=100)
    count = sum(p.numel() for p in ours.parameters())
    assert count == 25_557_032 - 2048 * 1000 - 1000 + 2048 * 512 + 512 + 100 * 512
    assert ours.embedding.bias.count_nonzero() == 0
    assert ours.embedding.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.01)
    assert ours.proxies is not None
    assert ours.proxies.std().item() == pytest.approx((2 / 100) ** 0.5, rel=0.02)
    images = torch.randn(2, 3, 96, 64)
    places: list[torch.Tensor] = []
    net.layer4.register_forward_hook(lambda _, __, out: places.append(out))
    with torch.no_grad():
        net(images)
        pooled = places[0].mean((2, 3)) + places[0].flatten(2).max(2).values
        torch.testing.assert_close(ours(images), unit_rows(ours.embedding(pooled)), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_weights_that_are_damaged_are_named(imagenet, monkeypatch, tmp_path) -> None:
    root, _ = imagenet
    file = next((root / weights.FOLDER).iterdir())
    monkeypatch.setattr(weights, "NAMES", (file.name,))
    assert weights.find(root) == file
    (tmp_path / weights.FOLDER).mkdir()
    (tmp_path / weights.FOLDER / file.name).write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"{file.name} has SHA-256 .*, expected one that begins with {file.stem[9:]}"):
        weights.find(tmp_path)


def test_every_task_has_its_own_class(data) -> None:
    classes = {task.benchmark: resolve(task.workload) for task in TASKS}
    assert {name: c.dataset.name for name, c in classes.items()} == {name: name for name in DATASETS}
    assert classes["cub"] is Cub
    pairs = itertools.product(DATASETS, LOSSES)
    assert {task.name for task in TASKS} == {f"{name}-{loss}" for name, loss in pairs}
