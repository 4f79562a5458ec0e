"""A small real Slurm for tests: munged, slurmctld and one slurmd a node, as plain processes on 127.0.0.1, in a folder of their own.

    python tests/cluster/slurm_cluster.py bash        # a command with such a cluster, which ends with it

Needs Debian's munge and slurm-wlm (or the like); as root all jobs run as root. `started(folder)` yields the environment in which
Slurm's commands find it, or skips the test with the reason.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
CONF = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
MaxArraySize={max_array}
ReturnToService=2
JobRequeue=1
KillWait=3
CompleteWait=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
AccountingStorageType=accounting_storage/none
NodeName=n[1-{nodes}] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=8 RealMemory=64000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE DefaultTime=60 State=UP
PartitionName=low Nodes=ALL PriorityTier=1 PreemptMode=REQUEUE GraceTime=20 MaxTime=INFINITE DefaultTime=60 State=UP
"""


@contextmanager
def started(folder: Path, nodes: int = 2, max_array: int = 8) -> Iterator[dict[str, str]]:
    """Start a cluster in `folder`, which must have a short path; end it and its jobs afterwards."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if missing:
        pytest.skip(f"no Slurm here ({', '.join(missing)}): apt-get install --no-install-recommends munge slurm-wlm")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    (folder / "state").mkdir()
    (folder / "key").write_bytes(os.urandom(1024))
    (folder / "key").chmod(0o600)
    port = _ports(nodes + 1)
    values = {"port": port, "first": port + 1, "last": port + nodes, "nodes": nodes, "max_array": max_array}
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(folder=folder, user=getpass.getuser(), **values))
    environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(conf)}
    daemons: list[subprocess.Popen[bytes]] = []

    def launch(*words: str) -> None:
        with (folder / f"{words[0]}.out").open("ab") as out:
            daemons.append(
                subprocess.Popen(words, env=environment, stdout=out, stderr=out, start_new_session=True, cwd=folder)
            )

    try:
        launch(
            *("munged", "--foreground", f"--socket={folder}/munge.sock", f"--key-file={folder}/key"),
            *(f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/seed"),
        )
        _until(lambda: (folder / "munge.sock").exists(), "munged", folder)
        launch("slurmctld", "-D", "-f", str(conf))
        for number in range(1, nodes + 1):
            (folder / f"spool-n{number}").mkdir()
            launch("slurmd", "-D", "-N", f"n{number}", "-f", str(conf))
        _until(
            lambda: _said(environment, "sinfo", "-h", "-N", "-p", "main", "-o", "%T").count("idle") == nodes,
            "slurmctld",
            folder,
        )
        yield environment
    finally:
        with suppress(subprocess.SubprocessError, OSError):
            jobs = _said(environment, "squeue", "-h", "-o", "%A").split()
            if jobs:
                _said(environment, "scancel", *jobs)
            end = time.monotonic() + 10
            while time.monotonic() < end and _said(environment, "squeue", "-h", "-o", "%A").split():
                time.sleep(0.2)
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in reversed(daemons):
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _said(environment: dict[str, str], *words: str) -> str:
    return subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL
    ).stdout


def _until(holds: object, what: str, folder: Path) -> None:
    end = time.monotonic() + 40
    while not holds():  # type: ignore[operator]
        if time.monotonic() > end:
            logs = "\n".join(path.read_text(errors="replace")[-600:] for path in folder.glob("*.log"))
            pytest.skip(f"no Slurm can be started here: {what} does not answer\n{logs}")
        time.sleep(0.1)


def _ports(count: int) -> int:
    """The first of `count` free ports in a row."""
    for first in range(21_800, 31_000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    pytest.skip("no free ports for a Slurm")


def main(words: list[str]) -> int:
    """Run a command with a cluster of its own; returns its exit code."""
    with tempfile.TemporaryDirectory(prefix="gra-slurm-", dir="/tmp") as folder, started(Path(folder)) as environment:
        return subprocess.run(words, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
