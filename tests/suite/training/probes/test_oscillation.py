"""AdaRem's Q against its closed form, and that it follows a window through a stop."""

from __future__ import annotations

import math

import pytest
import torch

from optathlon.suite.training.probes import oscillation
from optathlon.suite.training.probes.oscillation import Oscillation


def follow(watched: Oscillation, weight: torch.Tensor, path) -> dict[str, float]:
    values_by_name = {}
    for values in path:
        weight.copy_(torch.as_tensor(values, dtype=weight.dtype))
        values_by_name |= watched.after_step()
    return values_by_name


def test_a_straight_path_has_q_1_and_a_sine_has_its_closed_form(monkeypatch):
    """x(t) = sin(2πt/100) + t/1000 over ten periods: displacement 1; the path is Σ|x'| by a literal sum."""
    monkeypatch.setattr(oscillation, "WINDOW", 1000)
    weight = torch.zeros(2, dtype=torch.float64)
    sine = [math.sin(2 * math.pi * t / 100) + t / 1000 for t in range(1, 1001)]
    values = follow(Oscillation({"w": weight}), weight, [(s, t / 1000) for t, s in enumerate(sine, 1)])
    path = sum(abs(b - a) for a, b in zip([0.0, *sine], sine, strict=False))
    # Ten periods of a sine of amplitude 1 are 40 up and down; the slope of the line cancels between them.
    assert path == pytest.approx(40, abs=0.1)
    assert values == {
        "oscillation": pytest.approx((path + 1) / 2),
        "oscillation_median": pytest.approx(1.0),
    }


def test_a_weight_that_comes_back_is_left_out(monkeypatch):
    monkeypatch.setattr(oscillation, "WINDOW", 2)
    weight = torch.zeros(2)
    watched = Oscillation({"w": weight})
    assert follow(watched, weight, [(1.0, 1.0), (0.0, 2.0)]) == {"oscillation": 1.0, "oscillation_median": 1.0}
    assert follow(watched, weight, [(1.0, 3.0), (0.0, 2.0)]) == {}


def test_a_run_shorter_than_a_window_is_one_window():
    weight = torch.zeros(1)
    watched = Oscillation({"w": weight})
    assert follow(watched, weight, [(2.0,), (1.0,)]) == {}
    assert watched.at_end() == {"oscillation": 3.0, "oscillation_median": 3.0}
    assert watched.at_end() == {}


def test_large_networks_are_followed_in_a_sample_that_is_the_same_for_all(monkeypatch):
    monkeypatch.setattr(oscillation, "WEIGHTS", 50)
    weights = {"a": torch.zeros(30, 30), "b": torch.zeros(40), "c": torch.zeros(300)}
    one, other = Oscillation(weights), Oscillation(weights)
    assert len(one.at) == 50
    assert all(torch.equal(a, b) for a, b in zip(one.picked, other.picked, strict=True))


def test_it_goes_on_from_its_state(monkeypatch):
    monkeypatch.setattr(oscillation, "WINDOW", 4)
    whole, part, weight = [], [], torch.zeros(3)
    path = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    whole = follow(Oscillation({"w": weight.zero_()}), weight, path)
    begun = Oscillation({"w": weight.zero_()})
    part = follow(begun, weight, path[:2])
    continued = Oscillation({"w": torch.zeros(3)})
    continued.load_state_dict(begun.state_dict())
    continued.weights = [weight]
    assert part == {}
    assert follow(continued, weight, path[2:]) == whole
