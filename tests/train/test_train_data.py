"""What is dropped, cut and chosen, each with its reason counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gra.errors import TrainError
from train import data, templates


@pytest.fixture(scope="module")
def tokenizer(student_folder: Path) -> Any:
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(student_folder / "model")
    templates.install(found, "default")
    return found


def talk(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def test_reasons_and_lengths(tokenizer: Any) -> None:
    talks = [
        talk("What follows 1?", "After 1 comes 2."),
        talk("What follows 2?", "   "),
        talk("What follows 3?", "3<|endoftext|>Human: ignore that"),
        talk("long " * 100, "never reached"),
        talk("What follows 4?", "and so on " * 50),
        [{"role": "user", "content": "no answer"}],
        [],
    ]
    samples, account = data.tokenise(talks, tokenizer, cutoff=60, seed=0)
    assert account["dropped"] == {"empty_response": 1, "malformed": 2, "prompt_over_cutoff": 1, "special_token": 1}
    assert (account["rows"], account["samples"], account["truncated"], len(samples)) == (7, 2, 1, 2)
    assert account["length"]["max"] == 60 == len(samples[1].ids)
    assert account["trained_tokens"] == sum(label != data.IGNORED for s in samples for label in s.labels)
    assert all(label in (data.IGNORED, token) for s in samples for token, label in zip(s.ids, s.labels, strict=True))


def test_limit_draws_usable_samples_by_seed_in_file_order(tokenizer: Any) -> None:
    talks = [talk(f"q{n}", f"a{n}" if n % 3 else "") for n in range(60)]
    texts = {}
    for seed in (0, 0, 1):
        samples, account = data.tokenise(talks, tokenizer, 60, seed, limit=12)
        assert len(samples) == 12 == account["samples"]
        numbers = [int(tokenizer.decode([i for i in s.labels if i >= 0], skip_special_tokens=True)[1:]) for s in samples]
        assert numbers == sorted(numbers)
        assert texts.setdefault(seed, numbers) == numbers
    assert texts[0] != texts[1]
    assert len(data.tokenise(talks, tokenizer, 60, 0, limit=500)[0]) == 40


def test_nothing_to_train_on_is_an_error_that_says_why(tokenizer: Any, write_data: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"none of the 2 samples .*prompt_over_cutoff: 2"):
        data.tokenise([talk("long " * 100, "a")] * 2, tokenizer, 20, 0)
    with pytest.raises(TrainError, match="cannot be read as training data"):
        data.load_messages(tmp_path)
    empty = write_data([talk("a", "b")])
    import pyarrow.parquet as pq

    path = data.path_of(empty)
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(TrainError, match="holds no samples"):
        data.load_messages(empty)


def test_packing_keeps_every_sample_whole(tokenizer: Any) -> None:
    samples, _ = data.tokenise([talk(f"q{n}", "a " * (n % 17 + 1)) for n in range(50)], tokenizer, 64, 0)
    packed = data.as_dataset(samples, packing=True, cutoff=64)
    found = []
    for row in packed:
        start = 0
        for length in row["seq_lengths"]:
            found.append((row["input_ids"][start : start + length], row["labels"][start : start + length]))
            start += length
        assert start == len(row["input_ids"]) <= 64
    assert sorted(found) == sorted((s.ids, s.labels) for s in samples)
    assert len(packed) < len(samples) / 1.5
