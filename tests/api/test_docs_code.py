"""The Python of README and of docs/python.md runs as printed, with a simulated server, a tiny student and one benchmark."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_synthesis_app import free_port, serving

ROOT = Path(__file__).parents[2]
SEEDS = [{"instruction": f"What is {n} + {n}?", "output": str(2 * n)} for n in range(20)]
QUICK = 'config={"synthesis.dedup.model": "hash"}'
FEW = """config={"sft.max_steps": 1, "sft.precision": "fp32", "sft.global_batch": 2, "sft.cutoff_length": 128,
                "tracking": "none"}"""
ONE = """config={"suite.tasks": ["gsm8k"], "suite.data_dir": "benchmarks", "suite.limit": 2, "suite.max_new_tokens": 4,
                "suite.num_fewshot": 0, "model.max_length": 900, "runtime.device": "cpu"}"""


@pytest.fixture
def url() -> Iterator[str]:
    port = free_port()
    yield from serving([sys.executable, "-m", "gra.simulation.server", "--port", str(port)], port)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_code_of_a_page_runs_as_printed(
    page: str, url: str, tmp_path: Path, tiny_chat_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.jsonl").write_text("".join(json.dumps(seed) + "\n" for seed in SEEDS))
    for split in ("train", "test"):
        Path("benchmarks/gsm8k").mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"question": f"{n}+{n}?", "answer": f"#### {2 * n}"}) for n in range(6)]
        Path(f"benchmarks/gsm8k/{split}.jsonl").write_text("\n".join(lines))
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert blocks
    space: dict[str, object] = {}
    for block in blocks:
        if '"scores/other"' in block:  # another evaluated model: here the same one
            before, _, block = block.partition("print(gra.compare")
            exec(stood_in(before, url, tiny_chat_model), space)
            shutil.copytree("scores/mine", "scores/other")
            block = f"print(gra.compare{block}"
        exec(stood_in(block, url, tiny_chat_model), space)
    assert Path("data/mine/data/train.parquet").is_file()
    assert page == "README.md" or Path("scores/before/scores.json").is_file(), "the block without a hub ran"


def stood_in(block: str, url: str, student: Path) -> str:
    """The block with what is not here replaced: servers, models of billions of weights, whole benchmarks."""
    for printed, tried in (
        ("http://127.0.0.1:8000/v1", url),
        ('"llama", "qwen", "internlm", "mistral", "tulu"', ", ".join(f'"slm-{m}"' for m in "abcde")),
        ("samples=100", "samples=4"),
        ("samples=200", "samples=4"),
        ('output="data/mine"', f'output="data/mine", {QUICK}'),
        ('output="data/own"', f'output="data/own", {QUICK}'),
        ("Qwen/Qwen2.5-0.5B", str(student)),
        ('sft="lora"', f'sft="lora", {FEW}'),
        ('folder("smollm2-135m")', repr(str(student))),
        ('"smollm2-135m"', repr(str(student))),
        ('"sft.max_steps": 10', '"sft.max_steps": 1, "sft.global_batch": 2, "sft.cutoff_length": 128'),
        ('max_new_tokens": 24}', 'max_new_tokens": 4, "model.max_length": 900, "runtime.device": "cpu"}'),
        ('"smoke", output="scores/mine"', f'"own", output="scores/mine", {ONE}'),
    ):
        block = block.replace(printed, tried)
    return block
