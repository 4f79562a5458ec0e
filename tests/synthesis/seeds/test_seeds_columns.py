"""Columns told from their names, in any case; choices that are not guessed; messages that can be acted on."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from seed_writers import delimited, jsonl, load, pairs

from gra.errors import SeedError
from gra.synthesis.checks import check
from gra.synthesis.seeds.column_names import override
from gra.synthesis.seeds.load import SeedSettings, check_first_records, check_seeds

PAIRS = [
    ("question", "answer"),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("query", "response"),
    ("input", "output"),
    ("instruction", "response"),
    ("instruction", "output"),
    ("Question", "Answer"),
    ("PROMPT", "COMPLETION"),
    ("Input", "Output"),
    ("Instruction", "Response"),
    ("input_text", "target_text"),
    ("problem", "solution"),
    ("questions", "answers"),
    ("user", "assistant"),
    ("input", "target"),
    ("source", "target"),
    ("Instruction ", "Output Text"),
    ("human", "gpt"),
    ("user_prompt", "model_response"),
    ("User-Prompt", "Assistant-Response"),
    ("question", "final_answer"),
]


@pytest.mark.parametrize("names", PAIRS)
@pytest.mark.parametrize("order", [1, -1])
def test_usual_names_are_recognised_and_the_choice_is_told(
    tmp_path: Path, names: tuple[str, str], order: int, caplog: pytest.LogCaptureFixture
) -> None:
    question, answer = names
    records = [
        dict([(question, f"Q{i}"), (answer, f"A{i}")][::order]) | {"id": i, "origin": "here", "score": 0.5}
        for i in range(3)
    ]
    (tmp_path / "a.jsonl").write_text(jsonl(records))
    with caplog.at_level("INFO", "gra.synthesis"):
        found = load(tmp_path / "a.jsonl")
    assert pairs(found) == [(f"Q{i}", f"A{i}") for i in range(3)]
    assert found.columns == f"instruction=`{question}`, response=`{answer}` (found by name)"
    assert found.columns in caplog.text
    assert found.statistics()["columns"] == found.columns
    (tmp_path / "a.csv").write_text(delimited(records))
    assert pairs(load(tmp_path / "a.csv")) == [(f"Q{i}", f"A{i}") for i in range(3)]


def test_context_and_input_join_the_instruction(tmp_path: Path) -> None:
    for records in (
        [{"instruction": "Q", "context": "C", "response": "A"}],
        [{"question": "Q", "context": "C", "answer": "A"}],
        [{"Instruction": "Q", "Input": "C", "Output": "A"}],
        [{"prompt": "Q", "input": "C", "completion": "A"}],
    ):
        (tmp_path / "a.jsonl").write_text(jsonl([*records, {**records[0], next(iter(records[0])): "R"}]))
        assert pairs(load(tmp_path / "a.jsonl")) == [("Q\n\nC", "A"), ("R\n\nC", "A")]


def test_an_instruction_alone_is_a_seed_only_where_nothing_can_be_its_answer(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("prompt\nSay hi\nSay ho\n")
    assert pairs(load(tmp_path / "a.csv")) == [("Say hi", ""), ("Say ho", "")]
    (tmp_path / "a.jsonl").write_text(jsonl([{"id": 1, "question": "Q", "category": "maths"}]))
    assert pairs(load(tmp_path / "a.jsonl")) == [("Q", "")]
    (tmp_path / "a.jsonl").write_text(jsonl([{"question": "Q", "expert": "A"}]))
    with pytest.raises(SeedError, match="not of a known format"):
        load(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").write_text(jsonl([{"question": "Q", "answer": 72}]))
    with pytest.raises(SeedError, match="`answer` is a number, not a text"):
        load(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").write_text(
        jsonl([{"question": "Q", "answer": "A"}, {"question": "R"}, {"question": "S", "answer": "B"}])
    )
    found = load(tmp_path / "a.jsonl")
    assert (pairs(found), [bad.place for bad in found.bad]) == ([("Q", "A"), ("S", "B")], ["line 2"])


def test_joined_files_of_different_columns_lose_nothing(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    records = [
        {"question": "Q0", "answer": "A0"},
        {"prompt": "Q1", "completion": "A1"},
        {"instruction": "Q2", "input": "", "output": "A2"},
        {"conversations": [{"from": "human", "value": "Q3"}, {"from": "gpt", "value": "A3"}]},
    ]
    (tmp_path / "a.jsonl").write_text(jsonl(records))
    found = load(tmp_path / "a.jsonl")
    assert pairs(found) == [(f"Q{i}", f"A{i}") for i in range(4)]
    assert "; also " in str(found.columns)
    names = list(dict.fromkeys(name for record in records for name in record))
    pq.write_table(
        pa.Table.from_pylist([{name: record.get(name) for name in names} for record in records]), tmp_path / "a.parquet"
    )
    assert pairs(load(tmp_path / "a.parquet")) == pairs(found)


@pytest.mark.parametrize(
    ("record", "what", "choice"),
    [
        (
            {"prompt": "a", "question": "b", "answer": "c"},
            "the instruction (`prompt`, `question`",
            "seeds.columns.instruction=prompt seeds.columns.response=answer",
        ),
        (
            {"question": "a", "answer": "b", "solution": "c"},
            "the response (`answer`, `solution`",
            "seeds.columns.instruction=question seeds.columns.response=answer",
        ),
        (
            {"Question": "a", "question": "b", "answer": "c"},
            "the instruction (`Question`, `question`",
            "seeds.columns.instruction=Question seeds.columns.response=answer",
        ),
        (
            {"messages": [{"role": "user", "content": "a"}], "conversations": [{"from": "human", "value": "a"}]},
            "the chat",
            "seeds.columns.messages=messages",
        ),
        ({"q": "a", "a": "b"}, "columns here: q, a", "seeds.columns.instruction=q seeds.columns.response=a"),
        (
            {"ticket no": "T-17", "asks": "Where is it?", "says": "On its way.", "urgency": "high"},
            "columns here: ticket no, asks, says, urgency",
            "seeds.columns.instruction=asks seeds.columns.response=says",
        ),
        (
            {"id": 7, "my column": "a", "b=c": "d"},
            "columns here: id, my column, b=c",
            """'seeds.columns.instruction="my column"' 'seeds.columns.response="b=c"'""",
        ),
        (
            {
                "prompt": "p",
                "chosen": [{"role": "user", "content": "a"}],
                "rejected": [{"role": "user", "content": "b"}],
            },
            "columns here",
            "seeds.columns.messages=chosen",
        ),
    ],
)
def test_what_is_not_clear_is_asked_with_the_columns_and_the_override_to_type(
    tmp_path: Path, record: dict[str, object], what: str, choice: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(jsonl([record] * 30))
    with pytest.raises(SeedError) as error:
        load(path)
    message = str(error.value)
    assert what in message
    assert choice in message
    assert "=COLUMN" not in message
    assert message.count("columns here") <= 1  # the same reason thirty times is one line
    assert "(30 records: " in message
    assert "line 1, line 2, line 3, line 4, line 5, ..." in message
    (problem,) = check_first_records(SeedSettings(path=str(path)))
    assert problem.key == "seeds.columns"
    assert choice in problem.message + problem.remedy
    chosen = dict(part.split("=", 1) for part in shlex.split(choice))
    columns = {key.rpartition(".")[2]: value.strip('"') for key, value in chosen.items()}
    if "messages" not in columns:
        assert load(path, columns=columns).total == 30


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12))
def test_the_printed_override_is_what_shell_and_hydra_read_back(column: str) -> None:
    (word,) = shlex.split(override("instruction", column))
    parsed = OverridesParser.create().parse_override(word)
    assert (parsed.key_or_group, str(parsed.value())) == ("seeds.columns.instruction", column)


def test_a_mistyped_column_is_found_before_anything_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(jsonl([{"question": "Q", "answer": "A"}] * 300))
    (problem,) = check_seeds(SeedSettings(path=str(path), columns={"instruction": "questoin", "response": "answer"}))
    assert problem.key == "seeds.columns"
    assert "no column `questoin` (columns here: question, answer) (200 records: line 1, line 2" in problem.message
    assert "seeds.columns.instruction=question seeds.columns.response=answer" in problem.remedy
    (problem,) = check_seeds(SeedSettings(path=str(path), columns={"response": "answer"}))
    assert "columns here: question, answer" in problem.message
    assert problem.remedy == "set seeds.columns.instruction=question"
    assert check_seeds(SeedSettings(path=str(path))) == []
    told = {
        problem.key
        for problem in check(
            {
                "seed": 0,
                "seeds": {"path": str(path), "columns": {"instruction": "x"}},
                "pool": {},
                "synthesis": {},
                "runtime": {},
            },
            {},
        )
    }
    assert "seeds.columns" in told


@pytest.mark.parametrize(
    ("name", "data", "key", "what"),
    [
        ("a.json", b"", "seeds.path", "no records"),
        ("a.json", b"[1, 2", "seeds.path", "not JSON"),
        ("a.parquet", b"PAR1junk", "seeds.path", "not readable as parquet"),
        ("a.jsonl.gz", b"\x1f\x8bjunk", "seeds.path", "damaged"),
        ("a.jsonl", b'{"instruction": "a", "output": ""}\n', "seeds.path", "`output` is empty"),
        (
            "a.jsonl",
            b'{"instruction": "a", "output": "b"}\n' + b"{\n" * 60,
            "seeds.max_bad",
            "60 of the first 61 records are bad",
        ),
        ("a.csv", b"\xff\xff\n", "seeds.path", "no records"),
    ],
)
def test_what_the_first_records_show_is_a_problem_of_the_configuration(
    tmp_path: Path, name: str, data: bytes, key: str, what: str
) -> None:
    (tmp_path / name).write_bytes(data)
    (problem,) = check_seeds(SeedSettings(path=str(tmp_path / name)))
    assert problem.key == key
    assert what in problem.message


def test_a_look_reads_the_beginning_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gra.synthesis.seeds.json_window._CHUNK", 1000)
    good = json.dumps([{"instruction": f"Q{i}", "output": "A"} for i in range(5000)])
    # an error at the end: the run finds it, the look does not go there
    (tmp_path / "a.json").write_text(good[:-1] + ", oops")
    assert check_seeds(SeedSettings(path=str(tmp_path / "a.json"))) == []
    with pytest.raises(SeedError, match="not JSON"):
        load(tmp_path / "a.json")


def test_reasons_that_differ_in_numbers_are_one(tmp_path: Path) -> None:
    lines = ["{" + " " * i + "oops" for i in range(40)] + ['{"instruction": "a", "output": "b"}'] * 50
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(SeedError) as error:
        load(tmp_path / "a.jsonl", max_bad=5)
    assert "not JSON" in str(error.value)
    assert "(40 records: " in str(error.value)
    assert len(str(error.value).splitlines()) == 3
