"""What `gra run`, `gra plan` and `gra compare` do with a composed experiment config."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gra.chain import manifest
from gra.chain.app import hydra_main, sources
from gra.chain.check import check_plan, locate
from gra.chain.display import Display
from gra.chain.experiment import resolve
from gra.chain.kinds import wrong_kinds
from gra.chain.local import Account, ClusterSettings, run_plan
from gra.chain.outlook import outlook
from gra.chain.plan import Plan, make_plan
from gra.chain.preflight import preflight_plan, stop_or_tell, writable_problems
from gra.chain.store import Store
from gra.chain.unknown import listed, unknown_keys
from gra.errors import EXIT_FAILED, ConfigError, GraError, Problem, StoreError
from gra.paths import conf_dir
from gra.settings import parse

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONFIG = "chain"


class RunFailed(GraError):
    """Steps failed; the message is the account."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


def main(command: str) -> int:
    """Run one of the commands over sys.argv (Hydra overrides); returns the exit code."""
    return hydra_main({"run": run, "plan": plan, "compare": compare}[command], CONFIG)


def run(root: DictConfig, problems: list[Problem]) -> None:
    """Work through the experiment's steps, then print its table. Raises ConfigError, StoreError, RunFailed."""
    made, cluster = _prepare(root, problems, outside=True)
    with Display(len(made.steps)) as display:
        account = run_plan(made, cluster, display)
    if account.code:
        raise RunFailed(_account(made, account), account.code)
    print(_table(root, make_plan(made.experiment, made.store)[0]))


def plan(root: DictConfig, problems: list[Problem]) -> None:
    """Print every step: where it stands, from what, in which folder."""
    from rich.console import Console
    from rich.table import Table

    made, _ = _prepare(root, problems)
    table = Table("step", "state", "inputs", "folder", "hash", title=f"{made.experiment.title} ({made.store.root})")
    twins = made.twins()
    for name, item in made.steps.items():
        digest = item.digest or "-"
        folder = item.folder.name if item.folder else made.store.place(item.stage.name, twins[name], digest).final.name
        inputs = ", ".join(f"{key}={source}" for key, source in item.step.inputs.items())
        table.add_row(name, made.state(item), inputs or "-", folder, digest[:8])
    console = Console()
    if not console.is_terminal:
        console.width = 200  # in a pipe or file nothing need be cut to a screen
    console.print(table)
    for line in outlook(made):
        console.print(line, markup=False, highlight=False)


def compare(root: DictConfig, problems: list[Problem]) -> None:
    """Print the table of what is finished. Raises StoreError if nothing is."""
    print(_table(root, _prepare(root, problems)[0]))


def _prepare(root: DictConfig, problems: list[Problem], outside: bool = False) -> tuple[Plan, ClusterSettings]:
    """The experiment's plan; raises ConfigError with every fault of the config, after the `problems` found before, and with
    `outside` those of what the steps need beside it (servers, the hub, folders that can be written)."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    if HydraConfig.get().runtime.choices.get("experiment") is None and not root.experiment.get("arms"):
        remedy = f"one of: {', '.join(f'experiment={name}' for name in experiments())}"
        raise ConfigError([*problems, Problem("experiment", "required, but not set", remedy)])
    where = sources(CONFIG)
    raw = OmegaConf.to_container(root, resolve=False)
    assert isinstance(raw, dict)
    packages = [group.split("@")[-1].replace("/", ".") for group in where.choices]
    plain = {str(key): value for key, value in raw.items()}
    if wrong := wrong_kinds(plain, HydraConfig.get().runtime.choices, listed(CONFIG)):
        raise ConfigError(locate([*problems, *wrong], where))
    cluster, faults = parse(ClusterSettings, OmegaConf.to_container(root.cluster, resolve=True), "cluster")
    problems = problems + faults + unknown_keys(plain, packages, CONFIG)
    try:
        experiment, faults = resolve(root)
    except ConfigError as error:
        raise ConfigError(locate([*problems, *error.problems], where)) from error
    made, more = make_plan(experiment, Store(Path(root.store)))
    problems += faults
    known = {p.key for p in problems}
    checked = [p for p in check_plan(made, where) if p.key not in known]
    told = {p.key for p in checked}
    problems += [*(p for p in more if p.key not in told), *checked]  # a stage's own words say it better
    if experiment.compare or experiment.reference:
        from gra.compare.options import check

        tasks = OmegaConf.select(root, "suite.tasks", default=None)
        problems += check(experiment.compare, benchmarks=len(tasks) if isinstance(tasks, Sequence) else 0)
    if outside:
        told = {p.key for p in problems}
        problems += [p for p in preflight_plan(made, where) if p.key not in told]
        problems += writable_problems("store", made.store.root) + writable_problems("results", Path(root.results))
    stop_or_tell(problems, where)
    assert cluster is not None  # else there were problems
    return made, cluster


def experiments() -> list[str]:
    """The names of the experiments that come with the project."""
    folder = conf_dir() / "experiment"
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def _table(root: DictConfig, made: Plan) -> str:
    from gra.compare.arms import STEPS, Arm
    from gra.compare.experiment import compare

    arms = []
    for row in made.experiment.rows:
        folders = {name: made.steps[i].folder for name, i in row.steps.items() if name in STEPS}
        done = {name: folder for name, folder in folders.items() if folder is not None}
        manifests = {name: manifest.read(folder) for name, folder in done.items()}
        arms.append(Arm(name=row.arm, label=row.label, replicate=row.replicate, folders=done, manifests=manifests))
    if not any(item.folder for item in made.steps.values()):
        raise StoreError(f"{made.store.root}: no step of {made.experiment.name} is finished\n    -> {_run_again()}")
    reference = made.experiment.reference or made.experiment.rows[0].arm
    output = _results(root)
    text = compare(arms, title=made.experiment.title, reference=reference, output=output, options=made.experiment.compare)
    return f"{text.rstrip()}\n\nreport: {output / 'report.html'}"


def _results(root: DictConfig) -> Path:
    """`results`, and in a sweep a folder below it for each job."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra = HydraConfig.get()
    folder = Path(root.results)
    if hydra.mode != RunMode.MULTIRUN:
        return folder
    own = [text for text in hydra.overrides.task if not text.startswith("experiment=")]
    return folder / (",".join(own).replace("/", "_") or str(hydra.job.num))


def _account(made: Plan, account: Account) -> str:
    """What failed, what waits for it, and how to go on."""
    lines = []
    for name, code in account.failed.items():
        lines.append(f"{name} failed (exit code {code}{_killed(code)}): see {account.logs[name]}")
    if account.waiting:
        why = "waiting for what failed" if account.code == EXIT_FAILED else "interrupted"
        lines.append(f"not done ({why}): {', '.join(account.waiting)}")
    lines.append(f"{len(account.done)} of {len(made.steps)} steps are done and will be used again")
    remedy = "correct the cause, then run the same command again" if account.failed else "the same command continues from here"
    return "\n".join([*lines, f"    -> {remedy}: {_run_again()}"])


def _run_again() -> str:
    """The command with these overrides, as it can be typed into a shell."""
    return shlex.join(["gra", "run", *sys.argv[1:]])


def _killed(code: int) -> str:
    if code >= 0:
        return ""
    return ": killed by signal " + str(-code) + (", perhaps for lack of memory: try cluster.max_parallel=1" if code == -9 else "")
