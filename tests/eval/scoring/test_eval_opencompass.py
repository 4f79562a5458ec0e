"""OpenCompass's readings: the cases that its own tests document, and the habits that MAPPING.md speaks of."""

from __future__ import annotations

import pytest

from gra.eval.scoring import opencompass


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("答案是 B", "B"),  # the case of its own test
        ("答案：C", "C"),
        ("答案应该是D", "D"),
        ("故选D。", "D"),
        ("选项C正确", "C"),
        ("It is long.\nANSWER: C", "C"),
        ("The answer is (D), as I said", "D"),
        ("The answer is (D), not A.", "A"),  # a letter that ends the reply goes before the words
        ("The answer is **B**", "B"),
        ("The correct answer is option: C", "C"),
        ("The correct answer is: $\\boxed{B}$", "B"),
        ("B", "B"),
        ("C. Paris", "C"),
        ("A man walks. I think it is C", "C"),
        ("A man walks home", "A"),
        ("Both A and B are correct.", "B"),  # of "Both"
        ("It must be Paris.", None),
        ("I Do not know", "D"),  # any capital of an option
        ("", None),
    ],
)
def test_the_first_option(reply: str, found: str | None) -> None:
    assert opencompass.letter(reply, "ABCD") == found


def test_the_letter_after_answer() -> None:
    replies = ["ANSWER: B\nANSWER: C", "Answer:\n\nD", "ANSWER: $B", "the answer: b", "B"]
    assert [opencompass.asked_letter(reply) for reply in replies] == ["B", "D", None, "b", None]


def test_the_last_number_before_the_next_question() -> None:
    replies = [
        "16 - 7 = 9.\nThe answer is 18.\n\nQuestion: what of 5?",
        "She earns $1,200",
        "-3",
        "2.50 left of 5.",
        "none",
    ]
    assert [opencompass.number(reply) for reply in replies] == ["18", "1200", "-3", "5", None]


def test_the_expression() -> None:
    replies = [
        "so \\boxed{{\\frac{1}{2}}}",
        "First 3. The final answer is $x=4$. Done.",
        "The answer is: 7",
        "I am lost. 5",
    ]
    assert [opencompass.expression(reply) for reply in replies] == ["\\frac{1}{2}", "x=4", "7", "I am lost"]


def test_big_bench_hard() -> None:
    replies = ["So the answer is (B). Or the answer is (C).", "It is (D).", "answer is yes", "no"]
    assert [opencompass.option(reply) for reply in replies] == ["B", "D", None, None]
    free = {  # the cases of its own tests, and some more
        "no": "No",
        "So the answer is No, because the last speaker lies.": "No",
        "Answer is **yes**.": "Yes",
        "apple, banana, cherry": "apple banana cherry",
        "1,000": "1,000",
        "So the answer is apple bear.\nYes": "apple bear",
        "valid": "valid",
    }
    assert {reply: opencompass.free(reply) for reply in free} == free


def test_the_code_for_humaneval_is_the_first_block_without_its_outer_blanks() -> None:
    body = "    return x - int(x)\n"  # the cases of its own tests
    told = f"Here is the implementation:\n```python\n{body}```\nThis solves the task."
    two = '```python\n    return "first"\n```\n```python\n    return "second"\n```'
    assert [opencompass.humaneval(reply) for reply in (body, told, f"```\n{body}```", two)] == [
        "return x - int(x)\n",
        "return x - int(x)\n",
        "return x - int(x)\n",
        'return "first"\n',
    ]


def test_the_code_for_mbpp() -> None:
    code = "def f(x):\n    return x"
    marked = [f"[BEGIN]\n{code}\n[DONE]", f"[BEGIN]\n '{code}'\n[DONE]"]
    replies = [*marked, f"Sure:\n```python\n{code}\n```\nDone", f"```\n{code}", code]
    assert [opencompass.mbpp(reply) for reply in replies] == [code] * len(replies)
