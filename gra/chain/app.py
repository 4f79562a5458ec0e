"""The command of a single stage: `python -m gra.synthesis ...`, `python -m train ...`, `python -m eval ...`, with `output=DIR`.

A Hydra app over `conf/<stage>_app.yaml`, whose `config` and `inputs` are what the stage gets and whose other keys are what the
user turns. Hydra's own flags work: --cfg job, -m, --info, --help, -sc install=bash (tab completion).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.errors import EXIT_INTERRUPTED, EXIT_PREEMPTED, ConfigError, GraError, Problem
from gra.paths import conf_dir
from gra.pipes import outlive_reader
from gra.signals import leaving_on_preemption

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from gra.chain.check import Sources


def main(target: str, config_name: str) -> None:
    """Run the stage whose `run` is the dotted path `target` from the command line; ends the process with its exit code."""
    sys.exit(hydra_main(lambda config, problems: _run_stage(target, config_name, config, problems), config_name))


def hydra_main(task: Callable[[DictConfig, list[Problem]], None], config_name: str) -> int:
    """Run `task` as a Hydra app over sys.argv and return the exit code. GraErrors are shown without a traceback.

    `task` gets the composed config and the faults found in the command line so far; if there are any, it is to check the rest
    of the config and raise a ConfigError with all of them.

    In a sweep (-m) one job's GraError does not stop the others; the exit code is then the first failed job's. Ctrl-C, SIGTERM and
    SIGUSR1 stop all.
    """
    codes: list[int] = []
    problems: list[Problem] = []
    outlive_reader()

    def guarded(config: DictConfig) -> None:
        try:
            task(config, list(problems))
        except GraError as error:
            print(error, file=sys.stderr, flush=True)
            codes.append(error.code)
            if error.code in (EXIT_INTERRUPTED, EXIT_PREEMPTED):
                sys.exit(error.code)
        except KeyboardInterrupt:
            print("interrupted; the same command goes on from here", file=sys.stderr, flush=True)
            sys.exit(EXIT_INTERRUPTED)

    try:
        with leaving_on_preemption():
            problems += _check_command_line(config_name)
            import hydra

            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(guarded)()
    except GraError as error:
        print(error, file=sys.stderr, flush=True)
        return error.code
    return codes[0] if codes else 0


def sources(config_name: str) -> Sources:
    """Where the config of the running Hydra job came from."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from gra.chain.config_files import files_behind

    hydra = HydraConfig.get()
    choices = {str(k): str(v) for k, v in hydra.runtime.choices.items() if v and not str(k).startswith("hydra/")}
    overrides = OmegaConf.to_container(hydra.overrides.task, resolve=False)  # `${...}` in one is the config's to resolve
    assert isinstance(overrides, list)
    folders = [Path(source.path) for source in hydra.runtime.config_sources if source.schema == "file"]
    return files_behind(config_name, choices, tuple(map(str, overrides)), folders)


def _check_command_line(config_name: str) -> list[Problem]:
    """The faults of the overrides in sys.argv, which are taken out of it. Raises ConfigError if there is no going on without."""
    from hydra._internal.utils import get_args_parser

    from gra.chain.overrides import check_overrides

    arguments = get_args_parser().parse_args()
    other = (arguments.help, arguments.hydra_help, arguments.shell_completion, arguments.config_name, arguments.config_path)
    if any(other) or arguments.experimental_rerun:
        return []  # nothing is run, or it is another config: Hydra's own messages will do
    problems, good = check_overrides(config_name, arguments.overrides, arguments.config_dir)
    if problems and (good is None or arguments.cfg or arguments.info or arguments.multirun):
        raise ConfigError(problems)
    if problems:
        sys.argv = [word for word in sys.argv if word not in arguments.overrides or word in (good or ())]
    return problems


def _run_stage(target: str, config_name: str, root: DictConfig, problems: list[Problem]) -> None:
    from omegaconf import OmegaConf

    from gra.chain import manifest
    from gra.chain.check import check_step, locate
    from gra.chain.manifest import MANIFEST
    from gra.chain.origin import from_root
    from gra.chain.preflight import stop_or_tell, writable_problems
    from gra.chain.runner import follower, run_in_folder
    from gra.chain.stage import load_stage

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    where = sources(config_name)
    config, inputs, output, faults = _read(root)
    stage = load_stage(target)
    problems += faults
    problems += [
        Problem(f"inputs.{name}", f"{path}: no such folder", "correct the path")
        for name, path in inputs.items()
        if not path.exists()
    ]
    raw = OmegaConf.to_container(root, resolve=False)
    assert isinstance(raw, dict)
    plain = {str(key): value for key, value in raw.items()}
    problems += [from_root(problem, plain, ["config"]) for problem in check_step(stage, config, dict(inputs))]
    if output is None or (not (output / MANIFEST).exists() and not follower() and not stage.follower(config)):
        told = {problem.key for problem in problems}
        outside = stage.preflight(dict(config), dict(inputs)) + (writable_problems("output", output) if output is not None else [])
        problems += [p for p in (from_root(problem, plain, ["config"]) for problem in outside) if p.key not in told]
    stop_or_tell(problems, where)
    assert output is not None  # else there were problems
    hashes = {name: manifest.outside_hash(path) for name, path in inputs.items()}
    try:
        result = run_in_folder(stage, config, inputs, hashes, output)
    except ConfigError as error:
        raise ConfigError(locate((from_root(problem, plain, ["config"]) for problem in error.problems), where)) from error
    if result.reused:
        print(f"{output}: there already, made from this very configuration; nothing to do")
        return
    mark = " (simulated)" if result.manifest.get("simulated") else ""
    print(f"{output}: done{mark}")
    for name, value in result.manifest.get("metrics", {}).items():
        print(f"  {name}: {value:g}")


def _read(root: DictConfig) -> tuple[dict[str, Any], dict[str, Path], Path | None, list[Problem]]:
    """The stage's config, its inputs, the output folder, and what is not set or cannot be resolved."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from gra.chain.store import not_of_its_own

    try:
        plain = OmegaConf.to_container(root, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError([Problem("(whole config)", str(error).splitlines()[0], "correct the `${...}` that it names")]) from error
    assert isinstance(plain, dict)
    problems = []
    output = plain["output"]
    if output in (None, "???"):
        problems.append(Problem("output", "required, but not set", "say where the result goes: output=DIR"))
    elif fault := not_of_its_own(Path(str(output)).expanduser()):
        problems.append(Problem("output", f"{output or '(empty)'} {fault}", "give a folder of its own: output=DIR"))
    inputs = {}
    for name, value in (plain.get("inputs") or {}).items():
        if value == "???":
            problems.append(Problem(f"inputs.{name}", "required, but not set", f"give the folder: inputs.{name}=DIR"))
        elif value is not None:
            inputs[str(name)] = Path(value).expanduser()
    return plain["config"], inputs, None if output in (None, "???") else Path(str(output)).expanduser(), problems
