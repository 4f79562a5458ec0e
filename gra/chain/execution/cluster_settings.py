"""Parses the config group `cluster`, which says where steps run: on this machine, or in Slurm jobs with given
resources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from gra.errors import Problem
from gra.settings import Settings, parse


class ClusterSettings(Settings):
    """Keys of `cluster` with `executor: local`: the steps run on this machine."""

    executor: str = Field("local", pattern="^local$", description="local: steps run on this machine.")
    max_parallel: int = Field(2, ge=1, description="Limit on steps that run in parallel.")
    threads: int | None = Field(
        None, ge=1, description="OMP_NUM_THREADS of each step; null: number of cores / `max_parallel`."
    )


class Resources(Settings):
    """What one job requests from Slurm. A key that is null is not passed to sbatch, so Slurm's default applies."""

    partition: str | None = Field(None, description="Slurm partition; null: the cluster's default.")
    account: str | None = Field(
        None, description="Slurm account that the job is charged to (--account); null: your default account."
    )
    qos: str | None = Field(None, description="Slurm quality of service (--qos); null: the account's default.")
    constraint: str | None = Field(None, description="Node features that the job needs (--constraint); null: none.")
    time: str | int | None = Field(
        None, description="Time limit: minutes, or [days-]hours:minutes:seconds; null: the partition's default."
    )
    cpus: int | None = Field(None, ge=1, description="CPUs per node; null: the partition's default.")
    mem: str | int | None = Field(
        None, description="Memory per node: 16G, or megabytes; null: the partition's default."
    )
    gpus: int | str | None = Field(None, description="GPUs per node: a number, or TYPE:NUMBER; null: none.")
    nodes: int | None = Field(
        None, ge=1, description="Number of nodes; with more than one, srun starts the step on each node; null: one."
    )
    directives: list[str] | None = Field(None, description="Other sbatch options, e.g. --exclusive; null: none.")

    @property
    def gpu_count(self) -> int:
        """The number of GPUs per node."""
        return int(str(self.gpus or 0).rsplit(":", 1)[-1])


class ServerResources(Resources):
    """What each server job requests. A server job serves one model to the other jobs of a step."""

    replicas: int = Field(1, ge=1, description="Number of servers of each model, which share its calls.")
    host: str | None = Field(
        None, description="Name or address by which other nodes call a server; null: the host name of its node."
    )
    wait_s: float = Field(
        3600,
        gt=0,
        description="Longest time, in seconds, that a running job waits for a server of each of its models; then it fails.",
    )


class StageResources(Resources):
    """What the jobs of one stage request, and the number of jobs into which a step is divided."""

    shards: int = Field(
        1,
        ge=1,
        description="Number of shards (parallel jobs) that a step is divided into; only the synthesis can be divided.",
    )
    shards_per_task: int = Field(1, ge=1, description="Number of shards that one array task runs, one after the other.")
    merge: Resources = Field(
        default_factory=Resources,
        description="Resources of the jobs that merge the shards; keys that are not set are those of the stage.",
    )
    servers: ServerResources | None = Field(
        None,
        description="Runs the servers of `pool.serve` as one array of jobs for each step, one task for each model, which the "
        "step's jobs find by themselves. Resources that are not set are those of the stage. null: each job starts its own servers.",
    )


class Mail(Settings):
    """Mail that Slurm sends about jobs."""

    user: str | None = Field(
        None, description="Address or user name that gets the mail (--mail-user); null: no mail is sent."
    )
    type: list[str] = Field(
        default_factory=lambda: ["FAIL", "END"], description="Events that Slurm sends a mail about (--mail-type)."
    )


class SlurmSettings(Settings):
    """Keys of `cluster` with `executor: slurm`: each step becomes one or more Slurm jobs."""

    executor: str = Field("slurm", pattern="^slurm$", description="slurm: steps run as Slurm jobs.")
    resources: Resources = Field(
        default_factory=Resources, description="What every job requests, unless `stages` overrides it."
    )
    stages: dict[str, StageResources] = Field(
        default_factory=dict,
        description="Mapping from stage name (synthesis, train, eval, ...) to the keys that override `resources` for its jobs.",
    )
    setup: list[str] = Field(
        default_factory=list,
        description="Shell lines that each job runs before its command, e.g. module load cuda. Each is a whole "
        "command; if it fails, the job fails.",
    )
    container: str | None = Field(
        None, description="Command that is put before each job's command to run it in a container; null: no container."
    )
    python: str | None = Field(None, description="Python that the jobs use; null: the Python that runs `gra submit`.")
    mail: Mail = Field(default_factory=Mail, description="Mail about jobs.")
    array_parallel: int | None = Field(
        None, ge=1, description="Limit on tasks of one array that run at the same time; null: no limit."
    )
    requeue: bool = Field(
        True,
        description="true: Slurm requeues a job that has to run again; false: such a job submits a new job that replaces it.",
    )
    signal_s: int = Field(
        120, ge=5, description="Seconds before its time limit at which a job gets the signal to stop."
    )
    max_attempts: int = Field(
        3, ge=1, description="Limit on starts of a job that fails; preemptions and time limits are not counted."
    )
    merge_takes: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Largest share of missing shards that a merge completes by itself; if more are missing, it fails.",
    )
    lock_wait_s: float = Field(
        600,
        ge=0,
        description="Longest time, in seconds, that a job waits for a step that another process is running; then it fails.",
    )
    max_parallel: int | None = Field(
        None,
        ge=1,
        description="Limit on steps of an experiment that run at the same time; null: no limit.",
    )
    max_jobs: int | None = Field(
        None,
        ge=1,
        description="Limit on jobs that one submission queues; to stay below it, array tasks run several shards; null: no limit.",
    )

    def of(self, stage: str, *, merge: bool = False, servers: bool = False) -> StageResources:
        """Return the resources that each job of a stage requests.

        If `merge` is true, return those of the jobs that merge shards. If `servers` is true, return those of the server
        jobs.
        """
        own = self.stages.get(stage, StageResources())
        layers = [self.resources, own, *([own.merge] if merge else [])]
        layers += [own.servers] if servers and own.servers is not None else []
        found: dict[str, Any] = {}
        left_out = {"merge", "servers", "replicas", "host", "wait_s"}
        for layer in layers:
            found |= {key: value for key, value in layer.model_dump(exclude=left_out).items() if value is not None}
        return StageResources.model_validate(found)

    def servers_of(self, stage: str) -> ServerResources | None:
        """Return the settings of a stage's server jobs. If the stage has none, because each job starts its own servers,
        return None."""
        return self.stages.get(stage, StageResources()).servers


def parse_cluster(config: Mapping[str, Any]) -> tuple[ClusterSettings | SlurmSettings | None, list[Problem]]:
    """Return the settings of the config group `cluster`, and the list of their faults. If there are faults, the
    settings are None."""
    if config.get("executor") == "slurm":
        return parse(SlurmSettings, config, "cluster")
    return parse(ClusterSettings, config, "cluster")
