from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from gra.errors import EvalError
from gra.eval.suite import catalogue
from gra.eval.suite.local_data import LocalTask, load, locate, records


def put(path: Path, *items: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(item) + "\n" for item in items).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def find(task: str, folder: Path, shots: int | None = None) -> tuple[LocalTask, list[str]]:
    path = catalogue.find(task)
    assert path is not None
    return locate(task, path, catalogue.read(path), [folder], shots)


@pytest.mark.parametrize(
    ("task", "file"),
    [
        ("world_coding", "world_coding.jsonl"),
        ("world_coding", "coding.jsonl.gz"),
        ("gsm8k_cot_zeroshot", "gsm8k/test.jsonl.gz"),
        ("arc_challenge_chat", "arc_challenge/test.jsonl"),
        ("bbh_cot_zeroshot_boolean_expressions", "bbh/boolean_expressions.jsonl.gz"),
        ("mmlu_abstract_algebra_generative", "mmlu/test.jsonl.gz"),
        ("ifeval", "ifeval/train.jsonl.gz"),
        ("mbpp", "mbpp/full/test.jsonl"),
        ("mbpp_chat", "mbpp/full/test.jsonl.gz"),
        ("mmlu_chat", "mmlu/test.jsonl.gz"),
        ("math_chat", "math/test.jsonl"),
        ("math_chat", "hendrycks_math/test.jsonl.gz"),
        ("gpqa_diamond_chat", "gpqa/diamond.jsonl.gz"),
        ("gpqa_diamond_chat", "gpqa/diamond/train.jsonl"),
        ("gpqa_diamond_chat", "gpqa/gpqa_diamond/train.jsonl"),
        ("gpqa_diamond_chat", "gpqa_diamond/train.jsonl"),
        ("hellaswag_chat", "hellaswag/validation.jsonl.gz"),
        ("ifeval_chat", "ifeval/train.jsonl.gz"),
    ],
)
def test_the_layouts_that_are_read(task: str, file: str, tmp_path: Path) -> None:
    path = put(tmp_path / file, {"a": 1})
    found, missing = find(task, tmp_path, shots=0)
    assert path in found.files.values()
    assert missing == []


@pytest.mark.parametrize(
    ("task", "file"),
    [
        ("bbh_cot_fewshot_navigate", "bbh/test.jsonl"),
        ("gpqa_diamond_chat", "gpqa/train.jsonl"),
        ("arc_challenge", "ai2_arc/test.jsonl"),
    ],
)
def test_a_file_that_may_be_of_another_configuration_is_not_read(task: str, file: str, tmp_path: Path) -> None:
    put(tmp_path / file, {"a": 1})
    found, missing = find(task, tmp_path, shots=0)
    assert found.files == {}
    assert len(missing) == 1


def test_the_file_of_a_configuration_goes_before_that_of_all(tmp_path: Path) -> None:
    put(tmp_path / "mbpp" / "test.jsonl", {"a": 1})
    whole = put(tmp_path / "mbpp" / "full" / "test.jsonl", {"a": 1})
    assert find("mbpp_chat", tmp_path)[0].files == {"test": whole}


def test_mmlu_in_one_task_has_all_subjects(tmp_path: Path) -> None:
    put(tmp_path / "mmlu" / "test.jsonl", {"subject": "anatomy"}, {"subject": "virology"})
    assert find("mmlu_chat", tmp_path)[0].subject is None
    assert find("mmlu_anatomy", tmp_path)[0].subject == "anatomy"


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl.gz", *({"a": n} for n in range(1000)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(EvalError, match=r"a\.jsonl\.gz, after line \d+: the rest cannot be read"):
        records(path)
    path.write_text('{"a": 1}\n', encoding="utf-8")  # the file is mended: nothing old is remembered
    assert records(path) == [{"a": 1}]


def test_a_missing_split_is_named_if_it_is_needed_and_left_out_if_not(tmp_path: Path) -> None:
    put(tmp_path / "gsm8k" / "test.jsonl", {"question": "q", "answer": "a"})
    found, missing = find("gsm8k", tmp_path)  # five examples from `train`
    assert len(missing) == 1
    assert "gsm8k: no file for split `train`" in missing[0]
    assert str(tmp_path) in missing[0]
    found, missing = find("gsm8k", tmp_path, shots=0)
    assert missing == []
    assert set(found.dropped) == {"training_split", "fewshot_split"}
    assert set(found.files) == {"test"}


def test_one_file_for_the_task_is_never_used_for_the_examples_too(tmp_path: Path) -> None:
    put(tmp_path / "gsm8k.jsonl", {"question": "q", "answer": "a"})
    found, missing = find("gsm8k", tmp_path)
    assert set(found.files) == {"test"}
    assert "`train`" in missing[0]


def test_texts_stay_texts_and_subjects_are_kept_apart(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jsonl.gz", {"answer": "2024-01-05", "subject": "x"}, {"answer": "12", "subject": "y"})
    assert load({"test": str(path)}, version=1.0)["test"]["answer"] == ["2024-01-05", "12"]
    assert records(path, "y") == [{"answer": "12", "subject": "y"}]
    with pytest.raises(EvalError, match="no records of subject z"):
        records(path, "z")


@pytest.mark.parametrize("line", ["{not json", "[1]", '"text"'])
def test_a_bad_line_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n\n' + line + "\n", encoding="utf-8")
    with pytest.raises(EvalError, match=r"a\.jsonl, line 3"):
        records(path)
