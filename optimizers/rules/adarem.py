"""AdaRem: each coordinate's rate shrinks where the gradient turns against its past.

As one would write it on a board, per weight w with gradient g, in epoch e:

    b <- g m / (|g| max|m| + eps)                  # relative: sign(g) m / (max|m| + eps)
    w <- w - lr (1 + lam^e b) g - lr weight_decay w
    m <- beta m + (1 - beta) g

Every implementation below computes this; they differ in rounding only.
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from optathlon.optimizers.kernels import cpu, sharded
from optathlon.optimizers.kernels.assignment import Implementation, assign, dispatch
from optathlon.optimizers.kernels.state import AdaRemHyperparameters, AdaRemState
from optathlon.optimizers.kernels.tensor_lists import by_device_and_dtype, numbers_or_tensors, select, zeros_like
from optathlon.optimizers.rules.argument_checks import check, check_implementation, check_lr
from optathlon.optimizers.rules.kept_steps import KeepsSteps, Run

EPS_MODES = ("literal", "relative")


class AdaRem(KeepsSteps):
    """Gradient descent at rates lr (1 + lam^epoch b), b in [-1, 1] the past mean gradient along this one's sign.

    b = g m / (|g| max|m| + eps) with the m before this step, so that the first step is plain SGD. max|m| is taken over
    each tensor, or with global_max over all. The literal eps stands beside a product of two gradients: where those are
    of size 1e-5, b vanishes. eps_mode "relative" has sign(g) m / (max|m| + eps) instead. The decay is decoupled.

    Source: AdaRem paper, Algorithm 1, equations 1 and 2; lam is applied once an epoch (section 4.1.1).
    """

    kernel_states = ("exp_avg",)
    kept_states = ("exp_avg", "largest")
    kept_options = ("fused", "maximize", "global_max")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor,
        beta: float = 0.999,
        lam: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        eps_mode: str = "literal",
        global_max: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        fused: bool | None = None,
        **more: Any,
    ) -> None:
        check_lr(lr, foreach, False)
        check_implementation(foreach, fused, False)
        super().__init__(
            params,
            {
                "lr": lr,
                "beta": beta,
                "lam": lam,
                "eps": eps,
                "weight_decay": weight_decay,
                "eps_mode": eps_mode,
                "global_max": global_max,
                "foreach": foreach,
                "maximize": maximize,
                "fused": fused,
                "epoch": 0,
                **more,
            },
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        check("beta", group["beta"], high=1.0)
        check("weight_decay", group["weight_decay"])
        if not 0.0 <= group["lam"] <= 1.0:
            raise ValueError(f"Invalid lam: {group['lam']} (must be from 0 to 1)")
        if not group["eps"] > 0.0:
            raise ValueError(f"Invalid eps: {group['eps']} (must be above 0: the first step would be 0 / 0)")
        if group["eps_mode"] not in EPS_MODES:
            raise ValueError(f"Invalid eps_mode: {group['eps_mode']!r} (must be one of {', '.join(EPS_MODES)})")

    def epoch_end(self, epoch: int, score: float | None = None) -> None:
        """To be called after each epoch, counted from 0: from now on the exponent of lam is `epoch` + 1."""
        for group in self.param_groups:
            group["epoch"] = epoch + 1

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update; returns the closure's loss."""
        loss = self._closure_loss(closure)
        use_one = any(group["global_max"] for group in self.param_groups)
        groups = self.param_groups
        if not use_one:
            groups = [g for g in groups if not self._repeat_step(g)]
        prepared = [(group, self._prepare(group)) for group in groups]
        largest_of_all = None
        if use_one:
            # What it was before this step, so that the order of groups does not matter.
            largest_of_all = _largest_of_all([step.state for _, steps in prepared for step in steps])
        for group, steps in prepared:
            nonempty = [step for step in steps if step.mean.numel()]
            if nonempty:
                state, hyper = self._gather(nonempty, group, largest_of_all), AdaRemHyperparameters.from_group(group)
                moved = adarem(state, hyper, foreach=group["foreach"], fused=group["fused"])
                for step, largest in zip(nonempty, moved, strict=True):
                    step.state["largest"] = largest
                if not _beyond_one_kernel(group):
                    self._keep_step(group)
        _share_largest([step.state for _, steps in prepared for step in steps])
        self._constrain()
        return loss

    def _prepare_cpu_step(self, params: list[Tensor], group: dict[str, Any]) -> Run:
        # One kernel alone took them in the step before, which left each `largest` as it needs them.
        exp_avgs, largest = ([self.state[param][key] for param in params] for key in ("exp_avg", "largest"))
        call = cpu.AdaRemCall(params, exp_avgs, largest, largest)

        def run(grads: Sequence[Tensor]) -> None:
            call.run(grads, [group["lr"]] * len(grads), AdaRemHyperparameters.from_group(group))

        return run

    def _prepare_gpu_step(self, params: list[Tensor], group: dict[str, Any]) -> Run:
        from optathlon.optimizers.kernels import cuda  # needs Triton

        states = [self.state[param] for param in params]
        call = cuda.AdaRemCall(params, [state["exp_avg"] for state in states])
        for state, largest in zip(states, call.largest, strict=True):
            state["largest"] = largest.copy_(state["largest"])
        return lambda grads: call.repeat(grads, AdaRemHyperparameters.from_group(group))

    def _prepare(self, group: dict[str, Any]) -> list[_LocalStep]:
        """Returns the group's steps, with means and their largest magnitudes where the state has none yet."""
        steps = []
        for param, grad, weight, state in self._steps(group):
            if "exp_avg" not in state:
                state["exp_avg"] = zeros_like(param)
            mean = state["exp_avg"]
            # AdaRem is elementwise but for the largest magnitude: each process steps on its part as on a plain tensor.
            if sharded.holders(param):
                param, grad, weight, mean = sharded.local([param, grad, weight, mean])
            steps.append(_LocalStep(param, grad, weight, mean, state))
        if unknown := [step for step in steps if "largest" not in step.state]:
            for step in unknown:
                step.state["largest"] = _largest(step.mean)
            _share_largest([step.state for step in unknown])
        return steps

    def _gather(self, steps: list[_LocalStep], group: dict[str, Any], largest_of_all: Tensor | None) -> AdaRemState:
        largest = [step.state["largest"] for step in steps]
        limits = largest
        if largest_of_all is not None and group["global_max"]:
            limits = [largest_of_all] * len(steps)
        return AdaRemState(
            params=[step.param for step in steps],
            grads=[step.grad for step in steps],
            weights=[step.weight for step in steps],
            exp_avgs=[step.mean for step in steps],
            largest=largest,
            limits=limits,
            rates=self._rates(group, [step.state for step in steps]),
        )

    def _constrain(self) -> None:
        """Moves the weights back onto the sphere, in the subclass that has one."""

    def _rates(self, group: dict[str, Any], states: Sequence[dict[str, Any]]) -> list[Any]:
        """Returns what each damped gradient is multiplied by; the decay always has the group's lr."""
        return [group["lr"]] * len(states)


def _beyond_one_kernel(group: dict[str, Any]) -> bool:
    """Whether a step is more than one kernel on the gradients as they are: signs, one limit for all, a sphere."""
    return group["maximize"] or group["global_max"] or group.get("sphere", False)


class _LocalStep(NamedTuple):
    """What AdaRem needs to step one parameter: of a sharded one this process's part, and the state of the whole."""

    param: Tensor
    grad: Tensor
    weight: Tensor
    mean: Tensor
    state: dict[str, Any]


def adarem(
    state: AdaRemState, hyper: AdaRemHyperparameters, *, foreach: bool | None, fused: bool | None
) -> list[Tensor]:
    """Takes one AdaRem step; returns max |exp_avg| of each tensor after it."""
    # Never sharded: the state of a sharded tensor is this process's part, which is stepped as a plain one.
    functions = {
        Implementation.LOOP: _single_tensor_adarem,
        Implementation.FOREACH: _multi_tensor_adarem,
        Implementation.FUSED_CPU: _cpu_adarem,
        Implementation.FUSED_GPU: _gpu_adarem,
    }
    no_rows = [None] * len(state.params)
    assigned = assign(state.params, state.grads, no_rows, [state.exp_avgs], lr=hyper.lr, foreach=foreach, fused=fused)
    return dispatch(functions, state, hyper, assigned)


def _gpu_adarem(state: AdaRemState, hyper: AdaRemHyperparameters) -> list[Tensor]:
    from optathlon.optimizers.kernels import cuda  # needs Triton

    return cuda.adarem(state, hyper)


def _cpu_adarem(state: AdaRemState, hyper: AdaRemHyperparameters) -> list[Tensor]:
    like = state.exp_avgs[0]
    # Limits that are the tensors' own may be overwritten; one shared by all must outlive the first tensor's step.
    limits = _as_scalars_of(like, state.limits)
    same = all(limit is largest for limit, largest in zip(state.limits, state.largest, strict=True))
    largest = limits if same else _as_scalars_of(like, state.largest)
    cpu.adarem(state._replace(limits=limits, largest=largest), hyper)
    return largest


def _single_tensor_adarem(state: AdaRemState, hyper: AdaRemHyperparameters) -> list[Tensor]:
    shrink = hyper.shrink
    largest = []
    for param, grad, weight, mean, _, limit, rate in zip(*state, strict=True):
        change = agreement(grad, mean, limit, hyper.eps, hyper.relative)
        change.mul_(hyper.damping).add_(1.0).mul_(grad).mul_(rate)
        if isinstance(shrink, Tensor) or shrink:
            change.add_(weight * shrink)
        param.sub_(change)
        largest.append(_largest(mean.lerp_(grad, 1 - hyper.beta)))
    return largest


def _multi_tensor_adarem(state: AdaRemState, hyper: AdaRemHyperparameters) -> list[Tensor]:
    largest = list(state.limits)
    for indices, _ in by_device_and_dtype(state.params, state.exp_avgs):
        params, grads, weights, means, _, limits, rates = select(state, indices)
        changes = _agreements(grads, means, limits, hyper.eps, hyper.relative)
        torch._foreach_mul_(changes, hyper.damping)
        torch._foreach_add_(changes, 1.0)
        torch._foreach_mul_(changes, grads)
        torch._foreach_mul_(changes, numbers_or_tensors(rates))
        torch._foreach_add_(changes, weights, alpha=float(hyper.shrink))
        torch._foreach_sub_(params, changes)
        torch._foreach_lerp_(means, grads, 1 - hyper.beta)
        for i, value in zip(indices, torch._foreach_norm(means, torch.inf), strict=True):
            largest[i] = value
    return largest


def agreement(grad: Tensor, mean: Tensor, largest: Tensor | float, eps: float, relative: bool) -> Tensor:
    """Returns AdaRem's b as a new tensor: -1 where the gradient is against its past, 1 where it goes on as before."""
    if relative:
        return grad.sign().mul_(mean).div_(largest + eps)
    return (grad * mean).div_(grad.abs().mul_(largest).add_(eps))


def _agreements(
    grads: list[Tensor], means: list[Tensor], largest: list[Tensor], eps: float, relative: bool
) -> list[Tensor]:
    """Returns `agreement` of many tensors of one device and dtype."""
    limits = [limit.to(means[0].device) for limit in largest]
    if relative:
        signed = list(torch._foreach_sign(grads))
        torch._foreach_mul_(signed, means)
        torch._foreach_div_(signed, torch._foreach_add(limits, eps))
        return signed
    products, denominators = list(torch._foreach_mul(grads, means)), list(torch._foreach_abs(grads))
    torch._foreach_mul_(denominators, limits)
    torch._foreach_add_(denominators, eps)
    torch._foreach_div_(products, denominators)
    return products


def _as_scalars_of(tensor: Tensor, values: Sequence[Tensor]) -> list[Tensor]:
    """Returns the values on `tensor`'s device, in its dtype: a checkpoint may have brought others."""
    dtype, device = tensor.dtype, tensor.get_device()
    return [v if v.dtype == dtype and v.get_device() == device else v.to(tensor) for v in values]


def _largest(mean: Tensor) -> Tensor:
    return torch.linalg.vector_norm(mean, torch.inf) if mean.numel() else mean.new_zeros(())


def _share_largest(states: list[dict[str, Any]]) -> None:
    """Makes each `largest` that of the whole tensor, where every process has its part's."""
    if spread := [(state, holders) for state in states if (holders := sharded.holders(state["exp_avg"]))]:
        shared = sharded.largest([state["largest"] for state, _ in spread], [holders for _, holders in spread])
        for (state, _), value in zip(spread, shared, strict=True):
            state["largest"] = value


def _largest_of_all(states: list[dict[str, Any]]) -> Tensor:
    """Returns the largest of all, on the first one's device: without dimensions it goes with tensors of any other."""
    values = [state["largest"] for state in states]
    return torch.stack([v.to(values[0]) for v in values]).max() if values else torch.zeros(())
