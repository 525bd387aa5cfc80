"""The way of one weight: where it is and how far it has travelled, through a stop, for so many updates."""

from __future__ import annotations

import pytest
import torch

from optathlon.suite.training.probes import trajectory
from optathlon.suite.training.probes.trajectory import Trajectory

WEIGHTS = {"bias": (5,), "a": (2, 3), "b": (3, 2, 2)}


def network() -> dict[str, torch.Tensor]:
    return {name: torch.zeros(shape) for name, shape in WEIGHTS.items()}


def moved(watched: Trajectory, weights: dict[str, torch.Tensor], step: float) -> dict[str, float]:
    for weight in weights.values():
        weight += step
    return watched.after_step()


def test_displacement_and_path_are_those_of_a_weight_that_goes_to_and_fro():
    weights = network()
    watched = Trajectory(weights)
    points = [moved(watched, weights, step) for step in (3.0, -1.0, -4.0)]
    assert [p["trajectory"] for p in points] == [3.0, 2.0, -2.0]
    assert [p["trajectory_path"] for p in points] == [3.0, 4.0, 8.0]


def test_it_follows_one_weight_of_a_matrix_the_same_for_every_run():
    """Only the one that is drawn moves what is measured; channels last, whose elements lie in another order, too."""
    followed = []
    for layout in (torch.contiguous_format, torch.channels_last):
        weight = torch.zeros(2, 3, 2, 2).contiguous(memory_format=layout)
        watched = Trajectory({"bias": torch.zeros(5), "w": weight})
        hits = []
        for index in range(weight.numel()):
            place = tuple(map(int, torch.unravel_index(torch.tensor(index), weight.shape)))
            before = watched.at
            weight[place] = 1.0
            hits += [index] if watched.after_step()["trajectory"] != before else []
        followed.append(hits)
    assert followed[0] == followed[1]
    assert len(followed[0]) == 1


def test_a_network_without_matrices_has_none():
    assert Trajectory({"bias": torch.zeros(5)}).after_step() == {}


def test_after_the_last_update_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(trajectory, "UPDATES", 2)
    weights = network()
    watched = Trajectory(weights)
    assert [len(moved(watched, weights, 1.0)) for _ in range(4)] == [2, 2, 0, 0]
    assert watched.at_end() == {}


def test_it_goes_on_from_its_state():
    weights = network()
    begun = Trajectory(weights)
    moved(begun, weights, 1.0)
    continued = Trajectory(weights)
    continued.load_state_dict(begun.state_dict())
    assert moved(continued, weights, -3.0) == {"trajectory": pytest.approx(-2.0), "trajectory_path": 4.0}
