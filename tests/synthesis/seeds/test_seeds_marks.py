"""What models and their templates left in data sets: reasoning, control tokens, whole chats as one text. None of it is a seed's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seed_writers import jsonl, load, pairs

from gra.errors import SeedError
from gra.synthesis.seeds.templates import template_turns

Q, A = "Name a sea.", "The North Sea."


def one(folder: Path, record: dict[str, Any], **settings: Any) -> Any:
    path = folder / "a.jsonl"
    path.write_text(jsonl([record]))
    return load(path, **settings)


def reason(folder: Path, record: dict[str, Any]) -> str:
    with pytest.raises(SeedError) as error:
        one(folder, record)
    return str(error.value)


@pytest.mark.parametrize(
    "answer",
    [
        f"<think>\nhm\n</think>\n\n{A}",
        f"[THINK]hm[/THINK]{A}",
        f"{A}</s>",
        f"{A}<|im_end|>",
        f"{A}<|eot_id|>",
        f"<|begin_of_thought|>\n\nhm\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n{A}\n\n<|end_of_solution|>",
        f"{A}\n### Human: And a lake?\n### Assistant: Garda.",
        f"<|MOSS|>: {A}<eom>\n",
    ],
)
def test_reasoning_and_tokens_are_cut_off_answers_and_counted(tmp_path: Path, answer: str) -> None:
    for record in (
        {"instruction": Q, "output": answer},
        {"messages": [{"role": "user", "content": Q}, {"role": "assistant", "content": answer}]},
    ):
        found = one(tmp_path, record)
        assert pairs(found) == [(Q, A)]
        assert found.marks_cut_off == found.statistics()["marks_cut_off"] == 1
        assert "1 had reasoning or chat-template tokens" in found.account()


def test_answers_that_are_nothing_else_are_bad_records(tmp_path: Path) -> None:
    assert "only reasoning" in reason(tmp_path, {"instruction": Q, "output": "<think>\nhm, cut off"})
    assert "only control tokens" in reason(tmp_path, {"instruction": Q, "output": "</s>"})
    for call in ('[TOOL_CALLS][{"name": "search"}]', '<tool_call>\n{"name": "search"}\n</tool_call>'):
        assert "needs a tool" in reason(tmp_path, {"instruction": Q, "output": call})


def test_what_speaks_of_marks_stays(tmp_path: Path) -> None:
    for text in (
        "The <|im_end|> token ends a turn.",
        "Write `<think>` and `</think>`.",
        "<s>old</s> new",
        "User: Hi\nAI: Hello",
    ):
        found = one(tmp_path, {"instruction": "Explain.", "output": text})
        assert pairs(found) == [("Explain.", text)]
        assert found.marks_cut_off == 0


TEMPLATES = [
    "### Human: {q}### Assistant: {a}",
    "### Human: {q}\n### Assistant: {a}",
    "<s>[INST] {q} [/INST] {a} </s>",
    "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\n{q} [/INST] {a} </s>",
    "<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n{a}<|im_end|>\n",
    "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n{a}<|im_end|>\n",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{q}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n{a}<|eot_id|>",
    "<bos><start_of_turn>user\n{q}<end_of_turn>\n<start_of_turn>model\n{a}<end_of_turn>\n",
    "<|user|>\n{q}</s>\n<|assistant|>\n{a}</s>",
    "<|prompter|>{q}<|endoftext|><|assistant|>{a}<|endoftext|>",
    "<｜User｜>{q}<｜Assistant｜>{a}<｜end▁of▁sentence｜>",
    "USER: {q}\n\n\nASSISTANT: {a} <|endoftext|>",
    "\n\nHuman: {q}\n\nAssistant: {a}",
    "<human>: {q}\n<bot>: {a}",
    "### Instruction:\n{q}\n\n### Response:\n{a}",
    "[|Human|] {q}\n[|AI|] {a}\n[|Human|] ",
]


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("column", ["text", "chat", "conversations", "anything"])
def test_a_chat_in_a_template_is_read_as_a_chat(tmp_path: Path, template: str, column: str) -> None:
    found = one(tmp_path, {"id": 1, column: template.format(q=Q, a=A)})
    assert pairs(found) == [(Q, A)]
    assert found.system_prompts == ("Be kind" in template)


@given(st.text(st.characters(exclude_characters="<[｜#"), min_size=1).filter(str.strip))
def test_a_template_gives_back_what_was_put_in(text: str) -> None:
    said = text.strip()
    assert template_turns(f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n{text}<|im_end|>") == (
        ("user", said),
        ("assistant", said),
    )


def test_a_prompt_in_a_template_is_taken_out_of_it(tmp_path: Path) -> None:
    for prompt in (
        f"<human>: {Q}\n<bot>:",
        f"USER: {Q}\nASSISTANT:",
        f"\n\nHuman: {Q}\n\nAssistant: ",
        f"<|im_start|>user\n{Q}<|im_end|>",
        f"### Human: {Q}",
    ):
        assert pairs(one(tmp_path, {"prompt": prompt, "completion": A})) == [(Q, A)]
    listed = {"instruction": "Human: living\nCar: dead\nSort them.", "output": A}
    assert pairs(one(tmp_path, listed)) == [(listed["instruction"], A)]
    more = f"\n\nHuman: {Q}\n\nAssistant: {A}\n\nHuman: And a lake?\n\nAssistant:"
    found = one(tmp_path, {"prompt": more, "completion": "Garda."})
    assert (pairs(found), found.turns_left_out) == ([(Q, A)], 1)


def test_pairs_of_preferences_name_the_preferred_answer(tmp_path: Path) -> None:
    said = {"chosen": f"\n\nHuman: {Q}\n\nAssistant: {A}", "rejected": f"\n\nHuman: {Q}\n\nAssistant: No."}
    assert "seeds.columns.messages=chosen" in reason(tmp_path, said)
    assert pairs(one(tmp_path, said, columns={"messages": "chosen"})) == [(Q, A)]
    for more in ({"system": "S", "question": Q, "chosen": A}, {"prompt_id": "x", "q": Q, "a": A}):
        message = reason(tmp_path, {**more, "rejected": "No."})
        assert "response=rejected" not in message
        assert "instruction=q" in message
    assert "marks the answer as bad" in reason(tmp_path, {"prompt": Q, "completion": A, "label": False})
    assert pairs(one(tmp_path, {"prompt": Q, "completion": A, "label": True})) == [(Q, A)]


@pytest.mark.parametrize(
    "more",
    [
        {"choices": ["a", "b"]},
        {"options": {"A": "a lake", "B": "a sea"}},
        {"choices": {"text": ["a", "b c d"], "label": ["A", "B"]}},
        {"A": "a lake", "B": "a sea", "C": "a river", "D": "a pond"},
        {"option_a": "a lake", "option_b": "a sea"},
    ],
)
def test_a_question_without_its_choices_is_no_seed(tmp_path: Path, more: dict[str, Any]) -> None:
    assert "needs the choices" in reason(tmp_path, {"question": "Which?", "answer": "A", **more})
    shown = {"question": f"Which?\n{json.dumps(more)}", "answer": "A", **more}
    assert one(tmp_path, shown).total == 1


def test_records_of_questions_in_a_document_are_records_and_no_chat(tmp_path: Path) -> None:
    for names in (("question", "answer"), ("instruction", "response"), ("query", "answer"), ("input", "output")):
        records = [dict(zip(names, said, strict=True)) for said in (("Q1", "A1"), ("Q2", "A2"), ("Q3", "A3"))]
        for value in ({"data": records}, {"version": "1.1", "data": records}):
            path = tmp_path / "a.json"
            path.write_text(json.dumps(value))
            assert pairs(load(path)) == [("Q1", "A1"), ("Q2", "A2"), ("Q3", "A3")]


def test_natural_instructions(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    tasks = [{"input": "cats", "output": ["dogs", "pets"]}, {"input": "red", "output": ["blue"]}]
    path.write_text(json.dumps({"Definition": ["Name another."], "Categories": ["x"], "Instances": tasks}))
    assert pairs(load(path)) == [("Name another.\n\ncats", "dogs"), ("Name another.\n\nred", "blue")]


@pytest.mark.parametrize(
    "record",
    [
        {"source": "s", "conversation": [{"input": Q, "output": A}, {"input": "More?", "output": "No."}]},  # Capybara
        {"contents": [{"role": "user", "parts": [{"text": Q}]}, {"role": "model", "parts": [{"text": A}]}]},  # Gemini
        {"conversations": str([{"from": "human", "value": Q}, {"from": "gpt", "value": A}])},  # pandas' CSV
        {"conversations": f"[{{'from': 'human', 'value': '{Q}'}}\n {{'from': 'gpt', 'value': '{A}'}}]"},  # numpy's
        {
            "messages": [
                {"role": "user", "content": Q},
                {"role": "assistant", "channel": "analysis", "content": "hm"},
                {"role": "assistant", "channel": "final", "content": A},
            ]
        },
        {"messages": [{"role": "user", "content": Q}, {"role": "assistant", "content": A, "tool_calls": "[]"}]},
        {
            "messages": [
                {"role": "user", "content": Q},
                {"role": "assistant", "content": A, "function_call": {"name": None, "arguments": None}},
            ]
        },
        {"problem": Q, "generated_solution": A, "expected_answer": "4"},  # OpenMathInstruct
        {"messages": [["user", Q], ["assistant", A]]},
        {"conversations": {"from": ["human", "gpt"], "value": [Q, A]}},  # a Sequence of `datasets`
        {"messages": {"role": ["user", "assistant"], "content": [Q, A]}},
        {"Messages": [{"Role": "User", "Content": Q}, {"Role": "Assistant", "Content": A}]},
        {"prompt": [{"role": "user", "content": Q}], "response": A},
        {"question": Q, "answer": [{"role": "assistant", "content": A}]},
        {
            "messages": [
                {"role": "user", "content": Q},
                {"role": "reasoning", "content": "hm"},
                {"role": "assistant", "content": A},
            ]
        },
        {"instruction": Q, "input": [], "output": [A]},
        {"text": f"Below is an instruction that describes a task.\n\n### Instruction:\n{Q}\n\n### Response:\n{A}"},
        {"messages": [["system", "Be brief."], ["user", Q], ["assistant", A], ["user", "More?"]]},
        {"instruction": Q, "instances": {"input": "", "output": A}},  # Self-Instruct's, nested in other ways
        {"instruction": Q, "instances": json.dumps([{"input": "", "output": A}])},
        {"instruction": Q, "instances": [{"input": [""], "output": [A]}]},
        {"instruction": Q, "instances": {"input": ["", "x"], "output": [A, "B"]}},
    ],
)
def test_more_forms_of_chats(tmp_path: Path, record: dict[str, Any]) -> None:
    assert pairs(one(tmp_path, record)) == [(Q, A)]


def test_one_turn_a_record_and_pictures_say_what_they_are(tmp_path: Path) -> None:
    turn = {"message_id": "a", "parent_id": None, "text": Q, "role": "prompter", "lang": "en"}  # OASST
    assert "a single turn of a chat" in reason(tmp_path, turn)
    chat = [{"from": "human", "value": f"<image>\n{Q}"}, {"from": "gpt", "value": A}]
    assert "<image>" in reason(tmp_path, {"id": 1, "conversations": chat})
