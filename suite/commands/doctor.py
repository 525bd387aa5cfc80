"""Check this machine, the store and the data folder, and say what would be right."""

from __future__ import annotations

import argparse
import os
import platform
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from optathlon import tasks
from optathlon.results import put_new
from optathlon.slurm import slots
from optathlon.slurm.cluster import ClusterError, Job
from optathlon.suite.console import add_data, add_json, add_store, print_json, table
from optathlon.suite.errors import ENVIRONMENT, UsageError
from optathlon.suite.planning import cluster_settings
from optathlon.tasks.data.dataset import require
from optathlon.tasks.data.places import folder_of

Finding = tuple[str, str, str]


def configure(parser: argparse.ArgumentParser) -> None:
    add_store(parser)
    add_data(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    findings: list[Finding] = [_python(), *_packages(), _slots(), *_store(args.store), *_data(args.data), *_slurm()]
    if args.json:
        print_json({"findings": [dict(zip(("level", "what", "finding"), f, strict=True)) for f in findings]})
    else:
        print(table(_together(findings), ("", "what", "finding")))
    return ENVIRONMENT if any(level == "wrong" for level, _, _ in findings) else 0


def _together(findings: Sequence[Finding]) -> list[Finding]:
    """Puts the data sets that are not here into one finding."""
    missing = [what for level, what, _ in findings if level == "check" and what in tasks.dataset_paths()]
    if not missing:
        return list(findings)
    advice = "`optathlon show NAME` says what is expected, `optathlon data standin NAME` makes a small substitute"
    one = ("check", "data", f"not here: {', '.join(missing)}; {advice}")
    return [*(finding for finding in findings if finding[1] not in missing), one]


def _python() -> Finding:
    good = sys.version_info >= (3, 11)
    return ("ok" if good else "wrong", "python", f"{platform.python_version()}, 3.11 or newer is needed")


def _packages() -> list[Finding]:
    findings = []
    for name in ("torch", "torchvision", "torchaudio", "msgspec", "soundfile", "scikit-learn", "submitit"):
        try:
            findings.append(("ok", name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            findings.append(("wrong", name, "not installed: pip install optathlon"))
    if "+cpu" in metadata.version("torch"):
        findings.append(("wrong", "torch", "the CPU-only build: torchvision and torchaudio break beside it"))
    return findings


def _slots() -> Finding:
    names = slots.names()
    kind = "GPUs" if names and names[0].startswith("gpu-") else "cores, no GPU"
    return ("ok" if names else "wrong", "slots", f"{len(names)} ({kind})")


def _store(root: Path) -> list[Finding]:
    place = root if root.exists() else root.resolve().parent
    probe = place / f".doctor-{secrets.token_hex(4)}"
    try:
        seconds = _timed(lambda: put_new(probe, b"doctor\n"))
        renamed = probe.with_suffix(".renamed")
        os.rename(probe, renamed)
        renamed.unlink()
        skew = abs(time.time() - _mtime(probe))
    except Exception as error:  # whatever is wrong with this place is the finding
        return [("wrong", "store", f"{root}: cannot be written: {error}")]
    free = shutil.disk_usage(place).free
    findings = [("ok", "store", f"{root}: writable, hard links work, a synced write takes {seconds * 1e3:.1f} ms")]
    findings.append(("ok" if skew < 60 else "check", "clock", f"differs from the store's by {skew:.0f} s"))
    findings.append(("ok" if free > 10e9 else "check", "space", f"{free / 1e9:.0f} GB free at the store"))
    return findings


def _mtime(path: Path) -> float:
    path.touch()
    try:
        return path.stat().st_mtime
    finally:
        path.unlink()


def _timed(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def _data(root: Path) -> list[Finding]:
    findings = []
    for name in tasks.dataset_paths():
        try:
            findings.append(
                ("ok", name, f"edition {require(tasks.dataset(name), root).edition} in {folder_of(root, name)}")
            )
        except tasks.DataError as error:
            findings.append(("check" if not (root / name).exists() else "wrong", name, str(error)))
    return findings


def _slurm() -> list[Finding]:
    """Finds whether this machine can submit to Slurm, and what sbatch says of the user's own settings."""
    if shutil.which("sbatch") is None:
        return [("ok", "slurm", "no sbatch here: sweeps run on this machine")]
    from optathlon.slurm import site
    from optathlon.slurm.slurm import SlurmCluster

    findings: list[Finding] = []
    try:
        here = site.site()
        requeue = "requeues jobs" if here.requeues else "requeues jobs that ask for it, as ours do"
        accounting = "accounting" if here.accounting else "no accounting, which is not needed"
        about = f"{here.version}, cluster {here.name}, MaxArraySize {here.max_array_size}, {requeue}, {accounting}"
        findings.append(("ok", "slurm", about))
        for name, what in site.partitions().items():
            findings.append(("ok", f"partition {name.rstrip('*')}", what + ("; default" if name.endswith("*") else "")))
        settings = cluster_settings.settings([cluster_settings.user_table()])
        job = Job((), "optathlon-doctor", Path.cwd(), resources=settings.resources)
        later = SlurmCluster().check(job)
    except (ClusterError, UsageError) as error:
        return [*findings, ("check", "sbatch --test-only" if findings else "slurm", str(error))]
    if later:
        return [*findings, ("check", "sbatch --test-only", later)]
    file = cluster_settings.user_file()
    return [
        *findings,
        ("ok", "sbatch --test-only", f"a worker would be taken ({file if file.exists() else 'no settings'})"),
    ]
