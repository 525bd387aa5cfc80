import copy

import pytest
import torch
from torch import nn

from optathlon.optimizers.rules.adarem import AdaRem, agreement
from optathlon.optimizers.rules.adarem_s import AdaRemS


def weights(seed=0, *shape):
    return torch.randn(*(shape or (4, 3)), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def step(optimizer, param, grad):
    param.grad = grad.clone()
    optimizer.step()


def test_the_first_step_is_plain_sgd():
    param, grad = weights(0).requires_grad_(), weights(1)
    before = param.detach().clone()
    step(AdaRem([param], lr=0.1), param, grad)
    torch.testing.assert_close(param.detach(), before - 0.1 * grad, rtol=1e-15, atol=0)


@pytest.mark.parametrize("eps_mode", ["literal", "relative"])
def test_rates_stay_within_one_plus_minus_lambda_to_the_epoch_and_no_step_turns_its_gradient_around(eps_mode):
    param = weights(0, 50).requires_grad_()
    optimizer = AdaRem([param], lr=1.0, beta=0.5, lam=0.9, eps_mode=eps_mode)
    for epoch in range(12):
        before, grad = param.detach().clone(), weights(epoch + 1, 50)
        step(optimizer, param, grad)
        rates = (before - param.detach()) / grad
        assert (rates - 1).abs().max() <= 0.9**epoch + 1e-9
        assert rates.min() >= -1e-9
        if epoch in (1, 2):
            assert (rates - 1).abs().max() > 0.7 * 0.9**epoch
        optimizer.epoch_end(epoch, None)


def test_the_exponent_is_the_epoch_and_survives_a_checkpoint():
    param = weights(0).requires_grad_()
    optimizer = AdaRem([param], lr=0.1)
    for i in range(3):
        step(optimizer, param, weights(i))
    assert optimizer.param_groups[0]["epoch"] == 0
    optimizer.epoch_end(6, 0.5)
    restored = AdaRem([param], lr=0.1)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert restored.param_groups[0]["epoch"] == 7


def test_the_literal_eps_fades_the_method_out_for_small_gradients_and_the_relative_one_does_not():
    for size, literal in ((1e-2, 0.9999), (1e-3, 0.990), (1e-4, 0.5), (1e-5, 0.0099)):
        grad = mean = torch.tensor([size], dtype=torch.float64)
        assert agreement(grad, mean, size, 1e-8, relative=False).item() == pytest.approx(literal, rel=1e-2)
        assert agreement(grad, mean, size, 1e-8, relative=True).item() == pytest.approx(1.0, rel=2e-3)


def test_a_coordinate_without_gradient_only_decays():
    param = torch.ones(2, dtype=torch.float64, requires_grad=True)
    step(AdaRem([param], lr=0.1, weight_decay=0.5), param, torch.tensor([0.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(param.detach(), torch.tensor([0.95, 0.85], dtype=torch.float64))


def test_the_largest_momentum_is_a_tensor_s_or_that_of_all():
    def ends(**options):
        small, large = (weights(0).mul(s).requires_grad_() for s in (0.01, 1.0))
        optimizer = AdaRem([{"params": [small]}, {"params": [large]}], lr=0.1, beta=0.5, eps=1e-30, **options)
        for i in range(4):
            small.grad, large.grad = weights(i + 1) * 0.01, weights(i + 1)
            optimizer.step()
        return small.detach(), large.detach()

    small, large = ends()
    torch.testing.assert_close(small * 100, large)
    small_of_all, large_of_all = ends(global_max=True)
    assert torch.equal(large_of_all, large)
    assert not torch.allclose(small_of_all * 100, large_of_all, rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"eps": 0.0}, "Invalid eps: 0.0"),
        ({"lam": 1.5}, "Invalid lam"),
        ({"beta": 1.0}, "Invalid beta"),
        ({"eps_mode": "relativ"}, "Invalid eps_mode"),
        ({"lr": -0.1}, "Invalid learning rate"),
    ],
)
def test_arguments_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        AdaRem([torch.ones(2)], **{"lr": 0.1, **options})


def quotient(tensors):
    """A loss that does not depend on the norm of all tensors together."""
    w = torch.cat([t.flatten() for t in tensors])
    generator = torch.Generator().manual_seed(5)
    a = torch.randn(len(w), len(w), dtype=w.dtype, generator=generator)
    return (w @ (a @ a.T) @ w) / (w @ w)


@pytest.mark.slow
def test_sphere_sgd_at_the_scaled_rate_is_unconstrained_sgd_with_decay():
    """AdaRem with a = 1 is SGD: 2,000 steps of a cosine schedule, the directions and the norms alike."""
    free = [weights(0, 3, 4).requires_grad_(), weights(1, 5).requires_grad_()]
    bound = [t.detach().clone().requires_grad_() for t in free]
    sgd = torch.optim.SGD(free, lr=0.1, weight_decay=1e-2)
    sphere = AdaRemS([{"params": bound, "sphere": True}], lr=0.1, lam=0.0, weight_decay=1e-2, radius=2.0)
    sphere.epoch_end(0)
    for t in range(2000):
        for tensors, optimizer in ((free, sgd), (bound, sphere)):
            optimizer.param_groups[0]["lr"] = 0.05 * (
                1 + torch.pi * 0 + torch.cos(torch.tensor(torch.pi * t / 2000)).item()
            )
            optimizer.zero_grad()
            quotient(tensors).backward()
            optimizer.step()
    alpha = sphere.state[bound[0]]["alpha"]
    assert alpha < 10
    for a, b in zip(free, bound, strict=True):
        torch.testing.assert_close(b.detach() * alpha, a.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("per_tensor", [False, True])
def test_the_weights_start_on_the_sphere_and_stay_there_and_the_others_take_plain_adarem(per_tensor):
    on = [weights(0).requires_grad_(), weights(1).requires_grad_()]
    off, twin = weights(2).requires_grad_(), weights(2).requires_grad_()
    options = {"lr": 0.1, "beta": 0.9, "weight_decay": 1e-2}
    groups = [{"params": on, "sphere": True, "radius": 3.0, "per_tensor": per_tensor}, {"params": [off]}]
    optimizer, plain = AdaRemS(groups, **options), AdaRem([twin], **options)

    def norms():
        return [t.norm().item() for t in on] if per_tensor else [torch.cat([t.flatten() for t in on]).norm().item()]

    assert norms() == pytest.approx([3.0] * len(norms()), rel=1e-14)
    for i in range(5):
        for t in (*on, off, twin):
            t.grad = weights(i + 7)
        optimizer.step()
        plain.step()
        assert norms() == pytest.approx([3.0] * len(norms()), rel=1e-14)
    assert torch.equal(off, twin)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_sphere_goes_on_bit_for_bit_after_a_checkpoint_and_rate_zero_moves_nothing(dtype):
    param = weights(0).to(dtype).requires_grad_()
    optimizer = AdaRemS([param], lr=0.1, sphere=True)
    for i in range(3):
        step(optimizer, param, weights(i).to(dtype))
    twin, state = param.detach().clone().requires_grad_(), copy.deepcopy(optimizer.state_dict())
    restored = AdaRemS([weights(1).to(dtype)], lr=0.1, sphere=True)
    restored = AdaRemS([twin], lr=0.1, sphere=True)
    with torch.no_grad():
        twin.copy_(param)
    restored.load_state_dict(state)
    for o, p in ((optimizer, param), (restored, twin)):
        step(o, p, weights(9).to(dtype))
    assert torch.equal(param, twin)
    assert restored.state[twin]["alpha"] == optimizer.state[param]["alpha"]
    optimizer.param_groups[0]["lr"] = 0.0
    step(optimizer, param, weights(10).to(dtype))
    assert torch.equal(param, twin)


def test_spheres_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="norm 0"):
        AdaRemS([torch.zeros(3)], lr=0.1, sphere=True)
    with pytest.raises(ValueError, match="Invalid radius"):
        AdaRemS([torch.ones(3)], lr=0.1, sphere=True, radius=0.0)
    optimizer = AdaRemS([torch.ones(3)], lr=0.1, sphere=True)
    optimizer.add_param_group({"params": [torch.ones(2)], "sphere": False})
    with pytest.raises(ValueError, match="added later"):
        optimizer.add_param_group({"params": [torch.ones(2)]})


def test_a_small_network_learns():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    x = weights(0, 64, 4)
    y = x.prod(1, keepdim=True).tanh()
    optimizer = AdaRem(net.parameters(), lr=0.2, beta=0.9)
    losses = []
    for _ in range(300):
        loss = nn.functional.mse_loss(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("options", [{}, {"eps_mode": "relative"}, {"global_max": True}, {"weight_decay": 0.1}])
@pytest.mark.parametrize("sphere", [False, True])
def test_foreach_takes_the_loop_s_steps_of_mixed_parameters(options, sphere):
    def ends(foreach):
        params = [weights(0), weights(1, 5).float(), weights(2, 3, 2).bfloat16(), weights(3, 0, 2)]
        for p in params:
            p.requires_grad_()
        build = AdaRemS if sphere else AdaRem
        groups = [{"params": params[:1], **({"sphere": True} if sphere else {})}, {"params": params[1:]}]
        optimizer = build(groups, lr=0.05, beta=0.9, foreach=foreach, **options)
        for i in range(6):
            for j, p in enumerate(params):
                p.grad = weights(i + 10 * j + 10, *p.shape).to(p.dtype) if p.numel() else torch.zeros_like(p)
            optimizer.step()
        return params, [optimizer.state[p]["largest"] for p in params[:3]]

    (loop, tops), (many, tops_of_many) = ends(False), ends(True)
    for a, b, dtype in zip(loop, many, [1e-12, 1e-5, 2e-2, 0], strict=True):
        torch.testing.assert_close(b, a, rtol=dtype, atol=dtype)
    torch.testing.assert_close(tops_of_many, tops, rtol=1e-6, atol=0)


@pytest.mark.parametrize("global_max", [False, True])
def test_a_checkpoint_of_float64_weights_goes_on_in_float32_in_every_implementation(global_max):
    source = weights(0).requires_grad_()
    optimizer = AdaRem([source], lr=0.1, beta=0.5, global_max=global_max)
    for i in range(3):
        step(optimizer, source, weights(i + 1))
    ends = []
    for how in ({}, {"foreach": True}, {"fused": True}):
        param = source.detach().float().requires_grad_()
        restored = AdaRem([param], lr=0.1)
        restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        restored.param_groups[0].update(how)
        for i in range(3):
            step(restored, param, weights(i + 5).float())
        ends.append(param.detach())
    for i in range(3):
        step(optimizer, source, weights(i + 5))
    for end in ends:
        torch.testing.assert_close(end.double(), source.detach(), rtol=1e-5, atol=1e-6)


def test_foreach_and_fused_or_a_tensor_rate_are_refused_together():
    with pytest.raises(RuntimeError, match="`foreach`, `fused` cannot be True together"):
        AdaRem([torch.ones(2)], lr=0.1, foreach=True, fused=True)
    with pytest.raises(ValueError, match="lr as a Tensor"):
        AdaRem([torch.ones(2)], lr=torch.tensor(0.1), foreach=True)
