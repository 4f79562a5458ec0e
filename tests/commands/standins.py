"""What every printed command is tried with. To cover a new command of README or of a config file, see that a line of RULES fits it.

A rule is (pattern of the whole command, how it is tried, words put after it). The first that fits counts. How:

- "run": as it is printed, whole.
- "check": all but the stage itself: the command line, the composed config and the stage's own check really run, and must find
  nothing. For models of billions of weights, GPUs, servers elsewhere, and where another command has run the same stage.
- "plan": `gra plan` in place of `gra run` and of `gra compare experiment=...`: every step of the experiment is checked.
- "shell": by bash, with `sbatch` replaced by one that says what it got.

The folder in which commands are tried holds what they name (place.py): mine.jsonl, data/mine, models/mine/model, MODEL ...
What cannot be a file's name is replaced by SPELT.
"""

from __future__ import annotations

import re

RULES: list[tuple[str, str, tuple[str, ...]]] = [
    (r"make (quickstart|small|test|install)( SIZES=)?", "shell", ("-n",)),
    (r"eval \$\(gra completion bash\)", "shell", ()),
    (r"sbatch .*", "shell", ()),
    (r"gra plan .*--config-dir.*", "run", ()),
    (r"gra submit .*--config-dir.*", "run", ("--dry-run",)),
    (r"gra submit .*", "shell", ("--help",)),  # with a real Slurm: tests/cluster
    (r"gra (status|cancel).*", "run", ()),
    (r"gra \w+ --help", "run", ()),
    (
        r"gra probe pool=servers .*output=probe/mine",
        "run",
        ("pool.base_url=URL", "pool.models=[slm-a,slm-b,slm-c]", "seeds.limit=30", "probe.calls=30"),
    ),
    (
        r"gra probe .*",
        "run",
        ("--cfg", "job"),
    ),  # composed and shown; the probe itself: tests/synthesis/probe/test_probe_stage.py
    (
        r"gra fetch (models|students) \S+",
        "shell",
        ("--help",),
    ),  # no download; the fetch itself: tests/models/test_weights.py
    (r"gra fetch (models|students)", "run", ()),
    (r"gra blind (draw|rates) .*", "shell", ("--help",)),  # with labels: tests/compare/blind/test_blind.py
    (
        r"gra (run|plan|compare) experiment=my_seeds \.\.\.",
        "plan",
        ("seeds.path=mine.jsonl", "pool.base_url=URL", "pool.models=[a,b,c,d,e]", "student.model=Qwen/Qwen2.5-0.5B"),
    ),
    (
        r"gra (run|plan|compare) experiment=small.*",
        "plan",
        (  # neither weights nor llama.cpp are there
            'pool.serve.command="{python} {port}"',
            "~pool.serve.requires",
            "student.model=MODEL",
        ),
    ),
    (r"gra run .*\+arms=.*", "run", ("--cfg", "job")),  # each arm's steps: tests/chain/config/test_comparisons.py
    (
        r"gra run experiment=(paper|sim)/.*",
        "run",
        ("--cfg", "job"),
    ),  # all of them plan: tests/chain/config/test_comparisons.py
    (r"gra (run|plan|compare) .*experiment=.*", "plan", ()),
    (r"gra claims", "run", ()),
    (r"gra (export|push) .*", "shell", ("--help",)),  # of a data folder: tests/export
    (r"gra track report.*", "shell", ("--dry-run",)),  # against a stand-in of the server: tests/test_track_report.py
    (r"gra track sync.*", "shell", ("--help",)),  # of offline runs: tests/test_track.py
    (r"gra compare gra=A .*", "shell", ("--help",)),  # with scores: tests/compare/test_compare_several.py
    (r"gra compare \S+ \S+( --power)?", "run", ("--resamples", "1000")),
    (r"gra analyze .*", "shell", ("--help",)),  # of data folders: tests/analysis
    (
        r"python -m gra\.simulation\.likeness .*",
        "shell",
        ("--help",),
    ),  # what it measures: tests/simulation/test_traits.py
    (r"python -m gra\.simulation\.world_stage world", "run", ()),
    (r"gra report data/mine", "run", ()),
    (r"gra report .*", "shell", ("--help",)),  # with scores: tests/compare/report/test_report_command.py
    (
        r"gra inspect (data/mine|DIR)( --sample \S+)?",
        "shell",
        ("--help",),
    ),  # with samples: tests/synthesis/output/test_inspect.py
    (r"gra regate .*", "shell", ("--help",)),  # of a recorded run: tests/synthesis/regating
    (r"gra inspect runs/store/.* --sample \S+", "run", ()),
    # Stage 1. One run over HTTP; the others differ in seeds and servers.
    (
        r"gra synthesize seeds=custom seeds\.path=mine\.jsonl pool=servers pool\.base_url=http.*output=data/mine",
        "run",
        (
            "pool.base_url=URL",
            "pool.models=[slm-a,slm-b,slm-c,slm-d,slm-e]",
            "synthesis.rounds=1",
            "synthesis.samples_per_round=4",
            "synthesis.dedup.model=hash",
            "output=OUT",
        ),
    ),
    (r"gra synthesize .*pool=phased_vllm.*", "check", ("pool.python=PYTHON",)),
    (r"gra synthesize .*pool=phased_servers.*", "check", ("pool.serve.gpus_per_model=0",)),  # `vllm`: see place.py
    (
        r"gra synthesize .*pool=small(_1\.5b)? .*",
        "check",
        (  # neither weights nor llama.cpp are there
            'pool.serve.command="{python} {port}"',
            "~pool.serve.requires",
        ),
    ),
    (r"gra synthesize .*seeds=world seeds\.path=.*", "check", ("~seeds.columns", "seeds.path=mine.jsonl")),
    (r"gra synthesize .*", "check", ()),
    (r"gra refine .*", "check", ()),  # whole runs: tests/synthesis/refining/test_refine.py
    # Stage 2
    (
        r"gra train data=data/mine student\.model=Qwen/Qwen2\.5-0\.5B sft=lora output=.*",
        "run",
        (
            "student.model=MODEL",
            "sft.precision=fp32",
            "sft.max_steps=1",
            "sft.global_batch=2",
            "sft.cutoff_length=128",
            "tracking=none",
        ),
    ),
    (r"gra train data=DATA_FOLDER student=\S+m sft=cpu_small .*", "check", ("student.model=MODEL",)),
    (r"gra (train|prepare) data=.*", "check", ()),
    (
        r"srun --ntasks-per-node=1 gra train launch=torchrun .*",
        "check",
        ("data=data/mine", "student.model=MODEL", "output=OUT"),
    ),
    # Stage 3
    (
        r"gra eval suite=smoke model\.path=models/mine/model output=scores/mine",
        "run",
        (
            "suite.data_dir=data/benchmarks",
            "suite.limit=1",
            "suite.max_new_tokens=4",
            "model.max_length=900",
            "runtime.device=cpu",
            "suite.only=[gsm8k,arc_challenge_chat,mmlu_chat,ifeval_chat]",
        ),
    ),  # BBH's 27 tasks take most of the time
    (r"gra fetch suite=\S+ output=.*", "run", ("output=data/benchmarks",)),
    (r"gra rescore FOLDER --output DIR( --reading opencompass)?", "run", ()),
    (r"gra rescore .*--reading verified.*", "shell", ("--help",)),  # with a verifier: tests/eval/test_eval_verified.py
    (r"gra eval .*", "check", ()),
    (r"python -m gra\.simulation\.server", "run", ("--help",)),
]

SPELT: list[tuple[str, str]] = [
    (r"^(ROUNDS|SHARDS)$", "2"),
    (
        r"^pool\.models=\[(\.\.\.|a,b,c,d,e)\]$",
        "pool.models=[slm-a,slm-b,slm-c,slm-d,slm-e]",
    ),  # those that the server has
    (
        r"^pool\.models=\[(\{name: )a(, model: \./models/)a\}, \.\.\.\]$",
        "pool.models=[" + ", ".join(rf"\g<1>{m}\g<2>{m}}}" for m in "abcde") + "]",
    ),
]


def rule_for(command: str) -> tuple[str, tuple[str, ...]] | None:
    """How a command is tried, and the words put after it; None where no rule fits."""
    return next(((how, more) for pattern, how, more in RULES if re.fullmatch(pattern, command, re.DOTALL)), None)


def spelt(words: tuple[str, ...], more: tuple[str, ...], values: dict[str, str]) -> list[str]:
    """The words with `...` left out and what stands for something spelt out. `more` go before what is printed for the same key."""
    keys = {word.partition("=")[0] for word in more}
    kept = [word for word in words if word != "..." and word.partition("=")[0] not in keys]
    found = []
    for word in [*kept, *more]:
        for pattern, text in SPELT:
            word = re.sub(pattern, text, word)
        key, equals, value = word.partition("=")
        found.append(f"{key}={values[value]}" if equals and value in values else word)
    return found
