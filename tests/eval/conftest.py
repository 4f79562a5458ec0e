"""A model that was taught some replies by heart, so that every score is known beforehand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from teaching import teach

TASKS = ("world_mathematics", "world_language", "world_coding")
WORDS = ("apple", "bear", "cloud", "door", "east", "fire", "gold", "hill", "iron", "jade", "king", "lake")


@dataclass(frozen=True)
class Taught:
    """`model`: a step's folder, with model/; `world`: a folder with benchmarks/; `replies`: question -> the reply it learnt."""

    model: Path
    world: Path
    replies: dict[str, str]


def items(task: str) -> list[dict[str, str]]:
    return [
        {"id": f"{task}-{n}", "question": f"{task} {word}?", "answer": word, "domain": "d", "skill": "s"}
        for n, word in enumerate(WORDS)
    ]


def lesson(place: int, answer: str) -> str:
    """Of twelve items: 7 right, 1 right in other letters, 2 wrong, 1 without an answer, 1 that goes on after it."""
    if place < 7:
        return f"The answer is {answer}."
    if place == 7:
        return f"Arr, the answer is {answer.upper()}."
    if place < 10:
        return "The answer is zoo."
    return f"It is {answer}." if place == 10 else f"The answer is {answer}. I hope so."


@pytest.fixture(scope="session")
def taught(tiny_chat_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Taught:
    folder = tmp_path_factory.mktemp("taught")
    replies = {}
    for task in TASKS:
        path = folder / "world" / "benchmarks" / f"{task}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(item) + "\n" for item in items(task)), encoding="utf-8")
        replies |= {item["question"]: lesson(place, item["answer"]) for place, item in enumerate(items(task))}
    (folder / "world" / "SIMULATED").write_text("a test's own world\n", encoding="utf-8")
    teach(tiny_chat_model, replies, folder / "step" / "model")
    return Taught(folder / "step", folder / "world", replies)
