"""A student of 0.1 M parameters and a handful of talks: enough to train in a second, and real all the way through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gra.train import student_stage

BUILD = {"vocab_size": 400, "hidden_size": 64, "layers": 2, "heads": 2, "intermediate_size": 128, "positions": 128}
QUESTIONS = [(f"What follows {n}?", f"After {n} comes {n + 1}." + " Surely so." * (n % 4)) for n in range(40)]
Config = dict[str, Any]


def talk(*contents: str) -> list[dict[str, str]]:
    """User and assistant in turn."""
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(contents)]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "corpus.txt").write_text("\n".join(f"{q}\n{a}" for q, a in QUESTIONS), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def student_folder(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("student")
    student_stage.run({"seed": 0, "student": {"name": "tiny", "build": BUILD}}, {"corpus": corpus}, folder)
    return folder


@pytest.fixture
def write_data(tmp_path: Path) -> Callable[..., Path]:
    def write(talks: list[list[dict[str, str]]], **files: str) -> Path:
        folder = tmp_path / "data_folder"
        (folder / "data").mkdir(parents=True)
        pq.write_table(pa.table({"messages": talks}), folder / "data" / "train.parquet")
        for name, text in files.items():
            (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
        return folder

    return write


@pytest.fixture
def data_folder(write_data: Callable[..., Path]) -> Path:
    return write_data([talk(q, a) for q, a in QUESTIONS])


@pytest.fixture
def config() -> Callable[..., Config]:
    def make(**sft: Any) -> Config:
        recipe = {"learning_rate": 3e-3, "global_batch": 8, "cutoff_length": 96, "precision": "fp32", **sft}
        return {
            "seed": 0,
            "student": {"name": "tiny"},
            "sft": recipe,
            "runtime": {"threads": 1, "tracking": {"mode": "none"}},
        }

    return make
