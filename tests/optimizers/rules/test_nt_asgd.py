"""NT-ASGD: SGD until validation stalls, then the average of the iterates is judged."""

import copy

import pytest
import torch

from optathlon.optimizers.rules.nt_asgd import NTASGD


def tensor(seed, dtype=torch.float64):
    return torch.randn(4, 3, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def steps(optimizer, param, seeds):
    for seed in seeds:
        param.grad = tensor(seed, param.dtype)
        optimizer.step()


def averaging(dtype=torch.float64, **options):
    """An optimizer whose second score triggers the averaging, and its parameter."""
    param = tensor(0, dtype).requires_grad_()
    optimizer = NTASGD([param], lr=0.1, nonmono=0, **options)
    optimizer.epoch_end(0, -4.0)
    optimizer.epoch_end(1, -5.0)
    return param, optimizer


def triggered_after(scores, nonmono):
    """The number of scores after which averaging began, or None."""
    optimizer = NTASGD([tensor(0).requires_grad_()], lr=0.1, nonmono=nonmono)
    for epoch, score in enumerate(scores):
        optimizer.epoch_end(epoch, score)
        if optimizer.param_groups[0]["averaging"]:
            return epoch + 1
    return None


def test_before_the_trigger_it_is_sgd():
    ours, theirs = tensor(0).requires_grad_(), tensor(0).requires_grad_()
    steps(NTASGD([ours], lr=0.1, weight_decay=0.01), ours, range(1, 9))
    steps(torch.optim.SGD([theirs], lr=0.1, weight_decay=0.01), theirs, range(1, 9))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("losses", "nonmono", "after"),
    [
        ([5, 4, 3, 2, 1, 0.5], 2, None),
        ([5, 4, 4.5, 4.4], 2, None),  # 4.4 is worse than 4, but that was not more than two epochs before
        ([5, 4, 4.5, 4.4, 4.3], 2, 5),
        ([5, 6], 1, None),
        ([5, 4, 6], 1, 3),
        ([5, 5, 5, 5], 1, None),  # equal is not worse
        ([5, float("nan"), 4], 1, None),
    ],
)
def test_it_triggers_when_a_score_is_worse_than_the_best_of_those_long_ago(losses, nonmono, after):
    assert triggered_after([-loss for loss in losses], nonmono) == after


def test_epochs_without_a_score_are_passed_over():
    assert triggered_after([-5.0, None, -4.0, None, -6.0], 1) == 5


def test_the_average_is_that_of_torch_s_asgd():
    """To float32 round-off, in which torch keeps its rate."""
    param, optimizer = averaging(weight_decay=0.01)
    twin = tensor(0).requires_grad_()
    oracle = torch.optim.ASGD([twin], lr=0.1, lambd=0.0, t0=0.0, weight_decay=0.01)
    steps(optimizer, param, range(1, 20))
    steps(oracle, twin, range(1, 20))
    torch.testing.assert_close(param, twin, rtol=1e-6, atol=1e-6)
    optimizer.eval()
    torch.testing.assert_close(param.detach(), oracle.state[twin]["ax"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_judging_leaves_no_trace(dtype):
    judged, often = averaging(dtype)
    plain, never = averaging(dtype)
    for seed in range(1, 12):
        steps(often, judged, [seed])
        steps(never, plain, [seed])
        often.eval()
        often.eval()
        with pytest.raises(RuntimeError, match=r"call train\(\) before step"):
            often.step()
        often.train()
        often.train()
    assert torch.equal(judged, plain)
    assert torch.equal(often.state[judged]["average"], never.state[plain]["average"])


def test_the_trigger_the_scores_and_the_average_survive_a_checkpoint(tmp_path):
    param, source = averaging()
    steps(source, param, range(1, 6))
    twin = param.detach().clone().requires_grad_()
    restored = NTASGD([twin], lr=9.0)
    torch.save(source.state_dict(), tmp_path / "state.pt")
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    steps(source, param, range(6, 12))
    steps(restored, twin, range(6, 12))
    for optimizer in (source, restored):
        optimizer.eval()
    assert torch.equal(param, twin)
    assert copy.deepcopy(restored).param_groups[0]["scores"] == (-4.0, -5.0)


@pytest.mark.parametrize("judged", [False, True])
def test_after_other_weights_are_loaded_the_average_begins_anew(judged):
    param, optimizer = averaging()
    steps(optimizer, param, range(1, 6))
    if judged:
        optimizer.eval()
    with torch.no_grad():
        param.copy_(tensor(50))
    optimizer.weights_loaded()
    twin, fresh = averaging()
    with torch.no_grad():
        twin.copy_(tensor(50))
    for each, weight in ((optimizer, param), (fresh, twin)):
        steps(each, weight, range(60, 66))
    assert torch.equal(param, twin)
    optimizer.eval()
    fresh.eval()
    assert torch.equal(param, twin)
