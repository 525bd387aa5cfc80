"""Schedules are pure functions of time that agree with torch's schedulers."""

from __future__ import annotations

import pytest
import torch
from torch.optim import lr_scheduler

from optathlon.tasks.schedule import Constant, Cosine, Linear, MultiStep, Piecewise, Step

LENGTH = 30


def by_torch(make) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(LENGTH):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


PAIRS = {
    "step": (Step(every=7, gamma=0.3), lambda o: lr_scheduler.StepLR(o, 7, 0.3)),
    "multistep": (MultiStep(milestones=(3, 4, 20), gamma=0.5), lambda o: lr_scheduler.MultiStepLR(o, [3, 4, 20], 0.5)),
    "cosine": (Cosine(), lambda o: lr_scheduler.CosineAnnealingLR(o, LENGTH)),
    "cosine-floor": (Cosine(floor=0.1), lambda o: lr_scheduler.CosineAnnealingLR(o, LENGTH, eta_min=0.1)),
    "linear": (Linear(floor=0.2), lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, LENGTH)),
    "constant": (Constant(), lambda o: lr_scheduler.ConstantLR(o, 1.0)),
    "warm-up": (Constant(warmup=5, warmup_start=0.1), lambda o: lr_scheduler.LinearLR(o, 0.1, 1.0, 5)),
    "piecewise": (
        Piecewise(milestones=(4, 9), factors=(1.0, 10.0, 0.1)),
        lambda o: lr_scheduler.LambdaLR(o, lambda t: 1.0 if t < 4 else 10.0 if t < 9 else 0.1),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_agrees_with_torch(name):
    schedule, make = PAIRS[name]
    assert [schedule.factor(t, LENGTH) for t in range(LENGTH)] == pytest.approx(by_torch(make), abs=1e-12)


def test_per_epoch_holds_within_an_epoch_and_per_update_does_not():
    assert Cosine(per="epoch").factor(3.9, 10) == Cosine(per="epoch").factor(3.0, 10)
    assert Cosine(per="update").factor(3.9, 10) < Cosine(per="update").factor(3.0, 10)


def test_a_warm_up_joins_the_schedule_without_shifting_it():
    """As Transformer-XL's: while t < warm-up linear, then the cosine where it is by then."""
    assert Cosine(warmup=4).factor(2, 20) == 0.5
    assert Cosine(warmup=4).factor(4, 20) == Cosine().factor(4, 20)


def test_factors_do_not_depend_on_what_was_asked_before():
    schedule = Cosine(warmup=2)
    assert [schedule.factor(t, 9) for t in (8, 1, 8, 3)] == [Cosine(warmup=2).factor(t, 9) for t in (8, 1, 8, 3)]


def test_piecewise_needs_one_factor_more_than_milestones():
    with pytest.raises(ValueError, match="one factor more"):
        Piecewise(milestones=(1.0,), factors=(1.0,))
