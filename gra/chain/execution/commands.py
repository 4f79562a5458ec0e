"""Runs `gra run`, `gra plan` and `gra compare` on a composed experiment config."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from gra.chain.config.experiment import resolve
from gra.chain.config.kinds import all_options, wrong_kinds
from gra.chain.config.unknown import listed, unknown_keys
from gra.chain.execution.app import config_folders, hydra_main, sources
from gra.chain.execution.check import check_plan, locate
from gra.chain.execution.cluster_settings import ClusterSettings, SlurmSettings, parse_cluster
from gra.chain.execution.display import Display
from gra.chain.execution.local import RunSummary, run_plan
from gra.chain.execution.plan import Plan, Planned, benchmark_items, make_plan
from gra.chain.execution.plan_report import of_unfinished
from gra.chain.execution.preflight import preflight_plan, stop_or_warn, writable_problems
from gra.chain.store import manifest
from gra.chain.store.store import JOBS, Store
from gra.errors import EXIT_FAILED, ConfigError, GraError, Problem, StoreError
from gra.machine import requested

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from gra.compare.arms import Arm

CONFIG = "chain"


class RunFailed(GraError):
    """The error of a run in which steps failed or were not run. The message lists these steps."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


def main(command: str) -> int:
    """Run `gra run`, `gra plan` or `gra compare` with the Hydra overrides in sys.argv. Return the exit code."""
    return hydra_main({"run": run, "plan": plan, "compare": compare}[command], CONFIG)


def run(root: DictConfig, problems: list[Problem]) -> None:
    """Run the unfinished steps of an experiment, then print the experiment's table.

    If steps failed, the table shows the scores of each arm (compared variant) that has scores, and "-" for the other
    arms. Raises ConfigError, StoreError, RunFailed.
    """
    made, cluster = prepare(root, problems, outside=True, executor="local")
    assert isinstance(cluster, ClusterSettings)
    with Display(len(made.steps)) as display:
        account = run_plan(made, cluster, display)
    now = make_plan(made.experiment, made.store)[0]
    if not account.code:
        print("\n".join([_table(root, now), *_empty(made, account)]))
    elif account.failed and any(
        now.steps[row.steps["scores"]].folder for row in now.experiment.rows if "scores" in row.steps
    ):
        print(f"{_table(root, now)}\n")  # a committee that keeps nothing is a result and must not hide the other arms
    if account.code:
        raise RunFailed(_account(made, account), account.code)


def plan(root: DictConfig, problems: list[Problem]) -> None:
    """Print a table of all steps, with the state, inputs, folder and hash of each. Then print facts about the
    unfinished steps (plan_report.py).

    If `compare.power` is set, also print the smallest difference between two arms that the comparison can detect.
    """
    from rich.console import Console
    from rich.table import Table

    made, _ = prepare(root, problems)
    table = Table("step", "state", "inputs", "folder", "hash", title=f"{made.experiment.title} ({made.store.root})")
    twins = made.twins()
    for name, item in made.steps.items():
        digest = item.digest or "-"
        folder = item.folder.name if item.folder else made.store.place(item.stage.name, twins[name], digest).final.name
        inputs = ", ".join(f"{key}={source}" for key, source in item.step.inputs.items())
        table.add_row(name, made.state(item), inputs or "-", folder, digest[:8])
    console = Console()
    if not console.is_terminal:
        console.width = 200  # a pipe or file has no terminal width to fit
    console.print(table)
    for line in of_unfinished(made):
        console.print(line, markup=False, highlight=False)
    if made.experiment.compare.get("power") is not None:
        console.print(_power(root, made), markup=False, highlight=False)


def _power(root: DictConfig, made: Plan) -> str:
    """Return the smallest difference that the planned comparison can detect, by the number of training runs per arm."""
    from gra.compare.options import Options
    from gra.compare.power_sheet import for_suite
    from gra.compare.tables.sheet import render

    suite = root.get("suite")
    if suite is None:
        raise ConfigError([Problem("suite", "--power needs the benchmarks of a suite", "suite=paper")])
    options = Options.model_validate(made.experiment.compare)
    assert options.power is not None
    limit, written = suite.get("limit"), benchmark_items(made)
    shown = for_suite(list(suite.tasks), limit, options.power / 100, options.level, written)
    return render([shown], "terminal", options.width)


def compare(root: DictConfig, problems: list[Problem]) -> None:
    """Print the table of the finished arms, and the names of the arms that are not finished. Raises StoreError if no
    arm is finished."""
    made, cluster = prepare(root, problems)
    done: dict[str, list[bool]] = {}  # arm -> whether each of its replicates is finished
    for row in made.experiment.rows:
        if end := row.steps.get("scores") or row.steps.get("data"):
            done.setdefault(row.arm, []).append(made.steps[end].folder is not None)
    slurm = isinstance(cluster, SlurmSettings)
    queued = slurm or (made.store.root / JOBS).is_dir()
    status = f"{shlex.join(['gra', 'status', f'store={made.store.root}'])} shows the jobs" if queued else ""
    if not (any(map(any, done.values())) if done else any(item.folder for item in made.steps.values())):
        again = f"queue it: {_again('submit')}" if slurm else f"run it: {_again('run')}"
        remedy = f"give the arguments that the run had (gra run, gra submit), or {again}"
        raise StoreError(
            f"{made.store.root}: no arm of {made.experiment.name} is finished with these settings\n"
            f"    -> {'; '.join(filter(None, [status, remedy]))}"
        )
    print(_table(root, made))
    if none := [arm for arm, found in done.items() if not any(found)]:
        print(f"\nnot finished with these settings, so shown as -: {', '.join(none)}")
    if partly := [arm for arm, found in done.items() if any(found) and not all(found)]:
        listed = ", ".join(f"{arm} ({sum(done[arm])} of {len(done[arm])})" for arm in partly)
        print(f"\nnot finished with these settings for all seeds, so shown for those that are: {listed}")
    if status and (none or partly):
        print(f"    -> {status}")


def prepare(
    root: DictConfig, problems: list[Problem], outside: bool = False, executor: str | None = None
) -> tuple[Plan, ClusterSettings | SlurmSettings]:
    """Check the config of an experiment. Return the experiment's plan and cluster settings.

    If there are faults, raises ConfigError with all of them. With Slurm, a step's config is checked against the GPUs
    that the step's job requests, not against the GPUs of this machine.

    `problems`: the faults found before.
    `outside`: whether to check also what the steps need besides the config, such as servers, the hub and writable
        folders.
    `executor`: the only executor that the command can use (None: any).
    """
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    if HydraConfig.get().runtime.choices.get("experiment") is None and not root.experiment.get("arms"):
        names = all_options("experiment", config_folders())
        remedy = f"one of: {', '.join(f'experiment={name}' for name in names)}"
        raise ConfigError([*problems, Problem("experiment", "required, but not set", remedy)])
    where = sources(CONFIG)
    raw = OmegaConf.to_container(root, resolve=False)
    assert isinstance(raw, dict)
    packages = [group.split("@")[-1].replace("/", ".") for group in where.choices]
    plain = {str(key): value for key, value in raw.items()}
    if wrong := wrong_kinds(plain, HydraConfig.get().runtime.choices, listed(CONFIG)):
        raise ConfigError(locate([*problems, *wrong], where))
    group = OmegaConf.to_container(root.cluster, resolve=True)
    assert isinstance(group, dict)
    cluster, faults = parse_cluster({str(key): value for key, value in group.items()})
    faults += _wrong_executor(cluster, executor)
    problems = problems + faults + unknown_keys(plain, packages, CONFIG)
    try:
        experiment, faults = resolve(root)
    except ConfigError as error:
        raise ConfigError(locate([*problems, *error.problems], where)) from error
    made, more = make_plan(experiment, Store(Path(root.store)))
    on = _machine(cluster)
    problems += faults
    known = {p.key for p in problems}
    checked = [p for p in check_plan(made, where, on) if p.key not in known]
    reported = {p.key for p in checked}
    problems += [*(p for p in more if p.key not in reported), *checked]  # the stage's own message is more specific
    if experiment.compare or experiment.reference:
        from gra.compare.options import check

        tasks = OmegaConf.select(root, "suite.tasks", default=None)
        problems += check(experiment.compare, benchmarks=len(tasks) if isinstance(tasks, Sequence) else 0)
    problems += [] if problems else _servers_of_none(cluster, made)
    if outside:
        reported = {p.key for p in problems}
        problems += [p for p in preflight_plan(made, where, on) if p.key not in reported]
        problems += writable_problems("store", made.store.root) + writable_problems("results", Path(root.results))
    stop_or_warn(problems, where)
    if (unequal := _unequal(root)) is not None:
        print(unequal, file=sys.stderr, flush=True)
    assert cluster is not None  # if it is None, there were problems, and `stop_or_warn` raised
    return made, cluster


def _wrong_executor(cluster: ClusterSettings | SlurmSettings | None, wanted: str | None) -> list[Problem]:
    if cluster is None or wanted in (None, cluster.executor):
        return []
    if wanted == "local":
        remedy = "gra submit queues the steps as jobs; gra run cluster=local runs them here"
    else:
        remedy = "choose one with cluster=slurm, or a copy of conf/cluster/slurm.yaml; gra run runs the steps here"
    return [Problem("cluster.executor", f"is {cluster.executor}", remedy)]


def _machine(cluster: ClusterSettings | SlurmSettings | None) -> Callable[[Planned], AbstractContextManager[None]]:
    """Return a function that returns a context manager for a step. Within it, the step's config is checked for the
    machine that will run the step."""
    if not isinstance(cluster, SlurmSettings):
        return lambda _item: nullcontext()

    def on(item: Planned) -> AbstractContextManager[None]:
        stage = item.stage.name
        apart = cluster.servers_of(stage) is not None
        key = f"cluster.stages.{stage}" + (".servers" if apart else "")
        return requested(cluster.of(stage, servers=apart).gpu_count, key, one_server_each=apart)

    return on


def _unequal(root: DictConfig) -> str | None:
    """Return a warning if arms would be trained on different numbers of samples, else None.

    The key `samples` limits the samples of an arm without a synthesis. The warning is given if it differs from the
    number of samples that a synthesis makes, `synthesis.rounds` times `synthesis.samples_per_round`.
    """
    samples, synthesis = root.get("samples"), root.get("synthesis") or {}
    rounds, each = synthesis.get("rounds"), synthesis.get("samples_per_round")
    if not (isinstance(samples, int) and isinstance(rounds, int) and isinstance(each, int)) or samples == rounds * each:
        return None
    return (
        f"note: samples is {samples:,}, but the synthesis makes {rounds} x {each:,} = {rounds * each:,} (synthesis.rounds x "
        "synthesis.samples_per_round): the arms get unequal numbers of samples\n"
        f"    -> for equal arms: samples={rounds * each}, or other numbers of the synthesis"
    )


def _servers_of_none(cluster: ClusterSettings | SlurmSettings | None, made: Plan) -> list[Problem]:
    """Return a fault for each stage that has the key `servers` although none of its steps has servers to start."""
    if not isinstance(cluster, SlurmSettings):
        return []
    found = []
    for stage in (name for name, own in cluster.stages.items() if own.servers is not None):
        steps = [item for item in made.steps.values() if item.stage.name == stage]
        if steps and not any(item.stage.served(dict(item.step.config)) for item in steps):
            key, what = f"cluster.stages.{stage}.servers", "no step of this stage has a pool that starts servers"
            found.append(Problem(key, what, "set pool.serve (with pool=servers), or leave `servers` out"))
    return found


def _table(root: DictConfig, made: Plan) -> str:
    from gra.compare.arms import STEPS, Arm
    from gra.compare.experiment import compare

    arms = []
    for row in made.experiment.rows:
        folders = {name: made.steps[i].folder for name, i in row.steps.items() if name in STEPS}
        done = {name: folder for name, folder in folders.items() if folder is not None}
        manifests = {name: manifest.read(folder) for name, folder in done.items()}
        arms.append(Arm(name=row.arm, label=row.label, replicate=row.replicate, folders=done, manifests=manifests))
    reference = made.experiment.reference or made.experiment.rows[0].arm
    output = _results(root)
    text = compare(
        arms, title=made.experiment.title, reference=reference, output=output, options=made.experiment.compare
    )
    _track(root, arms, output, made.experiment.name)
    return f"{text.rstrip()}\n\nreport: {output / 'report.html'}"


def _track(root: DictConfig, arms: Sequence[Arm], output: Path, name: str) -> None:
    """Log the table to W&B. Faulty W&B settings are ignored here, so that no table is lost; the steps that use them
    report them."""
    from omegaconf import OmegaConf

    from gra.compare import tracking
    from gra.settings import parse
    from gra.tracking import TrackingSettings

    settings, _ = parse(TrackingSettings, OmegaConf.to_container(root.tracking, resolve=True), "tracking")
    if settings is not None:
        tracking.record(arms, settings, output, name)


def _results(root: DictConfig) -> Path:
    """Return the folder `results`; in a sweep, a separate folder below it for each job."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra = HydraConfig.get()
    folder = Path(root.results)
    if hydra.mode != RunMode.MULTIRUN:
        return folder
    own = [text for text in hydra.overrides.task if not text.startswith("experiment=")]
    return folder / (",".join(own).replace("/", "_") or str(hydra.job.num))


def _empty(made: Plan, account: RunSummary) -> list[str]:
    """Return a line for each arm that has no scores because its committee kept no sample."""
    steps = [(made.steps[name].step, log) for name, log in account.empty.items()]
    return [f"{step.arm}: its committee kept no sample, so it has no scores (reasons: {log})" for step, log in steps]


def _account(made: Plan, account: RunSummary) -> str:
    """Return a text that says what failed, what was not done, and how to resume."""
    lines = []
    for name, code in account.failed.items():
        lines.append(f"{name} failed (exit code {code}{_killed(code)}): see {account.logs[name]}")
    if account.waiting:
        why = "waiting for failed steps" if account.code == EXIT_FAILED else "interrupted"
        lines.append(f"not done ({why}): {', '.join(account.waiting)}")
    lines.append(f"{len(account.done)} of {len(made.steps)} steps are done and will be reused")
    remedy = (
        "fix the cause, then run the same command again" if account.failed else "to resume, run the same command again"
    )
    return "\n".join([*lines, f"    -> {remedy}: {_again('run')}"])


def _again(command: str) -> str:
    """Return `gra COMMAND` with this command's overrides, quoted for a shell."""
    return shlex.join(["gra", command, *sys.argv[1:]])


def _killed(code: int) -> str:
    if code >= 0:
        return ""
    return (
        ": killed by signal "
        + str(-code)
        + (", perhaps out of memory: try cluster.max_parallel=1" if code == -9 else "")
    )
