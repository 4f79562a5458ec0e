"""Runs a single stage as a command: `gra synthesize ...`, `gra train ...`, `gra eval ...`, with `output=DIR`.

The command is a Hydra app with the config `conf/<stage>_app.yaml`. Users set the file's other keys; its keys `config`
and `inputs` refer to them with `${...}`, and the stage gets the values of `config` and `inputs`. Hydra's flags work:
--cfg job, -m, --info. (gra/stage_commands.py answers `gra COMMAND --help`.)
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

    from gra.chain.execution.check import Sources

# app -> the bare words and the keys that the command's own module handles before this one (gra/synthesis/engine/sharding.py)
_WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"synthesis_app": (("merge",), ("shard", "round"))}


def main(target: str, config_name: str) -> None:
    """Run a stage with sys.argv as its arguments, then exit with its exit code. `target`: the dotted path of the
    stage's function `run`."""
    sys.exit(stage_main(target, config_name))


def stage_main(target: str, config_name: str) -> int:
    """Run a stage with sys.argv as its arguments and return the exit code. `target`: the dotted path of the stage's
    function `run`."""
    return hydra_main(lambda config, problems: run_stage(target, config_name, config, problems), config_name)


def hydra_main(task: Callable[[DictConfig, list[Problem]], None], config_name: str) -> int:
    """Run `task` as a Hydra app with sys.argv as its arguments. Return the exit code. GraErrors are printed without a
    traceback.

    `task` gets the composed config and the list of faults found in the command line. If the list is not empty, `task`
    must check the rest of the config and raise a ConfigError with all faults.

    In a sweep (-m), a GraError of one job does not stop the other jobs. The exit code is then that of the first failed
    job. Ctrl-C, SIGTERM and SIGUSR1 stop the sweep.
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
            print("interrupted; run the same command again to resume", file=sys.stderr, flush=True)
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
    """Return the files and the command line from which the running Hydra job's config was composed."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from gra.chain.config.config_files import files_behind

    hydra = HydraConfig.get()
    choices = {str(k): str(v) for k, v in hydra.runtime.choices.items() if v and not str(k).startswith("hydra/")}
    # unresolved: `${...}` is resolved with the config
    overrides = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    assert isinstance(overrides, list)
    return files_behind(config_name, choices, tuple(map(str, overrides)), config_folders())


def config_folders() -> list[Path]:
    """Return the folders in which the running Hydra job looks for configs. They are the project's conf/ and, if the
    user gives --config-dir, the user's folder."""
    from hydra.core.hydra_config import HydraConfig

    return [Path(source.path) for source in HydraConfig.get().runtime.config_sources if source.schema == "file"]


def _check_command_line(config_name: str) -> list[Problem]:
    """Return the faults of the overrides in sys.argv, and remove these overrides from it. Raises ConfigError if the rest cannot
    be checked."""
    from gra.chain.config.not_key_value import mistyped, top_keys
    from gra.chain.config.overrides import check_overrides
    from gra.private_api.hydra import arguments_parser
    from gra.typed import spelt

    parser = arguments_parser()
    verbs, keys = _WORDS.get(config_name, ((), ()))
    if wrong := mistyped(sys.argv[1:], parser, [*top_keys(config_name), *keys], verbs):
        raise ConfigError(wrong)
    arguments = parser.parse_args()
    other = (
        arguments.help,
        arguments.hydra_help,
        arguments.shell_completion,
        arguments.config_name,
        arguments.config_path,
    )
    if any(other) or arguments.experimental_rerun:
        return []  # nothing runs, or the user chose another config: Hydra's own messages are enough
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
    """Run the stage `target` with the composed config `root`. Print the output folder and the metrics.

    `problems`: the faults found in the command line. Raises ConfigError with these and all faults of the config, or
        another GraError if the stage fails.
    """
    from omegaconf import OmegaConf

    from gra.chain.execution.single import carry_out

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S"
    )
    config, inputs, output, faults = _read(root, config_name, problems)
    raw = OmegaConf.to_container(root, resolve=False)
    assert isinstance(raw, dict)
    unresolved = {str(key): value for key, value in raw.items()}
    result = carry_out(target, config, inputs, output, [*problems, *faults], unresolved, sources(config_name))
    if result.reused:
        print(f"{result.folder}: already finished with this configuration; nothing to do")
        return
    mark = " (simulated)" if result.manifest.get("simulated") else ""
    print(f"{output}: done{mark}")
    for name, value in result.manifest.get("metrics", {}).items():
        print(f"  {name}: {value:g}")
    if output is not None and (page := output / "report.html").is_file():
        print(f"report: {page}")


def _read(
    root: DictConfig, config_name: str, reported: list[Problem]
) -> tuple[dict[str, Any], dict[str, Path], Path | None, list[Problem]]:
    """Return the stage's config, its inputs, the output folder, and the problems of values that are not set or have the wrong
    type."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from gra.chain.config.kinds import wrong_kinds
    from gra.chain.config.unknown import listed
    from gra.chain.execution.check import locate
    from gra.chain.store.store import why_unusable
    from gra.typed import to_type

    try:
        plain = OmegaConf.to_container(root, resolve=True)
    except OmegaConfBaseException as error:
        remedy = "correct the `${...}` named here" + "".join(
            f"; if you mean the text itself, type {word}" for word in _literal()
        )
        raise ConfigError([Problem("(whole config)", str(error).splitlines()[0], remedy)]) from error
    assert isinstance(plain, dict)
    keys = {str(key): value for key, value in plain.items()}
    if wrong := wrong_kinds(
        keys, HydraConfig.get().runtime.choices, {"config": {}, "inputs": {}} | dict(listed(config_name))
    ):
        raise ConfigError(locate([*reported, *wrong], sources(config_name)))
    problems = []
    output = plain["output"]
    if output in (None, "???"):
        given = next((word.partition("=")[2] for word in sys.argv[1:] if word.startswith("output=")), "")
        named = f" (for a folder called {given}: {to_type('output', f'./{given}')})" if given else ""
        problems.append(Problem("output", "required, but not set", f"give the folder of the result: output=DIR{named}"))
    elif fault := why_unusable(expanded(output)):
        problems.append(
            Problem("output", f"{output or '(empty)'} {fault}", "give the result its own folder: output=DIR")
        )
    inputs = {}
    for name, value in (plain.get("inputs") or {}).items():
        if value == "???":
            problems.append(Problem(f"inputs.{name}", "required, but not set", f"give the folder: inputs.{name}=DIR"))
        elif value is not None and not isinstance(value, str):
            what = f"a folder name is expected here (got {value!r:.80})"
            problems.append(Problem(f"inputs.{name}", what, f"give one folder: inputs.{name}=DIR"))
        elif value is not None:
            inputs[str(name)] = expanded(value)
    return plain["config"], inputs, None if output in (None, "???") else expanded(output), problems


def _literal() -> list[str]:
    """Return the overrides that contain `${`, as a user must type them if the text is meant literally."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from gra.typed import to_type

    texts = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    assert isinstance(texts, list)
    return [to_type(*str(text).split("=", 1)) for text in texts if "${" in str(text) and "=" in str(text)]
