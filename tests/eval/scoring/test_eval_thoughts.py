"""What a reply says outside its reasoning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.eval.scoring import code, mathematics, multiple_choice
from gra.eval.scoring.thoughts import spoken

OPENED = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[REASONING]", "[/REASONING]"),
    ("<chain_of_thought>", "</chain_of_thought>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|think_start|>", "<|think_end|>"),
    ("<|channel>thought", "<channel|>"),
]


@pytest.mark.parametrize(("start", "end"), OPENED)
def test_only_what_stands_outside_reasoning_counts(start: str, end: str) -> None:
    thought = f"{start}\nANSWER: A. \\boxed{{1}}\n```python\ndef f(): return 1\n```\n{end}\n"
    assert spoken(f"{thought}B").strip() == "B"
    assert spoken(f"{thought}{thought}B").strip() == "B"
    assert spoken(f"B\n{thought}").strip() == "B"
    assert spoken(f"no start{end}B") == "B"
    if start != "[REASONING]":  # alone it can be a heading
        assert spoken(f"{start} ANSWER: A") == ""
    assert multiple_choice.answer_of(f"{thought}ANSWER: B", 4) == "B"
    assert multiple_choice.answer_of(thought, 4) is None
    assert mathematics.answer_of(f"{thought}\\boxed{{2}}") == "2"
    assert mathematics.answer_of(thought) is None
    assert code.code_of(f"{thought}```python\ndef f(): return 2\n```", "f") == "def f(): return 2"
    assert code.code_of(thought, "f") is None


@pytest.mark.parametrize(
    "end",
    """<|im_end|> <|eot_id|> <end_of_turn> </s> <|endoftext|> <｜end▁of▁sentence｜> <|eot|> <|user|> <|observation|>
    [|endofturn|] <turn|> <seed:eos> <|assistant_end|> <|end_of_text|>""".split(),
)
def test_what_follows_the_end_of_the_turn_is_not_the_reply(end: str) -> None:
    assert spoken(f"ANSWER: B{end}\n<|im_start|>user\nANSWER: C") == "ANSWER: B"


@pytest.mark.parametrize(
    "begin",
    [
        "<|im_start|>assistant\n",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "<start_of_turn>model\n",
        "<|assistant|>\n",
        "<|im_assistant|>assistant<|im_middle|>",
        "<｜Assistant｜>",
    ],
)
def test_tokens_that_open_the_turn_are_no_end_of_it(begin: str) -> None:
    assert spoken(f"{begin}ANSWER: B<|im_end|>") == "ANSWER: B"
    assert spoken(f"{begin}<think>A</think>ANSWER: B") == "ANSWER: B"


def test_harmonys_channels() -> None:
    told = (
        "<|channel|>analysis<|message|>ANSWER: A<|end|><|start|>assistant<|channel|>final<|message|>ANSWER: B<|return|>"
    )
    assert spoken(told) == "ANSWER: B"
    assert spoken("<|channel|>analysis<|message|>ANSWER: A") == ""


@given(st.text(max_size=200))
def test_a_reply_without_marks_stays_as_it_is(reply: str) -> None:
    if not set("<[◁") & set(reply) and "final" not in reply:
        assert spoken(reply) == reply
