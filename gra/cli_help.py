"""The help texts of `gra` and of its commands that take Hydra overrides (gra/cli.py prints them)."""

from __future__ import annotations

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
  gra cancel [store=DIR]                        cancel the queued and running jobs of a store

single stages, each into a folder (output=DIR):
  gra probe pool=NAME seeds=NAME [key=value ...]  test whether the pool's models can judge, before paying for a run
  gra synthesize seeds=NAME pool=NAME output=DIR  make a data folder from seeds: the committee writes, reviews
  gra merge output=DIR [round=R]                merge the shards of a round into one data folder
  gra refine data=FILE pool=NAME output=DIR     make a data folder from a data set: rewrite, review
  gra prepare data=DIR output=DIR               tokenise a data folder on a CPU, before you request GPUs
  gra train data=DIR student.model=M output=DIR train a student on a data folder (TRL, PEFT, DeepSpeed)
  gra eval suite=NAME model.path=M output=DIR   score a model on a suite of benchmarks (lm-eval)
  gra rescore FOLDER --output DIR               score recorded replies again, by rules or by a verifier model

inspect, compare, fetch, publish:
  gra compare FOLDER FOLDER                     compare two evaluated runs item by item, ours or lm-eval's
  gra compare NAME=FOLDER NAME=FOLDER ...       compare several runs in one table; --contrast, --paper, --format latex, --power
  gra report DIR [DIR ...]                      write an HTML page about data, model or scores folders
  gra claims [--output DIR]                     check the paper's claims against its own numbers (DIR: and OpenDataArena's)
  gra regate DIR tau=6,7,8 --output OUT         re-apply the gate to a recorded synthesis with other settings; no calls
  gra analyze DIR [DIR ...] [--ifd MODEL]       describe data folders: variety, coverage, distance to seeds, difficulty, reviewers
  gra inspect DIR [DIR ...]                     summarise a data folder: kept, dropped and why, models, files
  gra inspect DIR --sample ID                   show one sample: gate, scores, prompts, replies
  gra blind draw NAME=DIR ... --output DIR      draw samples for a blind reading; gra blind rates DIR counts the labels
  gra fetch models|students [NAME ...]          download weights of pool models or students; without NAME: list them
  gra fetch suite=NAME output=DIR               fetch a suite's benchmarks from the hub into a folder
  gra export DIR --to FORMAT --output OUT       write a data folder for TRL, LLaMA-Factory, Axolotl, OpenAI
  gra push DIR [USER/NAME] [--private]          upload a data or model folder to the Hugging Face hub (--dry-run: list files)
  gra publish RUN_DIR results/NAME              copy a run's table and report to a folder under version control
  gra track sync [DIR ...] [--dry-run]          upload offline W&B runs that were not uploaded yet
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
  --cfg job        print the composed config and stop; --info prints how Hydra composed it
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
