"""Chats as seeds: roles, keys and contents in common forms, what is left out, and the reason for each that is not a seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seed_writers import jsonl, load, pairs

from gra.synthesis.seeds.text import BadRecord
from gra.synthesis.seeds.turns import chat

USERS = ["user", "User", "USER", "human", "Human", "prompter", "<|user|>", "user:", "用户", "User1", "question"]
ASSISTANTS = """
    assistant Assistant ASSISTANT gpt GPT chatgpt ChatGPT gpt-4 gpt-3.5-turbo model Model bot Bot ai AI bard Bard
    claude-3-opus gemini-pro bing <|assistant|> 助手 llm
""".split()


def turns(*said: tuple[str, Any], role: str = "role", content: str = "content") -> list[dict[str, Any]]:
    return [{role: who, content: what} for who, what in said]


def first(value: Any) -> tuple[str, str, bool, int]:
    (found,) = chat({"messages": value}, "messages")
    return found.instruction, found.response, found.dropped.system, found.dropped.turns


@given(
    st.sampled_from(USERS),
    st.sampled_from(ASSISTANTS),
    st.sampled_from(
        [("role", "content"), ("from", "value"), ("speaker", "text"), ("author", "message"), ("sender", "utterance")]
    ),
)
def test_role_names_in_any_case_and_any_keys(user: str, assistant: str, keys: tuple[str, str]) -> None:
    said = turns(
        ("system", "S"), (user, "Q"), (assistant, "A"), (user, "R"), (assistant, "B"), role=keys[0], content=keys[1]
    )
    assert first(said) == ("Q", "A", True, 2)


@pytest.mark.parametrize(
    "column", ["messages", "conversations", "conversation", "Conversations", "dialog", "dialogue", "chat"]
)
def test_chat_columns_are_recognised(tmp_path: Path, column: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(jsonl([{"id": 1, column: turns(("Human", "Q"), ("chatgpt", "A"), role="from", content="value")}]))
    found = load(path)
    assert pairs(found) == [("Q", "A")]
    assert found.columns == f"messages=`{column}` (found by name)"


@pytest.mark.parametrize(
    "said",
    [
        [
            {"role": "user", "content": [{"type": "text", "text": "Q"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "A"}]},
        ],
        [
            {"role": "user", "content": [{"type": "input_text", "text": "Q"}]},
            {"role": "model", "content": [{"type": "output_text", "text": "A"}]},
        ],
        [{"role": "user", "content": ["Q"]}, {"role": "assistant", "content": [{"text": "A", "image_url": None}]}],
        [
            {"role": "user", "content": {"content_type": "text", "parts": ["Q"]}},
            {"author": {"role": "assistant"}, "content": {"parts": ["A"]}},
        ],
        [
            {"role": "user", "content": "Q"},
            {"role": "assistant", "content": [{"type": "thinking", "text": "hm"}, {"type": "text", "text": "A"}]},
        ],
        [
            {"role": "user", "content": "Q", "from": None, "value": None},
            {"role": None, "content": None, "from": "gpt", "value": "A"},
        ],
        [{"role": "user", "content": float("nan"), "value": "Q"}, {"from": "bot", "content": "", "text": "A"}],
        {"role": ["user", "assistant"], "content": ["Q", "A"]},
        {"from": ["human", "gpt"], "value": ["Q", "A"]},
        [{"human": "Q", "assistant": "A"}],
        ["Q", "A"],
        json.dumps(turns(("user", "Q"), ("assistant", "A"))),
    ],
)
def test_turns_of_every_form(said: Any) -> None:
    assert first(said) == ("Q", "A", False, 0)


def test_turns_of_one_side_in_a_row_are_one_side() -> None:
    said = turns(("user", "Q1"), ("user", "Q2"), ("assistant", "A1"), ("assistant", "A2"), ("user", "R"))
    assert first(said) == ("Q1\n\nQ2", "A1\n\nA2", False, 1)


def test_what_is_left_out_is_counted() -> None:
    said = turns(
        ("system", "S"), ("assistant", "Hello!"), ("user", "Q"), ("assistant", "A"), ("user", "R"), ("assistant", "B")
    )
    assert first(said) == ("Q", "A", True, 3)
    assert first(turns(("system", " "), ("user", "Q"), ("assistant", "A"))) == ("Q", "A", False, 0)
    assert first(turns(("developer", "S"), ("user", "Q"), ("assistant", "A"))) == ("Q", "A", True, 0)


CALL = {"id": "1", "type": "function", "function": {"name": "w", "arguments": "{}"}}


@pytest.mark.parametrize(
    "said",
    [
        [
            *turns(("user", "Weather?")),
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            *turns(("tool", "3"), ("assistant", "3 degrees.")),
        ],
        [*turns(("user", "Weather?")), {"role": "assistant", "content": None, "tool_calls": [CALL]}],
        [
            *turns(("user", "Weather?")),
            {"role": "assistant", "content": "I will look.", "tool_calls": [CALL]},
            *turns(("tool", "3")),
        ],
        [
            *turns(("user", "Weather?")),
            {"role": "assistant", "content": None, "function_call": {"name": "w", "arguments": "{}"}},
            *turns(("function", "3"), ("assistant", "3 degrees.")),
        ],
        turns(("human", "Weather?"), ("function_call", "{}"), ("observation", "3"), ("gpt", "3 degrees.")),
        turns(
            ("user", "Weather?"), ("assistant", "<tool_call>{}</tool_call>"), ("tool", "3"), ("assistant", "3 degrees.")
        ),
        turns(("user", "Weather?"), ("assistant", "Let me look."), ("ipython", "3"), ("assistant", "3 degrees.")),
        [*turns(("user", "Weather?")), {"role": "assistant", "content": [{"type": "tool_use", "name": "w"}]}],
    ],
)
def test_an_answer_that_rests_on_a_tool_is_no_seed(said: Any) -> None:
    with pytest.raises(BadRecord, match="its answer needs a tool's output"):
        first(said)


def test_tools_after_the_first_answer_do_not_matter() -> None:
    said = [
        *turns(("user", "Q"), ("assistant", "A"), ("user", "Weather?")),
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
    ]
    assert first([*said, *turns(("tool", "3"), ("assistant", "3."))]) == ("Q", "A", False, 4)
    empty = [
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "A", "tool_calls": None},
        {"role": "assistant", "content": "B", "tool_calls": []},
    ]
    assert first(empty) == ("Q", "A\n\nB", False, 0)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "What?"}],
                }
            ],
            "image_url",
        ),
        (
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}],
            "something other than text",
        ),
        ([{"role": "user", "content": [{"image": "data", "text": None}]}], "something other than text"),
        (turns(("narrator", "Q"), ("assistant", "A")), "unknown role 'narrator'"),
        (turns(("user", "Q"), ("assistant", None)), "the answer in `messages` is empty"),
        (turns(("user", "Q"), ("assistant", "NaN")), "the answer in `messages` is empty"),
        (turns(("user", None), ("assistant", "A")), "the question in `messages` is empty"),
        (turns(("user", 5), ("assistant", "A")), "is a number, not a text"),
        (turns(("user", "Q")), "no user turn followed by an answer"),
        (turns(("assistant", "A")), "no user turn followed by an answer"),
        ([], "is empty"),
        (None, "is empty"),
        (float("nan"), "is empty"),
        ([1, 2], "not a list of turns"),
        ("[oops", "not JSON"),
        ({"role": ["user"], "content": ["Q", "A"]}, "different lengths"),
    ],
)
def test_chats_that_are_no_seeds_say_why(said: Any, reason: str) -> None:
    with pytest.raises(BadRecord) as error:
        first(said)
    assert reason in str(error.value)


def test_bad_chats_never_lose_the_good_ones_and_the_loss_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = [
        {"messages": turns(("system", "S"), ("user", f"Q{i}"), ("assistant", "A"), ("user", "R"), ("assistant", "B"))}
        for i in range(6)
    ]
    tool = {"messages": [*turns(("user", "Q")), {"role": "assistant", "content": None, "tool_calls": [CALL]}]}
    path = tmp_path / "a.jsonl"
    path.write_text(jsonl([tool, *good[:3], {"messages": None}, *good[3:]]))
    with caplog.at_level("INFO", "gra.synthesis"):
        found = load(path)
    assert [seed.instruction for seed in found.seeds] == [f"Q{i}" for i in range(6)]
    assert [bad.place for bad in found.bad] == ["line 1", "line 5"]
    assert (found.system_prompts, found.turns_left_out) == (6, 6)
    assert "6 had a system prompt and 6 had turns before the question or after its answer" in caplog.text
    assert load(path, limit=3).statistics()["system_prompts_left_out"] == 3


def test_the_card_says_what_seeds_lost(tmp_path: Path) -> None:
    from gra.synthesis import seed_only

    chat = {"messages": turns(("system", "S"), ("user", "Q"), ("assistant", "A"), ("user", "R"), ("assistant", "B"))}
    (tmp_path / "chats.jsonl").write_text(jsonl([chat]))
    (tmp_path / "out").mkdir()
    seed_only.run({"seed": 0, "seeds": {"path": str(tmp_path / "chats.jsonl")}}, {}, tmp_path / "out")
    assert "1 had a system prompt and 1 had turns" in (tmp_path / "out" / "README.md").read_text()


def test_turn_keys_united_by_parquet_lose_nothing(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    one = [turns(("human", f"Q{i}"), ("gpt", f"A{i}"), role="from", content="value") for i in range(3)]
    two = [turns(("user", f"Q{i}"), ("assistant", f"A{i}")) for i in range(3, 6)]
    pq.write_table(pa.Table.from_pylist([{"conversations": said} for said in [*one, *two]]), tmp_path / "lost.parquet")
    kind = pa.list_(pa.struct([(name, pa.string()) for name in ("from", "value", "role", "content")]))
    pq.write_table(pa.table({"conversations": pa.array([*one, *two], kind)}), tmp_path / "a.parquet")
    found = load(tmp_path / "a.parquet")
    assert pairs(found) == [(f"Q{i}", f"A{i}") for i in range(6)]
    assert found.bad == []


def test_pictures_beside_the_text_and_system_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    said = turns(("user", "<image> What?"), ("assistant", "A cat."))
    path.write_text(
        jsonl(
            [
                {"image": "a.jpg", "messages": said},
                {"image": None, "messages": turns(("user", "Q"), ("assistant", "A"))},
                {"images": [], "system": "S", "instruction": "Q2", "output": "A2"},
                {"images": ["b.jpg"], "instruction": "Q3", "output": "A3"},
                {"instruction": "Q4", "output": "A4", "history": [["Q", "A"]]},
            ]
        )
    )
    found = load(path)
    assert pairs(found) == [("Q", "A"), ("Q2", "A2"), ("Q4", "A4")]
    assert (found.system_prompts, found.turns_left_out) == (1, 1)
    assert all("needs input other than text" in bad.reason for bad in found.bad)


def test_a_file_that_is_one_chat_and_files_of_chats_without_a_column(tmp_path: Path) -> None:
    said = turns(("user", "Q"), ("assistant", "A"))
    for name, data in [
        ("one.json", json.dumps(said, indent=1)),
        ("one.jsonl", json.dumps(said)),
        ("many.jsonl", f"{json.dumps(said)}\n" * 3),
        ("many.json", json.dumps([said] * 3)),
        ("many_pretty.json", json.dumps([said] * 3, indent=1)),
        ("array.jsonl", "[\n" + ",\n".join([json.dumps(said)] * 3) + "\n]"),
    ]:
        (tmp_path / name).write_text(data)
        assert pairs(load(tmp_path / name)) == [("Q", "A")] * (1 if name.startswith("one") else 3), name


def test_a_single_column_of_turns_is_the_chat_whatever_its_name(tmp_path: Path) -> None:
    said = turns(("human", "Q"), ("gpt", "A"), role="from", content="value")
    for record in ({"id": "a", "items": said}, {"id": "a", "trace": said, "score": 1}, {"prompt": "P", "chosen": said}):
        (tmp_path / "a.jsonl").write_text(jsonl([record]))
        assert pairs(load(tmp_path / "a.jsonl")) == [("Q", "A")]
    (tmp_path / "a.json").write_text(json.dumps({"messages": [said, said]}))
    assert pairs(load(tmp_path / "a.json")) == [("Q", "A")] * 2
    (tmp_path / "a.json").write_text(
        json.dumps([{"prompt": turns(("user", "Q")), "completion": turns(("assistant", "A"))}])
    )
    assert pairs(load(tmp_path / "a.json")) == [("Q", "A")]
