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
    (r"make (quickstart|small|test|install)", "shell", ("-n",)),
    (r"eval \$\(gra completion bash\)", "shell", ()),
    (r"slurm/submit_synthesis\.sh .*", "shell", ()),
    (r"sbatch slurm/experiment\.sbatch (experiment=\S+)", "plan", ()),
    (r"sbatch .*slurm/synthesis\.sbatch .*", "shell", ()),
    (r"gra \w+ --help", "run", ()),
    (r"gra probe pool=servers .*output=probe/mine", "run", (
        "pool.base_url=URL", "pool.models=[slm-a,slm-b,slm-c]", "seeds.limit=30", "probe.calls=30")),
    (r"gra probe .*", "run", ("--cfg", "job")),  # composed and shown; the probe itself: tests/synthesis/test_probe_stage.py
    (r"gra fetch (models|students) \S+", "shell", ("--help",)),  # no download; the fetch itself: tests/models/test_weights.py
    (r"gra fetch (models|students)", "run", ()),
    (r"gra blind (draw|rates) .*", "shell", ("--help",)),  # with labels: tests/compare/test_blind.py
    (r"gra (run|plan|compare) experiment=my_seeds \.\.\.", "plan", (
        "seeds.path=mine.jsonl", "pool.base_url=URL", "pool.models=[a,b,c,d,e]", "student.model=Qwen/Qwen2.5-0.5B")),
    (r"gra (run|plan|compare) experiment=small.*", "plan", (  # neither weights nor llama.cpp are there
        'pool.serve.command="{python} {port}"', "~pool.serve.requires", "student.model=MODEL")),
    (r"gra (run|plan|compare) .*experiment=.*", "plan", ()),
    (r"gra compare \S+ \S+", "run", ("--resamples", "1000")),
    (r"gra inspect runs/store/.* --sample \S+", "run", ()),
    # Stage 1. One run over HTTP; the others differ in seeds and servers.
    (r"python -m gra\.synthesis seeds=custom seeds\.path=mine\.jsonl pool=servers pool\.base_url=http.*output=data/mine", "run", (
        "pool.base_url=URL", "pool.models=[slm-a,slm-b,slm-c,slm-d,slm-e]", "synthesis.rounds=1",
        "synthesis.samples_per_round=4", "synthesis.dedup.model=hash", "output=OUT")),
    (r"python -m gra\.synthesis .*pool=phased_vllm.*", "check", ("pool.python=PYTHON",)),
    (r"python -m gra\.synthesis .*pool=phased_servers.*", "check", ("pool.serve.gpus_per_model=0",)),  # `vllm`: see place.py
    (r"python -m gra\.synthesis .*pool=small .*", "check", (  # neither weights nor llama.cpp are there
        'pool.serve.command="{python} {port}"', "~pool.serve.requires")),
    (r"python -m gra\.synthesis .*", "check", ()),
    # Stage 2
    (r"python -m train data=data/mine student\.model=Qwen/Qwen2\.5-0\.5B sft=lora output=.*", "run", (
        "student.model=MODEL", "sft.precision=fp32", "sft.max_steps=1", "sft.global_batch=2", "sft.cutoff_length=128",
        "tracking=none")),
    (r"python -m train data=DATA_FOLDER student=\S+m sft=cpu_small .*", "check", ("student.model=MODEL",)),
    (r"python -m train(\.prepare)? data=.*", "check", ()),
    (r"srun --ntasks-per-node=1 python -m train launch=torchrun .*", "check", (
        "data=data/mine", "student.model=MODEL", "output=OUT")),
    # Stage 3
    (r"python -m eval suite=smoke model\.path=models/mine/model output=scores/mine", "run", (
        "suite.data_dir=data/benchmarks", "suite.limit=1", "suite.max_new_tokens=4", "model.max_length=900", "runtime.device=cpu",
        "suite.only=[gsm8k,arc_challenge_chat,mmlu_chat,ifeval_chat]")),  # BBH's 27 tasks take most of the time
    (r"python -m eval\.fetch suite=\S+ output=.*", "run", ("output=data/benchmarks",)),
    (r"python -m eval\.rescore FOLDER --output DIR( --reading opencompass)?", "run", ()),
    (r"python -m eval .*", "check", ()),
    (r"python -m gra\.simulation\.server", "run", ("--help",)),
]  # fmt: skip

SPELT: list[tuple[str, str]] = [
    (r"^(ROUNDS|SHARDS)$", "2"),
    (r"^pool\.models=\[(\.\.\.|a,b,c,d,e)\]$", "pool.models=[slm-a,slm-b,slm-c,slm-d,slm-e]"),  # those that the server has
    (r"^pool\.models=\[(\{name: )a(, model: \./models/)a\}, \.\.\.\]$",
     "pool.models=[" + ", ".join(rf"\g<1>{m}\g<2>{m}}}" for m in "abcde") + "]"),
]  # fmt: skip


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
