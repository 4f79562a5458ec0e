"""Runs `gra submit`: checks an experiment, queues jobs for the steps that are not done, and returns at once."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gra.chain.execution.app import hydra_main
from gra.chain.execution.cluster_settings import SlurmSettings
from gra.chain.execution.commands import CONFIG, prepare
from gra.chain.execution.local import spec_of
from gra.chain.execution.plan import Plan, make_plan
from gra.chain.store.manifest import MANIFEST, now
from gra.chain.store.store import JOBS, slug
from gra.cluster import slurm, snapshot
from gra.cluster.layout import Facts, Job, arrays, command, fitted, options, ranges, template
from gra.cluster.queued import RECORD, changed, numbers_of, serving
from gra.cluster.records import Submission, Submitted, comment
from gra.errors import GraError, Problem, StoreError
from gra.fileio import write_json, write_text
from gra.locks import locked
from gra.paths import slurm_dir

if TYPE_CHECKING:
    from omegaconf import DictConfig

_USUAL_MAX_ARRAY = 1001  # Slurm's default of MaxArraySize


def main(words: Sequence[str]) -> int:
    """Run the command with the arguments `words`. Return the exit code."""
    dry, live = "--dry-run" in words, "--live" in words
    rest = [word for word in words if word not in ("--dry-run", "--live")]
    sys.argv = ["gra submit", *rest]
    return hydra_main(lambda root, problems: _submit(root, problems, rest, dry=dry, live=live), CONFIG)


def _submit(root: DictConfig, problems: list[Problem], words: list[str], *, dry: bool, live: bool) -> None:
    plan, settings = prepare(root, problems, outside=not dry, executor="slurm")
    assert isinstance(settings, SlurmSettings)
    if dry:
        print(
            "note: dry run, nothing is queued; servers, the hub and folders are checked by gra submit", file=sys.stderr
        )
    store = plan.store.root
    with nullcontext() if dry else locked(store / ".locks" / "submit.lock", _wait):  # a dry run leaves nothing on disk
        rows = _queue(store, dry=dry)
        # The plan is made again, because other submissions and jobs may have changed the store. The queue was read
        # before, so a job that ends in between is seen in the queue or in the plan.
        plan = make_plan(plan.experiment, plan.store)[0]
        found = rows or []
        alive = {row.comment.removeprefix(comment(store)) for row in found}
        facts = Facts(lambda folder: (folder / MANIFEST).is_file(), alive, serving(store, found))
        jobs, factor = fitted(plan, settings, facts)
        if factor > 1:
            print(f"cluster.max_jobs={settings.max_jobs}: each array task does {factor} times as many shards")
        if not jobs:
            print(_nothing(plan, alive))
        whole = fitted(plan, settings, Facts(facts.done))[0] if alive else []
        if others := list(changed(store, settings, whole, alive)):
            print("queued or running jobs keep the options that they were submitted with:", *others, sep="\n    ")
            print("    -> for other options: gra cancel, then gra submit")
        if not jobs:
            return
        limit = 1 if not any(job.tasks for job in jobs) else _USUAL_MAX_ARRAY if rows is None else slurm.max_array()
        folder = store.absolute() / JOBS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
        known = numbers_of(found, store)
        if dry:
            submission = Submission(folder, plan.experiment.name, str(Path.cwd()), None, words)
            _queue_all(jobs, plan, settings, submission, known, limit, Path("CODE"), dry=True)
            return
        code = None if live else snapshot.take(store)
        submission = Submission(folder, plan.experiment.name, str(Path.cwd()), str(code) if code else None, words)
        try:
            _queue_all(jobs, plan, settings, submission, known, limit, code, dry=False)
        except (GraError, OSError) as error:
            raise StoreError(_undo(submission, store, error)) from error
    print(f"\nsubmitted; see: {shlex.join(['gra', 'status', f'store={store}'])}")
    print(f"the table, once arms are finished: {shlex.join(['gra', 'compare', *words])}")


def _queue(store: Path, *, dry: bool) -> list[slurm.Row] | None:
    """Return the store's queued and running jobs. If Slurm does not answer, raise SlurmError, or return None in a dry
    run."""
    try:
        return slurm.queue(comment(store))
    except slurm.SlurmError as error:
        if not dry:
            raise
        said = str(error).splitlines()[0]
        print(
            f"note: {said}; jobs that are queued already are listed as well, and MaxArraySize is unknown",
            file=sys.stderr,
        )
        return None


def _queue_all(
    jobs: Sequence[Job],
    plan: Plan,
    settings: SlurmSettings,
    submission: Submission,
    known: Mapping[str, list[str]],
    limit: int,
    code: Path | None,
    *,
    dry: bool,
) -> None:
    """Submit the jobs, or with `dry` only print them. `known`: key -> numbers of the queued and running jobs."""
    ids = dict(known)
    for number, job in enumerate(jobs):
        logs = submission.folder / f"{number:03d}-{slug(job.name)}"
        record = Submitted(
            key=job.key,
            name=job.name,
            step=job.step,
            stage=job.stage,
            digest=job.digest,
            wave=job.wave,
            shards=job.shards,
            after=list(job.after),
            after_any=list(job.after_any),
            outputs={str(task): [str(Path(p).absolute()) for p in paths] for task, paths in job.outputs.items()},
            logs=str(logs),
            time=now(),
        )
        submission.jobs.append(record)
        ids[job.key] = list(known.get(job.key, ())) if job.serves else []  # some servers may be alive already
        for offset, numbers in arrays(job.tasks, limit) if job.tasks is not None else [(0, None)]:
            words = _words(job, settings, plan, logs, code, numbers, ids)
            if dry:
                mine = f"JOB{sum(map(len, ids.values())) + 1}"
                print(f"{_line(job, mine, numbers, offset, ids, logs)}\n    sbatch {shlex.join(words)}")
            else:
                _prepare_folder(job, settings, plan, logs, code, words)
                submission.write()  # before it is queued: `gra status` knows every job, also if this command is killed now
                mine = slurm.submit(words, _environment(logs, code, offset))
                record.ids[mine] = offset
                submission.write()
                print(_line(job, mine, numbers, offset, ids, logs), flush=True)
            ids[job.key] = [*ids[job.key], mine]


def _words(
    job: Job,
    settings: SlurmSettings,
    plan: Plan,
    logs: Path,
    code: Path | None,
    numbers: Sequence[int] | None,
    ids: Mapping[str, Sequence[str]],
) -> list[str]:
    """Return the arguments of sbatch."""
    found = options(job, settings, comment(plan.store.root, job.key))
    found += [f"--chdir={Path.cwd()}", f"--output={logs}/slurm-{'%j' if numbers is None else '%A_%a'}.log"]
    if (text := dependency(job.after, job.after_any, ids, job.after_start)) is not None:
        found.append(f"--dependency={text}")
    if numbers is not None:
        # no limit for servers: the jobs that call them need a server of each model at the same time
        most = f"%{settings.array_parallel}" if settings.array_parallel and not job.serves else ""
        found.append(f"--array={ranges(numbers)}{most}")
    found.append(str((code / "slurm" if code is not None else slurm_dir()) / template(job)))
    return [*found, *command(job, settings.python or sys.executable, settings.container, logs / "spec.json", settings)]


def dependency(
    after: Sequence[str], after_any: Sequence[str], ids: Mapping[str, Sequence[str]], after_start: Sequence[str] = ()
) -> str | None:
    """Return the value of sbatch's option --dependency. If the job waits for no other job, return None.

    `after`: the keys of the jobs that must first succeed.
    `after_any`: the keys of the jobs that must first end.
    `after_start`: the keys of the jobs that must first start.
    `ids`: key of each queued or running job -> its Slurm ids.
    """
    parts = []
    for kind, keys in (("afterok", after), ("afterany", after_any), ("after", after_start)):
        if found := [number for key in keys for number in ids.get(key, ())]:
            parts.append(":".join([kind, *found]))
    return ",".join(parts) or None


def _prepare_folder(
    job: Job, settings: SlurmSettings, plan: Plan, logs: Path, code: Path | None, words: Sequence[str]
) -> None:
    logs.mkdir(parents=True, exist_ok=True)
    item = next(item for item in plan.steps.values() if item.step.id == job.step)
    spec_of(plan, item).write(logs / "spec.json")
    write_json(logs / RECORD, list(words))
    write_text(logs / "job.sh", job_file(settings, logs, code, job.resources.cpus))


def job_file(settings: SlurmSettings, logs: Path, code: Path | None, cpus: int | None) -> str:
    """Return the content of a job's file job.sh, which slurm/attempts.sh reads.

    The file sets environment variables and runs the shell lines of the setting `setup`. After each of these lines, it
    checks whether the line failed.
    """
    exports = {
        "GRA_PYTHON": settings.python or sys.executable,
        "GRA_LOGS": str(logs),
        "GRA_MAX_ATTEMPTS": str(settings.max_attempts),
        "GRA_REQUEUE": str(int(settings.requeue)),
        "GRA_SIGNAL_S": str(settings.signal_s),
        "PYTHONUNBUFFERED": "1",
    }
    lines = ["# environment of one job, read by slurm/attempts.sh"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in exports.items()]
    path = [] if code is None else [f"export PYTHONPATH={shlex.quote(str(code))}${{PYTHONPATH:+:$PYTHONPATH}}"]
    lines += path  # a job whose setup fails may submit its successor
    for line in settings.setup:
        lines += [f"GRA_SETUP={shlex.quote(line)}", 'eval "$GRA_SETUP"', "setup_ended $?"]
    lines += path if settings.setup else []  # again: `module load` may put folders before it
    if cpus is not None:
        lines.append(f"export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{cpus}}}")
    return "\n".join(lines) + "\n"


def _environment(logs: Path, code: Path | None, offset: int) -> dict[str, str]:
    """Return the environment of sbatch, which the job inherits. If this command itself runs in a job, that job's
    variables are left out."""
    inherited = {key: value for key, value in os.environ.items() if not re.match(r"SLURM_(?!CONF)|SBATCH_|GRA_", key)}
    folder = code / "slurm" if code is not None else slurm_dir()
    return {**inherited, "GRA_JOB": str(logs / "job.sh"), "GRA_SLURM": str(folder), "GRA_OFFSET": str(offset)}


def _line(
    job: Job, mine: str, numbers: Sequence[int] | None, offset: int, ids: Mapping[str, Sequence[str]], logs: Path
) -> str:
    array = "" if numbers is None else f"[{ranges(numbers)}]" + (f" + {offset}" if offset else "")
    wait = dependency(job.after, job.after_any, ids, job.after_start)
    return f"{job.name}: job {mine}{array}{f', {wait}' if wait else ''}, log {logs}"


def _nothing(plan: Plan, alive: set[str]) -> str:
    done = sum(item.folder is not None for item in plan.steps.values())
    if done == len(plan.steps):
        return f"all {done} steps are done; nothing to submit"
    return f"{done} of {len(plan.steps)} steps are done, the others are queued or running ({len(alive)} jobs); nothing to submit"


def _undo(submission: Submission, store: Path, error: Exception) -> str:
    """Cancel the jobs that were queued before `error`. Return the message for the user."""
    queued = {number: job.name for job in submission.jobs for number in job.ids}
    by_key = {job.key: job.name for job in submission.jobs}
    with suppress(GraError):  # an sbatch that did not answer in time may have queued its job all the same
        for key, numbers in numbers_of(slurm.queue(comment(store)), store).items():
            queued |= {number: by_key[key] for number in numbers if key in by_key}
    if submission.jobs:
        error = GraError(f"{submission.jobs[-1].name}: {error}")
    resources = "other resources: cluster.resources.KEY or cluster.stages.STAGE.KEY"
    if not queued:
        shutil.rmtree(submission.folder, ignore_errors=True)  # it holds no log
        return f"{error}\n    -> nothing was queued; correct it and run gra submit again ({resources})"
    submission.jobs = [job for job in submission.jobs if job.ids]
    submission.write()
    named = ", ".join(f"{number} ({name})" for number, name in queued.items())
    with suppress(GraError):
        slurm.cancel(list(queued))
        return f"{error}\n    -> cancelled again: {named}; correct it and run gra submit again ({resources})"
    return f"{error}\n    -> cancel by hand: scancel {' '.join(queued)} ({named})"


def _wait(who: str) -> None:
    print(f"{who} is submitting to this store; waiting for it", file=sys.stderr, flush=True)
