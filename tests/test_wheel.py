"""The wheel holds `gra` alone, and its commands work in a folder whose own files bear our modules' names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
HOSTILE = "raise SystemExit('a file of the user was imported')\n"
SEEDS = [{"instruction": f"Say the number {n}.", "output": f"The number is {n}."} for n in range(20)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode and "hatchling" in built.stderr:
        pytest.skip(f"the package index cannot be reached for the build: {built.stderr.strip().splitlines()[-1]}")
    assert built.returncode == 0, built.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture
def gra(wheel: Path, tmp_path: Path) -> Run:
    """Runs the installed `gra` in a folder of hostile names."""
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "site")
    folder = tmp_path / "folder"
    for name in ("eval", "train", "conf", "gra", "wandb_settings"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(HOSTILE)
    for name in ("train", "eval", "gra", "conf", "engine", "settings"):
        (folder / f"{name}.py").write_text(HOSTILE)
    (folder / "mine.json").write_text(json.dumps(SEEDS))
    script = tmp_path / "bin" / "gra"  # as an installer writes it
    script.parent.mkdir()
    body = "import sys\nfrom gra.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    script.write_text(f"#!{sys.executable}\n{body}")
    script.chmod(0o755)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "PYTHONPATH": str(tmp_path / "site"),
            "HF_HUB_OFFLINE": "1",
            "WANDB_MODE": "offline",
        }
        return subprocess.run(
            [str(script), *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    return run


def test_it_installs_gra_and_nothing_else_at_the_top(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"gra"}
    for needed in (
        "train/stage.py",
        "eval/tasks/",
        "eval/scoring/punkt/",
        "_conf/chain.yaml",
        "_conf/seeds/starter.jsonl",
    ):
        assert any(name.startswith(f"gra/{needed}") for name in names), needed
    assert any(name.endswith(".jinja") for name in names)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    ["synthesize", "merge", "train", "prepare", "eval", "rescore", "probe", "run", "submit", "fetch", "inspect"],
)
def test_every_command_helps_in_a_folder_of_hostile_names(command: str, gra: Run) -> None:
    done = gra(command, "--help")
    assert done.returncode == 0, done.stderr
    assert "the user was imported" not in done.stdout + done.stderr


@pytest.mark.slow
def test_the_chain_works_in_a_folder_of_hostile_names(gra: Run, tiny_chat_model: Path) -> None:
    """Every stage really runs, with the processes that it starts: embedder, step, trainer, mathematics, sandbox."""
    done = gra(
        "synthesize",
        "seeds=custom",
        "seeds.path=mine.json",
        "pool=simulated",
        "synthesis.rounds=1",
        "synthesis.samples_per_round=4",
        "output=data",
    )
    assert done.returncode == 0, done.stderr
    done = gra(
        "train",
        "data=data",
        f"student.model={tiny_chat_model}",
        "sft=lora",
        "sft.precision=fp32",
        "sft.max_steps=1",
        "sft.global_batch=2",
        "sft.cutoff_length=128",
        "launch=torchrun",
        "nproc=2",
        "tracking=none",
        "output=model",
    )
    assert done.returncode == 0, done.stderr
    done = gra("plan", "experiment=quickstart")
    assert done.returncode == 0, done.stderr
    assert "would run" in done.stdout


SERVERS = [f"{pool}.base_url=http://127.0.0.1:1/v1" for pool in ("pool", "large_pool", "medium_pool")]
ITEMS = {
    "humaneval/test.jsonl": {
        "task_id": "HumanEval/0",
        "prompt": 'def one() -> int:\n    """The number one."""\n',
        "canonical_solution": "    return 1\n",
        "test": "def check(candidate):\n    assert candidate() == 1\n",
        "entry_point": "one",
    },
    "math/test.jsonl": {
        "problem": "What is 1 + 1?",
        "solution": "It is \\boxed{2}.",
        "answer": "2",
        "subject": "Algebra",
        "level": 1,
        "unique_id": "test/algebra/1.json",
    },
}


@pytest.mark.slow
def test_scoring_and_reading_work_in_a_folder_of_hostile_names(gra: Run, tiny_chat_model: Path, tmp_path: Path) -> None:
    """An evaluation with its judge of mathematics and its sandbox, and README's commands that read or plan."""
    for name, item in ITEMS.items():
        path = tmp_path / "bench" / name
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(item) + "\n")
    words = [f"model.path={tiny_chat_model}", "suite.tasks=[math_chat,humaneval_chat]", "suite.max_new_tokens=4"]
    done = gra(
        "eval", *words, f"suite.data_dir={tmp_path / 'bench'}", "runtime.device=cpu", "tracking=none", "output=scores"
    )
    assert done.returncode == 0, done.stderr
    probe = ["probe", "pool=simulated", "seeds=starter", "synthesis.probe=warn", "probe.calls=20", "output=probe"]
    others = (
        ["rescore", "scores", "--output", "again"],
        ["compare", "scores", "again"],
        ["claims"],
        probe,
        ["plan", "experiment=paper/main_table", "seeds.path=mine.json", *SERVERS],
    )
    for words in others:
        done = gra(*words)
        assert done.returncode == 0, (words, done.stderr)
        assert "the user was imported" not in done.stdout + done.stderr
