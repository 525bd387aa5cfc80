"""Every proof of one task, and the card that says how each of them went."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import torch

from optathlon.tasks import registry
from optathlon.tasks.conformance import proofs
from optathlon.tasks.conformance.kit import Broken, Build, Kit, Lacks
from optathlon.tasks.description import verified_references
from optathlon.tasks.errors import TaskError, one_line, raised
from optathlon.tasks.registry import resolve
from optathlon.tasks.task import Protocol, Task

Proof = Callable[[Kit], None]

NEEDS: dict[Proof, tuple[Proof, ...]] = {
    proofs.is_built: (),
    proofs.same_seed_builds_same_weights: (proofs.is_built,),
    proofs.tags_are_known: (proofs.is_built,),
    proofs.yields_batches: (proofs.is_built,),
    proofs.starts_anywhere: (proofs.yields_batches,),
    proofs.does_not_depend_on_data_workers: (proofs.starts_anywhere,),
    proofs.epochs_differ: (proofs.starts_anywhere,),
    proofs.processes_share_the_batches: (proofs.starts_anywhere,),
    proofs.loss_has_finite_gradients: (proofs.yields_batches,),
    proofs.loss_changes_only_buffers: (proofs.loss_has_finite_gradients,),
    proofs.loss_is_repeatable: (proofs.loss_changes_only_buffers,),
    proofs.evaluates_every_split: (proofs.is_built,),
    proofs.evaluation_leaves_no_trace: (
        proofs.same_seed_builds_same_weights,
        proofs.evaluates_every_split,
        proofs.loss_is_repeatable,
    ),
    proofs.memory_survives_a_resume: (proofs.loss_is_repeatable,),
    proofs.two_processes_are_one: (
        proofs.same_seed_builds_same_weights,
        proofs.processes_share_the_batches,
        proofs.memory_survives_a_resume,
    ),
    proofs.processes_evaluate_alike: (
        proofs.same_seed_builds_same_weights,
        proofs.evaluation_leaves_no_trace,
    ),
}
"""The proofs in their order, and those without which each has nothing to stand on: one cause is told once."""


class Finding(msgspec.Struct, frozen=True):
    """One proof's outcome; "lacks": there is nothing to prove. "skipped": an earlier failure is told already."""

    check: str
    status: Literal["pass", "fail", "lacks", "skipped"]
    detail: str = ""


class Card(msgspec.Struct, frozen=True):
    """What the kit found about one task at one scale."""

    name: str
    version: int | str
    scale: str
    findings: list[Finding]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not any(finding.status == "fail" for finding in self.findings)


def check(task: Task, scale: str, protocol: Protocol, data: Path) -> Card:
    """Every proof of `task` by `protocol` with the data below `data`; what the task raises is in the card."""
    findings = [_settings(task, protocol), _data(task, protocol, data)]
    can_run, passed = all(finding.status != "fail" for finding in findings), set[Proof]()
    findings.append(_references(task, protocol, data) if can_run else Finding("references are scores", "skipped"))
    kit = Kit.for_task(task, protocol, data)
    file = _source(task)
    for proof, needs in NEEDS.items():
        if can_run and passed.issuperset(needs):
            finding = run_proof(name_of(proof), lambda proof=proof: proof(kit), file)
            if finding.status in ("pass", "lacks"):
                passed.add(proof)
        else:
            finding = Finding(name_of(proof), "skipped")
        findings.append(finding)
    return Card(task.name, task.version or 1, scale, findings)


def prove(build: Build, splits: Sequence[str] = ("validation", "test"), task: Task | None = None) -> None:
    """Raise Broken, an AssertionError, if the workload that `build` gives breaks one of the proofs."""
    kit = Kit(build, splits, task)
    for proof in NEEDS:
        try:
            proof(kit)
        except Lacks:
            continue
        except TaskError as error:
            raise Broken(str(error)) from error


def name_of(proof: Callable[..., object]) -> str:
    return proof.__name__.replace("_", " ")


def run_proof(name: str, proof: Callable[[], None], file: str | None = None) -> Finding:
    """The finding of `proof`. file: the user's, whose lines are told of what it raises."""
    with torch.random.fork_rng(devices=[]):
        try:
            proof()
        except Lacks as reason:
            return Finding(name, "lacks", str(reason))
        except (Broken, TaskError) as error:
            return Finding(name, "fail", one_line(error))
        except FileNotFoundError as error:
            remedy = "put it below --data, or name its Dataset in Task.datasets, so that `plan` refuses"
            return Finding(name, "fail", f"raised {raised(error, file)}; {remedy}")
        except (Exception, SystemExit) as error:  # a task from outside may raise anything
            return Finding(name, "fail", f"raised {raised(error, file)}")
    return Finding(name, "pass")


def _settings(task: Task, protocol: Protocol) -> Finding:
    def settings_are_checked() -> None:
        registry.check(task, protocol)
        if task.check is None:
            raise Lacks("Task.check is not set: settings that cannot run are found by a run only")

    return run_proof(name_of(settings_are_checked), settings_are_checked)


def _data(task: Task, protocol: Protocol, data: Path) -> Finding:
    def data_is_there() -> None:
        registry.require(task, protocol, data)

    return run_proof(name_of(data_is_there), data_is_there)


def _references(task: Task, protocol: Protocol, data: Path) -> Finding:
    def references_are_scores() -> None:
        if task.references is None:
            raise Lacks("Task.references is not set: boards show nothing that a trained model must beat")
        verified_references(task, registry.call(task.references, protocol, data))

    return run_proof(name_of(references_are_scores), references_are_scores)


def _source(task: Task) -> str | None:
    try:
        return inspect.getsourcefile(resolve(task.workload))
    except (TaskError, TypeError):
        return None
