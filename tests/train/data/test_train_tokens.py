"""The tokens folder: what is drawn, held out, mixed and packed; made once, whole or not at all; used again by its facts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gra.errors import TrainError
from gra.fileio import read_json, sha256_file
from gra.train.data import rows as data
from gra.train.data import tokenised
from gra.train.settings import TrainSettings

Inputs = dict[str, Path]


def talk(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def rows(folder: Path, name: str = tokenised.TRAIN) -> list[tuple[list[int], list[int]]]:
    """(ids, labels) of every sample, unpacked, in order."""
    found = []
    training, held_out, _ = tokenised.read(folder)
    for row in (training if name == tokenised.TRAIN else held_out) or ():
        start = 0
        for length in row.get("seq_lengths") or [len(row["input_ids"])]:
            found.append((row["input_ids"][start : start + length], row["labels"][start : start + length]))
            start += length
        assert start == len(row["input_ids"]) == len(row["labels"])
    return found


@pytest.fixture(scope="module")
def tokenizer(student_folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(student_folder / "model")


@pytest.fixture
def make(student_folder: Path, config: Any, tmp_path: Path) -> Callable[..., Path]:
    def make(inputs: Inputs, seed: int = 0, place: str = "out", **sft: Any) -> Path:
        output = tmp_path / place
        output.mkdir(exist_ok=True)
        settings = TrainSettings.model_validate(config(**sft) | {"seed": seed})
        return tokenised.ensure(settings, {"student": student_folder, **inputs}, output)

    return make


@pytest.fixture
def numbered(write_data: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A folder of talks whose answers are a letter and 0, 1, 2 ...; every third answer is empty where `gaps`."""

    def numbered(count: int, letter: str = "a", gaps: bool = False) -> Path:
        folder = write_data([talk(f"q{n}", "" if gaps and n % 3 == 0 else f"{letter}{n}") for n in range(count)])
        return folder.rename(tmp_path / f"data_{letter}_{count}")

    return numbered


@pytest.fixture
def answers(tokenizer: Any) -> Callable[..., list[str]]:
    def answers(dataset: Any) -> list[str]:
        return [tokenizer.decode([i for i in row["labels"] if i >= 0], skip_special_tokens=True) for row in dataset]

    return answers


def test_limit_draws_usable_samples_by_seed_in_file_order(make: Any, numbered: Any, answers: Any, caplog: Any) -> None:
    inputs = {"data": numbered(60, gaps=True)}
    drawn = {}
    for seed in (0, 1):
        dataset, held_out, account = tokenised.read(make(inputs, seed=seed, limit=12))
        found = answers(dataset)
        assert len(found) == 12 == account["samples"]
        assert held_out is None
        assert account["held_out"] is None
        numbers = [int(text[1:]) for text in found]
        assert numbers == sorted(numbers)
        assert account["rows"] == 60 == 12 + account["dropped"]["empty_response"] + account["not_drawn"]
        drawn[seed] = set(numbers)
    assert drawn[0] != drawn[1]
    larger = answers(tokenised.read(make(inputs, limit=20))[0])
    assert drawn[0] < {int(text[1:]) for text in larger}
    with caplog.at_level(logging.WARNING):
        assert tokenised.read(make(inputs, limit=500))[2]["samples"] == 40
    assert "only 40 samples" in caplog.text


def test_only_rows_that_are_drawn_are_tokenised(make: Any, numbered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    encode = data.Tokeniser.encode
    monkeypatch.setattr(
        data.Tokeniser, "encode", lambda self, talks: (encoded.append(len(talks)), encode(self, talks))[1]
    )
    make({"data": numbered(3000)}, limit=25)
    assert sum(encoded) == 25


def test_the_account_says_where_every_row_went(make: Any, write_data: Any) -> None:
    talks = [talk(f"q{n}", "word " * n) for n in range(1, 31)]
    talks += [talk("q", ""), talk("<|endoftext|>", "a"), talk("long " * 99, "a")]
    folder = make({"data": write_data(talks)}, cutoff_length=40, held_out=4)
    dataset, held_out, account = tokenised.read(folder)
    assert held_out is not None
    assert account["dropped"] == {"empty_response": 1, "prompt_over_cutoff": 1, "special_token": 1}
    assert (account["rows"], account["samples"], account["held_out"]["samples"]) == (33, 26, 4)
    assert account["not_drawn"] == 0
    lengths = [len(row["input_ids"]) for row in dataset]
    assert account["tokens"] == sum(lengths)
    assert account["trained_tokens"] == sum(label != data.IGNORED for row in dataset for label in row["labels"])
    ordered = sorted(lengths)
    quantiles = {"min": ordered[0], "median": ordered[12], "p95": ordered[23], "max": 40}
    assert account["length"] == pytest.approx({**quantiles, "mean": sum(lengths) / 26})
    assert 0 < account["truncated"] <= lengths.count(40)
    assert account["histogram"] == [
        {"up_to": end, "samples": sum(start < n <= end for n in lengths)}
        for start, end in ((0, 16), (16, 32), (32, 40))
    ]
    assert account["held_out"]["tokens"] == sum(len(row["input_ids"]) for row in held_out)
    assert account["packing"] is None
    assert account["rows_fed"] == 26


def test_held_out_samples_and_their_copies_are_never_trained_on(make: Any, write_data: Any) -> None:
    talks = [talk(f"q{n}", f"a{n}") for n in range(40)]
    inputs = {"data": write_data(talks + talks[:20])}
    sets = []
    for seed, recipe in ((0, {}), (0, {"limit": 15}), (0, {"packing": True}), (1, {})):
        folder = make(inputs, seed=seed, held_out=0.2, **recipe)
        _, _, account = tokenised.read(folder)
        assert account["held_out"]["samples"] == 12
        if not recipe:
            assert account["dropped"]["held_out_copy"] > 0
            assert account["samples"] + account["dropped"]["held_out_copy"] == 48
        held = [tuple(ids) for ids, _ in rows(folder, tokenised.HELD_OUT)]
        assert len(held) == 12
        assert not {tuple(ids) for ids, _ in rows(folder)} & set(held)
        sets.append(sorted(held))
    assert sets[0] == sets[1] == sets[2], "the held-out part depends on the limit or on packing"
    assert sets[3] != sets[0], "it does not depend on the seed"


def test_mixture(make: Any, numbered: Any, answers: Any) -> None:
    inputs = {"data": numbered(50, "a", gaps=True), "data_b": numbered(200, "b")}
    even = {"data": 0.5, "data_b": 0.5}

    def drawn(**sft: Any) -> tuple[list[str], Any]:
        dataset, _, account = tokenised.read(make(inputs, mix=even, **sft))
        return answers(dataset), account

    found, account = drawn(limit=41)
    assert len(found) == len(set(found)) == 41
    letters = [text[0] for text in found]
    assert (letters.count("a"), letters.count("b")) == (21, 20)
    assert letters == sorted(letters)
    assert (account["folders"]["data"]["samples"], account["folders"]["data_b"]["samples"]) == (21, 20)
    assert account["rows"] == 250 == account["samples"] + sum(account["dropped"].values()) + account["not_drawn"]
    numbers = {letter: [int(text[1:]) for text in found if text[0] == letter] for letter in "ab"}
    assert all(n == sorted(n) for n in numbers.values())
    assert numbers["b"] != list(range(20))
    most, account = drawn()  # 33 of `data` can be used
    assert len(most) == 66 == account["samples"]
    assert set(found) < set(most)
    _, held_out, account = tokenised.read(make(inputs, mix=even, held_out=10))
    assert sorted(text[0] for text in answers(held_out)) == ["a"] * 5 + ["b"] * 5
    assert account["samples"] == 56  # 28 of `data` are left
    with pytest.raises(TrainError, match=r"usable: data: 33, data_b: 200\)\n.*sft\.limit=66 or less"):
        drawn(limit=68)


def test_packing_keeps_every_sample_whole(make: Any, write_data: Any) -> None:
    inputs = {"data": write_data([talk(f"q{n}", "a " * (n % 17 + 1)) for n in range(1050)])}  # more than one window
    plain = rows(make(inputs, place="plain"))
    folder = make(inputs, packing=True, cutoff_length=64, place="packed")
    dataset, _, account = tokenised.read(folder)
    assert max(len(row["input_ids"]) for row in dataset) <= 64
    assert sorted(rows(folder)) == sorted(plain)
    assert account["packing"] == {"rows": len(dataset), "efficiency": account["tokens"] / len(dataset) / 64}
    assert 0.9 < account["packing"]["efficiency"] <= 1
    assert account["rows_fed"] == len(dataset) < len(plain) / 1.5


def test_the_same_facts_are_used_again_and_others_are_not(make: Any, numbered: Any, tmp_path: Path) -> None:
    inputs = {"data": numbered(30)}
    folder = make(inputs)
    first = sha256_file(folder), (folder / tokenised.TRAIN).stat().st_ino
    assert (sha256_file(make(inputs)), (folder / tokenised.TRAIN).stat().st_ino) == first
    make(inputs, seed=5, learning_rate=1e-5)  # nothing is drawn, so the seed does not matter
    assert (folder / tokenised.TRAIN).stat().st_ino == first[1]
    (tmp_path / "elsewhere").mkdir()
    moved = {"data": inputs["data"].rename(tmp_path / "elsewhere" / "name")}
    (tmp_path / "out2" / "tokens.work").mkdir(parents=True)  # what a killed run left
    (tmp_path / "out2" / "tokens.work" / "ids.int32").write_bytes(b"torn")
    assert sha256_file(make(moved, place="out2")) == first[0], "the same config and data, other bytes"
    assert sorted(path.name for path in (tmp_path / "out2").iterdir()) == ["tokens"]
    assert sorted(path.name for path in folder.iterdir()) == ["account.json", "facts.json", "train.arrow"]
    with (folder / tokenised.TRAIN).open("rb+") as handle:
        handle.truncate(100)
    assert sha256_file(make(moved)) == first[0], "a torn file was used"
    hashes = {read_json(folder / tokenised.FACTS)["hash"]}
    for other in ({"cutoff_length": 64}, {"packing": True}, {"template": "chatml"}, {"limit": 7}, {"held_out": 3}):
        hashes.add(read_json(make(moved, **other) / tokenised.FACTS)["hash"])
    hashes.add(read_json(make({"data": numbered(31)}) / tokenised.FACTS)["hash"])
    assert len(hashes) == 7


def test_other_processes_wait_for_the_first(make: Any, numbered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = {"data": numbered(30)}
    stale = make(inputs, cutoff_length=64)  # of another recipe: not to be taken for what is waited for
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(tokenised, "WAIT_SECONDS", 0.3)
    with pytest.raises(TrainError, match="did not make the tokens"):
        make(inputs)
    assert read_json(stale / tokenised.FACTS)["facts"]["cutoff_length"] == 64
    monkeypatch.setattr(tokenised, "WAIT_SECONDS", 60.0)
    ready: list[Path] = []
    follower = threading.Thread(target=lambda: ready.append(make(inputs)))
    follower.start()
    time.sleep(0.5)
    assert not ready
    monkeypatch.setenv("RANK", "0")
    made = make(inputs)
    follower.join(30)
    assert ready == [made]


def test_nothing_to_train_on_is_an_error_that_says_why(make: Any, write_data: Any) -> None:
    inputs = {"data": write_data([talk("long " * 100, "a")] * 2)}
    with pytest.raises(TrainError, match=r"none of the 2 samples .*prompt_over_cutoff: 2"):
        make(inputs, cutoff_length=20)
    with pytest.raises(TrainError, match=r"held_out=1 .*only 0 can be used"):
        make(inputs, cutoff_length=20, held_out=1)
