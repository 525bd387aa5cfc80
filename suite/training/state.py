"""Everything of a run in training: where it is, what it holds, what goes into a checkpoint and comes out again."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from optathlon.optimizers.implementation import in_use
from optathlon.suite.identity import Run, optimizer_of
from optathlon.suite.network_options import AS_TASKS_SAY, NetworkOptions
from optathlon.suite.training.checkpoint import Checkpoints, SharedCheckpoints
from optathlon.suite.training.cost import CostMeter
from optathlon.suite.training.fresh_statistics import measure
from optathlon.suite.training.losses import Losses
from optathlon.suite.training.parameter_groups import groups
from optathlon.suite.training.probes.recorder import Recorder
from optathlon.suite.training.team import ALONE, Team
from optathlon.tasks.verified_workload import state_of, tags_of
from optathlon.tasks.workload import Batch, Workload

LOG_EVERY = 50


class State:
    """A run's networks and optimizers, its position (epoch, micro-batch, update) and what it has measured.

    settled: everything that is due at the last border (an epoch's end, a due evaluation, the end) has been done.
    implementation: how the optimizers of a run that begins are to step. One that is continued goes on in the
        implementation it began in: its optimizers' groups hold it.
    networks: how the networks of a run that begins are laid out and carried out, likewise.
    """

    def __init__(
        self,
        run: Run,
        workload: Workload,
        team: Team = ALONE,
        implementation: str = "auto",
        networks: NetworkOptions = AS_TASKS_SAY,
    ) -> None:
        self.run, self.workload, self.protocol, self.team = run, workload, run.protocol, team
        self.implementation, self.networks = implementation, networks
        self.ran_before: list[dict[str, dict[str, int]]] = []
        """The implementations of earlier attempts, each as `implementations` gives them."""
        self.spec = optimizer_of(run.setting.optimizer)
        self.parameters = {name: list(net.parameters()) for name, net in workload.players.items()}
        """Each player's, listed once: modules take longer to walk than gradients to drop."""
        self.optimizers = {name: self._optimizer(name) for name in workload.players}
        self.scalers = {name: self._scaler() for name in workload.players}
        self.recorders = {name: self._recorder(name) for name in workload.players}
        self.ema = self._averages() if self.protocol.ema is not None else None
        self.epoch, self.batch, self.of, self.update, self.settled = 0, 0, 0, 0, True
        self.curve: dict[str, list[tuple[float, float | None]]] = {}
        self.watched: dict[str, dict[str, float]] = {}
        self.best: dict[str, Any] | None = None
        self.losses = Losses(workload.players)
        self.known_bad = -1
        self.sample_at = 0
        self.cost = CostMeter(workload.device)

    def _optimizer(self, name: str) -> torch.optim.Optimizer:
        net, setting = self.workload.players[name], self.run.setting
        made = groups(net, tags_of(self.workload, name), self.spec, self.protocol.tags, setting.hyperparameters)
        optimizer = self.spec.build(made, setting.hyperparameters, self.implementation)
        if hasattr(optimizer, "eval") and hasattr(optimizer, "train"):
            # Schedule-free ones refuse to step before; the initial weights stay what the seed made them.
            weights = {k: v.detach().clone() for k, v in net.state_dict().items()}
            optimizer.train()  # type: ignore[attr-defined]
            net.load_state_dict(weights)
        for group in optimizer.param_groups:
            if "lr" in group:
                group["initial_lr"] = copy.deepcopy(group["lr"])
        return optimizer

    def _recorder(self, name: str) -> Recorder:
        invariant = [key for key, facts in tags_of(self.workload, name).items() if "scale_invariant" in facts]
        net, optimizer = self.workload.players[name], self.optimizers[name]
        return Recorder(name, net, optimizer, invariant, self.run.setting.probes, self.note)

    def _scaler(self) -> torch.amp.GradScaler:
        return torch.amp.GradScaler(self.workload.device.type, enabled=self.protocol.precision == "fp16")

    def _averages(self) -> dict[str, dict[str, Tensor]]:
        return {
            n: {k: v.detach().clone() for k, v in net.state_dict().items()} for n, net in self.workload.players.items()
        }

    @property
    def time(self) -> float:
        """How far the run is, in the protocol's unit: epochs (with fractions) or steps."""
        if self.protocol.unit == "steps":
            return float(self.update)
        return self.epoch + (self.batch / self.of if self.batch else 0.0)

    @property
    def over(self) -> bool:
        done = self.update if self.protocol.unit == "steps" else self.epoch
        return self.diverged or done >= self.protocol.length

    @property
    def diverged(self) -> bool:
        return self.known_bad >= 0

    @property
    def evaluation_due(self) -> bool:
        if self.over:
            return not self.diverged
        if self.protocol.unit == "steps":
            return self.update % self.protocol.evaluate_every == 0
        return self.batch == 0 and self.epoch % self.protocol.evaluate_every == 0

    def timed_update(self, parts: Sequence[Batch]) -> contextlib.AbstractContextManager[None]:
        """The block is one update made of `parts` on this process, which may be timed."""
        samples = sum(part.size for part in parts) * self.workload.world
        return self.cost.timer.update(samples, typical=self.update != self.sample_at)

    def advance(self, parts: Sequence[Batch], means: dict[str, Tensor]) -> None:
        """Count one update made of `parts` on this process; `means` are the players' losses, left on the device."""
        self.losses.note(self.update, means)
        if self.ema is not None:
            self._average_weights(self.ema)
        self.update += 1
        self.batch += len(parts) * self.workload.world
        self.of = parts[0].of
        if self.batch >= self.of:
            self.epoch, self.batch = self.epoch + 1, 0
        if self.update % LOG_EVERY == 0:
            self.look_for_divergence()
        self.settled = not (self.batch == 0 or self.over or self.evaluation_due)

    def look_for_divergence(self) -> None:
        """Read the losses, of which one may not be finite; the only wait for the device between borders."""
        self.losses.read()
        self.known_bad = self.losses.first_bad

    @torch.no_grad()
    def _average_weights(self, averages: dict[str, dict[str, Tensor]]) -> None:
        decay = self.protocol.ema
        assert decay is not None
        for name, net in self.workload.players.items():
            values = net.state_dict(keep_vars=True)  # which are not detached, one after the other
            averaged = [key for key, value in values.items() if value.dtype.is_floating_point or value.is_complex()]
            # One call for hundreds of tensors: on a GPU one launch, and no bit differs from tensor after tensor.
            torch._foreach_lerp_([averages[name][k] for k in averaged], [values[k] for k in averaged], 1.0 - decay)
            for key in values.keys() - set(averaged):
                averages[name][key].copy_(values[key])

    def note(self, name: str, value: float) -> None:
        """Add a point to the curve `name` at the present time; a non-finite value is noted as None."""
        self.curve.setdefault(name, []).append((self.time, value if math.isfinite(value) else None))

    def note_losses(self) -> None:
        """Turn the losses since the last border into points of the training curves."""
        for name, mean in self.losses.take_means().items():
            self.note("train/loss" if len(self.workload.players) == 1 else f"train/{name}/loss", mean)

    def consider(self, score: float) -> bool:
        """Whether this evaluation is the best so far by the protocol's `select`; a tie keeps the earlier."""
        select = self.protocol.select
        if select is None or not math.isfinite(score):
            return False
        done = self.update if self.protocol.unit == "steps" else self.epoch
        if done < select.start:
            return False
        better = (
            math.inf if self.best is None else (score - self.best["score"]) * (1 if select.higher_is_better else -1)
        )
        return better > 0

    @contextlib.contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        """The weights that are judged (averaged, or as the optimizer's eval() makes them); afterwards the training
        weights are back, bit for bit."""
        switching = [o for o in self.optimizers.values() if hasattr(o, "eval") and hasattr(o, "train")]
        if self.ema is None and not switching:
            yield
            return
        saved = [(net, {k: v.detach().clone() for k, v in net.state_dict().items()}) for net in self.players]
        for optimizer in switching:
            optimizer.eval()  # type: ignore[attr-defined]
        if self.ema is not None:
            self.load_players(self.ema)
        try:
            if self.protocol.fresh_statistics is not msgspec.UNSET:
                measure(self.workload, self.run, self.team, self.protocol.fresh_statistics)
            yield
        finally:
            for optimizer in switching:
                optimizer.train()  # type: ignore[attr-defined]
            for net, weights in saved:
                net.load_state_dict(weights)

    def implementations(self) -> dict[str, dict[str, int]]:
        """How many parameters of each player each implementation steps: {"model": {"fused (C++)": 60, "loop": 1}}."""
        return {name: in_use(optimizer) for name, optimizer in self.optimizers.items()}

    def all_implementations(self) -> list[dict[str, dict[str, int]]]:
        """Those of earlier attempts, where they stepped otherwise, and then this one's.

        A run that goes on where its kernels cannot be had, as on a machine without a compiler, is stepped by the loop.
        """
        now = self.implementations() if self.update else {}
        return [*self.ran_before, now] if now and [now] != self.ran_before[-1:] else self.ran_before

    @property
    def players(self) -> list[nn.Module]:
        return list(self.workload.players.values())

    def load_players(self, weights: dict[str, dict[str, Tensor]]) -> None:
        for name, net in self.workload.players.items():
            net.load_state_dict(weights[name])

    def keep_best(self, score: float, checkpoints: Checkpoints | SharedCheckpoints) -> None:
        """Write the weights now judged as the best so far. Called inside `evaluation_weights`."""
        weights = {name: net.state_dict() for name, net in self.workload.players.items()}
        file = checkpoints.save_best(weights, self.update)
        self.best = {
            "score": score,
            "update": self.update,
            "time": self.time,
            "file": file,
            "watched": dict(self.watched),
        }

    @property
    def best_file(self) -> tuple[str, str] | None:
        """Name and digest of the file of the best weights so far."""
        return None if self.best is None else tuple(self.best["file"])

    def restore_best(self, checkpoints: Checkpoints | SharedCheckpoints) -> None:
        """Go back to the best weights, buffers included; without any, go on with the present ones. Optimizers that keep
        weights of their own are told."""
        if self.best is not None:
            self.load_players(checkpoints.load_best(self.best["file"]))
            for optimizer in self.optimizers.values():
                if hasattr(optimizer, "weights_loaded"):
                    optimizer.weights_loaded()  # type: ignore[attr-defined]

    def state_dict(self) -> dict[str, Any]:
        """All of it, as plain values and tensors (loadable with weights_only=True). No random state: see
        suite.seeds."""
        return {
            "position": {k: getattr(self, k) for k in POSITION},
            "players": {name: net.state_dict() for name, net in self.workload.players.items()},
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "scalers": {name: s.state_dict() for name, s in self.scalers.items()},
            "ema": self.ema,
            "workload": state_of(self.workload),
            "probes": {name: recorder.state_dict() for name, recorder in self.recorders.items()},
            "networks": self.networks.described(),
            "implementations": self.all_implementations(),
            "curve": self.curve,
            "watched": self.watched,
            "best": self.best,
            **self.losses.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        for key, value in state["position"].items():
            setattr(self, key, value)
        self.load_players(state["players"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
            self.scalers[name].load_state_dict(state["scalers"][name])
        for name, probes in state.get("probes", {}).items():  # not in checkpoints of version 0.1
            self.recorders[name].load_state_dict(probes)
        self.workload.load_state_dict(state["workload"])
        self.networks = NetworkOptions(**state.get("networks", {}))  # earlier versions saved none
        self.ran_before = state.get("implementations", [])
        device = self.workload.device
        if state["ema"] is not None:
            self.ema = {n: {k: v.to(device) for k, v in weights.items()} for n, weights in state["ema"].items()}
        self.curve, self.watched, self.best = state["curve"], state["watched"], state["best"]
        self.losses.load_state_dict(state)


POSITION = ("epoch", "batch", "of", "update", "settled", "known_bad", "sample_at")


class Clock:
    """Wall time by activity, kept apart from what must be the same in every attempt."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.evaluating, self.in_updates, self.saved = 0.0, 0.0, 0.0

    @contextlib.contextmanager
    def evaluation(self) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            self.evaluating += time.monotonic() - begun

    @contextlib.contextmanager
    def updating(self) -> Iterator[None]:
        """The block is updates, and checkpoints between them, which do not count."""
        begun, saved = time.monotonic(), self.saved
        try:
            yield
        finally:
            self.in_updates += time.monotonic() - begun - (self.saved - saved)

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            self.saved += time.monotonic() - begun

    def report(self) -> dict[str, float]:
        """Seconds of this attempt: in all, and in evaluations."""
        return {"seconds": round(time.monotonic() - self.started, 3), "evaluating": round(self.evaluating, 3)}
