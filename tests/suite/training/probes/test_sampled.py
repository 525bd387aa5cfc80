"""What probes make of one update, against closed forms and literal sums."""

from __future__ import annotations

import math

import pytest
import torch

from optathlon.optimizers.rules.sgdp import SGDP
from optathlon.suite.probes import PROBES
from optathlon.suite.training.probes import recorder, sampled
from optathlon.suite.training.probes.step import Step, real


def step(before, after, grads=None, invariant=("w",), projected=None) -> Step:
    named = [{k: torch.tensor(v, dtype=torch.float64) for k, v in (t or {}).items()} for t in (before, after, grads)]
    return Step(
        before=named[0], after=named[1], grads=named[2], invariant=frozenset(invariant), projected=projected or {}
    )


def test_every_named_probe_can_be_computed():
    assert set(PROBES) == {*sampled.SAMPLED, *recorder.FOLLOWING}


def test_norms_are_the_mean_over_rows_of_scale_invariant_weights():
    values = sampled.norms(
        step({"w": [[3.0, 4.0], [0.0, 1.0]], "b": [12.0]}, {"w": [[4.0, 3.0], [1.0, 0.0]], "b": [0.0]})
    )
    assert values["weight_norm"] == pytest.approx(math.sqrt(25 + 1 + 144))
    assert values["scale_invariant_norm"] == pytest.approx((5 + 1) / 2)
    assert values["effective_step"] == pytest.approx((math.sqrt(0.08) + math.sqrt(2)) / 2)


def test_the_effective_step_knows_no_length():
    """Scaling a row changes nothing in effect (AdamP, section 2.2)."""
    values = sampled.norms(step({"w": [[1.0, 2.0]]}, {"w": [[10.0, 20.0]]}))
    assert values["effective_step"] == pytest.approx(0, abs=1e-12)


def test_where_nothing_is_known_to_be_scale_invariant_all_matrices_are_asked():
    values = sampled.norms(step({"w": [[1.0, 0.0]], "b": [1.0]}, {"w": [[0.0, 1.0]], "b": [2.0]}, invariant=()))
    assert values == {"weight_norm": pytest.approx(math.sqrt(2)), "effective_step": pytest.approx(math.sqrt(2))}


def test_a_row_of_zeros_has_not_turned():
    assert sampled.norms(step({"w": [[0.0, 0.0]]}, {"w": [[0.0, 0.0]]}))["effective_step"] == 0


@pytest.mark.parametrize("angle", [1e-4, 0.3, math.pi / 2, 3.0])
def test_the_angular_update_is_the_angle(angle):
    values = sampled.angular_update(step({"w": [[2.0, 0.0]]}, {"w": [[math.cos(angle), math.sin(angle)]]}))
    assert values["angular_update"] == pytest.approx(angle, rel=1e-6)


def test_update_ratio_and_gradient_norm():
    taken = step({"w": [[3.0, 4.0]]}, {"w": [[3.0, 4.5]]}, {"w": [[6.0, 8.0]]})
    assert sampled.update_ratio(taken) == {"update_ratio": pytest.approx(0.1)}
    assert sampled.gradient_norm(taken) == {"gradient_norm": pytest.approx(10)}
    assert sampled.gradient_norm(step({"w": [[1.0]]}, {"w": [[1.0]]})) == {}


def test_a_gradient_step_on_a_scale_invariant_weight_grows_it_as_lemma_2_1_says():
    """‖w'‖² = ‖w‖² + η²‖g‖² for g ⊥ w, and the effective step is about η‖g‖/‖w‖ (AdamP, equation 5 and lemma 2.1)."""
    rate = 1e-3
    taken = step({"w": [[2.0, 0.0]]}, {"w": [[2.0, -rate * 5.0]]}, {"w": [[0.0, 5.0]]})
    values = sampled.norms(taken)
    assert float(taken.after["w"].norm() ** 2) == pytest.approx(4 + rate**2 * 25)
    assert values["effective_step"] == pytest.approx(rate * 5 / 2, rel=1e-5)


def test_a_momentum_step_grows_it_as_lemma_2_2_says():
    """‖w_T‖² = ‖w_0‖² + η² Σ‖p_t‖² + 2η² Σ_t Σ_{k<t} β^{t-k} ‖p_k‖², with p_t = β p_{t-1} + g_t and g_t ⊥ w_t."""
    beta, rate = 0.9, 0.05
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(7, generator=generator, dtype=torch.float64)
    momentum, start, steps = torch.zeros(7, dtype=torch.float64), float(weight.norm() ** 2), []
    for _ in range(20):
        gradient = torch.randn(7, generator=generator, dtype=torch.float64)
        gradient -= (gradient @ weight) / (weight @ weight) * weight
        momentum = beta * momentum + gradient
        weight = weight - rate * momentum
        steps.append(float(momentum.norm() ** 2))
    cross = sum(beta ** (t - k) * steps[k] for t in range(len(steps)) for k in range(t))
    assert float(weight.norm() ** 2) == pytest.approx(start + rate**2 * sum(steps) + 2 * rate**2 * cross)


def test_a_projected_step_grows_it_by_the_step_alone():
    """‖w'‖² = ‖w‖² + η²‖q‖² (AdamP, equation 12), of which the probes see both sides."""
    weight = torch.nn.Parameter(torch.tensor([[3.0, 4.0]], dtype=torch.float64))
    optimizer = SGDP([weight], lr=0.1, momentum=0.9)
    for gradient in ([[4.0, -3.0]], [[8.0, -6.0]]):
        before = weight.detach().clone()
        direction = torch.tensor(gradient, dtype=torch.float64)
        weight.grad = direction - (direction * before).sum() / (before * before).sum() * before
        optimizer.step()
    update = weight.detach() - before
    assert float((weight.detach() ** 2).sum()) == pytest.approx(float((before**2).sum() + (update**2).sum()))


def test_the_cosine_is_the_largest_of_invariant_and_the_smallest_of_other_tensors():
    taken = step(
        {"w": [[1.0, 0.0]], "v": [[1.0, 0.0]], "a": [[1.0, 1.0]], "b": [[1.0, 0.0]], "bias": [1.0]},
        {"w": [[1.0, 0.0]], "v": [[1.0, 0.0]], "a": [[1.0, 1.0]], "b": [[1.0, 0.0]], "bias": [1.0]},
        {"w": [[0.0, 2.0]], "v": [[3.0, 4.0]], "a": [[1.0, 0.0]], "b": [[4.0, 3.0]], "bias": [1.0]},
        invariant=("w", "v"),
    )
    assert sampled.gradient_cosine(taken) == {
        "gradient_cosine/invariant": pytest.approx(0.6),
        "gradient_cosine/others": pytest.approx(math.sqrt(0.5)),
    }


def test_detection_agrees_with_what_sgdp_does():
    """At each δ of table B.1, on tensors whose gradients are orthogonal by row, as a whole, nearly, and not at all."""
    generator = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(6, 8, generator=generator, dtype=torch.float64) for name in "abcd"}
    grads = {name: torch.randn(6, 8, generator=generator, dtype=torch.float64) for name in "abcd"}
    grads["a"] -= (
        (grads["a"] * weights["a"]).sum(1, keepdim=True) / weights["a"].square().sum(1, keepdim=True) * weights["a"]
    )
    grads["b"] -= (grads["b"] * weights["b"]).sum() / weights["b"].square().sum() * weights["b"]
    grads["c"] = grads["a"].clone() + 0.02 * weights["c"]
    for delta in sampled.DELTAS:
        params = {name: torch.nn.Parameter(weight.clone()) for name, weight in weights.items()}
        optimizer = SGDP(list(params.values()), lr=0.1, momentum=0.9, delta=delta)
        for name, param in params.items():
            param.grad = grads[name].clone()
        optimizer.step()
        fired = {name: int(optimizer.state[param]["view"]) > 0 for name, param in params.items()}
        found = sampled.detection(Step(before=weights, after=weights, grads=grads, invariant=frozenset("ab")))
        assert found[f"detection/invariant/{delta:g}"] == (fired["a"] + fired["b"]) / 2
        assert found[f"detection/others/{delta:g}"] == 1 - (fired["c"] + fired["d"]) / 2


def test_the_projected_share_counts_single_weights():
    taken = step({"w": [[1.0] * 3], "v": [[1.0]]}, {"w": [[1.0] * 3], "v": [[1.0]]}, projected={"w": True, "v": False})
    assert sampled.projected_share(taken) == {"projected_share": 0.75}
    assert sampled.projected_share(step({"w": [[1.0]]}, {"w": [[1.0]]})) == {}


def test_layers_are_the_outermost_modules():
    values = sampled.layers(
        step(
            {"stem.w": [[3.0, 4.0]], "body.0.w": [[1.0, 0.0]], "body.1.w": [[0.0, 2.0]]},
            {"stem.w": [[3.0, 4.0]], "body.0.w": [[1.0, 0.0]], "body.1.w": [[0.0, 4.0]]},
            invariant=("body.0.w", "body.1.w"),
        )
    )
    assert values["stem/weight_norm"] == 5
    assert "stem/scale_invariant_norm" not in values
    assert values["body/scale_invariant_norm"] == 1.5
    assert values["body/weight_norm"] == pytest.approx(math.sqrt(5))


def test_complex_weights_count_with_both_parts():
    weight = torch.tensor([[3 + 4j]])
    taken = Step(before={"w": real(weight)}, after={"w": real(weight)}, grads={}, invariant=frozenset("w"))
    assert sampled.norms(taken)["scale_invariant_norm"] == pytest.approx(5)
