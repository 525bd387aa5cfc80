import warnings

import msgspec
import pytest
import torch

from optathlon.optimizers import OptimizerError, names, optimizer
from optathlon.optimizers.catalog.pytorch_optimizer import MODERN
from optathlon.optimizers.conformance import checks, descents
from optathlon.optimizers.conformance.checks import (
    CHECKS,
    check,
    fused_equals_the_loop,
    reads_gradients_of_any_layout,
    run_check,
)
from optathlon.optimizers.conformance.problems import Kit
from optathlon.optimizers.kernels import kernel_cache
from optathlon.optimizers.spec import Hyperparameter, OptimizerSpec

LACKS = {
    "keeps what epoch end does in its state",
    "foreach equals the loop",
    "fused equals the loop",
    "can be captured in a graph",
    "moves to another device",
}
LACKS_MORE = {
    "lbfgs": {
        "groups have rates of their own",
        "takes added groups",
        "leaves gradients as they are",
        "reads gradients of any layout",
    },
    "prodigy": {"groups have rates of their own"},
    "sam": {"leaves gradients as they are", "reads gradients of any layout"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_every_built_in_passes_and_its_card_says_what_it_lacks(name):
    if name in [spec.name for spec in MODERN]:
        pytest.importorskip("pytorch_optimizer")
    card = check(optimizer(name))
    assert card.passed, [f for f in card.findings if f.status == "fail"]
    assert len(card.findings) == len(CHECKS)
    lacks = {f.check: f.detail for f in card.findings if f.status == "lacks"}
    assert set(lacks) <= LACKS | LACKS_MORE.get(name, set())
    assert all(lacks.values())
    assert msgspec.json.decode(msgspec.json.encode(card), type=type(card)) == card


@pytest.mark.slow
def test_the_card_measures_memory_and_how_steps_follow_gradients():
    adam, sgd, adamp = (check(optimizer(n)) for n in ("adam", "sgd", "adamp"))
    assert sgd.state_bytes == 0
    assert adam.state_bytes == pytest.approx(8, abs=0.01)
    assert adamp.state_bytes == pytest.approx(8, abs=0.01)
    assert (adam.gradient_power, sgd.gradient_power) == (0, 1)
    assert sgd.step_cost is not None
    assert sgd.step_cost < 1 < adamp.step_cost


class Sound(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01):
        super().__init__(params, {"lr": lr, "momentum": 0.9})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.update()
        return loss

    def update(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    buffer = self.state[p].setdefault("buffer", torch.zeros_like(p))
                    p.sub_(buffer.mul_(group["momentum"]).add_(p.grad), alpha=group["lr"])


class KeepsStateBeside(Sound):
    def update(self):
        self.count = getattr(self, "count", 0) + 1
        for group in self.param_groups:
            group["momentum"] = 0.9 / self.count
        super().update()


class DecaysAtRateZero(Sound):
    def update(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.mul_(0.99)
        super().update()


class KeepsItsFirstRate(Sound):
    def add_param_group(self, param_group):
        super().add_param_group(param_group)
        self.param_groups[-1]["first"] = self.param_groups[-1]["lr"]

    def update(self):
        for group in self.param_groups:
            group["lr"] = group["first"]
        super().update()


class WritesToGradients(Sound):
    def update(self):
        super().update()
        for p in self.param_groups[0]["params"]:
            if p.grad is not None:
                p.grad.mul_(2)


class LosesTheLoss(Sound):
    @torch.no_grad()
    def step(self, closure=None):
        if closure is not None:
            with torch.enable_grad():
                closure()
        self.update()


class IsRandom(Sound):
    def update(self):
        for p in self.param_groups[0]["params"]:
            if p.grad is not None:
                p.add_(torch.empty_like(p).normal_(), alpha=0.1 * self.param_groups[0]["lr"])
        super().update()


class UpdatesItsFirstGroups(Sound):
    def __init__(self, params, lr=0.01):
        super().__init__(params, lr)
        self.known = len(self.param_groups)

    def update(self):
        everything, self.param_groups = self.param_groups, self.param_groups[: self.known]
        super().update()
        self.param_groups = everything


class Ascends(Sound):
    def update(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.add_(p.grad, alpha=group["lr"])


class DividesByZero(Sound):
    def update(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(p.grad / p.grad.norm(), alpha=group["lr"])


class CallsItselfTwice(Sound):
    def step(self, closure=None):
        super().step()
        return super().step(closure)


class HasNoClosure(Sound):
    @torch.no_grad()
    def step(self):
        self.update()


class HasNoRate(torch.optim.Optimizer):
    def __init__(self, params, strength=0.01):
        super().__init__(params, {"strength": strength})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(group["strength"] * p.grad.sign())


class ForgetsNoGrad(Sound):
    def step(self):
        self.update()


FAULTS = {
    HasNoClosure: set(),
    Sound: set(),
    KeepsStateBeside: {"goes on from a checkpoint"},
    DecaysAtRateZero: {
        "rate zero moves nothing",
        "leaves parameters without gradient alone",
        "groups have rates of their own",
    },
    KeepsItsFirstRate: {"rate zero moves nothing", "takes its rate from the groups"},
    WritesToGradients: {"leaves gradients as they are"},
    LosesTheLoss: {"takes a closure and returns its loss"},
    IsRandom: {"same twice", "goes on from a checkpoint"},
    UpdatesItsFirstGroups: {"takes added groups"},
    Ascends: {"descends a small regression", "descends rosenbrock"},
    DividesByZero: {"survives zero gradients"},
    CallsItselfTwice: {"calls step hooks"},
}


@pytest.fixture
def quickly(monkeypatch):
    """Tries two rates at which sound optimizers descend, not eight, and takes no measures, which are findings only if
    they raise."""
    monkeypatch.setattr(descents, "RATES", (0.1, 0.03))
    monkeypatch.setattr(checks, "MEASURES", {})


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize(("fault", "caught"), FAULTS.items(), ids=lambda x: getattr(x, "__name__", ""))
def test_each_fault_is_caught_by_its_check(fault, caught, monkeypatch):
    spec = OptimizerSpec(name="faulty", factory="here:X", hyperparameters={"lr": Hyperparameter("float", 0.01)})
    monkeypatch.setattr("optathlon.optimizers.conformance.problems.load", lambda path: fault)
    monkeypatch.setattr("optathlon.optimizers.spec.load", lambda path: fault)
    Sound([torch.zeros(1, requires_grad=True)])  # torch puts hooks around the step of every class it has built
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        card = check(spec)
    failed = {f.check for f in card.findings if f.status == "fail"}
    assert failed == caught
    assert card.passed == (not caught)


def card_of(cls, monkeypatch, **hyperparameters):
    declared = hyperparameters or {"lr": 0.01}
    spec = OptimizerSpec(
        name="mine:X", factory="here:X", hyperparameters={k: Hyperparameter("float", v) for k, v in declared.items()}
    )
    monkeypatch.setattr("optathlon.optimizers.conformance.problems.load", lambda path: cls)
    monkeypatch.setattr("optathlon.optimizers.spec.load", lambda path: cls)
    card = check(spec)
    return card, {f.check: (f.status, f.detail) for f in card.findings}


@pytest.mark.usefixtures("quickly")
def test_what_training_does_not_need_is_lacking_and_no_failure(monkeypatch):
    card, found = card_of(HasNoRate, monkeypatch, strength=0.01)
    assert card.passed
    assert found["rate zero moves nothing"] == ("lacks", "has no lr: schedule and warm-up change nothing")
    assert found["takes a closure and returns its loss"][0] == "lacks"


@pytest.mark.usefixtures("quickly")
def test_one_cause_is_told_once_with_its_remedy(monkeypatch):
    card, found = card_of(ForgetsNoGrad, monkeypatch)
    (failed,) = [name for name, (status, _) in found.items() if status == "fail"]
    assert failed == "moves every parameter"
    assert found[failed][1].endswith("; put @torch.no_grad() above step")
    assert sum(status == "skipped" for status, _ in found.values()) > 10
    assert not card.passed


@pytest.mark.usefixtures("quickly")
def test_state_beside_the_state_is_told_where_to_go(monkeypatch):
    _, found = card_of(KeepsStateBeside, monkeypatch)
    assert "self.state[p]" in found["goes on from a checkpoint"][1]


@pytest.mark.usefixtures("quickly")
def test_an_optimizer_of_matrices_is_one_line_that_names_muon():
    card = check(
        OptimizerSpec(name="x", factory="torch.optim:Muon", hyperparameters={"lr": Hyperparameter("float", 1)})
    )
    (failed,) = [f for f in card.findings if f.status == "fail"]
    assert failed.check == "takes parameters of any shape"
    assert "only supports 2D parameters" in failed.detail
    assert "flags={'matrices'}" in failed.detail
    assert "muon" in failed.detail


def test_values_that_do_not_fit_are_refused():
    with pytest.raises(OptimizerError, match="did you mean lr"):
        check(optimizer("adam"), {"lrr": 1.0})


def test_a_proof_never_tests_its_fallback(monkeypatch, tmp_path):
    """Without a compiler fused=True steps as the loop does: to find that equal to the loop would prove nothing."""
    monkeypatch.setenv("OPTATHLON_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    kernel_cache.load.cache_clear()
    try:
        finding = run_check(fused_equals_the_loop, Kit(optimizer("adamp"), {}))
    finally:
        kernel_cache.load.cache_clear()
    assert finding.status == "lacks"
    assert finding.detail.startswith("not tried: fused=True ran as loop here: found no C++ compiler")


class ReadsGradientsInMemorysOrder(Sound):
    def update(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    grad = p.grad.as_strided(p.shape, p.stride()) if p.grad.stride() != p.stride() else p.grad
                    p.sub_(grad, alpha=group["lr"])


def test_an_optimizer_that_takes_a_gradient_for_memory_in_its_weight_s_order_is_caught(monkeypatch):
    spec = OptimizerSpec(name="faulty", factory="here:X", hyperparameters={"lr": Hyperparameter("float", 0.01)})
    monkeypatch.setattr("optathlon.optimizers.spec.load", lambda path: ReadsGradientsInMemorysOrder)
    finding = run_check(reads_gradients_of_any_layout, Kit(spec, {}))
    assert (finding.status, finding.detail[:44]) == (
        "fail",
        "reads a gradient that is transposed in memor",
    )


@pytest.mark.parametrize("implementation", ["loop", "fused"])
@pytest.mark.parametrize("name", ["adamp", "sgdp", "adarem", "sgd"])
def test_our_kernels_read_gradients_of_any_layout_and_torch_s_say_that_theirs_do_not(name, implementation):
    spec = msgspec.structs.replace(optimizer(name), fixed={"fused": implementation == "fused"})
    finding = run_check(reads_gradients_of_any_layout, Kit(spec, {}))
    assert finding.status == ("fail" if (name, implementation) == ("sgd", "fused") else "pass"), finding
