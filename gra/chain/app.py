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
from gra.paths import conf_dir, expanded
from gra.pipes import outlive_reader
from gra.signals import leaving_on_preemption

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from gra.chain.check import Sources

# bare words and keys that a command's own module reads before this one (gra/synthesis/sharding.py)
_WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"synthesis_app": (("merge",), ("shard", "round"))}


def main(target: str, config_name: str) -> None:
    """Run the stage whose `run` is the dotted path `target` from the command line; ends the process with its exit code."""
    sys.exit(hydra_main(lambda config, problems: run_stage(target, config_name, config, problems), config_name))


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

    from gra.chain.mistyped import mistyped, top_keys
    from gra.chain.overrides import check_overrides
    from gra.typed import spelt

    parser = get_args_parser()
    verbs, keys = _WORDS.get(config_name, ((), ()))
    if wrong := mistyped(sys.argv[1:], parser, [*top_keys(config_name), *keys], verbs):
        raise ConfigError(wrong)
    arguments = parser.parse_args()
    other = (arguments.help, arguments.hydra_help, arguments.shell_completion, arguments.config_name, arguments.config_path)
    if any(other) or arguments.experimental_rerun:
        return []  # nothing is run, or it is another config: Hydra's own messages will do
    words, unclear = spelt(arguments.overrides, arguments.multirun)
    read = dict(zip(arguments.overrides, words, strict=True))
    sys.argv = [sys.argv[0], *(read.get(word, word) for word in sys.argv[1:])]
    arguments.overrides = [word for word in words if word not in {problem.key for problem in unclear}]
    sys.argv = [word for word in sys.argv if word not in words or word in arguments.overrides]
    problems, good = check_overrides(config_name, arguments.overrides, arguments.config_dir)
    problems = unclear + problems
    if problems and (good is None or arguments.cfg or arguments.info or arguments.multirun):
        raise ConfigError(problems)
    if problems:
        sys.argv = [word for word in sys.argv if word not in arguments.overrides or word in (good or ())]
    return problems


def run_stage(target: str, config_name: str, root: DictConfig, problems: list[Problem]) -> None:
    """Run the stage `target` with what a composed app config says, and say where it went. Raises GraErrors."""
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
    config, inputs, output, faults = _read(root, config_name, problems)
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


def _read(
    root: DictConfig, config_name: str, told: list[Problem]
) -> tuple[dict[str, Any], dict[str, Path], Path | None, list[Problem]]:
    """The stage's config, its inputs, the output folder, and what is not set or cannot be resolved."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from gra.chain.check import locate
    from gra.chain.kinds import wrong_kinds
    from gra.chain.store import not_of_its_own
    from gra.chain.unknown import listed
    from gra.typed import to_type

    try:
        plain = OmegaConf.to_container(root, resolve=True)
    except OmegaConfBaseException as error:
        remedy = "correct the `${...}` that it names" + "".join(f"; for a text that holds it, type {word}" for word in _literal())
        raise ConfigError([Problem("(whole config)", str(error).splitlines()[0], remedy)]) from error
    assert isinstance(plain, dict)
    keys = {str(key): value for key, value in plain.items()}
    if wrong := wrong_kinds(keys, HydraConfig.get().runtime.choices, {"config": {}, "inputs": {}} | dict(listed(config_name))):
        raise ConfigError(locate([*told, *wrong], sources(config_name)))
    problems = []
    output = plain["output"]
    if output in (None, "???"):
        given = next((word.partition("=")[2] for word in sys.argv[1:] if word.startswith("output=")), "")
        named = f" (for a folder called {given}: {to_type('output', f'./{given}')})" if given else ""
        problems.append(Problem("output", "required, but not set", f"say where the result goes: output=DIR{named}"))
    elif fault := not_of_its_own(expanded(output)):
        problems.append(Problem("output", f"{output or '(empty)'} {fault}", "give a folder of its own: output=DIR"))
    inputs = {}
    for name, value in (plain.get("inputs") or {}).items():
        if value == "???":
            problems.append(Problem(f"inputs.{name}", "required, but not set", f"give the folder: inputs.{name}=DIR"))
        elif value is not None and not isinstance(value, str):
            what = f"the name of a folder is expected here (got {value!r:.80})"
            problems.append(Problem(f"inputs.{name}", what, f"give one folder: inputs.{name}=DIR"))
        elif value is not None:
            inputs[str(name)] = expanded(value)
    return plain["config"], inputs, None if output in (None, "???") else expanded(output), problems


def _literal() -> list[str]:
    """The overrides that hold `${`, as they would be typed for that very text."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from gra.typed import to_type

    texts = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    assert isinstance(texts, list)
    return [to_type(*str(text).split("=", 1)) for text in texts if "${" in str(text) and "=" in str(text)]
