"""Texts of the help. HELP is the output of `gra --help`; PAGES has the texts for the commands that have a Hydra config.

For such a command, gra/config_reference/command_help.py makes the output of `gra COMMAND --help` from the command's
entry in PAGES and from the groups and keys of its config.
"""

from __future__ import annotations

from typing import NamedTuple

HELP = """\
usage: gra COMMAND ...

A committee of small LLMs writes instruction data; students are tuned on it, scored and compared.

whole experiments:
  gra run experiment=NAME [key=value ...]       run the steps that are not done yet, then print the table
  gra plan experiment=NAME [key=value ...]      list each step's state (done, to run), inputs, cost
  gra compare experiment=NAME [key=value ...]   print the table again from the finished steps

on a Slurm cluster:
  gra submit experiment=NAME cluster=slurm ...  queue the steps as jobs and return (--dry-run: only show them)
  gra status [store=DIR] [--json]               show the jobs' states (done, running, waiting, failed), logs, errors
  gra cancel [store=DIR]                        cancel the queued and running jobs whose results go to store=DIR

single stages, each into a folder (output=DIR):
  gra probe pool=NAME seeds=NAME [key=value ...]  test whether the pool's models can judge, before paying for a run
  gra synthesize seeds=NAME pool=NAME output=DIR  make a data folder from seeds: write and review samples
  gra merge output=DIR [round=R]                merge the shards of a round into one data folder
  gra refine data=FILE pool=NAME output=DIR     make a data folder from a data set: rewrite and review it
  gra prepare data=DIR output=DIR               tokenise a data folder on a CPU, before you request GPUs
  gra train data=DIR student.model=M output=DIR train a student on a data folder (TRL, PEFT, DeepSpeed)
  gra eval suite=NAME model.path=M output=DIR   score a model on a suite of benchmarks (lm-eval)
  gra rescore FOLDER --output DIR               score recorded replies again, by rules or by a verifier model

inspect, compare, fetch, publish:
  gra compare FOLDER FOLDER                     compare two runs evaluated by gra or lm-eval, item by item
  gra compare NAME=FOLDER NAME=FOLDER ...       compare several runs in one table; --contrast, --paper, --format latex, --power
  gra report DIR [DIR ...]                      write an HTML page about data, model or scores folders
  gra claims [--output DIR]                     judge the paper's claims by its numbers; with --output also by OpenDataArena's
  gra regate DIR tau=6,7,8 --output OUT         re-apply the gate to a recorded synthesis with other settings; no calls
  gra analyze DIR [DIR ...] [--ifd MODEL]       describe data folders: variety, coverage, distance to seeds, difficulty, reviewers
  gra inspect DIR [DIR ...]                     summarise a data folder: kept, dropped and why, models, files
  gra inspect DIR --sample ID                   show one sample: gate, scores, prompts, replies
  gra blind draw NAME=DIR ... --output DIR      make a sheet of samples, without the arms' names, for people to label
  gra blind rates DIR                           count the labels of a sheet
  gra fetch models|students [NAME ...]          download weights of pool models or students; without NAME: list them
  gra fetch suite=NAME output=DIR               fetch a suite's benchmarks from the hub into a folder
  gra export DIR --to FORMAT --output OUT       convert a data folder for TRL, LLaMA-Factory, Axolotl, OpenAI
  gra push DIR [USER/NAME] [--private]          upload a data or model folder to the Hugging Face hub (--dry-run: list files)
  gra publish RUN_DIR results/NAME              copy a run's table and report to a folder under version control
  gra track sync [DIR ...] [--dry-run]          upload offline W&B runs that were not uploaded yet
  gra track report EXPERIMENT [--dry-run]       make a W&B report of an experiment's runs
  gra completion bash|zsh                       tab completion: eval "$(gra completion bash)"

  gra COMMAND --help                            help on one command
  gra --version
"""


class Page(NamedTuple):
    """The texts of a command's help page. The groups and keys of the command's config are added to them.

    `usage`: what follows `gra COMMAND` in the usage line.
    `flags`: the command's own flags, which are shown before Hydra's.
    `words`: further key=value arguments, whose keys are not in the config.
    `examples`: pairs of a comment and a command, which is given without its first word `gra`.
    """

    app: str  # the command's config in conf/
    usage: str
    text: str
    examples: tuple[tuple[str, str], ...]
    flags: tuple[tuple[str, str], ...] = ()
    words: tuple[tuple[str, str], ...] = ()


HYDRA_FLAGS = (
    ("--cfg job", "print the composed config as YAML and stop"),
    ("--info", "print which files the config is composed of"),
    ("-m", "sweep: with seed=0,1 the command runs once for each seed"),
    ("--config-dir DIR", "folder of your own YAML files, e.g. DIR/pool/mine.yaml for pool=mine"),
    ("--hydra-help", "list the other flags of Hydra, which composes the config"),
)
_COMPARISON = (
    (
        "--items-only",
        "treat only the choice of test items as random, not the training. Intervals and stars (significant after Holm's "
        "correction) then apply to these trained models, not to retrained ones.",
    ),
    (
        "--contrast ARM-ARM",
        "also show the first arm minus the second; ARM+ARM-ARM: the mean of two arms minus the third. May be repeated.",
    ),
    (
        "--paper MODEL/SEED_DATA",
        "add the paper's rows for this base model and these seed data, e.g. --paper Qwen2.5-7B/Alpaca. Arms named like "
        "the paper's data (gra, vanilla, distilled_72b ...) are compared with these rows.",
    ),
    (
        "--power",
        "also print the smallest detectable difference for several numbers of training runs, and how many "
        "training runs and items detect a difference of 2 points",
    ),
    ("--power POINTS", "the same for a difference of POINTS"),
)
_SERVERS = "pool=servers pool.base_url=http://127.0.0.1:8000/v1 'pool.models=[a,b,c,d,e]'"

PAGES = {
    "run": Page(
        "chain",
        "experiment=NAME [KEY=VALUE ...]",
        "Run all steps of the experiment that are not done yet, in parallel (cluster.max_parallel), then print the table. "
        "If the command is killed, run it again to resume; once all steps are done, the command only prints the table. "
        "The flags of `gra compare` also work here.",
        (
            ("one run of every arm, and the table", "run experiment=quickstart"),
            (
                "three replicates of every arm, with seeds 0, 1 and 2, in one table",
                "run experiment=quickstart 'experiment.replicates=[0,1,2]'",
            ),
            (
                "two runs one after the other, each with a table of its own (results/seed=0, results/seed=1)",
                "run -m experiment=quickstart seed=0,1",
            ),
        ),
    ),
    "plan": Page(
        "chain",
        "experiment=NAME [KEY=VALUE ...]",
        "Print for each step its state (done, partly done, would run), inputs, folder in the store and hash, then the estimated "
        "cost of the steps that are not done. Nothing is run.",
        (
            ("what `gra run` with the same arguments would do", "plan experiment=quickstart"),
            ("which steps have to run again if the gate is changed", "plan experiment=quickstart synthesis.tau=7"),
            ("whether the planned comparison can detect 3 points", "plan experiment=quickstart --power 3"),
        ),
        _COMPARISON[3:],
    ),
    "compare": Page(
        "chain",
        "experiment=NAME [KEY=VALUE ...]",
        "Print the experiment's table from its finished steps, and write table.md, table.csv and report.html into the "
        "folder `results`. Repeat the KEY=VALUE arguments of `gra run`, because they select the finished steps; "
        "experiment.compare.KEY=VALUE changes only the comparison. To compare scores folders without an experiment: gra "
        "compare [NAME=]FOLDER [NAME=]FOLDER ... (gra compare FOLDER FOLDER --help). More: docs/comparison.md.",
        (
            ("the table again", "compare experiment=quickstart"),
            (
                "the table of a run with other settings: repeat the run's arguments",
                "compare experiment=quickstart synthesis.tau=7",
            ),
            (
                "how certain is the difference between these trained models?",
                "compare experiment=quickstart --items-only",
            ),
            (
                "single minus seed_only: neither is the reference",
                "compare experiment=quickstart --contrast single-seed_only",
            ),
            (
                "beside the rows of the paper, with the arguments that the run had",
                "compare experiment=paper/main_table seeds.path=hf:tatsu-lab/alpaca pool.base_url=http://HOST:8000/v1 "
                "large_pool.base_url=http://HOST:8001/v1 medium_pool.base_url=http://HOST:8002/v1 --paper Qwen2.5-7B/Alpaca",
            ),
        ),
        _COMPARISON,
    ),
    "submit": Page(
        "chain",
        "experiment=NAME cluster=slurm [KEY=VALUE ...]",
        "Queue a Slurm job for each step that is not done, print each step's job id, dependencies and log, and exit "
        "without waiting. The jobs run a copy of the current code. Run the command again to queue failed steps; queued, "
        "running and finished steps are left alone. More: slurm/README.md.",
        (
            ("show the jobs", "submit experiment=quickstart cluster=slurm --dry-run"),
            (
                "split each synthesis into 16 jobs; run all jobs in the partition `long`",
                "submit experiment=quickstart cluster=slurm cluster.stages.synthesis.shards=16 cluster.resources.partition=long",
            ),
        ),
        (
            ("--dry-run", "print the jobs and their sbatch commands; queue nothing"),
            ("--live", "run the code as it is when a job starts, not a copy of the current code"),
        ),
    ),
    "synthesize": Page(
        "synthesis_app",
        "seeds=NAME pool=NAME output=DIR [KEY=VALUE ...]",
        "Stage 1: make a data folder from seeds. A committee of small models writes samples, reviews them and adjudicates "
        "where the reviewers disagree. If the command is killed, run it again to resume.",
        (
            ("five models on one server", f"synthesize seeds=alpaca seeds.path=FILE {_SERVERS} output=data/mine"),
            (
                "try it without any model",
                "synthesize seeds=starter pool=simulated synthesis.rounds=1 synthesis.samples_per_round=20 output=data/try",
            ),
        ),
        words=(
            ("shard=I/N", "make only shard I (0 to N-1) of a round; then run `gra merge`"),
            ("round=R", "the round of the shard: 0 annotates the seeds, R >= 1 makes proposals"),
        ),
    ),
    "merge": Page(
        "synthesis_app",
        "output=DIR [round=R] [KEY=VALUE ...]",
        "Merge the shards that `gra synthesize shard=I/N round=R` made. Repeat that command's arguments, except shard=. "
        "Missing shards are not an error: their calls are made here.",
        (
            ("after the shards of round 1", f"merge round=1 seeds=alpaca seeds.path=FILE {_SERVERS} output=data/mine"),
            (
                "after the last round: the data folder",
                f"merge seeds=alpaca seeds.path=FILE {_SERVERS} output=data/mine",
            ),
        ),
        words=(("round=R", "merge this round and those before; without it: all rounds, into DIR"),),
    ),
    "refine": Page(
        "refine_app",
        "data=DATA pool=NAME output=DIR [KEY=VALUE ...]",
        "Make a data folder from an existing data set: its responses are rewritten, newly written or kept "
        "(refine=rewrite, answer, keep), then checked, scored and adjudicated as in a synthesis. The keys of `synthesis` "
        "for rounds, sizes, shots and deduplication have no effect. If the command is killed, run it again to resume.",
        (
            (
                "rewrite the responses, keep those that the committee accepts",
                f"refine data=FILE {_SERVERS} output=data/refined",
            ),
            (
                "only filter a data set of the hub",
                f"refine data=hf:yahma/alpaca-cleaned refine=keep {_SERVERS} output=data/kept",
            ),
        ),
    ),
    "probe": Page(
        "probe_app",
        "pool=NAME seeds=NAME [output=DIR] [KEY=VALUE ...]",
        "Test a committee before paying for a run. Each model solves questions with known answers, and reviews answers "
        "known to be right or wrong. The reviews have the form that the run will use (synthesis.scoring, "
        "synthesis.prompts). For each model, the result gives the AUC at telling right from wrong answers, with its 95 % "
        "interval; the mean and spread of its scores; its severity (how much lower its scores are than those that the others "
        "give); the share of wrong answers that it accepts; and the share of questions that it answers right. For the pool, the "
        "result gives the effective number of independent reviewers, and an estimate of the share of right samples among the "
        "accepted ones. "
        "If the command is killed, run it again to resume; once it has finished, it only prints the table.",
        (
            (
                "about 200 calls for each of three models",
                "probe pool=servers pool.base_url=http://127.0.0.1:8000/v1 'pool.models=[a,b,c]' seeds=starter output=probe/mine",
            ),
            (
                "exit with code 1 if the committee cannot judge",
                "probe pool=small seeds=starter synthesis.probe=refuse output=probe/small",
            ),
        ),
    ),
    "prepare": Page(
        "prepare_app",
        "data=DIR student.model=MODEL sft=NAME output=DIR [KEY=VALUE ...]",
        "Stage 2, first part: tokenise a data folder on a CPU, before GPUs are requested. Then train with tokens=DIR and the same "
        "data, student, recipe and seed.",
        (("tokens for the recipe of the paper", "prepare data=DIR student.model=MODEL sft=paper output=tokens/mine"),),
    ),
    "train": Page(
        "train_app",
        "data=DIR student.model=MODEL output=DIR [KEY=VALUE ...]",
        "Stage 2: fine-tune a student on a data folder; the result is a model folder. If the command is killed, run it "
        "again to resume from the last checkpoint.",
        (
            ("LoRA on one device", "train data=DIR student.model=MODEL sft=lora output=models/mine"),
            (
                "all weights, on eight GPUs of this node",
                "train data=DIR student.model=MODEL sft=paper launch=torchrun nproc=8 output=models/mine",
            ),
        ),
    ),
    "eval": Page(
        "eval_app",
        "suite=NAME model.path=MODEL output=DIR [KEY=VALUE ...]",
        "Stage 3: score a model on a suite of benchmarks; the result is a scores folder. MODEL is a folder (of `gra "
        "train`: DIR/model) or the name of a model on the hub. If the command is killed, run it again; recorded replies "
        "are reused.",
        (
            ("a quick look", "eval suite=smoke model.path=MODEL output=scores/mine"),
            (
                "two benchmarks of a suite",
                "eval suite=paper 'suite.only=[gsm8k,mmlu_chat]' model.path=MODEL output=scores/mine",
            ),
            ("benchmarks of your own choice", "eval 'suite.tasks=[gsm8k]' model.path=MODEL output=scores/mine"),
        ),
    ),
    "fetch": Page(
        "fetch_app",
        "suite=NAME output=DIR [KEY=VALUE ...]",
        "Fetch the benchmarks of a suite from the hub into a folder, for machines without network (suite.data_dir=DIR) and for "
        "decontamination (synthesis.decontaminate.data_dir=DIR). Files that exist are kept. Weights of models: gra fetch --help.",
        (("the benchmarks of the paper", "fetch suite=paper output=benchmarks"),),
    ),
}
