"""Muon: torch's on matrices, kernels as matrices, AdamW on all else."""

import copy

import pytest
import torch

from optathlon.optimizers.rules.muon import Muon


def tensor(seed, *shape, dtype=torch.float32):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def train(build, shape, steps=6, dtype=torch.float32, **options):
    param = tensor(0, *shape, dtype=dtype).requires_grad_()
    optimizer = build([param], **options)
    for i in range(steps):
        param.grad = tensor(i + 1, *shape, dtype=dtype)
        optimizer.step()
    return param.detach(), optimizer


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (1, 5)])
@pytest.mark.parametrize(
    "options", [{"adjust_lr_fn": "original"}, {"adjust_lr_fn": "match_rms_adamw", "nesterov": False}]
)
def test_matrices_take_torch_s_steps(shape, options):
    ours, _ = train(Muon, shape, lr=0.02, weight_decay=0.1, **options)
    theirs, _ = train(torch.optim.Muon, shape, lr=0.02, weight_decay=0.1, **options)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("shape", "options"), [((5,), {}), ((), {}), ((6, 4), {"matrix": False})])
def test_vectors_and_what_is_no_hidden_matrix_take_adamw(shape, options):
    ours, _ = train(Muon, shape, dtype=torch.float64, lr=0.02, weight_decay=0.1, **options)
    theirs, _ = train(torch.optim.AdamW, shape, dtype=torch.float64, lr=0.02, weight_decay=0.1)
    torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-13)


def test_a_kernel_takes_the_steps_of_its_matrix_also_channels_last():
    kernel, _ = train(Muon, (4, 3, 2, 2))
    flat = tensor(0, 4, 12).requires_grad_()
    last = tensor(0, 4, 3, 2, 2).to(memory_format=torch.channels_last).requires_grad_()
    matrix, laid_out = Muon([flat]), Muon([last])
    for i in range(6):
        flat.grad = tensor(i + 1, 4, 12)
        last.grad = tensor(i + 1, 4, 3, 2, 2).to(memory_format=torch.channels_last)
        matrix.step()
        laid_out.step()
    assert torch.equal(kernel.flatten(1), flat)
    assert torch.equal(kernel, last)
    assert last.is_contiguous(memory_format=torch.channels_last)


def test_a_matrix_moves_along_all_its_singular_directions_alike():
    param, _ = train(Muon, (8, 8), steps=1, lr=1.0, weight_decay=0.0, adjust_lr_fn="original")
    sizes = torch.linalg.svdvals(tensor(0, 8, 8) - param)
    assert sizes.min() > 0.4
    assert sizes.max() < 1.4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_restored_optimizer_goes_on_bit_for_bit(dtype):
    def params():
        return [tensor(0, 4, 3, dtype=dtype).requires_grad_(), tensor(1, 3, dtype=dtype).requires_grad_()]

    whole, broken = params(), params()
    first, two = Muon(whole), Muon(broken)
    for step in range(5):
        saved = copy.deepcopy(two.state_dict())
        two = Muon(broken)
        two.load_state_dict(saved)
        for ps, optimizer in ((whole, first), (broken, two)):
            for j, p in enumerate(ps):
                p.grad = tensor(10 * step + j, *p.shape, dtype=dtype)
            optimizer.step()
        assert all(torch.equal(a, b) for a, b in zip(whole, broken, strict=True))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"momentum": 1.0}, "Invalid momentum"),
        ({"adjust_lr_fn": "orignal"}, "'orignal'"),
        ({"ns_steps": 100}, "ns_steps"),
    ],
)
def test_arguments_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Muon([torch.ones(2, 2)], **options)
