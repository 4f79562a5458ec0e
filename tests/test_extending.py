"""The examples of docs/extending.md, applied to a copy of the package and used there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import gra
from gra.models.base import Reply, Request
from gra.simulation.backend import connect
from gra.synthesis import prompts
from gra.synthesis.prompts import variables

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```(?:python|yaml|jinja)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(
    r"\{?# (?:add to|replace in|new file) (?P<path>[\w/.]+)(?:, (?P<where>before|in) `(?P<name>\w+)`)?(?: #\})?\n"
)


def text_of(section: str) -> str:
    return re.split(r"^## ", TEXT.split(f"## {section}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def apply(section: str, root: Path) -> list[str]:
    """Make the changes of one section below `root`; returns the files that were touched."""
    touched = []
    for block in (found[1] for found in _BLOCK.finditer(text_of(section))):
        place = _PLACE.match(block)
        assert place is not None, block
        path, body = root / place["path"], block[place.end() :]
        touched.append(place["path"])
        if block.startswith(("# new file", "{# new file")):
            path.parent.mkdir(exist_ok=True)
            path.write_text(body, encoding="utf-8")
            continue
        old = path.read_text(encoding="utf-8")
        if block.startswith("# replace"):
            before, after = body.split("# by\n")
            assert before.strip("\n") in old
            new = old.replace(before.strip("\n"), after.strip("\n"), 1)
        else:
            start = re.search(rf"^{place['name']}\b[^\n]*\n", old, re.MULTILINE)
            assert start is not None, place["name"]
            at = start.start() if place["where"] == "before" else start.end()
            new = old[:at] + body + ("\n\n" if place["where"] == "before" else "") + old[at:]
        path.write_text(new, encoding="utf-8")
    return sorted(set(touched))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package, its train and eval, and its configuration."""
    for name in ("gra", "train", "eval", "conf"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / "site" / name, symlinks=True, ignore=ignored)
    return tmp_path / "site"


@pytest.fixture
def python(copy: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs a program, or the command `gra`, with the copy; returns what it prints."""

    def run(*words: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(copy)}
        command = [sys.executable, "-P", *(("-c", *words) if len(words) == 1 else ("-m", "gra.cli", *words))]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_seed_format(copy: Path, python: Callable[..., str], tmp_path: Path) -> None:
    assert len(apply("A seed format", copy)) == 1
    cards = tmp_path / "cards.jsonl"
    cards.write_text("".join(json.dumps({"clue": f"Clue {n}?", "solution": f"It is {n}."}) + "\n" for n in range(4)))
    for form in ("auto", "trivia"):
        told = python(
            "from gra.synthesis.seeds.load import load_seeds\nfrom gra.synthesis.seeds.settings import SeedSettings\n"
            f"found = load_seeds(SeedSettings(path={str(cards)!r}, format={form!r}), 0)\n"
            "print([(s.instruction, s.response) for s in found.seeds][0], found.columns)"
        )
        assert "('Clue 0?', 'It is 0.')" in told
        assert "quiz cards" in told or "trivia" in told


class Noting:
    """The simulated committee; `first` holds the first message of each call."""

    simulated = True

    def __init__(self) -> None:
        self.models = [f"slm-{letter}" for letter in "abcde"]
        self._behind = connect({"models": self.models, "_target_": "x"}, {"latency": 0})
        self.first: list[dict[str, str]] = []

    async def chat(self, request: Request) -> Reply:
        self.first.append(request.messages[0])
        return await self._behind.chat(request)


def test_prompts(tmp_path: Path) -> None:
    """A run asks with the file of the page, and the page names the variables of each prompt."""
    assert apply("Prompts", tmp_path) == ["my_prompts/respond.jinja"]
    seeds = [{"instruction": f"Say the number {n}.", "response": f"The number is {n}."} for n in range(20)]
    config = {"synthesis.prompts": str(tmp_path / "my_prompts"), "synthesis.dedup.model": "hash"}
    backend = Noting()
    data = gra.synthesize(seeds, backend.models, backend=backend, samples=4, output=tmp_path / "data", config=config)
    assert len(data.dataset) == 4
    assert {"content": "You answer in at most two sentences.", "role": "system"} in backend.first
    rows = re.findall(r"^\| `(\w+)\.jinja` \|.*\| ([^|]*) \|$", text_of("Prompts"), re.MULTILINE)
    assert {step: set(re.findall(r"`(\w+)`", names)) for step, names in rows} == {
        step: set(variables.values(step)) for step in (*prompts.STEPS, prompts.REWRITE)
    }


def test_a_role_policy(copy: Path, python: Callable[..., str]) -> None:
    assert len(apply("A role policy", copy)) == 2
    told = python(
        "import random\nfrom gra.synthesis.committee.roles import assign, judges\n"
        "from gra.synthesis.output.price import price\nfrom gra.synthesis.settings import SynthesisSettings\n"
        "settings = SynthesisSettings(roles='first_writes', rounds=1, samples_per_round=10)\n"
        "drawn = [assign('abcdef', settings, random.Random(n)) for n in range(50)]\n"
        "print({r.generator for r in drawn}, len({r.reviewers for r in drawn}) > 5, judges('abcdef', settings))\n"
        "print(price(settings, list('abcdef'), 10).by_model)"
    )
    assert told.startswith("{'a'} True ['b', 'c', 'd', 'e', 'f']")
    assert re.search(r"\{'a': [\d.]+, 'b': ", told)


def test_a_drop_reason(copy: Path, python: Callable[..., str]) -> None:
    assert len(apply("A drop reason", copy)) == 1
    told = python(
        "from gra.compare.report.funnel import from_counts\nfrom gra.synthesis.progress.state import GROUPS\n"
        "found = from_counts(10, {'too_easy': 4}, {})\n"
        "print([(s.count, s.lost) for s in found.stages if s.lost], GROUPS['too_easy'])"
    )
    assert told == "[(6, (('the untrained student answers it already', 4),))] gate\n"


def test_a_table_column(copy: Path, python: Callable[..., str], tmp_path: Path) -> None:
    assert len(apply("A table column", copy)) == 1
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "stats.json").write_text(json.dumps({"calls": 12, "kept": 3}))
    told = python(
        "from pathlib import Path\nfrom gra.compare.arms import Arm\nfrom gra.compare.tables.data_columns import SHOWN, facts\n"
        "arm = Arm('a', 'A', folders={'data': Path('data')})\n"
        "print(facts([arm]).calls, [column.heading for column in SHOWN])"
    )
    assert told.startswith("12.0 [")
    assert "'Calls'" in told


def test_a_backend(copy: Path, python: Callable[..., str]) -> None:
    assert len(apply("A backend", copy)) == 1
    told = python(
        "import asyncio\nfrom gra.models.base import Request\nfrom gra.models.pool import check_pool, connect\n"
        "pool = {'_target_': 'echo_backend.connect', 'models': ['a']}\n"
        "async def main():\n    async with connect(pool, {}) as backend:\n"
        "        print((await backend.chat(Request('a', ({'role': 'user', 'content': 'Hi'},), 0.0, 1.0, 9, 0))).text)\n"
        "print(check_pool(pool, {}))\nasyncio.run(main())"
    )
    assert told == "[]\nHi\n"


@pytest.mark.slow
def test_a_benchmark(python: Callable[..., str], tiny_chat_model: Path, tmp_path: Path) -> None:
    """It stands in a folder of the user's, beside the installed package, and reads an answer by a function of its own, too."""
    assert apply("A benchmark", tmp_path) == ["tasks/sums_chat.yaml"]
    (tmp_path / "tasks" / "mine.py").write_text("def question(doc):\n    return doc['question'].upper()\n")
    (tmp_path / "tasks" / "loud_sums.yaml").write_text(
        "include: sums_chat.yaml\ntask: loud_sums\ndoc_to_text: !function mine.question\n"
    )
    items = [{"question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(3)]
    (tmp_path / "bench").mkdir()
    for name in ("sums_chat", "loud_sums"):
        (tmp_path / "bench" / f"{name}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    python(
        "eval",
        "suite.tasks=[sums_chat,loud_sums]",
        "suite.task_dir=tasks",
        "suite.data_dir=bench",
        f"model.path={tiny_chat_model}",
        "suite.max_new_tokens=8",
        "runtime.device=cpu",
        "tracking=none",
        "output=scores",
    )
    score = json.loads((tmp_path / "scores" / "scores.json").read_text())["tasks"]["sums_chat"]
    assert score["n"] == 3
    assert {"value", "tolerant", "extraction"} <= score.keys()
    assert "WHAT IS 0 + 0?" in (tmp_path / "scores" / "samples" / "loud_sums.jsonl").read_text()
