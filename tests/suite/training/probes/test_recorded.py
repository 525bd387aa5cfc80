"""Norms are always recorded, other probes where the setting asks for them; neither changes a weight or a resume."""

from __future__ import annotations

import msgspec
import pytest

from optathlon.suite.identity import Run
from optathlon.suite.probes import PROBES
from tests.suite.training.runs import OPTIMIZERS, carry_out, run_of


def test_norms_are_always_recorded(tmp_path):
    curve = carry_out(run_of(), tmp_path).state.curve
    assert len(curve["model/weight_norm"]) == len(curve["model/effective_step"]) == 3
    assert all(value > 0 for _, value in curve["model/effective_step"])


def test_probes_of_the_setting_are_recorded_and_change_no_weight(tmp_path):
    (a := tmp_path / "a").mkdir()
    (b := tmp_path / "b").mkdir()
    watched = with_probes(run_of("adamp"), *PROBES)
    plain, probed = carry_out(run_of("adamp"), a), carry_out(watched, b)
    assert plain.scores == probed.scores
    extra = probed.state.curve.keys() - plain.state.curve.keys()
    assert {name.split("/")[1] for name in extra if name.count("/") == 1} == {
        "gradient_norm", "projected_share", "update_ratio", "angular_update", "oscillation", "oscillation_median",
        "trajectory", "trajectory_path",
    }  # fmt: skip
    assert {"model/detection/others/0.1", "model/gradient_cosine/others", "model/0/weight_norm"} <= extra
    assert watched.id != run_of("adamp").id


@pytest.mark.parametrize("optimizer", ["sgd", "adamp", "lookahead", "sam"])
def test_probed_runs_resume_exactly(optimizer, tmp_path):
    (a := tmp_path / "a").mkdir()
    (b := tmp_path / "b").mkdir()
    values = OPTIMIZERS.get(optimizer, {"lr": 0.1})
    run = with_probes(run_of(optimizer, **values), "oscillation", "gradient_norm", "update_ratio")
    assert carry_out(run, a).state.curve == carry_out(run, b, stops=(2, 3, 1)).state.curve


def with_probes(run: Run, *names: str) -> Run:
    return msgspec.structs.replace(run, setting=msgspec.structs.replace(run.setting, probes=sorted(names)))
