"""Proves on small problems that an optimizer is fit to be trained with, and measures what it costs."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import copy
import inspect
import io
import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import torch
from torch import Tensor

from optathlon.optimizers.conformance.costs import MEASURES
from optathlon.optimizers.conformance.descents import descends_a_small_regression, descends_rosenbrock
from optathlon.optimizers.conformance.explanations import Finding, each_cause_once, with_remedy
from optathlon.optimizers.conformance.problems import (
    STEPS,
    Kit,
    Lacks,
    Problem,
    Unproven,
    needs_rate,
    require,
    same,
)
from optathlon.optimizers.implementation import in_use
from optathlon.optimizers.kernels import kernel_cache
from optathlon.optimizers.spec import OptimizerSpec


class Card(msgspec.Struct, frozen=True):
    """What the kit found out about one optimizer."""

    name: str
    version: int | str
    hyperparameters: dict[str, Any]
    """The resolved ones that it was checked with."""
    findings: list[Finding]
    state_bytes: float | None = None
    """Bytes of its state per element of the parameters, in float32."""
    step_cost: float | None = None
    """Processor time of a step, here, relative to one of torch's AdamW as a loop over tensors."""
    gradient_power: float | None = None
    """p where gradients c times as large make the first step that moves c^p times as long: 1 for SGD, 0 for Adam."""

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not any(f.status == "fail" for f in self.findings)


def check(spec: OptimizerSpec, values: Mapping[str, Any] | None = None) -> Card:
    """Returns the card of `spec` with `values`, and 0.01 for each required one that is not among them; takes seconds.

    Raises OptimizerError only if `values` do not fit; all other errors are findings.
    """
    kit = Kit(spec, values or {})
    findings = []
    if error := _on_matrices_only(kit):
        detail = (
            f"{error}; flags={{'matrices'}} of an OptimizerSpec says so; `optathlon show muon` shows one that steps"
        )
        findings.append(Finding("takes parameters of any shape", "fail", f"{detail} the others by AdamW"))
        kit = Kit(msgspec.structs.replace(spec, flags=spec.flags | {"matrices"}), values or {})
    findings += [run_check(function, kit) for function in CHECKS]
    measures: dict[str, float | None] = {}
    for name, measure in MEASURES.items():
        try:
            measures[name] = measure(kit)
        except Exception as error:
            findings.append(Finding(name.replace("_", " "), "fail", f"{type(error).__name__}: {error}"))
    return Card(spec.name, spec.version, kit.values, each_cause_once([with_remedy(f) for f in findings]), **measures)


def _on_matrices_only(kit: Kit) -> str | None:
    """Returns the error of an optimizer that steps only where all parameters are matrices; None for any other."""
    first = run_check(moves_every_parameter, kit)
    if first.status == "pass" or "matrices" in kit.spec.flags:
        return None
    matrices = Kit(msgspec.structs.replace(kit.spec, flags=kit.spec.flags | {"matrices"}), kit.values)
    return first.detail if run_check(moves_every_parameter, matrices).status == "pass" else None


def run_check(function: Callable[[Kit], str | None], kit: Kit) -> Finding:
    name = function.__name__.lstrip("_").replace("_", " ")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            remark = function(kit)
        except Lacks as reason:
            return Finding(name, "lacks", str(reason))
        except Unproven as reason:
            return Finding(name, "fail", str(reason))
        except Exception as error:
            return Finding(name, "fail", f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
    return Finding(name, "pass", remark or "")


def moves_every_parameter(kit: Kit) -> str | None:
    """In the first step, or in the second where the first moves none."""
    problem = Problem(kit)
    optimizer, before = kit.build(problem), problem.values()
    moved = [False]
    for step in range(2):
        kit.step(optimizer, problem.loss)
        moved = [not torch.equal(a, b) for a, b in zip(problem.values(), before, strict=True)]
        if any(moved):
            require(all(moved), "a parameter stood still")
            return "its first step only prepares and moves nothing" if step else None
    raise Unproven("no parameter moved")


def same_twice(kit: Kit) -> None:
    same(kit.trained()[0].values(), kit.trained()[0].values(), "two equal runs differ")


def goes_on_from_a_checkpoint(kit: Kit) -> None:
    """After every step the state goes through torch.save into a new optimizer; the run must not notice."""
    whole, _ = kit.trained()
    problem = Problem(kit)
    optimizer = kit.build(problem)
    for _ in range(STEPS):
        file, weights = io.BytesIO(), problem.values()
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        optimizer = kit.build(problem)
        with torch.no_grad():
            for param, value in zip(problem.params.values(), weights, strict=True):
                param.copy_(value)
        optimizer.load_state_dict(torch.load(file, weights_only=True))
        kit.step(optimizer, problem.loss)
    same(problem.values(), whole.values(), "a run that is saved and loaded after each step ends elsewhere")


def keeps_what_epoch_end_does_in_its_state(kit: Kit) -> None:
    problem, optimizer = kit.trained()
    if not hasattr(optimizer, "epoch_end"):
        raise Lacks("offers no epoch_end")
    optimizer.epoch_end(0, 0.5)  # pyright: ignore[reportAttributeAccessIssue]
    optimizer.epoch_end(99, 0.5)  # pyright: ignore[reportAttributeAccessIssue]
    twin = copy.deepcopy(problem)
    restored = kit.build(twin)
    with torch.no_grad():
        for param, value in zip(twin.params.values(), problem.values(), strict=True):
            param.copy_(value)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for o, p in ((optimizer, problem), (restored, twin)):
        kit.step(o, p.loss)
    same(problem.values(), twin.values(), "after epoch_end a checkpoint ends elsewhere")


def rate_zero_moves_nothing(kit: Kit) -> None:
    problem = Problem(kit)
    optimizer = kit.build(problem)
    needs_rate(optimizer)
    before = problem.values()
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    kit.step(optimizer, problem.loss)
    same(problem.values(), before, "a step with lr = 0 moved a parameter")


def takes_its_rate_from_the_groups(kit: Kit) -> None:
    ends = []
    for factor in (1.0, 0.5):
        problem = Problem(kit)
        optimizer = kit.build(problem)
        needs_rate(optimizer)
        for group in optimizer.param_groups:
            group["lr"] *= factor
        for _ in range(2):
            kit.step(optimizer, problem.loss)
        ends.append(problem.values())
    moved = any(not torch.equal(a, b) for a, b in zip(*ends, strict=True))
    require(moved, "a change of group['lr'] after construction changes nothing")


def groups_have_rates_of_their_own(kit: Kit) -> None:
    for flag in ("one_group", "one_rate"):
        if flag in kit.spec.flags:
            raise Lacks(f"its flags say {flag}")
    needs_rate(kit.build(Problem(kit)))
    slow, fast = (torch.ones(2, 2, requires_grad=True) for _ in range(2))
    optimizer = kit.build_groups([{"params": [slow], "lr": 1e-5}, {"params": [fast], "lr": 1e-2}])
    for _ in range(2):
        kit.step(optimizer, lambda: slow.sum() + fast.sum())
    shortest = (1 - fast.detach()).abs().max() / 100
    require(bool((1 - slow.detach()).abs().max() < shortest), "a group with a thousandth of the rate moves as far")


def takes_added_groups(kit: Kit) -> None:
    if "one_group" in kit.spec.flags:
        raise Lacks("its flags say one_group")
    problem, optimizer = kit.trained()
    late = torch.ones(2, 2, requires_grad=True)
    optimizer.add_param_group({"params": [late]})
    for _ in range(2):
        kit.step(optimizer, lambda: problem.loss() + late.sum())
    require(not torch.equal(late, torch.ones(2, 2)), "a group that was added later is not updated")


def leaves_parameters_without_gradient_alone(kit: Kit) -> None:
    problem = Problem(kit)
    unused, frozen = torch.ones(2, 2, requires_grad=True), torch.ones(2, 2)
    optimizer = kit.build_groups([{"params": [unused, *problem.params.values(), frozen]}])
    for _ in range(2):
        kit.step(optimizer, problem.loss)
    require(torch.equal(unused, torch.ones(2, 2)), "a parameter whose gradient is None moved")
    require(torch.equal(frozen, torch.ones(2, 2)), "a frozen parameter moved")


def survives_zero_gradients(kit: Kit) -> None:
    problem = Problem(kit)
    optimizer = kit.build(problem)
    for scale in (0.0, 0.0, 1.0):
        kit.step(optimizer, lambda scale=scale: problem.loss() * scale)
    require(all(bool(v.isfinite().all()) for v in problem.values()), "gradients of zero made a parameter non-finite")


def leaves_gradients_as_they_are(kit: Kit) -> None:
    problem, optimizer = kit.trained(1)
    if "closure" in kit.spec.flags:
        raise Lacks("its step computes gradients itself")
    problem.loss().backward()
    grads = [p.grad.clone() for p in problem.params.values() if p.grad is not None]
    optimizer.step()
    same([p.grad for p in problem.params.values() if p.grad is not None], grads, "step wrote to a gradient")


def takes_a_closure_and_returns_its_loss(kit: Kit) -> None:
    problem = Problem(kit)
    optimizer = kit.build(problem)
    if not inspect.signature(optimizer.step).parameters:
        raise Lacks("its step takes none, and only rules that ask for one are given one in training")
    expected = problem.loss().item()

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = problem.loss()
        loss.backward()
        return loss

    with torch.no_grad() if "closure" not in kit.spec.flags else torch.enable_grad():
        returned: Any = optimizer.step(closure)  # pyright: ignore[reportCallIssue, reportArgumentType]
    require(isinstance(returned, Tensor), "step(closure) does not return the closure's loss")
    require(math.isclose(returned.item(), expected, rel_tol=1e-5), "step(closure) returns another loss")


def calls_step_hooks(kit: Kit) -> None:
    problem = Problem(kit)
    optimizer, calls = kit.build(problem), []
    optimizer.register_step_pre_hook(lambda *_: calls.append("pre"))
    optimizer.register_step_post_hook(lambda *_: calls.append("post"))
    kit.step(optimizer, problem.loss)
    require(calls == ["pre", "post"], f"hooks called: {calls}")


def trains_bfloat16_parameters(kit: Kit) -> None:
    problem, _ = kit.trained(STEPS, dtype=torch.bfloat16)
    full, _ = kit.trained(STEPS)
    for half, value in zip(problem.values(), full.values(), strict=True):
        require(bool(half.isfinite().all()), "a bfloat16 parameter became non-finite")
        require(bool((half - value).abs().max() < 0.1 * value.abs().max()), "bfloat16 ends far from float32")


def reads_gradients_of_any_layout(kit: Kit) -> str | None:
    """A gradient is a tensor, not memory in the weight's order: transposed, strided or expanded, it counts alike."""
    if "closure" in kit.spec.flags:
        raise Lacks("its step computes gradients itself")
    refused = []
    for name, lay_out in LAYOUTS.items():
        try:
            _same_steps_on(kit, lay_out, name)
        except RuntimeError as error:  # torch's views and dtypes: clear, and nothing was read wrongly
            refused.append(f"{name} ({str(error).splitlines()[0]})")
    if len(refused) == len(LAYOUTS):
        raise Lacks(f"refuses them: {refused[0]}")
    return f"refuses {', '.join(refused)}" if refused else None


def _same_steps_on(kit: Kit, lay_out: Callable[[Tensor], Tensor], name: str) -> None:
    ends = []
    for change in (lambda grad: grad, lay_out):
        torch.manual_seed(0)
        weight = torch.linspace(-1.0, 1.0, 12, dtype=torch.float64).view(3, 4).requires_grad_()
        optimizer = kit.build_groups([{"params": [weight]}])
        for step in range(2):
            row = torch.linspace(0.1, 1.0, 4, dtype=torch.float64) * (step + 1)
            weight.grad = change(row.expand(3, 4).contiguous())
            optimizer.step()
        ends.append(weight.detach())
    require(torch.allclose(*ends, rtol=1e-9, atol=1e-9), f"reads a gradient that is {name} in another order")


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed in memory": lambda grad: grad.t().contiguous().t(),
    "strided": lambda grad: torch.stack([grad, grad + 1], dim=-1)[..., 0],
    "expanded": lambda grad: grad[0].clone().expand_as(grad),
}


def foreach_equals_the_loop(kit: Kit) -> None:
    _equals_the_loop(kit, "foreach")


def fused_equals_the_loop(kit: Kit) -> None:
    _equals_the_loop(kit, "fused")


def _equals_the_loop(kit: Kit, argument: str) -> None:
    if not kit.accepts(argument):
        raise Lacks(f"has no {argument} argument")
    base = {key: False for key in ("foreach", "fused") if kit.accepts(key)}
    loop, _ = kit.trained(20, dtype=torch.float64, **base)
    problem, optimizer = kit.trained(20, dtype=torch.float64, **base | {argument: True})
    # What falls back to the loop where there are no kernels would only be compared with itself.
    ran = in_use(optimizer)
    if not any(name.startswith(argument) for name in ran):
        why = f": {kernel_cache.load().reason}" if argument == "fused" and kernel_cache.load().reason else ""
        raise Lacks(f"not tried: {argument}=True ran as {' and '.join(ran)} here{why}")
    for expected, value in zip(loop.values(), problem.values(), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)


def can_be_captured_in_a_graph(kit: Kit) -> None:
    if not kit.accepts("capturable"):
        raise Lacks("has no capturable argument")
    if not torch.cuda.is_available():
        raise Lacks("not tried: no CUDA device here")
    param = torch.ones(4, 4, device="cuda", requires_grad=True)
    optimizer = kit.build_groups([{"params": [param]}], capturable=True)
    param.grad = torch.ones_like(param)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        optimizer.step()
    torch.cuda.synchronize()
    graph, before = torch.cuda.CUDAGraph(), param.detach().clone()
    with torch.cuda.graph(graph):
        optimizer.step()
    graph.replay()
    require(not torch.equal(param, before), "a captured step moves nothing")


def moves_to_another_device(kit: Kit) -> None:
    if not torch.cuda.is_available():
        raise Lacks("not tried: no CUDA device here")
    on_cpu, optimizer = kit.trained()
    on_gpu = Problem(kit, device="cuda")
    restored = kit.build(on_gpu)
    with torch.no_grad():
        for param, value in zip(on_gpu.params.values(), on_cpu.values(), strict=True):
            param.copy_(value)
    restored.load_state_dict(optimizer.state_dict())
    for o, p in ((optimizer, on_cpu), (restored, on_gpu)):
        kit.step(o, p.loss)
    for a, b in zip(on_cpu.values(), on_gpu.values(), strict=True):
        torch.testing.assert_close(b.cpu(), a, rtol=1e-3, atol=1e-4)


CHECKS: tuple[Callable[[Kit], str | None], ...] = (
    moves_every_parameter,
    same_twice,
    goes_on_from_a_checkpoint,
    keeps_what_epoch_end_does_in_its_state,
    rate_zero_moves_nothing,
    takes_its_rate_from_the_groups,
    groups_have_rates_of_their_own,
    takes_added_groups,
    leaves_parameters_without_gradient_alone,
    survives_zero_gradients,
    leaves_gradients_as_they_are,
    reads_gradients_of_any_layout,
    takes_a_closure_and_returns_its_loss,
    calls_step_hooks,
    trains_bfloat16_parameters,
    foreach_equals_the_loop,
    fused_equals_the_loop,
    can_be_captured_in_a_graph,
    moves_to_another_device,
    descends_a_small_regression,
    descends_rosenbrock,
)
