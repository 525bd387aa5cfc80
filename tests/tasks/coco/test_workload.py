"""Both detectors keep the contract of a workload, follow the protocol page, learn, and resume exactly."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from optathlon import tasks
from optathlon.tasks.coco import TASKS
from optathlon.tasks.conformance.checks import prove
from optathlon.tasks.conformance.digests import digest
from optathlon.tasks.errors import TaskError
from optathlon.tasks.metrics.average_precision import NAMES
from optathlon.tasks.registry import resolve
from tests.tasks.coco.workloads import CENTERNET, SSD, make, optimizer_of, small, train


def test_the_descriptions_need_no_torch() -> None:
    code = (
        "import sys, optathlon.tasks.coco, optathlon.tasks.coco.settings, optathlon.tasks.coco.weights,"
        " optathlon.tasks.coco.references; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_the_paper_protocols() -> None:
    assert [task.name for task in TASKS] == [
        f"coco-{name}-{begin}" for name in ("centernet", "ssd") for begin in ("random", "imagenet")
    ]
    for task in TASKS:
        paper = task.protocol("paper")
        assert (paper.batch, paper.micro_batches, paper.unit, paper.checkpoint, paper.holdout) == (
            64,
            1,
            "epochs",
            "last",
            "none",
        )
        assert paper.settings["weights"] == task.name.rpartition("-")[2]
        assert [m.name for m in task.metrics] == list(NAMES)
        for scale in ("mini", "smoke"):
            assert set(task.protocol(scale).settings) == set(paper.settings)
            resolve(task.check or "")(task.protocol(scale))
        resolve(task.check or "")(paper)
    centernet, ssd = (tasks.task(name).protocol("paper") for name in (CENTERNET, SSD))
    assert (centernet.length, ssd.length) == (140, 110)
    assert [ssd.schedule.factor(e, 110) for e in (0, 76, 77, 98, 99)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert centernet.schedule.factor(70, 140) == pytest.approx(0.5)
    expected = {"upsampling": "deformable", "size": 512, "wh_weight": 0.1, "max_objects": 128, "keep_resolution": True}
    assert centernet.settings.items() >= expected.items()
    assert ssd.settings.items() >= {"size": 300, "overlap": 0.5, "negatives": 3.0}.items()


@pytest.mark.slow
@pytest.mark.parametrize("name", [CENTERNET, SSD])
def test_the_contract_of_a_workload_holds(data, name) -> None:
    protocol = small(name).with_validation()
    prove(lambda **how: make(data, protocol, name, **how))


@pytest.mark.slow
@pytest.mark.parametrize("name", [CENTERNET, SSD])
def test_the_contract_holds_for_updates_of_several_parts(data, name) -> None:
    settings = {"upsampling": "deformable", "keep_resolution": True} if name == CENTERNET else {}
    protocol = small(name, micro_batch=4, settings=settings)
    prove(lambda **how: make(data, protocol, name, **how), splits=("test",))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["adam", "adamp"])
@pytest.mark.parametrize("name", [CENTERNET, SSD])
def test_a_run_stopped_anywhere_goes_on_exactly(data, name, kind) -> None:
    settings = {"upsampling": "deformable"} if name == CENTERNET else {}
    protocol = small(name, settings=settings)
    whole = make(data, protocol, name)
    per_epoch = next(whole.batches(0)).of  # SSD leaves images without boxes out
    train(whole, optimizer_of(whole, kind, 1e-2), range(2))
    for stop in (1, per_epoch, per_epoch + 3):
        first = make(data, protocol, name)
        optimizer = optimizer_of(first, kind, 1e-2)
        train(first, optimizer, range(2), most=stop)
        saved = copy.deepcopy((first.players["model"].state_dict(), optimizer.state_dict()))
        second = make(data, protocol, name)
        optimizer = optimizer_of(second, kind, 1e-2)
        second.players["model"].load_state_dict(saved[0])
        optimizer.load_state_dict(saved[1])
        train(second, optimizer, range(stop // per_epoch, 2), start=stop % per_epoch)
        assert digest(second.players["model"].state_dict()) == digest(whole.players["model"].state_dict()), stop


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["adam", "adamp"])
@pytest.mark.parametrize("name", [CENTERNET, SSD])
def test_both_detectors_learn_on_the_miniature(data, name, kind) -> None:
    task = tasks.task(name)
    live = make(data, task.protocol("smoke"), name)
    before = live.evaluate("test")
    train(live, optimizer_of(live, kind, 5e-3), range(live.protocol.length))
    after = live.evaluate("test")
    assert list(after) == [m.name for m in task.metrics]
    mean_boxes = resolve(task.references or "")(live.protocol, data)["mean boxes"]
    assert before["ap"] < 1
    assert after["ap"] > 4
    assert after["ap75"] > 3 * mean_boxes["test/ap75"], "what looks at no photo hits no box well"


def test_a_diverged_network_is_judged_at_0(data) -> None:
    for name in (CENTERNET, SSD):
        live = make(data, small(name), name)
        with torch.no_grad():
            for parameter in live.players["model"].parameters():
                parameter.fill_(torch.nan)
        assert live.evaluate("test")["ap"] == 0


def test_evaluation_does_not_depend_on_its_batch(data) -> None:
    for name in (CENTERNET, SSD):
        settings = {"keep_resolution": True} if name == CENTERNET else {}
        whole = make(data, small(name, settings=settings), name)
        parts = make(data, small(name, settings=settings | {"evaluation_batch": 3}), name)
        train(whole, optimizer_of(whole, "adam", 1e-2), range(1))
        parts.players["model"].load_state_dict(whole.players["model"].state_dict())
        assert parts.evaluate("test") == pytest.approx(whole.evaluate("test"), abs=0.1)


def test_the_validation_split_is_a_tenth_of_training_and_the_same_for_every_seed(data) -> None:
    protocol = small(CENTERNET, settings={"train_images": 100}).with_validation()
    lives = [make(data, protocol, CENTERNET, seed=seed) for seed in (0, 1)]
    held = [set(live._evaluated["validation"].files) for live in lives]
    assert held[0] == held[1]
    assert len(held[0]) == 10
    assert len(lives[0]._train) == 90
    assert not held[0] & set(lives[0]._train.files)
    with pytest.raises(TaskError, match=r"no 'validation' \(known: test\)"):
        make(data, small(CENTERNET), CENTERNET).evaluate("validation")


def test_the_mean_boxes_are_a_reference_of_both_splits(data) -> None:
    protocol = small(SSD, settings={"train_images": 0, "test_images": 0}).with_validation()
    found = resolve(tasks.task(SSD).references or "")(protocol, data)["mean boxes"]
    assert set(found) == {f"{split}/{name}" for split in ("validation", "test") for name in NAMES}
    assert 0 < found["test/ap"] < 5
    assert found["test/ap50"] > found["test/ap75"]
