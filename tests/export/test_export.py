"""Exports of a data folder load in the readers that they are for, and lose nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gra import cli
from gra.errors import StoreError
from gra.export.command import export
from gra.export.formats import FORMATS
from gra.export.pairs import pairs

TEXTS = [("Say hi.", "Hi!"), ('Quote "x"\nand \\n', "日本 \u2028 & <b>"), ("Add 1 and 2.", "3")]
SCHEMA = pa.schema(
    [
        ("instruction", pa.string()),
        ("response", pa.string()),
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("mean", pa.float64()),
    ]
)


def row(instruction: str, response: str, mean: float | None) -> dict[str, Any]:
    messages = [{"role": "user", "content": instruction}, {"role": "assistant", "content": response}]
    return {"instruction": instruction, "response": response, "messages": messages, "mean": mean}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    (made / "data").mkdir(parents=True)
    (made / "manifest.json").write_text("{}")
    (made / "SIMULATED").write_text("of simulated models\n")
    kept = [row(*pair, 9.0) for pair in TEXTS]
    dropped = [
        row("Add 1 and 2.", "4", 3.0),
        row("Add 1 and 2.", "5", 8.5),
        row("Other", "x", 1.0),
        row("Say hi.", "", 1.0),
    ]
    pq.write_table(pa.Table.from_pylist(kept, SCHEMA), made / "data" / "train.parquet")
    pq.write_table(pa.Table.from_pylist(dropped, SCHEMA), made / "rejected.parquet")
    return made


def told(form: str, made: Path) -> list[tuple[str, str]]:
    """What a file says, as (instruction, response)."""
    from datasets import load_dataset

    path = next(p for p in made.iterdir() if p.stem == "mine")
    rows = load_dataset("json", data_files=str(path), split="train", cache_dir=str(made / "cache")).to_list()
    if form in ("alpaca", "llamafactory"):
        return [(one["instruction"], one["output"]) for one in rows]
    if form == "sharegpt":
        assert [turn["from"] for turn in rows[0]["conversations"]] == ["human", "gpt"]
        return [(one["conversations"][0]["value"], one["conversations"][1]["value"]) for one in rows]
    return [(one["messages"][0]["content"], one["messages"][1]["content"]) for one in rows]


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_lost(form: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["gra", "export", str(folder), "--to", form, "--output", str(tmp_path / "out")])
    assert cli.main() == 0
    assert told(form, tmp_path / "out") == TEXTS
    assert (tmp_path / "out" / "SIMULATED").is_file()


@pytest.mark.slow
def test_trl_takes_messages_and_pairs(folder: Path, tmp_path: Path) -> None:
    from trl.data_utils import is_conversational, maybe_convert_to_chatml

    export(folder, "chatml", tmp_path / "a", "mine")
    export(folder, "sharegpt", tmp_path / "b", "mine")
    export(folder, "chatml", tmp_path / "c", "mine", margin=1.0)
    messages = json.loads((tmp_path / "a" / "mine.jsonl").read_text(encoding="utf-8").split("\n")[0])
    assert is_conversational(messages)
    shared = json.loads((tmp_path / "b" / "mine.json").read_text(encoding="utf-8"))[0]
    turns = maybe_convert_to_chatml(shared)["messages"]  # it renames the keys and leaves ShareGPT's names of roles
    assert [turn["content"] for turn in turns] == [turn["content"] for turn in messages["messages"]]
    assert is_conversational(json.loads((tmp_path / "c" / "mine.jsonl").read_text(encoding="utf-8").split("\n")[0]))


def test_llamafactory_and_axolotl_get_their_config(folder: Path, tmp_path: Path) -> None:
    export(folder, "llamafactory", tmp_path / "l", "mine", margin=1.0)
    info = json.loads((tmp_path / "l" / "dataset_info.json").read_text())["mine"]
    first = json.loads((tmp_path / "l" / info["file_name"]).read_text())[0]
    assert info["ranking"]
    assert first.keys() >= set(info["columns"].values())
    for margin in (None, 1.0):
        export(folder, "axolotl", tmp_path / "x", "mine", margin=margin)
        entry = yaml.safe_load((tmp_path / "x" / "axolotl.yaml").read_text())["datasets"][0]
        line = json.loads((tmp_path / "x" / entry["path"]).read_text(encoding="utf-8").split("\n")[0])
        assert line.keys() >= {value for key, value in entry.items() if key.startswith("field_")}


def test_pairs_are_of_one_instruction_and_differ_enough(folder: Path, tmp_path: Path) -> None:
    count, files = export(folder, "chatml", tmp_path / "out", "mine", margin=1.0)
    assert (count, files) == (1, ["mine.jsonl"])
    assert json.loads((tmp_path / "out" / "mine.jsonl").read_text()) == {
        "prompt": [{"role": "user", "content": "Add 1 and 2."}],
        "chosen": [{"role": "assistant", "content": "3"}],
        "rejected": [{"role": "assistant", "content": "4"}],
    }
    with pytest.raises(StoreError, match="differ by 7 points"):
        export(folder, "chatml", tmp_path / "out", "mine", margin=7.0)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.none() | st.floats(0, 10))),
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.none() | st.floats(0, 10))),
    st.floats(0, 10),
)
def test_the_chosen_is_always_better_by_the_margin(kept: list[Any], dropped: list[Any], margin: float) -> None:
    found = pairs([row(*one) for one in kept], [row(*one) for one in dropped], margin)
    scored = {(i, r, m) for i, r, m in kept if m is not None}, {(i, r, m) for i, r, m in dropped if m is not None}
    for one in found:
        assert one["chosen"] != one["rejected"]
        assert any(
            a - b >= margin
            for i, r, a in scored[0]
            for j, s, b in scored[1]
            if (i, r) == (one["prompt"], one["chosen"]) and (j, s) == (one["prompt"], one["rejected"])
        )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--to", "alpaka"], "'trl'"),
        (["--to", "alpaca", "--preferences"], "alpaca has no preference pairs"),
        (["--to", "alpaca", "--name", "../x"], "is not a file name"),
    ],
)
def test_faulty_words(
    words: list[str],
    says: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["gra", "export", str(folder), *words, "--output", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_no_data_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not the folder of a finished stage"):
        export(tmp_path, "alpaca", tmp_path / "out", "mine")
