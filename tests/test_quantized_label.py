"""Weights that were rounded to few bits once say so, from the student's folder to the comparison's footnote; others do not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from gra import cli
from gra.compare.arms import Arm
from gra.compare.experiment import compare
from gra.eval import rescore
from gra.eval import stage as evaluation
from gra.fileio import read_json
from gra.labels import QUANTIZED, before_training, quantized
from gra.train import stage as training
from gra.train import student_stage
from gra.weights.student import label

LABEL = label("Q4_1", "Tiny.Q4_1.gguf", "ab" * 32)
SENTENCE = "weights were 4-bit before training (4-bit (Q4_1): Tiny.Q4_1.gguf"
RECIPE = {
    "max_steps": 1,
    "learning_rate": 1e-3,
    "global_batch": 2,
    "cutoff_length": 64,
    "precision": "fp32",
    "template": "chatml",
}


def model_folder(source: Path, target: Path, words: str | None) -> Path:
    shutil.copytree(source, target)
    if words is not None:
        (target / QUANTIZED).write_text(words + "\n", encoding="utf-8")
    return target


def trained(model: Path, data: Path, output: Path, as_step: bool = False) -> Path:
    """`as_step`: through the stage that copies a student into the store."""
    given: dict[str, Path] = {"data": data}
    name: dict[str, Any] = {"name": "tiny", "model": str(model)}
    if as_step:
        given["student"] = output.with_name(output.name + "-student")
        given["student"].mkdir()
        student_stage.run({"seed": 0, "student": name}, {}, given["student"])
        name = {"name": "tiny"}
    output.mkdir()
    runtime = {"threads": 1, "tracking": {"mode": "none"}}
    training.run({"seed": 0, "student": name, "sft": RECIPE, "runtime": runtime}, given, output)
    return output


def evaluated(inputs: dict[str, Path], output: Path, model: Path | None = None) -> Path:
    given: dict[str, Any] = {"seed": 0, "suite": {"name": "test", "tasks": ["world_language"], "max_new_tokens": 2}}
    given["runtime"] = {"batch_size": 4, "device": "cpu", "threads": 1}
    output.mkdir()
    evaluation.run(given | ({"model": {"path": str(model)}} if model else {}), inputs, output)
    return output


@pytest.fixture
def world(tmp_path: Path) -> Path:
    path = tmp_path / "world" / "benchmarks" / "world_language.jsonl"
    path.parent.mkdir(parents=True)
    items = [{"id": f"i{n}", "question": f"q {n}?", "answer": "a", "domain": "d", "skill": "s"} for n in range(4)]
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path.parents[1]


@pytest.mark.slow
def test_the_label_goes_all_the_way(
    tiny_chat_model: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    (data / "data").mkdir(parents=True)
    talk = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    pq.write_table(pa.table({"messages": [talk] * 4}), data / "data" / "train.parquet")
    rounded = model_folder(tiny_chat_model, tmp_path / "rounded", LABEL)
    plain = model_folder(tiny_chat_model, tmp_path / "plain", None)

    models = {
        name: trained(path, data, tmp_path / name, name == "step")
        for name, path in (("direct", rounded), ("step", rounded), ("whole", plain))
    }
    for name in ("direct", "step"):
        assert quantized([models[name]]) == quantized([models[name] / "model"]) == LABEL
        card = (models[name] / "model" / "README.md").read_text()
        assert f"**The base model's {SENTENCE}" in card
        assert "quantized" in yaml.safe_load(card.split("---\n")[1])["tags"]
    assert quantized([models["whole"], models["whole"] / "model"]) is None
    assert "few bits" not in (models["whole"] / "model" / "README.md").read_text()

    capsys.readouterr()
    scores = {
        name: evaluated({"model": folder, "benchmarks": world}, tmp_path / f"scores-{name}")
        for name, folder in models.items()
    }
    scores["untrained"] = evaluated({"benchmarks": world}, tmp_path / "scores-untrained", rounded)
    assert capsys.readouterr().out.count(f"The model's {SENTENCE}") == 3
    rescore.rescore(scores["direct"], tmp_path / "again")
    for folder in (scores["direct"], scores["step"], scores["untrained"], tmp_path / "again"):
        assert read_json(folder / "scores.json")["quantized"] == LABEL
        assert quantized([folder]) == LABEL
    assert read_json(scores["whole"] / "scores.json")["quantized"] is None

    assert cli_says(["compare", str(scores["direct"]), str(scores["whole"])], capsys) == f"In A: {SENTENCE}"
    assert cli_says(["compare", str(scores["whole"]), str(tmp_path / "again")], capsys) == f"In B: {SENTENCE}"
    assert cli_says(["compare", str(scores["step"]), str(scores["direct"])], capsys) == f"In all arms: {SENTENCE}"

    arms = [Arm(name, name.title(), folders={"scores": folder}) for name, folder in scores.items()]
    options = {"resamples": 100}
    text = compare(arms, title="t", reference="whole", output=tmp_path / "result", options=options)
    said = f"In Direct, Step, Untrained: {SENTENCE}"
    assert said in " ".join(text.split())
    assert said in (tmp_path / "result" / "table.md").read_text().replace("\\", "")
    assert said in (tmp_path / "result" / "report.html").read_text()
    lines = (tmp_path / "result" / "table.csv").read_text().splitlines()
    at = lines[0].split(",").index("quantized")
    assert {line.split(",")[0]: line.split(",")[at] for line in lines[1:]} == {
        "direct": "true",
        "step": "true",
        "untrained": "true",
        "whole": "false",
    }


def cli_says(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The start of the one footnote that the command prints."""
    import sys
    from unittest.mock import patch

    capsys.readouterr()
    with patch.object(sys, "argv", ["gra", *words, "--resamples", "100"]):
        assert cli.main() == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.count(SENTENCE) == 1
    return said[said.rindex("In ", 0, said.index(SENTENCE)) : said.index(SENTENCE) + len(SENTENCE)]


@pytest.mark.parametrize(
    ("form", "bits"),
    [("Q4_1", "4-bit"), ("Q4_K_M", "4-bit"), ("IQ2_XXS", "2-bit"), ("Q8_0", "8-bit"), ("MXFP4", "few bits")],
)
def test_the_words_of_a_label(form: str, bits: str) -> None:
    words = label(form, "x.gguf", "00")
    assert words == f"{bits} ({form}): x.gguf, sha256 00"
    what = bits if bits != "few bits" else "rounded to few bits"
    assert before_training(words) == f"weights were {what} before training ({words})"


def test_a_hostile_or_broken_label_stays_a_line(tmp_path: Path) -> None:
    (tmp_path / QUANTIZED).write_bytes(b"4-bit\x1b[2J\xff`\n# Head\n" + b"x" * 100_000)
    words = quantized([None, tmp_path / "nowhere", tmp_path])
    assert words is not None
    assert words.startswith("4-bit\ufffd[2J\ufffd' # Head x")
    assert len(words) <= 200
    (tmp_path / QUANTIZED).write_bytes(b"")
    assert quantized([tmp_path]) == "weights of few bits"
