"""Dispatches the subcommands of `gra`; heavy imports are deferred, so help and typing errors are answered at once."""

from __future__ import annotations

import sys
from pathlib import Path

from gra import __version__, spelling
from gra.completion import complete
from gra.errors import EXIT_CONFIG, GraError
from gra.pipes import outlive_reader
from gra.stage_commands import COMMANDS as STAGES
from gra.stage_commands import fetch_suite

HELP = """\
usage: gra COMMAND ...

A committee of small LLMs writes instruction data; students are tuned on it, scored and compared.

whole experiments:
  gra run experiment=NAME [key=value ...]       run the steps that are not done yet, then print the table
  gra plan experiment=NAME [key=value ...]      list the steps: done or would run, inputs, expected cost
  gra compare experiment=NAME [key=value ...]   print the table again from the finished steps

on a Slurm cluster:
  gra submit experiment=NAME cluster=slurm ...  queue the steps as jobs and return (--dry-run: only show them)
  gra status [store=DIR] [--json]               show the jobs' states (done, running, waiting, failed), logs, errors
  gra cancel [store=DIR]                        cancel the queued and running jobs of a store

single stages, each into a folder (output=DIR):
  gra probe pool=NAME seeds=NAME [key=value ...]  test whether the pool's models can judge, before paying for a run
  gra synthesize seeds=NAME pool=NAME output=DIR  make a data folder from seeds: the committee writes, reviews
  gra merge output=DIR [round=R]                merge the shards of a round into one data folder
  gra refine data=FILE pool=NAME output=DIR     make a data folder from a data set: rewrite, review
  gra prepare data=DIR output=DIR               tokenise a data folder on a CPU, before you request GPUs
  gra train data=DIR student.model=M output=DIR train a student on a data folder (TRL, PEFT, DeepSpeed)
  gra eval suite=NAME model.path=M output=DIR   score a model on a suite of benchmarks (lm-eval)
  gra rescore FOLDER --output DIR               score recorded replies again, without a model

inspect, compare, fetch, publish:
  gra compare FOLDER FOLDER                     compare two evaluated runs item by item, ours or lm-eval's
  gra compare NAME=FOLDER NAME=FOLDER ...       compare several runs in one table; --contrast, --paper, --format latex, --power
  gra report DIR [DIR ...]                      write one HTML page of any folders: data, training, scores
  gra claims [--output DIR]                     check the paper's claims against its own numbers; DIR: also OpenDataArena's
  gra regate DIR tau=6,7,8 --output OUT         re-apply the gate to a recorded synthesis with other settings; no calls
  gra analyze DIR [DIR ...] [--ifd MODEL]       describe data folders: variety, distance to seeds, difficulty, reviewers
  gra inspect DIR [DIR ...]                     summarise a data folder: kept, dropped and why, models, files
  gra inspect DIR --sample ID                   show one sample: gate, scores, prompts, replies
  gra blind draw NAME=DIR ... --output DIR      draw samples for a blind reading; gra blind rates DIR counts the labels
  gra fetch models|students [NAME ...]          download the weights of a pool's models into the cache; no NAME: list them
  gra fetch suite=NAME output=DIR               fetch a suite's benchmarks from the hub into a folder
  gra export DIR --to FORMAT --output OUT       write a data folder for TRL, LLaMA-Factory, Axolotl, OpenAI
  gra push DIR [USER/NAME] [--private]          upload a data or model folder to the Hugging Face hub (--dry-run: list files)
  gra publish RUN_DIR results/NAME              copy a run's table and report to a folder that is kept
  gra completion bash|zsh                       tab completion: eval "$(gra completion bash)"

  gra COMMAND --help                            help on one command
  gra --version
"""

HYDRA_HELP = """\
usage: gra {command} experiment=NAME [key=value ...] [--cfg job] [-m] [--info] [--config-dir DIR]

{text}

experiments: {experiments}
groups (group=option): {groups}

  key=value        change a key, e.g. synthesis.rounds=2 seed=1   (+key=value adds one)
  store=DIR        the run store; default: runs/store
  results=DIR      folder of the table and report; default: runs/results/NAME
  --cfg job        print the composed config and stop
  -m               sweep: with seed=0,1 the command runs once per seed
  --config-dir DIR your own folder of YAML files, e.g. DIR/experiment/mine.yaml
  --hydra-help     list Hydra's other flags

examples:
{examples}
"""

COMMANDS = {
    "run": (
        "Run all steps of the experiment that are not done yet, in parallel (cluster.max_parallel), then print the table.\n"
        "If it is killed, run the same command again to resume; once all steps are done, the command only prints the table.",
        [
            "experiment=quickstart",
            "experiment=quickstart experiment.replicates=[0,1,2]",
            "-m experiment=quickstart seed=0,1",
        ],
    ),
    "plan": (
        "Print each step's state (done, partly done or would run), inputs, folder in the store and hash. Nothing is run.\n"
        "--power [POINTS]: also print how many items and trainings are needed to detect a difference of 2 (or POINTS) points.",
        ["experiment=quickstart", "experiment=quickstart synthesis.tau=7"],
    ),
    "compare": (
        "Print the experiment's table from the finished steps, and write runs/results/NAME/table.{md,csv} and report.html.\n"
        "With two scores folders instead of an experiment (gra compare FOLDER FOLDER [--json]): compare them item by item.\n"
        "--items-only: ignore training noise; intervals and stars then hold for these trained models, not for retrained ones.\n"
        "--contrast A-B: also show A minus B (A1+A2-B: mean(A1, A2) minus B). --paper BASE/SEED: show the paper's rows too.\n"
        "--power [POINTS]: print the smallest detectable difference. For folders: gra compare A B --help. More: docs/comparison.md",
        [
            "experiment=quickstart",
            "experiment=quickstart --items-only",
            "experiment=quickstart --contrast single-seed_only",
        ],
    ),
}

SUBMIT = (
    "Queue a Slurm job for each step that is not done (slurm/README.md), print step, job, dependency and log, and return.\n"
    "The jobs run a copy of the present code. Run the command again to queue failed steps; other steps are left alone.\n"
    "--dry-run prints the jobs and their sbatch commands; --live: each job runs the code as it is when the job starts.",
    [
        "experiment=quickstart cluster=slurm --dry-run",
        "experiment=quickstart cluster=slurm cluster.stages.synthesis.shards=16 cluster.resources.partition=long",
    ],
)
OTHERS = (
    "submit",
    "status",
    "cancel",
    "probe",
    "claims",
    "regate",
    "analyze",
    "inspect",
    "report",
    "blind",
    "fetch",
    "export",
    "push",
    "publish",
    "completion",
)  # commands with their own help
APPS = {  # command -> Hydra config of its keys
    **dict.fromkeys((*COMMANDS, "submit"), "chain"),
    "probe": "probe_app",
    "fetch": "fetch_app",
    **{name: command.app for name, command in STAGES.items() if command.app is not None},
}
ALIKE = {  # synonyms of commands
    **dict.fromkeys(("synth", "synthesis", "synthesise", "generate"), "synthesize"),
    **dict.fromkeys(("tune", "finetune", "sft"), "train"),
    **dict.fromkeys(("evaluate", "score"), "eval"),
}


def main() -> int:
    """Entry point; returns the exit code."""
    outlive_reader()
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0 if arguments else EXIT_CONFIG
    command, rest = arguments[0], arguments[1:]
    try:
        if command == "--version":
            print(f"gra {__version__}")
        elif command == "compare" and _names_folders(rest):
            from gra.compare.pair import main as pair

            return pair(rest)
        elif command in COMMANDS:
            return _hydra_command(command, rest)
        elif command == "submit":
            return _submit(rest)
        elif command in ("status", "cancel"):
            from gra.cluster import status

            return {"status": status.status, "cancel": status.cancel}[command](rest)
        elif command == "probe":
            from gra.chain.execution.probe import main as probe

            return probe(rest)
        elif command == "claims":
            from gra.compare.paper.command import main as claims

            return claims(rest)
        elif command == "regate":
            from gra.synthesis.regating.sweep import main as regate

            return regate(rest)
        elif command == "analyze":
            from gra.synthesis.analysis.command import main as analyze

            return analyze(rest)
        elif command == "inspect":
            from gra.synthesis.output.inspect import main as inspect

            return inspect(rest)
        elif command == "report":
            from gra.compare.report.command import main as report
            from gra.simulation.world import judge

            return report(rest, judge)
        elif command == "blind":
            from gra.compare.blind import main as blind

            return blind(rest)
        elif command in STAGES:
            return STAGES[command].run(rest)
        elif command == "fetch" and any("=" in word for word in rest):  # a suite's benchmarks
            return fetch_suite(rest)
        elif command == "fetch":
            from gra.weights.command import main as fetch

            return fetch(rest)
        elif command == "export":
            from gra.export.command import main as export

            return export(rest)
        elif command == "push":
            from gra.export.push import main as push

            return push(rest)
        elif command == "publish":
            from gra.publish import main as publish

            return publish(rest)
        elif command == "completion":
            return complete(rest, [*COMMANDS, *STAGES, *OTHERS], APPS)
        else:
            return _unknown(command, rest)
    except GraError as error:
        print(error, file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130
    return 0


def _names_folders(words: list[str]) -> bool:
    """Whether the words are folders, not Hydra's flags or key=value. A single word that does not exist may be an experiment."""
    if any(_names_run(word) for word in words):
        return True
    if not words or words[0].startswith("-") or ("=" in words[0] and not Path(words[0]).is_dir()):
        return False
    return Path(words[0]).exists() or sum(not word.startswith("-") and "=" not in word for word in words) > 1


def _names_run(word: str) -> bool:
    """Whether a word is NAME=FOLDER with an evaluation in it; the folder is only looked at where it exists."""
    if "=" not in word or word.startswith("-") or not Path(word.partition("=")[2]).exists():
        return False
    from gra.compare.several import names_run

    return names_run(word)


def _hydra_command(command: str, rest: list[str]) -> int:
    if any(word in ("-h", "--help") for word in rest):
        print(_help(command), end="")
        return 0
    sys.argv = ["gra", *_as_overrides(rest)]
    from gra.chain.execution.commands import main as run

    return run(command)


def _submit(rest: list[str]) -> int:
    if any(word in ("-h", "--help") for word in rest):
        print(_help("submit"), end="")
        return 0
    from gra.cluster.submit import main as submit

    return submit(rest)


def _as_overrides(words: list[str]) -> list[str]:
    """The flags of a comparison as overrides of `experiment.compare`; all other words as they are."""
    found: list[str] = []
    contrasts: list[str] = []
    rest = list(words)
    while rest:
        flag, sign, value = rest.pop(0).partition("=")
        if flag == "--items-only":
            found.append("++experiment.compare.items_only=true")
        elif flag == "--power":
            takes = not sign and bool(rest) and rest[0].replace(".", "", 1).isdigit()
            found.append(f"++experiment.compare.power={value or (rest.pop(0) if takes else '2')}")
        elif flag in ("--contrast", "--paper") and (sign or rest):
            value = value if sign else rest.pop(0)
            contrasts += [value] if flag == "--contrast" else []
            found += [f"++experiment.compare.paper.block='{value}'"] if flag == "--paper" else []
        else:
            found.append(flag + sign + value)
    listed = ",".join(f"'{text}'" for text in contrasts)
    return [*found, *([f"++experiment.compare.contrasts=[{listed}]"] if contrasts else [])]


def _help(command: str) -> str:
    from gra.paths import conf_dir

    text, examples = {**COMMANDS, "submit": SUBMIT}[command]
    conf = conf_dir()
    groups = sorted(p.name for p in conf.iterdir() if p.is_dir() and p.name != "experiment")
    options = {group: sorted(p.stem for p in (conf / group).glob("*.yaml")) for group in groups}
    return HYDRA_HELP.format(
        command=command,
        text=text,
        experiments=", ".join(_experiments()),
        groups="".join(f"\n  {group}: {', '.join(found)}" for group, found in options.items()),
        examples="\n".join(f"  gra {command} {example}" for example in examples),
    )


def _as_keys(words: list[str]) -> list[str]:
    """The words with `--key value` and `--key=value` rewritten as Hydra's `key=value`."""
    found: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--") and word not in ("--help", "--cfg", "--info", "--multirun"):
            value = (
                rest.pop(0) if "=" not in word and rest and not rest[0].startswith("-") and "=" not in rest[0] else None
            )
            word = (
                word.lstrip("-").replace("-", "_") if value is None else f"{word.lstrip('-').replace('-', '_')}={value}"
            )
        found.append(word)
    return found


def _experiments() -> list[str]:
    from gra.paths import conf_dir

    folder = conf_dir() / "experiment"
    return sorted(p.relative_to(folder).with_suffix("").as_posix() for p in folder.rglob("*.yaml"))


def _unknown(command: str, rest: list[str]) -> int:
    """Report an unknown command with a suggestion: a stage's name, a flag or key=value without a command, or a misspelt command."""
    import shlex

    near = spelling.near(command, [*COMMANDS, *STAGES, *OTHERS, *ALIKE])
    if command.startswith("--") and (flag := spelling.near(command, ["--help", "--version"])):
        hint = f"did you mean `gra {flag[0]}`?"
    elif "=" in command:
        hint = f"start with a command: did you mean `{shlex.join(['gra', 'run', command, *rest])}`?"
    elif near:
        meant = ALIKE.get(near[0], near[0])
        hint = f"did you mean `{shlex.join(['gra', meant, *(_as_keys(rest) if meant in APPS else rest)])}`?"
    elif experiment := spelling.near(command, _experiments(), cutoff=0.8):
        hint = f"did you mean `{shlex.join(['gra', 'run', f'experiment={experiment[0]}', *rest])}`?"
    else:
        hint = "see gra --help"
    print(f"gra: unknown command `{command}`\n    -> {hint}", file=sys.stderr)
    return EXIT_CONFIG


if __name__ == "__main__":
    sys.exit(main())
