"""What the papers' toy figures show, in numbers."""

import json
import math
from pathlib import Path

import pytest
import torch

from optathlon.optimizers.rules.sgdp import SGDP
from optathlon.optimizers.toys import (
    FIGURES,
    adarem_regret,
    best,
    cosine,
    figure_1,
    figure_3,
    growth_ratio,
    rosenbrock,
)

GOLDEN = json.loads((Path(__file__).parent / "rules" / "golden.json").read_text())["toys"]


@pytest.mark.parametrize(("momentum", "largest"), [(0.9, 2.93), (0.95, 5.67), (0.99, 27.87)])
def test_figure_1_momentum_inflates_the_norm_and_the_projection_does_not(momentum, largest):
    plain, heavy, projected = figure_1(momentum)
    golden = GOLDEN["2d"]["max_norm"]
    assert max(heavy.norms) == pytest.approx(largest, abs=5e-3)
    assert max(heavy.norms) == pytest.approx(golden[f"GDM_{momentum}"], abs=5e-5)
    assert max(plain.norms) == pytest.approx(golden["GD"], abs=5e-5)
    assert max(projected.norms) == pytest.approx(golden[f"SGDP_paper_{momentum}"], abs=5e-5)
    assert plain.losses[0] == pytest.approx(4.0, abs=1e-5)
    for path, name in ((plain, "GD"), (heavy, f"GDM_{momentum}")):
        assert path.losses[499] == pytest.approx(GOLDEN["2d"]["loss_before_step_499"][name], abs=5e-5)


@pytest.mark.parametrize("momentum", [0.9, 0.95, 0.99])
def test_figure_1_as_released(momentum):
    path = cosine("", lambda ps: SGDP(ps, lr=0.01, momentum=momentum, project_buffer=True))
    golden = GOLDEN["2d"]["max_norm"][f"SGDP_adamp0.3.0_aliased_{momentum}"]
    assert max(path.norms) == pytest.approx(golden, abs=5e-5)


def test_figure_3_follows_the_published_curves_and_the_projected_norm_stays():
    momentum, decayed, projected = figure_3()
    for path, name in ((momentum, "sgd"), (decayed, "sgd_wd"), (projected, "sgdp")):
        published = GOLDEN["3d"]["trajectories_first40"][f"{name}_3d_toy"]
        for ours, theirs in zip(path.points[:31], published[:31], strict=True):
            assert math.dist(ours, theirs) < 0.01, name
        assert path.lr == GOLDEN["3d"]["lr0"][name]
    assert 2.525 < max(decayed.norms) < 2.538
    assert decayed.norms.index(max(decayed.norms)) == pytest.approx(43, abs=1)
    assert 1.10 <= projected.norms[-1] <= 1.15
    assert momentum.norms[-1] > 3.0
    assert len(momentum.points) == 201


def test_figure_3_needs_the_projected_momentum():
    path = rosenbrock("", lambda ps: SGDP(ps, lr=0.04385, momentum=0.9))
    published = GOLDEN["3d"]["trajectories_first40"]["sgdp_3d_toy"]
    assert max(math.dist(a, b) for a, b in zip(path.points[:31], published[:31], strict=True)) > 0.02


def test_the_best_rate_is_that_of_the_lowest_last_loss():
    rates = (1e-3, 1e-1)
    chosen = best("SGDP", lambda lr: lambda ps: SGDP(ps, lr=lr, momentum=0.9), rates)
    last = {lr: rosenbrock("", lambda ps, lr=lr: SGDP(ps, lr=lr, momentum=0.9)).losses[-1] for lr in rates}
    assert chosen.lr == min(last, key=lambda lr: last[lr])
    assert chosen.losses[-1] == min(last.values())


@pytest.mark.slow
@pytest.mark.parametrize("figure", ["G.1", "G.2"])
def test_grassmann_optimizers_keep_the_norm_and_ours_let_it_grow_little(figure):
    clipped, free, ours = FIGURES[figure]()
    for path in (clipped, free):
        assert max(abs(n - 1) for n in path.norms) < 1e-7
    assert max(ours.norms) < 1.3
    assert ours.losses[-1] < min(clipped.losses[-1], free.losses[-1])


@pytest.mark.slow
def test_figure_h1_the_projection_reduces_the_adam_family_s_norm_growth():
    adam, decayed, adamp = FIGURES["H.1"]()
    assert max(adamp.norms) < max(adam.norms)
    assert adamp.losses[-1] < adam.losses[-1]
    assert decayed.norms[-1] < adam.norms[-1]


@pytest.mark.parametrize(("momentum", "limit"), [(0.0, 1.0), (0.5, 3.0), (0.9, 19.0)])
def test_corollary_2_3(momentum, limit):
    assert growth_ratio(momentum) == pytest.approx(limit, rel=1e-6)


def test_corollary_2_3_takes_longer_at_higher_momentum():
    assert growth_ratio(0.99, steps=400) == pytest.approx(191, abs=1.5)
    assert growth_ratio(0.99, steps=1600) == pytest.approx(199, abs=1e-3)


def test_adarem_s_regret_grows_as_the_root_of_time():
    rounds = adarem_regret()
    slope = math.log(rounds[-1][1] / rounds[3][1]) / math.log(rounds[-1][0] / rounds[3][0])
    assert slope == pytest.approx(0.5, abs=0.05)
    assert all(regret < 64 * math.sqrt(t) for t, regret in rounds)


def test_a_walk_leaves_no_gradient_mode_or_seed_behind():
    before = torch.get_rng_state()
    rosenbrock("", lambda ps: SGDP(ps, lr=0.04385, momentum=0.9), steps=3)
    adarem_regret(horizon=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.is_grad_enabled()
