"""Steps of the C++ kernels prepared once; those of Triton's, tests/optimizers/kernels/test_cuda.py."""

import copy
import pickle

import pytest
import torch

from optathlon.optimizers.kernels import cpu, kernel_cache
from optathlon.optimizers.rules.adamp import AdamP
from optathlon.optimizers.rules.adarem import AdaRem
from optathlon.optimizers.rules.adarem_s import AdaRemS
from optathlon.optimizers.rules.sgdp import SGDP


@pytest.fixture
def compiled():
    if kernel_cache.load().library is None:
        pytest.skip("nothing compiles here")


class TestAPreparedStep:
    """From its third step on a kernel is called with what was laid out before, unless something has changed."""

    BUILDS = pytest.mark.parametrize(
        ("build", "options"),
        [
            (AdamP, {"weight_decay": 0.1}),
            (SGDP, {"momentum": 0.9, "project_buffer": True}),
            (AdaRem, {"beta": 0.9}),
            (AdaRemS, {"beta": 0.9}),
        ],
    )
    SHAPES = ((6, 4, 1, 1), (4, 4), (5,))

    @classmethod
    def pair(cls, build, options):
        """Two optimizers of equal weights; the second prepares nothing."""
        pair = []
        for _ in range(2):
            generator = torch.Generator().manual_seed(0)
            params = [torch.randn(shape, generator=generator).requires_grad_() for shape in cls.SHAPES]
            pair.append(build(params, lr=0.1, fused=True, **options))
        pair[1]._keep_step = lambda group: None
        return pair

    @staticmethod
    def step(pair, seed, change=lambda grad: grad):
        """By turns with gradients along which AdamP and SGDP project and with others."""
        for optimizer in pair:
            generator = torch.Generator().manual_seed(seed)
            for p in (p for group in optimizer.param_groups for p in group["params"]):
                g, w = torch.randn(p.shape, generator=generator), p.detach()
                if p.ndim > 1 and seed % 3:
                    g, w = g.flatten(1), w.flatten(1)
                    g = (g - (g * w).sum(1, keepdim=True) / (w * w).sum(1, keepdim=True) * w).view(p.shape)
                p.grad = change(g) if p.requires_grad else None
            optimizer.step()

    @staticmethod
    def tensors(optimizer):
        params = [p for group in optimizer.param_groups for p in group["params"]]
        return params + [value for p in params for _, value in sorted(optimizer.state[p].items())]

    @classmethod
    def same(cls, pair):
        """Whether weights and states are, bit for bit; and not by standing still."""
        assert all(map(torch.equal, *map(cls.tensors, pair)))
        assert all(tensor.isfinite().all() for tensor in cls.tensors(pair[0]))

    @BUILDS
    def test_is_used_and_takes_the_same_steps(self, compiled, build, options, monkeypatch):
        pair, views = self.pair(build, options), set()
        for seed in range(2):
            self.step(pair, seed)
        for seed in range(2, 7):
            with monkeypatch.context() as patch:
                patch.setattr(cpu, "takes", None)  # what the long way asks
                self.step(pair[:1], seed)
            self.step(pair[1:], seed)
            views.add(str(getattr(pair[0], "projections", dict)()))
        self.same(pair)
        assert len(views) > 1 or issubclass(build, AdaRem)

    @staticmethod
    def states(optimizer):
        return [optimizer.state[p] for group in optimizer.param_groups for p in group["params"]]

    def give_other_memory(self, optimizer):
        for tensor in self.tensors(optimizer):
            tensor.data = tensor.data.clone()

    def move_states_only(self, optimizer):
        for tensor in self.tensors(optimizer)[len(self.SHAPES) :]:
            tensor.data = tensor.data.clone()

    def replace_means(self, optimizer):
        for state in self.states(optimizer):
            for key in ("exp_avg", "momentum_buffer"):
                if key in state:
                    state[key] = torch.ones_like(state[key])

    def give_a_state_of_its_own(self, optimizer):
        p = optimizer.param_groups[0]["params"][0]
        optimizer.state[p] = {key: value.clone() for key, value in optimizer.state[p].items()}

    def count_anew(self, optimizer):
        for state in self.states(optimizer):
            if "step" in state:
                state["step"].fill_(3.0)

    def count_in_double(self, optimizer):
        for state in self.states(optimizer):
            if "step" in state:
                state["step"] = state["step"].double()

    def add_weights(self, optimizer):
        more = [torch.ones(3, 2, requires_grad=True) for _ in range(2)]
        optimizer.add_param_group({"params": more[:1]})
        optimizer.param_groups[0]["params"].append(more[1])

    def cut(self, optimizer):
        """As pruning does: of weight and states the first rows are left, where they are."""
        p = optimizer.param_groups[0]["params"][1]
        p.grad, p.data = None, p.data[:2]
        for value in optimizer.state[p].values():
            value.data = value.data[:2] if value.ndim else value.data

    CHANGES = {  # noqa: RUF012
        "loaded state": lambda self, optimizer: optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict())),
        "other memory": give_other_memory,
        "states elsewhere": move_states_only,
        "other means": replace_means,
        "a state of its own": give_a_state_of_its_own,
        "other counts": count_anew,
        "counters of another dtype": count_in_double,
        "another rate": lambda self, optimizer: optimizer.param_groups[0].update(lr=0.5, weight_decay=0.2),
        "a rate in a tensor": lambda self, optimizer: optimizer.param_groups[0].update(lr=torch.tensor(0.5)),
        "ascent": lambda self, optimizer: optimizer.param_groups[0].update(maximize=True),
        "no projection": lambda self, optimizer: optimizer.param_groups[0].update(projection="off"),
        "one limit for all": lambda self, optimizer: optimizer.param_groups[0].update(global_max=True),
        "the loop": lambda self, optimizer: optimizer.param_groups[0].update(fused=False),
        "a later epoch": lambda self, optimizer: getattr(optimizer, "epoch_end", int)(3),
        "more weights": add_weights,
        "fewer weights": lambda self, optimizer: optimizer.param_groups[0]["params"].pop(0),
        "smaller weights": cut,
        "a frozen weight": lambda self, optimizer: optimizer.param_groups[0]["params"][1].requires_grad_(False),
    }

    @BUILDS
    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    def test_is_left_or_laid_out_anew_where_something_changes(self, compiled, build, options, change):
        pair = self.pair(build, options)
        for seed in range(4):
            self.step(pair, seed)
        for optimizer in pair:
            change(self, optimizer)
        for seed in range(4, 8):
            self.step(pair, seed)
        self.same(pair)

    GRADIENTS = {  # noqa: RUF012
        "transposed": lambda grad: grad.t().contiguous().t() if grad.ndim == 2 else grad,
        "lazily negative": torch.ops.aten._neg_view,
        "expanded": lambda grad: grad.flatten()[0].expand(grad.shape),
    }

    @BUILDS
    @pytest.mark.parametrize("change", GRADIENTS.values(), ids=GRADIENTS)
    def test_is_left_for_gradients_that_are_laid_out_otherwise(self, compiled, build, options, change):
        pair = self.pair(build, options)
        for seed in range(6):
            self.step(pair, seed, change if seed % 2 else lambda grad: grad)
        self.same(pair)

    @BUILDS
    def test_is_used_for_gradients_whose_strides_differ_where_nothing_is_to_stride_over(
        self, compiled, build, options, monkeypatch
    ):
        """So are those of convolutions by one pixel, where the input is channels-last."""

        def strided(grad):
            return grad.as_strided(grad.shape, (4, 1, 4, 4)) if grad.ndim == 4 else grad

        pair = self.pair(build, options)
        for seed in range(2):
            self.step(pair, seed, strided)
        monkeypatch.setattr(cpu, "takes", None)
        self.step(pair[:1], 2, strided)
        monkeypatch.undo()
        self.step(pair[1:], 2)
        self.same(pair)

    @BUILDS
    def test_is_left_where_a_gradient_is_missing(self, compiled, build, options):
        pair = self.pair(build, options)
        for seed in range(3):
            self.step(pair, seed)
        for optimizer in pair:
            optimizer.param_groups[0]["params"][0].grad = None
            optimizer.step()
        self.same(pair)

    @BUILDS
    def test_does_not_go_along_into_copies_and_pickles(self, compiled, build, options):
        pair = self.pair(build, options)
        for seed in range(3):
            self.step(pair, seed)
        twin = pickle.loads(pickle.dumps(pair[0]))
        self.step([twin, pair[1]], 3)
        self.same([twin, pair[1]])
        assert not torch.equal(self.tensors(pair[0])[0], self.tensors(twin)[0]), "the original stood still"

    @BUILDS
    def test_autograd_notices_that_the_weights_were_written_to(self, compiled, build, options):
        pair = self.pair(build, options)
        for seed in range(3):
            self.step(pair, seed)
        weight = pair[0].param_groups[0]["params"][0]
        loss = (weight**2).sum()
        self.step(pair[:1], 3)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
