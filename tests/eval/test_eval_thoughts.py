"""What a reply says outside its reasoning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval import code, letters, mathematics
from eval.thoughts import spoken

OPENED = [("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<thought>", "</thought>"), ("[THINK]", "[/THINK]"),
          ("◁think▷", "◁/think▷"), ("<reasoning>", "</reasoning>")]  # fmt: skip


@pytest.mark.parametrize(("start", "end"), OPENED)
def test_only_what_stands_outside_reasoning_counts(start: str, end: str) -> None:
    thought = f"{start}\nANSWER: A. \\boxed{{1}}\n```python\ndef f(): return 1\n```\n{end}\n"
    assert spoken(f"{thought}B").strip() == "B"
    assert spoken(f"{thought}{thought}B").strip() == "B"
    assert spoken(f"B\n{thought}").strip() == "B"
    assert spoken(f"no start{end}B") == "B"
    assert spoken(f"{start} ANSWER: A") == ""
    assert letters.answer_of(f"{thought}ANSWER: B", 4) == "B"
    assert letters.answer_of(thought, 4) is None
    assert mathematics.answer_of(f"{thought}\\boxed{{2}}") == "2"
    assert mathematics.answer_of(thought) is None
    assert code.code_of(f"{thought}```python\ndef f(): return 2\n```", "f") == "def f(): return 2"
    assert code.code_of(thought, "f") is None


@pytest.mark.parametrize("end", ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "</s>", "<|endoftext|>", "<｜end▁of▁sentence｜>"])
def test_what_follows_the_end_of_the_turn_is_not_the_reply(end: str) -> None:
    assert spoken(f"ANSWER: B{end}\n<|im_start|>user\nANSWER: C") == "ANSWER: B"


def test_harmonys_channels() -> None:
    told = "<|channel|>analysis<|message|>ANSWER: A<|end|><|start|>assistant<|channel|>final<|message|>ANSWER: B<|return|>"
    assert spoken(told) == "ANSWER: B"
    assert spoken("<|channel|>analysis<|message|>ANSWER: A") == ""


@given(st.text(max_size=200))
def test_a_reply_without_marks_stays_as_it_is(reply: str) -> None:
    if not set("<[◁") & set(reply) and "final" not in reply:
        assert spoken(reply) == reply
