"""PURE: turns the unfinished steps of a plan into Slurm jobs.

A step becomes one job, unless it is divided into shards. The shards form waves: the shards of a wave run at the same
time, one wave after the other. Each wave becomes one job array, and each merge of shards becomes one job. If the
servers of the step's models run in separate jobs, the step has one more array, `servers`. The step's first job waits
until this array has started.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gra.chain.execution.cluster_settings import SlurmSettings, StageResources
from gra.chain.execution.plan import Plan, Planned
from gra.chain.store.store import slug
from gra.cluster.records import SERVERS
from gra.parts import Wave


@dataclass(frozen=True)
class Job:
    """One Slurm job, or one job array.

    `key`: identifies the job's work in this store.
    `tasks`: the numbers of an array's tasks that are not done. For a single job, it is None.
    `after`: the keys of the jobs that must succeed before this job starts.
    `after_any`: the keys of the jobs that must end before this job starts.
    `after_start`: the keys of the jobs that must start before this job starts.
    `outputs`: task number -> the folders that the task makes. A single job has the task number 0.
    `servers_wait`: how many seconds the job waits for servers that run in other jobs. If it needs no such servers, it
        is None.
    """

    key: str
    step: str
    stage: str
    digest: str
    wave: str | None
    tasks: tuple[int, ...] | None
    after: tuple[str, ...]
    after_any: tuple[str, ...]
    outputs: Mapping[int, tuple[str, ...]]
    resources: StageResources
    per_task: int = 1
    shards: int = 1
    after_start: tuple[str, ...] = ()
    servers_wait: float | None = None

    @property
    def serves(self) -> bool:
        """Whether the job's tasks are servers of the step's models."""
        return self.wave == SERVERS

    @property
    def name(self) -> str:
        """The job's name in squeue, logs and messages."""
        return f"{self.step} {self.wave}" if self.wave else self.step

    @property
    def count(self) -> int:
        """The number of jobs that Slurm counts: one, or one for each task of an array."""
        return 1 if self.tasks is None else len(self.tasks)


@dataclass(frozen=True)
class Facts:
    """What is known from the disk and from Slurm's queue.

    `done`: a function that returns whether a folder is finished.
    `alive`: the keys of the jobs that are queued or running.
    `serving`: key of a server array -> the numbers of its tasks that are queued or running.
    """

    done: Callable[[Path], bool]
    alive: Collection[str] = field(default_factory=tuple)
    serving: Mapping[str, Collection[int]] = field(default_factory=dict)


def jobs_of(plan: Plan, settings: SlurmSettings, facts: Facts) -> list[Job]:
    """Return the jobs to submit. Each job comes after the jobs that it waits for.

    If a step is finished or has the same fingerprint as an earlier step, it needs no job. Jobs that are queued or
    running are left out.

    If the setting `max_parallel` is N, at most N steps run at the same time. For this, each step also waits for the end
    of the step N places before it.
    """
    found: list[Job] = []
    ends: list[str] = []  # the key of each step's last job
    twins = plan.twins()
    for name, item in plan.steps.items():
        if item.folder is None and twins[name] == name:
            jobs = _of_step(plan, item, twins, settings, facts)
            if settings.max_parallel is not None and len(ends) >= settings.max_parallel:
                before = ends[-settings.max_parallel]
                for at in range(2 if jobs[0].serves else 1):
                    jobs[at] = replace(jobs[at], after_any=tuple(dict.fromkeys((*jobs[at].after_any, before))))
            ends.append(jobs[-1].key)
            found += jobs
    waiting = {job.key for job in found} | set(facts.alive)
    return [
        replace(
            job,
            after=_in(job.after, waiting),
            after_any=_in(job.after_any, waiting),
            after_start=_in(job.after_start, waiting),
        )
        for job in found
        if job.tasks != () and (job.serves or job.key not in facts.alive)
    ]


def fitted(plan: Plan, settings: SlurmSettings, facts: Facts) -> tuple[list[Job], int]:
    """Return the jobs to submit, and the factor by which `shards_per_task` was multiplied.

    If there are more jobs than the setting `max_jobs` allows, the factor is raised, so that each job runs more shards
    and there are fewer jobs. If even that is not enough, more than `max_jobs` jobs are returned.
    """
    factor = 1
    while True:
        jobs = jobs_of(plan, _coarser(settings, factor), facts)
        total = sum(job.count for job in jobs)
        most = max((job.count for job in jobs if not job.serves), default=0)
        if settings.max_jobs is None or total <= settings.max_jobs or most <= 1:
            return jobs, factor
        factor += 1


def _coarser(settings: SlurmSettings, factor: int) -> SlurmSettings:
    if factor == 1:
        return settings
    stages = {
        name: own.model_copy(update={"shards_per_task": own.shards_per_task * factor})
        for name, own in settings.stages.items()
    }
    return settings.model_copy(update={"stages": stages})


def key_of(stage: str, digest: str, wave: str | None = None) -> str:
    """Return the key by which the store, Slurm's comments and the records of submissions identify the work of a job."""
    return f"{stage}-{digest[:16]}" + (f"/{wave}" if wave else "")


def _with_servers(item: Planned, place: Path, jobs: list[Job], settings: SlurmSettings, facts: Facts) -> list[Job]:
    """Return `jobs`, the jobs of a step. If the step's servers are jobs of their own, their array comes first."""
    asked = settings.servers_of(item.stage.name)
    served = item.stage.served(dict(item.step.config)) if asked is not None else None
    if asked is None or served is None:
        return jobs
    first = jobs[0]
    key = key_of(first.stage, first.digest, SERVERS)
    alive = facts.serving.get(key, ())
    tasks = tuple(number for number in range(len(served.models) * asked.replicas) if number not in alive)
    servers = replace(
        first,
        key=key,
        wave=SERVERS,
        tasks=tasks,
        outputs={number: (str(place),) for number in tasks},
        resources=settings.of(first.stage, servers=True),
        per_task=1,
        shards=1,
    )
    clients = [replace(job, servers_wait=asked.wait_s) for job in jobs]
    return [servers, replace(clients[0], after_start=(key,)), *clients[1:]]


def _of_step(plan: Plan, item: Planned, twins: Mapping[str, str], settings: SlurmSettings, facts: Facts) -> list[Job]:
    assert item.digest is not None  # a plan with faults is not submitted
    stage, digest, step = item.stage, item.digest, item.step
    before = []
    for source in step.inputs.values():
        made = plan.steps[twins[source]] if isinstance(source, str) else None
        if made is not None and made.folder is None:
            assert made.digest is not None
            before.append(key_of(made.stage.name, made.digest))
    place = plan.store.place(stage.name, step.id, digest).final
    resources = settings.of(stage.name)
    own = Job(
        key=key_of(stage.name, digest),
        step=step.id,
        stage=stage.name,
        digest=digest,
        wave=None,
        tasks=None,
        after=tuple(dict.fromkeys(before)),
        after_any=(),
        outputs={0: (str(place),)},
        resources=resources,
    )
    if stage.divide is None or resources.shards == 1:
        return _with_servers(item, place, [own], settings, facts)
    waves, _ = stage.divide(step.config, place, resources.shards)
    divided = replace(own, shards=resources.shards, per_task=resources.shards_per_task)
    found: list[Job] = []
    for wave in _missing(waves, facts):
        job = _of_wave(divided, wave, settings, facts)
        last = (found[-1].key,) if found else ()
        if found and found[-1].tasks is None:
            job = replace(job, after=last)
        elif found:
            job = replace(job, after=(), after_any=last)
        if job.tasks != ():
            found.append(job)
    resources = settings.of(stage.name, merge=True)
    last = (found[-1].key,) if found else ()
    jobs = [*found, replace(divided, resources=resources, after=() if found else own.after, after_any=last)]
    return _with_servers(item, place, jobs, settings, facts)


def _missing(waves: Sequence[Wave], facts: Facts) -> Sequence[Wave]:
    """Return the waves after the last finished merge, which contains the results of all waves before it."""
    for number in range(len(waves) - 1, -1, -1):
        if waves[number].gathers and facts.done(waves[number].part(0).output):
            return waves[number + 1 :]
    return waves


def _of_wave(step: Job, wave: Wave, settings: SlurmSettings, facts: Facts) -> Job:
    key = f"{step.key}/{wave.name}"
    if wave.gathers:
        outputs = {0: (str(wave.part(0).output),)}
        merge = settings.of(step.stage, merge=True)
        return replace(step, key=key, wave=wave.name, outputs=outputs, resources=merge)
    found: dict[int, tuple[str, ...]] = {}
    for task in range(math.ceil(wave.tasks / step.per_task)):
        parts = [wave.part(number).output for number in numbers(task, step.per_task, wave.tasks)]
        if not all(facts.done(part) for part in parts):
            found[task] = tuple(map(str, parts))
    return replace(step, key=key, wave=wave.name, tasks=tuple(found), outputs=found)


def numbers(task: int, per_task: int, tasks: int) -> range:
    """Return the indices of the shards that one task of a job array runs.

    `task`: the index of the task.
    `per_task`: how many shards each task runs.
    `tasks`: how many shards all tasks of the array run together.
    """
    return range(task * per_task, min((task + 1) * per_task, tasks))


def _in(keys: Iterable[str], those: Collection[str]) -> tuple[str, ...]:
    return tuple(key for key in keys if key in those)


def arrays(tasks: Sequence[int], limit: int) -> list[tuple[int, list[int]]]:
    """Divide the task indices in `tasks` among Slurm arrays. Return each array's offset and its Slurm task indices.

    Slurm's index of a task within its array must be below `limit`. This index plus the array's offset gives the index
    of the task in `tasks`.
    """
    found: dict[int, list[int]] = {}
    for task in sorted(tasks):
        offset = task // limit * limit
        found.setdefault(offset, []).append(task - offset)
    return list(found.items())


def ranges(values: Sequence[int]) -> str:
    """Return sorted numbers in Slurm's short form: 0-3,7."""
    parts: list[list[int]] = []
    for value in values:
        if parts and value == parts[-1][-1] + 1:
            parts[-1][1:] = [value]
        else:
            parts.append([value])
    return ",".join("-".join(map(str, part)) for part in parts)


def options(job: Job, settings: SlurmSettings, comment: str) -> list[str]:
    """Return the options of sbatch for a job.

    Options that depend on other jobs, on the folder of the logs or on task numbers are not among them.
    """
    asked = job.resources
    given = {
        "partition": asked.partition,
        "account": asked.account,
        "qos": asked.qos,
        "constraint": asked.constraint,
        "time": asked.time,
        "cpus-per-task": asked.cpus,
        "mem": asked.mem,
        "gres": f"gpu:{asked.gpus}" if asked.gpu_count else None,
        "nodes": asked.nodes,
        "mail-user": settings.mail.user,
        "mail-type": ",".join(settings.mail.type) if settings.mail.user else None,
    }
    found = [f"--job-name=gra-{slug(job.name)}", f"--comment={comment}"]
    found += [f"--{name}={value}" for name, value in given.items() if value is not None]
    found += [f"--signal=B:USR1@{settings.signal_s}", "--requeue" if settings.requeue else "--no-requeue"]
    return [*found, "--kill-on-invalid-dep=yes", "--open-mode=append", "--export=ALL", *(asked.directives or [])]


def template(job: Job) -> str:
    """Return the file name of the job's batch script in slurm/."""
    if job.tasks is not None:
        return "array.sbatch"
    return "multinode.sbatch" if (job.resources.nodes or 1) > 1 else "task.sbatch"


def command(job: Job, python: str, container: str | None, spec: Path, settings: SlurmSettings) -> list[str]:
    """Return the command that the job runs, as a list of words. `spec`: the path of the step's spec file."""
    if job.serves:
        return _server_command(job, python, container, spec, settings)
    words = [*shlex.split(container or ""), python, "-P", "-m", "gra.cluster.task", str(spec)]
    words += [f"--lock-wait={settings.lock_wait_s:g}", f"--takes={settings.merge_takes:g}"]
    words += [f"--shards={job.shards}", f"--per-task={job.per_task}"] if job.shards > 1 else []
    words += [f"--wave={job.wave}"] if job.wave else []
    words += [f"--servers-wait={job.servers_wait:g}"] if job.servers_wait is not None else []
    return [*words, "--task=%"] if job.tasks is not None else words


def _server_command(job: Job, python: str, container: str | None, spec: Path, settings: SlurmSettings) -> list[str]:
    asked = settings.servers_of(job.stage)
    words = [*shlex.split(container or ""), python, "-P", "-m", "gra.cluster.serving", str(spec)]
    return [*words, *([f"--host={asked.host}"] if asked is not None and asked.host else []), "--task=%"]
