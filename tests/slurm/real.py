"""A real Slurm on this machine: munged, MariaDB, slurmdbd, slurmctld and several slurmd, all on loopback and in one
folder, for root or any one user. Debian's packages are enough; nothing is written to /etc, no service manager asked.

python tests/slurm/real.py up DIR | down DIR: the same by hand.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

DAEMONS = ("munged", "munge", "mariadbd", "mariadb-install-db", "mariadb", "slurmdbd", "slurmctld", "slurmd", "sbatch")
PACKAGES = "munge slurmctld slurmd slurm-client slurmdbd mariadb-server-core mariadb-client-core"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
CPUS, GPUS, MEMORY = 4, 2, 8000


def missing() -> list[str]:
    """The programs that this machine lacks."""
    return [name for name in DAEMONS if shutil.which(name, path=PATH) is None]


class RealSlurm:
    """A cluster in `folder`, which must be short (sockets) and is best in memory (/dev/shm)."""

    def __init__(self, folder: Path, nodes: int = 3) -> None:
        self.folder, self.nodes = folder, [f"node{i}" for i in range(1, nodes + 1)]
        self.configuration = folder / "etc" / "slurm.conf"
        self.user = pwd.getpwuid(os.getuid()).pw_name

    @property
    def environment(self) -> dict[str, str]:
        """For commands that are to talk to this cluster."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_", "SUBMITIT_"))}
        return {**kept, "PATH": PATH, "SLURM_CONF": str(self.configuration)}

    def ask(self, *words: object, check: bool = True) -> str:
        """What a Slurm command prints."""
        done = subprocess.run(
            [str(w) for w in words], env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0 or not check, f"{words}: {done.stderr}"
        return done.stdout

    def up(self) -> None:
        """Start everything; returns when every node is idle."""
        for name in ("etc", "run", "log", "state", "spool", "dev", "tmp"):
            (self.folder / name).mkdir(parents=True)
        for folder in (self.folder, self.folder / "run", self.folder / "etc", self.folder / "log"):
            folder.chmod(0o755)
        self.port = _free_ports(12 + len(self.nodes))
        self._munge()
        self._accounting()
        self._write_configuration()
        self._daemon("slurmdbd", MYSQL_UNIX_PORT=str(self.folder / "run/mysql.sock"))
        self._until("slurmdbd answers", lambda: self._works("sacctmgr", "-n", "show", "cluster"))
        self.start_controller()
        if self.user != "root":  # whom slurmdbd knows by itself
            self.ask("sacctmgr", "-i", "add", "account", "ci")
            self.ask("sacctmgr", "-i", "add", "user", self.user, "account=ci")
        for node in self.nodes:
            self.start_node(node)
        self._until("every node is idle", self.idle)

    def start_controller(self) -> None:
        """Start slurmctld, and wait until it answers."""
        self._daemon("slurmctld")
        self._until("slurmctld answers", lambda: self._works("scontrol", "ping"))

    def stop_controller(self) -> None:
        """Stop slurmctld and nothing else; it saves its state."""
        self._stop("slurmctld")

    def start_node(self, node: str) -> None:
        (self.folder / "spool" / node).mkdir(exist_ok=True)
        self._daemon("slurmd", "-N", node)

    def idle(self) -> bool:
        return self.ask("sinfo", "-h", "-N", "-p", "main", "-o", "%T", check=False).split() == ["idle"] * len(
            self.nodes
        )

    def empty(self, seconds: float = 300.0) -> None:
        """Cancel whatever is queued, and wait until it is gone and every node is idle."""
        self.ask("scancel", "--full", "-u", self.user, check=False)
        self._until("the queue is empty", lambda: self.ask("squeue", "-h", check=False).strip() == "", seconds)
        self.ask("scontrol", "update", f"nodename={','.join(self.nodes)}", "state=resume", check=False)
        self._until("every node is idle", self.idle, seconds)

    def down(self) -> None:
        """Stop everything that `up` started, by its pid file."""
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            if (self.folder / "run/slurmctld.pid").exists():
                self.empty(20.0)
        for names in ([f"slurmd-{n}" for n in self.nodes] + ["slurmctld"], ["slurmdbd"], ["mariadbd", "munged"]):
            self._stop(*names)

    def logs(self) -> str:
        """The last lines of every daemon's log, for a test that failed."""
        parts = []
        for path in sorted((self.folder / "log").glob("slurm*.log")):
            parts += [f"== {path.name}", *path.read_text(errors="replace").splitlines()[-25:]]
        return "\n".join(parts)

    def _munge(self) -> None:
        key, socket_ = self.folder / "etc/munge.key", self.folder / "run/munge.sock"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        log, pid, seed = (self.folder / p for p in ("log/munged.log", "run/munged.pid", "run/munged.seed"))
        self._daemon(
            "munged", f"--socket={socket_}", f"--key-file={key}", f"--pid-file={pid}", f"--log-file={log}",
            f"--seed-file={seed}", "--num-threads=4",
        )  # fmt: skip
        self._until("munged answers", lambda: self._works("munge", "-S", str(socket_), "-n"))

    def _accounting(self) -> None:
        at, run = self.folder, self.folder / "run"
        (at / "etc/my.cnf").write_text(
            f"[mariadbd]\nuser={self.user}\ndatadir={at}/db\nsocket={run}/mysql.sock\npid-file={run}/mariadbd.pid\n"
            f"log-error={at}/log/mariadbd.log\ntmpdir={at}/tmp\nskip-networking\nskip-log-bin\nperformance_schema=OFF\n"
            "innodb_buffer_pool_size=128M\ninnodb_log_file_size=64M\ninnodb_lock_wait_timeout=900\n"
            "innodb_flush_log_at_trx_commit=0\ninnodb_flush_method=nosync\nmax_allowed_packet=16M\n"
        )
        self.ask(
            "mariadb-install-db", "--no-defaults", f"--user={self.user}", f"--datadir={at}/db", "--skip-test-db",
            "--auth-root-authentication-method=socket", f"--auth-root-socket-user={self.user}",
        )  # fmt: skip
        subprocess.Popen(
            ["mariadbd", f"--defaults-file={at}/etc/my.cnf"],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        query = ["mariadb", "--no-defaults", "-S", f"{run}/mysql.sock", "-u", self.user]
        query += ["-e", "create database if not exists slurm_acct_db"]
        self._until("MariaDB answers", lambda: self._works(*query))
        slurmdbd = at / "etc/slurmdbd.conf"
        slurmdbd.write_text(
            f"AuthType=auth/munge\nAuthInfo=socket={run}/munge.sock\nCommunicationParameters=NoInAddrAny\n"
            f"DbdHost=localhost\nDbdAddr=127.0.0.1\nDbdPort={self.port + 9}\nSlurmUser={self.user}\n"
            f"PidFile={run}/slurmdbd.pid\nLogFile={at}/log/slurmdbd.log\nDebugLevel=info\n"
            f"StorageType=accounting_storage/mysql\nStorageHost=localhost\nStorageUser={self.user}\n"
            "StorageLoc=slurm_acct_db\n"
        )
        slurmdbd.chmod(0o600)

    def _write_configuration(self) -> None:
        at, host = self.folder, socket.gethostname().partition(".")[0]
        # A GPU to Slurm is a character device whose name ends in its number; where none can be made, terminals will do.
        devices = "/dev/tty"
        with contextlib.suppress(PermissionError):
            for gpu in range(GPUS):
                os.mknod(at / f"dev/nvidia{gpu}", 0o020666, os.makedev(1, 3))
            devices = f"{at}/dev/nvidia"
        (at / "etc/gres.conf").write_text(
            f"NodeName={self.nodes[0]},{','.join(self.nodes[1:])} Name=gpu File={devices}[0-{GPUS - 1}]\n"
        )
        (at / "etc/cgroup.conf").touch()
        nodes = "".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={self.port + 10 + i} CPUs={CPUS} "
            f"RealMemory={MEMORY} Gres=gpu:{GPUS}\n"
            for i, node in enumerate(self.nodes)
        )
        self.configuration.write_text(
            f"ClusterName=ci\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser={self.user}\nSlurmdUser={self.user}\n"
            # cred_expire + 1 s is how long a requeued job waits; less than 5 counts as 120
            f"AuthType=auth/munge\nAuthInfo=socket={at}/run/munge.sock,cred_expire=10\n"
            f"CommunicationParameters=NoCtldInAddrAny,NoInAddrAny\nSlurmctldPort={self.port}\n"
            f"SlurmctldPidFile={at}/run/slurmctld.pid\nSlurmdPidFile={at}/run/slurmd-%n.pid\n"
            f"StateSaveLocation={at}/state\nSlurmdSpoolDir={at}/spool/%n\n"
            f"SlurmctldLogFile={at}/log/slurmctld.log\nSlurmdLogFile={at}/log/slurmd-%n.log\n"
            "SlurmctldDebug=info\nSlurmdDebug=info\nMailProg=/bin/true\n"
            "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSwitchType=switch/none\nMpiDefault=none\n"
            # more CPUs than this machine has
            "SlurmdParameters=config_overrides\n"
            "SelectType=select/cons_tres\nSelectTypeParameters=CR_Core_Memory\nDefMemPerCPU=500\nGresTypes=gpu\n"
            # Long enough for a machine that hardly gets on: else who is saving is killed, and a node counts as dead.
            "KillWait=120\nUnkillableStepTimeout=300\nSlurmctldTimeout=300\nSlurmdTimeout=300\n"
            "ReturnToService=2\nJobRequeue=1\nMinJobAge=300\n"
            "MaxArraySize=101\nMaxJobCount=10000\n"
            "SchedulerType=sched/backfill\n"
            "SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1\n"
            "PreemptType=preempt/partition_prio\nPreemptMode=REQUEUE\n"
            "AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=127.0.0.1\n"
            "AccountingStorageEnforce=associations,limits,qos\n"
            f"AccountingStoragePort={self.port + 9}\nAccountingStoragePass={at}/run/munge.sock\n"
            "JobAcctGatherType=jobacct_gather/linux\nJobAcctGatherFrequency=0\nJobCompType=jobcomp/none\n"
            f"{nodes}"
            "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1\n"
            "PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF\n"
        )

    def _daemon(self, *words: str, **more: str) -> None:
        """Run a program that puts itself into the background."""
        log = (self.folder / "log" / f"{words[0]}.start").open("ab")
        with log:
            subprocess.run(
                words, env={**self.environment, **more}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                timeout=300, check=True,
            )  # fmt: skip

    def _works(self, *words: str) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                words, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
            )
            return done.returncode == 0
        return False

    def _until(self, what: str, condition: Callable[[], bool], seconds: float = 300.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}\n{self.logs()}"
            time.sleep(0.05)

    def _stop(self, *names: str) -> None:
        pids = {}
        for name in names:
            with contextlib.suppress(OSError, ValueError):
                pids[name] = int((self.folder / "run" / f"{name}.pid").read_text())
        for number, patience in ((signal.SIGTERM, 120.0), (signal.SIGKILL, 5.0)):
            for pid in pids.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            deadline = time.monotonic() + patience
            while any(map(_alive, pids.values())) and time.monotonic() < deadline:
                time.sleep(0.05)
            pids = {name: pid for name, pid in pids.items() if _alive(pid)}
        for name in names:
            (self.folder / "run" / f"{name}.pid").unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _free_ports(count: int) -> int:
    """The first of `count` free ports in a row, below those that the system hands out by itself.

    The system draws them: tests seed `random`, and processes that start a Slurm at once would draw the same.
    """
    while True:
        first = random.SystemRandom().randrange(20000, 30000)
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for port in range(first, first + count):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


if __name__ == "__main__":
    cluster = RealSlurm(Path(sys.argv[2]).resolve())
    if sys.argv[1] == "up":
        cluster.up()
        print(f"export SLURM_CONF={cluster.configuration} PATH=$PATH:/usr/sbin")
    else:
        cluster.down()
        shutil.rmtree(cluster.folder)
