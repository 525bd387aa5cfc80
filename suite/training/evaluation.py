"""Evaluations during training, and the outcome at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from optathlon.suite.identity import task_of
from optathlon.suite.training.checkpoint import digest_of
from optathlon.suite.training.precision import autocast
from optathlon.suite.training.seeds import seed
from optathlon.suite.training.state import State
from optathlon.suite.training.surroundings import Surroundings
from optathlon.tasks.verified_workload import scores_of


@dataclass(frozen=True)
class Outcome:
    """What a run came to: scores by "split/metric", empty if it diverged."""

    status: str
    scores: dict[str, float]
    state: State
    weights: str
    cost: dict[str, Any]
    """As `suite.training.cost.combined` says."""


def watched_score(state: State) -> float | None:
    select = state.protocol.select
    return None if select is None or "validation" not in state.watched else state.watched["validation"][select.metric]


def evaluate(state: State, split: str) -> dict[str, float]:
    """The workload's metrics on `split`, noted in the curve; random numbers in it are functions of the split alone."""
    seed(state.workload.device, "evaluate", split)
    with torch.no_grad(), autocast(state.workload.device, state.protocol.precision):
        metrics = _evaluated(state, split)
    for name, value in metrics.items():
        state.note(f"{split}/{name}", value)
    return metrics


def _evaluated(state: State, split: str) -> dict[str, float]:
    """All processes evaluate, so that none waits long for another; the first one's numbers count for all."""
    metrics = scores_of(state.workload, task_of(state.run.problem.task), split)
    return state.team.first(lambda: metrics)


def finish(state: State, around: Surroundings) -> Outcome:
    """Judge the last or the best weights on the test split, once."""
    around.ask_fence()
    if state.diverged:
        return _outcome("diverged", {}, state, around)
    if state.protocol.checkpoint == "best" and state.best is not None:
        state.restore_best(around.checkpoints)
        watched = state.best["watched"]
        with around.clock.evaluation():
            return _judged(state, watched, around)
    with around.clock.evaluation(), state.evaluation_weights():
        return _judged(state, state.watched, around)


def _judged(state: State, watched: dict[str, dict[str, float]], around: Surroundings) -> Outcome:
    seed(state.workload.device, "evaluate", "test")
    with torch.no_grad(), autocast(state.workload.device, state.protocol.precision):
        splits = {**watched, "test": _evaluated(state, "test")}
    scores = {f"{split}/{name}": value for split, metrics in splits.items() for name, value in metrics.items()}
    return _outcome("finished", scores, state, around)


def _outcome(status: str, scores: dict[str, float], state: State, around: Surroundings) -> Outcome:
    weights = digest_of(state.workload.players)
    state.team.same_weights(weights)
    return Outcome(status, scores, state, weights, state.cost.report(state.team, around.clock.in_updates))
