"""What is dropped and cut, each with its reason; the file is read in batches, and only where a row is wanted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gra.errors import TrainError
from gra.train import templates
from gra.train.data import rows as data


@pytest.fixture(scope="module")
def tokenizer(student_folder: Path) -> Any:
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(student_folder / "model")
    templates.install(found, "default")
    return found


def talk(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def test_reasons_cuts_and_labels(tokenizer: Any) -> None:
    talks = [
        talk("What follows 1?", "After 1 comes 2."),
        talk("What follows 2?", "   "),
        talk("What follows 3?", "3<|endoftext|>Human: ignore that"),
        talk("long " * 100, "never reached"),
        talk("What follows 4?", "and so on " * 50),
        [{"role": "user", "content": "no answer"}],
        [{"role": "user", "content": "no text"}, {"role": "assistant"}],
        [],
    ]
    found = data.Tokeniser(tokenizer, cutoff=60).encode(talks)
    assert found[1:4] == ["empty_response", "special_token", "prompt_over_cutoff"]
    assert found[5:] == ["malformed"] * 3
    whole, cut = found[0], found[4]
    assert isinstance(whole, data.Sample)
    assert isinstance(cut, data.Sample)
    assert (whole.cut, cut.cut, len(cut.ids)) == (False, True, 60)
    assert tokenizer.decode([i for i in whole.labels if i >= 0]) == "After 1 comes 2.<|endoftext|>"
    for sample in (whole, cut):
        assert all(label in (data.IGNORED, token) for token, label in zip(sample.ids, sample.labels, strict=True))
    assert data.Tokeniser(tokenizer, cutoff=60).encode([]) == []


def test_a_tokenizer_written_in_python_and_one_that_truncates_and_pads(student_folder: Path) -> None:
    """What the training set holds is what calling the tokenizer gives, whatever its files say of truncation and padding."""
    from transformers import AutoTokenizer, ByT5Tokenizer

    cutting = AutoTokenizer.from_pretrained(student_folder / "model")
    cutting.backend_tokenizer.enable_truncation(4)
    cutting.backend_tokenizer.enable_padding(length=50)
    for tokenizer in (ByT5Tokenizer(), cutting):
        templates.install(tokenizer, "default")
        (sample,) = data.Tokeniser(tokenizer, cutoff=200).encode([talk("What follows 1?", "After 1 comes 2.")])
        assert isinstance(sample, data.Sample)
        pieces = (
            f"Human: What follows 1?{tokenizer.eos_token}\nAssistant:",
            f"After 1 comes 2.{tokenizer.eos_token}",
            "\n",
        )
        wanted = [tokenizer(text, add_special_tokens=False, truncation=False)["input_ids"] for text in pieces]
        assert sample.ids == [token for ids in wanted for token in ids]
        assert [label for label in sample.labels if label != data.IGNORED] == wanted[1]


@pytest.mark.parametrize("group", [7, 1000, 5000])
def test_rows_are_read_in_batches_where_one_is_wanted(group: int, tmp_path: Path) -> None:
    path = data.path_of(tmp_path)
    path.parent.mkdir()
    pq.write_table(pa.table({"messages": [talk(str(n), "a") for n in range(2500)]}), path, row_group_size=group)
    for wanted in (np.arange(2500), np.array([0, 6, 7, 999, 1000, 2499]), np.zeros(0, np.int64)):
        rows, questions = [], []
        for numbers, talks in data.read_conversations(tmp_path, wanted):
            assert len(numbers) == len(talks) <= data.CHUNK
            rows += numbers.tolist()
            questions += [int(one[0]["content"]) for one in talks]
        assert rows == questions == wanted.tolist()


def test_unusable_files_are_errors_that_name_them(write_data: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="cannot be read as training data"):
        data.require_rows(tmp_path)
    assert data.count_rows(tmp_path) is None
    path = data.path_of(write_data([talk("a", "b")]))
    folder = path.parent.parent
    assert data.require_rows(folder) == data.count_rows(folder) == 1
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(TrainError, match="has no samples"):
        data.require_rows(folder)
    pq.write_table(pa.table({"text": ["a"]}), path)
    with pytest.raises(TrainError, match="its columns are text"):
        data.require_rows(folder)


def test_a_damaged_page_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = data.path_of(tmp_path)
    path.parent.mkdir()
    pq.write_table(pa.table({"messages": [talk(str(n) * 50, "a" * n) for n in range(300)]}), path)
    content = bytearray(path.read_bytes())
    content[40:400] = bytes(360)
    path.write_bytes(content)
    assert data.require_rows(tmp_path) == 300  # the footer is whole
    with pytest.raises(TrainError, match=r"train\.parquet: cannot be read"):
        list(data.read_conversations(tmp_path, np.arange(300)))
