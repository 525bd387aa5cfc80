"""A run's id is a function of its problem, its setting and its seed, and of nothing else."""

from __future__ import annotations

import msgspec
import pytest

from optathlon import optimizers
from optathlon.suite.identity import Problem, Run, Setting, canonical, digest
from optathlon.tasks import Protocol
from optathlon.tasks.schedule import Step

PROTOCOL = Protocol(length=80, batch=256, schedule=Step(every=20.0), settings={"rho": 0.999})
PROBLEM = Problem(task="some-task", version=1, scale="paper", data={"mnist": "official"}, protocol=PROTOCOL)
SETTING = Setting(optimizer="adamw", version=1, hyperparameters={"lr": 1e-3, "betas": [0.9, 0.999]})
RUN = Run(problem=PROBLEM, setting=SETTING, seed=0)


def changed(run: Run, **changes) -> Run:
    return msgspec.structs.replace(run, **changes)


def test_golden_ids():
    """If this fails, every store in the world is void: a new field must declare the value that it had before."""
    assert RUN.id == GOLDEN
    assert changed(RUN, seed=1).id == GOLDEN_SEED_1


GOLDEN = "7fa66e13bd4af156"
GOLDEN_SEED_1 = "95f738771e349ab5"


def test_every_part_matters():
    other_data = msgspec.structs.replace(PROBLEM, data={"mnist": "standin-1"})
    longer = msgspec.structs.replace(PROBLEM, protocol=PROTOCOL.override({"length": 81}))
    faster = msgspec.structs.replace(SETTING, hyperparameters={"lr": 2e-3, "betas": [0.9, 0.999]})
    own = msgspec.structs.replace(SETTING, protocol={"length": 92})
    runs = [RUN, changed(RUN, seed=1), changed(RUN, problem=other_data), changed(RUN, problem=longer)]
    runs += [changed(RUN, setting=faster), changed(RUN, setting=own)]
    assert len({run.id for run in runs}) == len(runs)


def test_an_optimizers_own_protocol_is_part_of_its_setting_and_not_of_the_problem():
    own = changed(RUN, setting=msgspec.structs.replace(SETTING, protocol={"length": 92}))
    assert own.digests.problem == RUN.digests.problem
    assert own.protocol.length == 92


def test_canonical_json_does_not_depend_on_how_values_were_written():
    assert canonical({"b": 0.001, "a": -0.0}) == canonical({"a": 0.0, "b": 1e-3}) == '{"a":0.0,"b":0.001}'
    assert digest({"lr": 0.0}) != digest({"lr": 0})
    with pytest.raises(ValueError, match="JSON"):
        canonical({"lr": float("nan")})


def test_integers_given_for_floats_are_the_same_setting():
    spec = optimizers.optimizer("sgd")
    assert digest(spec.resolve({"lr": 1})) == digest(spec.resolve({"lr": 1.0}))


def test_defaults_written_out_are_the_same_setting():
    spec = optimizers.optimizer("adamw")
    assert digest(spec.resolve({})) == digest(spec.resolve({"betas": [0.9, 0.999], "weight_decay": 0.01}))


def test_a_run_survives_a_plan_and_a_record():
    again = msgspec.convert(msgspec.json.decode(msgspec.json.encode(RUN)), Run)
    assert again == RUN
    assert again.id == RUN.id
