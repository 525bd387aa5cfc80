"""Lookahead: the base's steps, and slow weights that every k steps both meet at."""

import copy

import pytest
import torch

from optathlon.optimizers.rules.adamp import AdamP
from optathlon.optimizers.rules.lookahead import Lookahead, SlowWeights


class LookaheadAdamW(SlowWeights, torch.optim.AdamW):
    pass


class LookaheadAdamP(SlowWeights, AdamP):
    pass


def tensor(seed, *shape, dtype=torch.float64):
    return torch.randn(*(shape or (4, 3)), dtype=dtype, generator=torch.Generator().manual_seed(seed))


def train(build, steps, start=0, dtype=torch.float64, **options):
    param = tensor(0, dtype=dtype).requires_grad_()
    optimizer = build([param], **options)
    for i in range(start, start + steps):
        param.grad = tensor(i + 1, dtype=dtype)
        optimizer.step()
    return param, optimizer


def test_its_steps_are_those_of_the_algorithm():
    ours, _ = train(Lookahead, 23, lr=0.1, momentum=0.9, k=5, alpha=0.3)
    slow = fast = tensor(0)
    buffer = torch.zeros_like(fast)
    for step in range(1, 24):
        buffer = 0.9 * buffer + tensor(step)
        fast = fast - 0.1 * buffer
        if step % 5 == 0:
            slow = fast = slow + 0.3 * (fast - slow)
    torch.testing.assert_close(ours.detach(), fast, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("ours", "base"), [(Lookahead, torch.optim.SGD), (LookaheadAdamW, torch.optim.AdamW)])
def test_it_takes_the_steps_of_pytorch_optimizer(ours, base):
    theirs = pytest.importorskip("pytorch_optimizer").Lookahead
    a, _ = train(ours, 23, lr=0.1, k=5, alpha=0.8)
    b, _ = train(lambda params, **options: theirs(base(params, **options), k=5, alpha=0.8), 23, lr=0.1)
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("build", [Lookahead, LookaheadAdamW, LookaheadAdamP])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_slow_weights_and_their_turn_survive_a_checkpoint_in_full_precision(build, dtype):
    whole, _ = train(build, 8, dtype=dtype, lr=0.1, k=3)
    half, source = train(build, 4, dtype=dtype, lr=0.1, k=3)
    twin = half.detach().clone().requires_grad_()
    restored = build([twin], lr=1.0)
    restored.load_state_dict(copy.deepcopy(source.state_dict()))
    assert torch.equal(restored.state[twin]["slow"], source.state[half]["slow"])
    assert restored.state[twin]["slow"].dtype == (torch.float32 if dtype == torch.bfloat16 else dtype)
    for i in range(4, 8):
        twin.grad = tensor(i + 1, dtype=dtype)
        restored.step()
    assert torch.equal(twin, whole)


def test_the_slow_weights_are_judged_and_the_fast_ones_come_back():
    param, optimizer = train(Lookahead, 7, lr=0.1, k=5)
    fast, slow = param.detach().clone(), optimizer.state[param]["slow"].clone()
    for _ in range(2):
        optimizer.eval()
        assert torch.equal(param, slow)
    with pytest.raises(RuntimeError, match=r"call train\(\) before step"):
        optimizer.step()
    for _ in range(2):
        optimizer.train()
        assert torch.equal(param, fast)
    assert "fast" not in optimizer.state[param]
    param.grad = tensor(50)
    optimizer.step()


def test_a_base_that_calls_its_closure_itself_may():
    class LookaheadLBFGS(SlowWeights, torch.optim.LBFGS):
        pass

    param = tensor(0).requires_grad_()
    optimizer = LookaheadLBFGS([param], k=2, max_iter=3)

    def closure():
        optimizer.zero_grad()
        loss = (param - 1).square().sum()
        loss.backward()
        return loss

    first = optimizer.step(closure)
    for _ in range(40):
        optimizer.step(closure)
    assert closure() < 1e-6 < first


def test_frozen_weights_stay_and_groups_added_later_join():
    frozen, late = torch.ones(2), tensor(3).requires_grad_()
    param, optimizer = train(Lookahead, 2, lr=0.1, k=2)
    optimizer.add_param_group({"params": [late, frozen]})
    for _ in range(2):
        param.grad, late.grad = tensor(1), tensor(2)
        optimizer.step()
    assert torch.equal(late, optimizer.state[late]["slow"])
    assert frozen not in optimizer.state
    assert torch.equal(frozen, torch.ones(2))


@pytest.mark.parametrize(("options", "words"), [({"k": 0}, "Invalid k: 0"), ({"alpha": 1.5}, "Invalid alpha: 1.5")])
def test_arguments_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Lookahead([torch.ones(1)], lr=0.1, **options)
    with pytest.raises(ValueError, match=words):
        Lookahead([{"params": [torch.ones(1)], **options}], lr=0.1)


def test_a_group_may_have_some_options_of_its_own():
    optimizer = Lookahead([{"params": [torch.ones(1)], "k": 3}], lr=0.1, alpha=0.2)
    optimizer.add_param_group({"params": [torch.ones(1)], "alpha": 0.7})
    assert [(group["k"], group["alpha"]) for group in optimizer.param_groups] == [(3, 0.2), (5, 0.7)]
    with pytest.raises(ValueError, match="Invalid alpha: 0"):
        optimizer.add_param_group({"params": [torch.ones(1)], "alpha": 0})


@pytest.mark.parametrize("judged", [False, True])
def test_after_other_weights_are_loaded_the_slow_ones_start_there(judged):
    param, optimizer = train(Lookahead, 4, lr=0.1, k=3)
    if judged:
        optimizer.eval()
    with torch.no_grad():
        param.copy_(tensor(50))
    optimizer.weights_loaded()
    anew = tensor(50).requires_grad_()
    fresh = Lookahead([anew], lr=0.1, k=3)
    for seed in range(60, 67):
        param.grad, anew.grad = tensor(seed), tensor(seed)
        optimizer.step()
        fresh.step()
    assert torch.equal(param, anew)
    for each in (optimizer, fresh):
        each.eval()
    assert torch.equal(param, anew)
