"""MATH: what is read out of a reply, and what math-verify, shut up in its workers, calls the same."""

from __future__ import annotations

import time

import pytest

from gra.errors import EvalError
from gra.eval.scoring import mathematics, mathjudge

SAME = [
    ("\\frac{1}{2}", "0.5"),
    ("\\frac{1}{2}", "1/2"),
    ("\\frac12", "\\dfrac{1}{2}"),
    ("12,345", "12345"),
    ("90^\\circ", "90"),
    ("\\text{Evelyn}", "Evelyn"),
    ("11\\sqrt2", "11\\sqrt{2}"),
    ("(3,\\frac{\\pi}{2})", "(3, \\pi/2)"),
    ("6-5i", "-5i+6"),
    ("\\text{(A)}", "A"),
    ("\\$32,\\!348", "32348"),
    ("5", "x=5"),
    ("50\\%", "50"),
    ("5", "5 \\text{ cm}"),
    ("2^{10}", "1024"),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}"),
    ("x \\in [-2,7]", "[-2,7]"),
]
DIFFERENT = [
    ("3", "4"),
    ("\\sqrt{3}", "1.732"),
    ("5", "-5"),
    ("(1,2)", "(2,1)"),
    ("[1,2)", "[1,2]"),
    ("5", "five of them"),
    ("4", "x" * 100),
    ("4", "((((5))))"),
    ("4", "4" * 5000),
    ("4", "x+" * 300),
    ("1", ""),
    ("1", "\x00\x1b[2J"),
    ("1", "\\end{document}"),
]


def test_equal_expressions_are_equal_and_others_are_not() -> None:
    assert [pair for pair, same in zip(SAME, mathematics.equal_all(SAME), strict=True) if not same] == []
    assert [pair for pair, same in zip(DIFFERENT, mathematics.equal_all(DIFFERENT), strict=True) if same] == []


def test_an_expression_without_end_is_stopped_and_the_next_ones_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python code by the limit on processor time, C code (a power tower) by the clock; both cost a worker at most."""
    monkeypatch.setattr(mathjudge, "CLOCK_SECONDS", 2.0)
    before = time.monotonic()
    pairs = [
        ("\\boxed{9}", "\\boxed{9^{9^{9^{9}}}}"),
        ("\\boxed{4}", "\\boxed{10000000!}"),
        ("\\boxed{3}", "\\boxed{3.0}"),
    ]
    assert mathjudge.equal_all(pairs, workers=1) == [False, False, True]
    assert time.monotonic() - before < 60


def test_where_math_verify_does_not_start_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mathjudge, "_idle", [])
    monkeypatch.setattr(mathjudge.sys, "executable", "/bin/false")
    with pytest.raises(EvalError, match="math-verify cannot be started"):
        mathjudge.equal_all([("1", "2")])


@pytest.mark.parametrize(
    ("reply", "strict", "tolerant"),
    [
        ("Thus $\\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}", "\\frac{1}{2}"),
        ("First \\boxed{1}, then \\boxed{2}.", "2", "2"),
        ("The answer is $x=\\frac{1}{2}$.", None, "x=\\frac{1}{2}"),
        ("The answer is $5$ and $6$.", None, "5, 6"),
        ("The answer is $5$, since $2+3=5$ and not $6$.", None, "5"),
        ("The answer is the sum of $2$ and $3$, so $5$.", None, "5"),
        ("It is $5$ or $6$.", None, "5, 6"),
        ("Answer: We need $x=3$ and then compute. So we get $7$.", None, "7"),
        ("Answer: The sum is $7$.\n\nThat was part $1$.", None, "7"),
        ("Answer: Evelyn\n\nShe took 2 steps.", None, "Evelyn"),
        ("Therefore, the answer is 3.5 cm.", None, "3.5 cm"),
        ("The final answer is:\n\n$$\\frac{3}{4}$$", None, "\\frac{3}{4}"),
        ("The answer is $1$. No, the answer is $2$.", None, "2"),
        ("That is **42** in all", None, "42"),
        ("So we get\n\\[\nx = 7\n\\]", None, "x = 7"),
        ("thus 13.", None, "13"),
        ("The answer is 1/2, not 2.", None, "1/2"),
        ("The answer is 7 rather than 8.", None, "7"),
        ("I cannot solve this for $x$.", None, None),
        ("I don't know", None, None),
        ("\\boxed{", None, None),
        ("", None, None),
    ],
)
def test_the_expression_in_a_reply(reply: str, strict: str | None, tolerant: str | None) -> None:
    assert mathematics.answer_of(reply) == strict
    assert mathematics.stated(reply) == tolerant


def test_the_stages_functions_for_the_task() -> None:
    docs = [
        {"solution": "Hence $\\boxed{\\frac{1}{2}}$."},
        {"solution": "$\\boxed{3}$", "answer": "3"},
        {"answer": "7"},
    ]
    replies = [["so \\boxed{0.5}"], ["so \\boxed{4}"], ["seven"]]
    found = mathematics.answers_of(replies, docs)
    assert found == [["0.5"], ["4"], [None]]
    assert [mathematics.judge(doc, several) for doc, several in zip(docs, found, strict=True)] == [
        {"math_verify": 1.0, "no_answer": 0.0},
        {"math_verify": 0.0, "no_answer": 0.0},
        {"math_verify": 0.0, "no_answer": 1.0},
    ]
    with pytest.raises(EvalError, match=r"neither `answer` nor a \\boxed"):
        mathematics.gold_of({"problem": "?", "solution": "none"})
