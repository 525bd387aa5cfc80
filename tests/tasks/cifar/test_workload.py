"""Adversarial CIFAR-10: the published protocol, the contract of workloads, and that robustness is learned."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import adamp
import pytest
import torch
import torch.nn.functional as F

from optathlon import tasks
from optathlon.tasks.cifar import TASKS
from optathlon.tasks.cifar.attack import Attack, attacked
from optathlon.tasks.cifar.workload import AdversarialCifar10, Linf4
from optathlon.tasks.conformance.checks import prove
from optathlon.tasks.conformance.digests import digest
from optathlon.tasks.errors import DataError, TaskError
from optathlon.tasks.registry import resolve
from optathlon.tasks.task import Protocol, Task
from tests.miniatures import put_miniatures

LINF4 = tasks.task("cifar10-linf4")
SMOKE = LINF4.protocol("smoke")
SMALL = SMOKE.override({"settings": {"stem": 4, "block": 4, "train_images": 120, "test_images": 40}})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    put_miniatures(root, "cifar10")
    return root


def make(data: Path, protocol: Protocol, task: Task = LINF4, **how: Any) -> AdversarialCifar10:
    torch.default_generator.manual_seed(1)
    return resolve(task.workload)(protocol, data, **how)


def test_the_descriptions_need_neither_torch_nor_numpy() -> None:
    code = "import sys, optathlon.tasks.cifar, optathlon.tasks.cifar.settings; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"  # noqa: E501
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_the_paper_protocol() -> None:
    """Shared protocol page, section 5.2; shades of 255."""
    training = {"cifar10-linf4": (4.0, 10), "cifar10-l2": (80.0, 10), "cifar10-linf8": (8.0, 7)}
    assert [task.name for task in TASKS] == list(training)
    for task in TASKS:
        paper = task.protocol("paper")
        assert (paper.length, paper.unit, paper.batch, paper.micro_batches) == (200, "epochs", 128, 1)
        assert (paper.holdout, paper.checkpoint, paper.watch) == ("none", "last", ("test",))
        # Counted from 1, epochs 100 and 150 are the first with a lower rate.
        factors = [paper.schedule.factor(epoch - 1, 200) for epoch in (1, 99, 100, 149, 150, 200)]
        assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
        network = {"depth": 34, "widen": 10, "stem": 16, "block": 1, "train_images": 50000, "test_images": 10000}
        steps = {"step_size": 2.0, "evaluation_step_size": 2.0, "step_rule": "sign"}
        epsilon, count = training[task.name]
        assert paper.settings == network | steps | {"epsilon": epsilon, "steps": count}


@pytest.mark.parametrize(
    ("name", "training", "evaluated"),
    [
        (
            "cifar10-linf4",
            ("linf", 4, 10),
            {"attacked_linf_4": ("linf", 4, 10), "attacked_linf_8": ("linf", 8, 20)},
        ),
        ("cifar10-l2", ("l2", 80, 10), {"attacked_l2_80": ("l2", 80, 10)}),
        ("cifar10-linf8", ("linf", 8, 7), {"attacked_linf_8": ("linf", 8, 20)}),
    ],
)
def test_the_published_attacks(data: Path, name: str, training: Any, evaluated: Any) -> None:
    task = tasks.task(name)
    few = {"settings": {"depth": 10, "widen": 1, "stem": 4}}
    live = make(data, task.protocol("paper").override(few), task)

    def attack(norm: Any, epsilon: int, steps: int, start: bool) -> Attack:
        return Attack(norm, epsilon / 255, steps, 2 / 255, "sign", start)

    assert live.training_attack == attack(*training, start=True)
    assert live.evaluation_attacks == {metric: attack(*told, start=False) for metric, told in evaluated.items()}
    assert [m.name for m in task.metrics] == [*evaluated, "standard", "loss"]
    assert task.metrics[0].higher_is_better


@pytest.mark.slow
def test_it_honors_the_contract_of_workloads(data: Path) -> None:
    prove(lambda **how: make(data, SMALL.with_validation(), **how))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cifar10-l2", "cifar10-linf8"])
def test_it_honors_the_contract_with_several_micro_batches_an_update(data: Path, name: str) -> None:
    task = tasks.task(name)
    protocol = SMALL.override({"micro_batch": 16, "settings": {"epsilon": task.protocol("paper").settings["epsilon"]}})
    prove(lambda **how: make(data, protocol, task, **how), splits=("test",))


def test_an_update_is_the_published_one(data: Path) -> None:
    """The attack in eval mode from noise, then a step on the attacked images in train mode."""
    live = make(data, SMALL)
    literal = copy.deepcopy(live.net)
    (images, labels), attack = next(live.batches(0)).data, live.training_attack
    torch.default_generator.manual_seed(7)
    live.loss(next(live.batches(0)), "model").backward()
    torch.default_generator.manual_seed(7)
    x = torch.clamp(images + torch.empty_like(images).uniform_(-attack.epsilon, attack.epsilon), 0, 1)
    for _ in range(attack.steps):
        x = x.detach().requires_grad_()
        literal.eval()
        (gradient,) = torch.autograd.grad(F.cross_entropy(literal(x), labels), x)
        x = x.detach() + attack.step_size * gradient.sign()
        x = torch.max(torch.min(x, images + attack.epsilon), images - attack.epsilon).clamp(0, 1)
    literal.train()
    F.cross_entropy(literal(x), labels).backward()
    for ours, theirs in zip(live.net.parameters(), literal.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert torch.equal(ours.grad, theirs.grad)
    assert digest(dict(live.net.named_buffers())) == digest(dict(literal.named_buffers()))


def test_all_attacks_of_an_update_see_the_statistics_of_before_it(data: Path) -> None:
    """Else a loss would depend on how often it is asked, and on how many processes share an update."""
    live = make(data, SMALL.override({"micro_batch": 8}))
    batches = [batch for batch in live.batches(0) if batch.index < 6]
    means: list[list[float]] = []

    def note(module: torch.nn.Module, _: Any) -> None:
        if not module.training:
            means.append(live.net.norm.running_mean.tolist())

    live.net.register_forward_pre_hook(note)
    live.start_epoch(0, resuming=False)
    for batch in [*batches[:4], batches[3], batches[4]]:  # an update of four parts, one of them twice, and the next
        live.loss(batch, "model")
    steps = live.training_attack.steps
    assert len(means) == 6 * steps
    assert means[: 5 * steps] == [[0.0] * len(means[0])] * 5 * steps
    assert means[5 * steps] != means[0]
    assert live.net.norm.num_batches_tracked is not None
    assert int(live.net.norm.num_batches_tracked) == 6, "each pass over attacked images moves them all the same"
    before = len(means)
    live.start_epoch(1, resuming=False)
    live.loss(batches[4], "model")
    assert means[before] != means[5 * steps], "in the next epoch the same number is another update"


def test_evaluation_counts_clean_and_attacked_images(data: Path) -> None:
    live = make(data, SMALL)
    train(live, torch.optim.Adam(live.net.parameters(), 1e-2), range(2))
    scores = live.evaluate("test")
    assert list(scores) == ["standard", "attacked_linf_4", "loss", "attacked_linf_8"]
    evaluated = live._evaluated["test"]
    images, truth = torch.from_numpy(evaluated.pixels) / 255, torch.from_numpy(evaluated.labels)
    net = live.net.eval()
    with torch.no_grad():
        assert scores["standard"] == pytest.approx(100 * (net(images).argmax(1) == truth).float().mean().item())
        for name, attack in live.evaluation_attacks.items():
            logits = net(attacked(net, images, truth, attack))
            assert scores[name] == pytest.approx(100 * (logits.argmax(1) == truth).float().mean().item(), abs=2.6)
            if name == "attacked_linf_4":
                assert scores["loss"] == pytest.approx(F.cross_entropy(logits, truth).item(), rel=1e-2)


def test_a_tenth_of_the_training_images_is_held_back(data: Path) -> None:
    live = make(data, SMALL.with_validation())
    everything = make(data, SMALL)
    held = live._evaluated["validation"]
    assert (len(held.labels), len(live._train.labels)) == (12, 108)
    assert held.labels.tolist() + live._train.labels.tolist() == everything._train.labels.tolist()


def test_tags(data: Path) -> None:
    tags = make(data, SMALL).tags("model")
    invariant = {name for name, facts in tags.items() if "scale_invariant" in facts}
    assert invariant == {f"blocks.{n}.first.weight" for n in range(3)}
    assert {name for name, facts in tags.items() if "head" in facts} == {"head.weight", "head.bias"}
    assert "norm" in tags["norm.weight"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"depth": 12}}, r"protocol\.settings\.depth: 12 must be 4 plus a multiple of 6"),
        ({"settings": {"depth": 4}}, r"protocol\.settings\.depth: "),
        ({"settings": {"widen": 1, "stem": 3}}, r"protocol\.settings\.stem: 3 must be even"),
        ({"settings": {"widen": 2, "stem": 3}}, r"protocol\.settings\.stem: 3 must be even"),
        ({"settings": {"block": 3}}, r"protocol\.settings\.block: "),
        ({"settings": {"step_rule": "random"}}, r"protocol\.settings\.step_rule: "),
        ({"settings": {"epsilon": 0.0}}, r"protocol\.settings\.epsilon: "),
        ({"settings": {"epsilon": 256.0}}, r"protocol\.settings\.epsilon: "),
        ({"settings": {"steps": 0}}, r"protocol\.settings\.steps: "),
        ({"holdout": "published"}, r"protocol\.holdout: .*expected carved or none"),
        (
            {"batch": 128, "micro_batch": 64, "settings": {"train_images": 100}},
            r"protocol\.batch: 128 is more than the 100 training images",
        ),
        (
            {"holdout": "carved", "settings": {"train_images": 9}},
            r"protocol\.settings\.train_images: one in 10 is for validation, and 9 training samples leave none",
        ),
    ],
)
def test_what_cannot_run_is_refused_at_planning(changes: dict[str, Any], message: str) -> None:
    check = resolve(LINF4.check or "")
    with pytest.raises(TaskError, match=message):
        check(SMOKE.override(changes))


def test_every_protocol_passes_the_check() -> None:
    for task in TASKS:
        for scale in ("paper", "mini", "smoke"):
            for protocol in (task.protocol(scale), task.protocol(scale).with_validation()):
                assert resolve(task.check or "")(protocol)


def test_missing_data_and_splits_are_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cifar10: no prepared data in .*optathlon data prepare cifar10"):
        make(tmp_path, SMALL)
    with pytest.raises(TaskError, match=r"no 'validation' \(known: test\)"):
        make(data, SMALL).evaluate("validation")


def train(live: AdversarialCifar10, optimizer: torch.optim.Optimizer, epochs: range, start: int = 0) -> None:
    """The training loop in its shortest form."""
    for epoch in epochs:
        live.start_epoch(epoch, resuming=start > 0)
        for batch in live.batches(epoch, start):
            torch.default_generator.manual_seed(1000 * epoch + batch.index)
            optimizer.zero_grad()
            live.loss(batch, "model").backward()
            optimizer.step()
        start = 0


@pytest.mark.parametrize("kind", [torch.optim.Adam, adamp.AdamP])
def test_a_run_stopped_in_an_epoch_goes_on_exactly(data: Path, kind: Any) -> None:
    whole = make(data, SMALL)
    train(whole, kind(whole.net.parameters(), lr=1e-2), range(2))
    first = make(data, SMALL)
    optimizer = kind(first.net.parameters(), lr=1e-2)
    train(first, optimizer, range(1))
    for batch in list(first.batches(1))[:2]:
        torch.default_generator.manual_seed(1000 + batch.index)
        optimizer.zero_grad()
        first.loss(batch, "model").backward()
        optimizer.step()
    second = make(data, SMALL)
    second.net.load_state_dict(copy.deepcopy(first.net.state_dict()))
    again = kind(second.net.parameters(), lr=1e-2)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(second, again, range(1, 2), start=2)
    assert digest(second.net.state_dict()) == digest(whole.net.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("kind", [torch.optim.Adam, adamp.AdamP])
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_smoke_learns_to_withstand_attacks(data: Path, task: Task, kind: Any) -> None:
    """Chance is 10 %; a network trained on clean images stays near it under attack."""
    live = make(data, task.protocol("smoke"), task)
    train(live, kind(live.net.parameters(), lr=5e-3), range(live.protocol.length))
    scores = live.evaluate("test")
    headline = task.metrics[0].name
    assert scores["standard"] > 60
    assert 20 < scores[headline] < scores["standard"]
    if "attacked_linf_4" in scores:
        assert scores["attacked_linf_8"] < scores["attacked_linf_4"]


def test_each_task_has_its_own_class(data: Path) -> None:
    classes = [resolve(task.workload) for task in TASKS]
    assert len(set(classes)) == 3
    assert classes[0] is Linf4
