"""A folder with everything that the printed commands name, tiny and made here: seeds, models, data, benchmarks, scores."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import yaml
from printed_commands import ROOT

BBH = """boolean_expressions causal_judgement date_understanding disambiguation_qa dyck_languages formal_fallacies geometric_shapes
    hyperbaton logical_deduction_five_objects logical_deduction_seven_objects logical_deduction_three_objects
    movie_recommendation multistep_arithmetic_two navigate object_counting penguins_in_a_table
    reasoning_about_colored_objects ruin_names salient_translation_error_detection snarks sports_understanding
    temporal_sequences tracking_shuffled_objects_five_objects tracking_shuffled_objects_seven_objects
    tracking_shuffled_objects_three_objects web_of_lies word_sorting"""
FOUR = ["one", "two", "three", "four"]
SEEDS = [{"instruction": f"What is {n} + {n}?", "input": "", "output": str(2 * n)} for n in range(20)]
SEED_FILES: dict[str, list[dict[str, Any]]] = {
    "mine.jsonl": [s | {"question": s["instruction"], "answer": s["output"]} for s in SEEDS],
    "alpaca_data.json": SEEDS,
    "FILE": SEEDS,
    "seed_tasks.jsonl": [
        {
            "id": f"t{n}",
            "name": "x",
            "instruction": s["instruction"],
            "instances": [{"input": "", "output": s["output"]}],
            "is_classification": False,
        }
        for n, s in enumerate(SEEDS)
    ],
    "Condor-SFT-20K.jsonl": [
        {
            "conversations": [
                {"role": "user", "content": s["instruction"]},
                {"role": "assistant", "content": s["output"]},
            ]
        }
        for s in SEEDS
    ],
    "WizardLM_evol_instruct_V2_143k.json": [
        {
            "idx": str(n),
            "conversations": [{"from": "human", "value": s["instruction"]}, {"from": "gpt", "value": s["output"]}],
        }
        for n, s in enumerate(SEEDS)
    ],
}
BENCHMARKS: dict[str, list[dict[str, Any]]] = {
    **{
        f"gsm8k/{split}": [{"question": f"{n}+{n}?", "answer": f"#### {2 * n}"} for n in range(6)]
        for split in ("train", "test")
    },
    "math/test": [{"problem": "1+1?", "level": "Level 1", "type": "Algebra", "solution": "$\\boxed{2}$"}],
    "humaneval/test": [
        {
            "task_id": "HumanEval/0",
            "prompt": "def f():\n",
            "canonical_solution": "    return 1\n",
            "entry_point": "f",
            "test": "def check(candidate):\n    assert candidate() == 1\n",
        }
    ],
    "mbpp/test": [
        {
            "task_id": 11,
            "text": "One.",
            "code": "def f(): return 1",
            "test_list": ["assert f() == 1"],
            "test_setup_code": "",
            "challenge_test_list": [],
        }
    ],
    "hellaswag/validation": [
        {
            "ind": 0,
            "activity_label": "x",
            "ctx_a": "A man",
            "ctx_b": "he",
            "ctx": "A man he",
            "endings": FOUR,
            "label": "1",
            "source_id": "s",
            "split": "val",
            "split_type": "indomain",
        }
    ],
    **{
        f"arc_challenge/{split}": [
            {"id": "a", "question": "Which?", "choices": {"text": FOUR, "label": list("ABCD")}, "answerKey": "B"}
        ]
        for split in ("train", "validation", "test")
    },
    "gpqa/diamond/train": [
        {
            "Record ID": "r",
            "Question": "Which?",
            "Correct Answer": "one",
            "Incorrect Answer 1": "two",
            "Incorrect Answer 2": "three",
            "Incorrect Answer 3": "four",
        }
    ],
    "mmlu/test": [{"question": "Which?", "subject": "anatomy", "choices": FOUR, "answer": 1}],
    "ifeval/train": [
        {
            "key": 1,
            "prompt": "Say it in lower case.",
            "instruction_id_list": ["change_case:english_lowercase"],
            "kwargs": [{}],
        }
    ],
    **{f"bbh/{name}": [{"input": "Which?", "target": "(A)"}] for name in BBH.split()},
}

# What stands in the hub's cache, for the checks that ask whether it can be had: no weights and no items.
HUB = {
    "models": ["Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-7B", "meta-llama/Llama-3.1-8B"],
    "datasets": [
        "openai/gsm8k",
        "EleutherAI/hendrycks_math",
        "openai/openai_humaneval",
        "google-research-datasets/mbpp",
        "Rowan/hellaswag",
        "allenai/ai2_arc",
        "Idavidrein/gpqa",
        "SaylorTwift/bbh",
        "cais/mmlu",
        "google/IFEval",
    ],
}


def lines(path: Path, items: list[dict[str, Any]]) -> None:
    """JSON, one array or one record a line by the ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(items) if path.suffix != ".jsonl" else "".join(json.dumps(item) + "\n" for item in items)
    path.write_text(text, encoding="utf-8")


def furnish(folder: Path, model: Path) -> None:
    """Make everything in `folder`; `model`: a tiny chat model."""
    for name, items in SEED_FILES.items():
        lines(folder / name, items)
    for name, items in BENCHMARKS.items():
        lines(folder / "data" / "benchmarks" / f"{name}.jsonl", items)
    places = ["MODEL", "M", "FOLDER_OR_HUB_ID", "HUB_ID_OR_FOLDER", "models/mine/model", "STUDENT/model"]
    places += [f"models/{name}" for name in "abcde"]
    _own_configs(folder / "my_conf")
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).symlink_to(model)
    (folder / "STUDENT_FOLDER").symlink_to(folder / "STUDENT")
    for kind, names in HUB.items():
        for name in names:
            lines(folder / "hub" / f"{kind}--{name.replace('/', '--')}" / "snapshots" / "main" / "config.json", [])
    _world(folder / "FOLDER_OF_THE_WORLD")
    _data(folder, folder / "data" / "mine")
    for name in ("DATA_FOLDER", "DIR"):
        (folder / name).symlink_to(folder / "data" / "mine")
    (folder / "bin").mkdir()
    (folder / "bin" / "vllm").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")  # is looked for, and not started
    (folder / "bin" / "vllm").chmod(0o755)
    (folder / "runs" / "store").mkdir(parents=True)
    (folder / "runs" / "store" / "synthesis-gra-data-01234567").symlink_to(folder / "data" / "mine")


def _own_configs(folder: Path) -> None:
    """The user's files as the pages print them, for `--config-dir my_conf`."""
    for group in ("arms", "cluster"):
        (folder / group).mkdir(parents=True)
    (arm,) = _yaml_blocks(ROOT / "docs" / "experiments.md")
    (folder / "arms" / "low_tau.yaml").write_text(arm, encoding="utf-8")
    shutil.copy(ROOT / "conf" / "cluster" / "slurm.yaml", folder / "cluster" / "my_cluster.yaml")
    first, servers = map(yaml.safe_load, _yaml_blocks(ROOT / "slurm" / "README.md"))
    mine = {**first, "stages": {**first["stages"], **servers["stages"]}}  # "in place of `stages.synthesis` above"
    (folder / "cluster" / "mine.yaml").write_text(yaml.safe_dump(mine, sort_keys=False), encoding="utf-8")


def _yaml_blocks(page: Path) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def _world(folder: Path) -> None:
    from gra.simulation import world_stage

    folder.mkdir()
    world_stage.run({"seed": 0, "world": {"seeds": 60, "test_per_task": 5, "corpus_pairs": 100}}, {}, folder)


def _data(place: Path, folder: Path) -> None:
    """A data folder of two rounds, by the simulated committee."""
    from gra.synthesis import stage

    pool = {"_target_": "gra.simulation.backend.connect", "models": [f"slm-{m}" for m in "abcde"], "simulated": True}
    seeds = {"path": str(place / "FOLDER_OF_THE_WORLD" / "seeds" / "seeds.jsonl"), "limit": 20}
    synthesis = {"rounds": 2, "samples_per_round": 8, "max_proposals": 60, "dedup": {"model": "hash", "threshold": 1.0}}
    folder.mkdir(parents=True)
    stage.run(
        {"seed": 0, "seeds": seeds, "pool": pool, "synthesis": synthesis, "runtime": {"concurrency": 8}}, {}, folder
    )
