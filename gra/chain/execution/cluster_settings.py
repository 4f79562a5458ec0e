"""Parses the `cluster` group: this machine, or Slurm with the resources of each stage's jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from gra.errors import Problem
from gra.settings import Settings, parse


class ClusterSettings(Settings):
    """The `cluster` group for this machine."""

    executor: str = Field("local", pattern="^local$", description="Where steps run: local, on this machine.")
    max_parallel: int = Field(2, ge=1, description="Steps that run in parallel.")
    threads: int | None = Field(None, ge=1, description="OMP_NUM_THREADS of each step; null: cores / max_parallel.")


class Resources(Settings):
    """What a job requests; null: not requested, so the partition's default counts."""

    partition: str | None = Field(None, description="Slurm's partition; null: the cluster's default.")
    account: str | None = Field(None, description="Account that pays; null: the user's default.")
    qos: str | None = Field(None, description="Quality of service; null: the account's default.")
    constraint: str | None = Field(None, description="Features that the nodes must have; null: none.")
    time: str | int | None = Field(
        None, description="Time limit: minutes, or [days-]hours:minutes:seconds; null: the partition's default."
    )
    cpus: int | None = Field(None, ge=1, description="CPUs per node; null: the partition's default.")
    mem: str | int | None = Field(
        None, description="Memory per node: 16G, or megabytes; null: the partition's default."
    )
    gpus: int | str | None = Field(None, description="GPUs per node: a number, or TYPE:NUMBER; null: none.")
    nodes: int | None = Field(
        None, ge=1, description="Nodes; on more than one, srun starts the step on each; null: one."
    )
    directives: list[str] | None = Field(None, description="Further options of sbatch, e.g. --exclusive; null: none.")

    @property
    def gpu_count(self) -> int:
        """The number of GPUs per node."""
        return int(str(self.gpus or 0).rsplit(":", 1)[-1])


class StageResources(Resources):
    """Resources of one stage's jobs, and how many jobs a step of it becomes."""

    shards: int = Field(1, ge=1, description="Jobs that share the work, where the stage can be divided.")
    shards_per_task: int = Field(1, ge=1, description="Shards that one array task does, one after the other.")
    merge: Resources = Field(default_factory=Resources, description="Of the merges of shards: keys that differ.")


class Mail(Settings):
    """Slurm's mail; no user: none."""

    user: str | None = Field(None, description="Address or user name; null: no mail.")
    type: list[str] = Field(default_factory=lambda: ["FAIL", "END"], description="Events of which Slurm writes.")


class SlurmSettings(Settings):
    """The `cluster` group for Slurm."""

    executor: str = Field("slurm", pattern="^slurm$", description="Where steps run: slurm, as jobs of a cluster.")
    resources: Resources = Field(default_factory=Resources, description="Of every job.")
    stages: dict[str, StageResources] = Field(
        default_factory=dict, description="By the stage's name (synthesis, train, eval ...): keys that differ."
    )
    setup: list[str] = Field(default_factory=list, description="Lines of shell before the command of each job.")
    container: str | None = Field(None, description="Command that runs the job's command in a container; null: none.")
    python: str | None = Field(None, description="Python of the jobs; null: the one that submits.")
    mail: Mail = Field(default_factory=Mail, description="Mail about jobs.")
    array_parallel: int | None = Field(
        None, ge=1, description="Most tasks of an array that run at the same time; null: no limit."
    )
    requeue: bool = Field(True, description="Let Slurm start a job again; false: a job submits its successor.")
    signal_s: int = Field(
        120, ge=5, description="A job gets the signal to stop this many seconds before its time limit."
    )
    max_attempts: int = Field(3, ge=1, description="Starts of a failing job; preemptions and limits do not count.")
    merge_takes: float = Field(0.05, ge=0, le=1, description="Share of missing shards that a merge makes up for.")
    lock_wait_s: float = Field(600, ge=0, description="Seconds that a job waits for a step another process is doing.")
    max_parallel: int | None = Field(
        None,
        ge=1,
        description="Steps of an experiment that run at the same time; null: all that do not wait for another.",
    )
    max_jobs: int | None = Field(
        None, ge=1, description="Most jobs queued; array tasks then do several shards; null: no limit."
    )

    def of(self, stage: str, *, merge: bool = False) -> StageResources:
        """Return the resources of a stage's jobs; with `merge`, of its merges."""
        own = self.stages.get(stage, StageResources())
        layers = [self.resources, own, *([own.merge] if merge else [])]
        found: dict[str, Any] = {}
        for layer in layers:
            found |= {key: value for key, value in layer.model_dump(exclude={"merge"}).items() if value is not None}
        return StageResources.model_validate(found)


def parse_cluster(config: Mapping[str, Any]) -> tuple[ClusterSettings | SlurmSettings | None, list[Problem]]:
    """Return the settings of the group `cluster` (None if faulty) and its faults."""
    if config.get("executor") == "slurm":
        return parse(SlurmSettings, config, "cluster")
    return parse(ClusterSettings, config, "cluster")
