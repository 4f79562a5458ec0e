"""Backslashes that JSON's escapes swallow. What a model escaped rightly stays exactly as it was; what it forgot to double is
restored or refused, never silently another text. 540 strings of LaTeX and code, each tried both ways."""

from __future__ import annotations

import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.models.base import Reply
from gra.synthesis.committee.records import DIMENSIONS
from gra.synthesis.prompts.schemas import Instruction, Keywords, ResponseReview
from gra.synthesis.replies.escapes import damaged, repaired
from gra.synthesis.replies.parsing import parse

COMMANDS = [
    r"\frac{3}{4}",
    r"\times 12",
    r"\beta",
    r"\neq 0",
    r"\rho",
    r"\text{if }",
    r"\nabla f",
    r"\theta",
    r"\nu",
    r"\tau",
    r"\tan x",
    r"\to 0",
    r"\forall x",
    r"\binom{n}{k}",
    r"\right)",
    r"\rangle",
    r"\rfloor",
    r"\bar{x}",
    r"\ne y",
    r"\notin A",
    r"\not\in B",
    r"\begin{cases} 1 & x > 0 \\ 0 & x \neq 1 \end{cases}",
    r"\boxed{5}",
    r"\tilde{x}",
    r"\top",
    r"\neg p",
    r"\ni a",
    r"\bf x",
    r"\textbf{a}",
    r"\rightarrow y",
    r"\big(",
    r"\therefore p",
    r"\triangle ABC",
    r"\nexists",
    r"\bigcup A",
    r"\flat",
    r"\bmod 7",
    r"\alpha",
    r"\sqrt{2}",
    r"\sum_{i=1}^n",
    r"\int_0^1",
    r"\underline{x}",
    r"\le 3",
    r"\pi",
]
FRAMES = [
    "Compute $x + {} $.",
    "Let \\({}\\) be given.",
    "Show that $${}$$ holds.",
    "Solve ${} = y$ for x.",
    "Simplify $a {} b$\nand explain.",
    "Prove:\n\\[\nx = {}\n\\]\nGood luck.",
    "Use \\alpha, \\gamma. If ${} $, why?",
    "\\section{{A}} Let $b{} c$\tfollow.",
    "Write $({})^2$ to $5 \\cdot 3$.",
]
LATEX = [frame.format(command) for frame, command in product(FRAMES, COMMANDS)]
CODE = [
    "def f(x):\n\treturn x\n\nif f(1):\n\ttotal = 1\n\tnot_here = 2",
    "a\tb\tto\ttan\n\ttop = 1\n\text = 2",
    "i = 0\nu = 3\ne = 2\nne = 4",
    "for i in range(3):\n\tprint(i)\n\tbreak",
    "It costs $5\nu owe $7 in total",
    "Q:\nWhat?\nA:\nIt is.",
    "print('a\\nb')",
    "x\r\ny\r\n",
    "re.findall(r'\\bword\\b', s)",
    "re.sub(r'\\d+\\b', '', s)",
    "C:\\temp\\new\\file.txt",
    "C:\\Users\\bob\\notes.txt",
    "echo $a\necho $b",
    "SELECT *\nFROM t\nWHERE a = 1",
    "#include <stdio.h>\nint main() {\n\treturn 0;\n}",
    "\\\\server\\share",
    'printf("%d\\n", x);',
    "name\tage\nAnn\t3\nto\t4",
    "$\\alpha$\nu = 3\n\nnot this",
    "if x:\n\tnu = 1\nelse:\n\tnu = 2",
    "$x=5;\n$i++;\nif($x) {}",
    "don't 'quote' \"it\"",
    "a = [1,\n2]\nnext(a)",
    "it's\nnot\nnow",
    "\\d{3}-\\d{4}",
    "let t = `${a}\n${b}`",
    "a \\\n  b",
    "éà\n日本\t語",
    "\\item one\n\\item two",
    "w\nx\ny",
    "x = 1 \ni = 2",
    "1. Start\n2. next\n\nrest",
    "path = 'a/b'\nrm = 1",
    "tab\there",
    'f"{a}"\nbreak',
    "<s>\nb</s>",
    "$HOME\n$PATH",
    "100 $\nu. s. w.",
] + [
    f"{a}\n{b}"
    for a, b in product(
        ["x = 1", "def g():", "Note:", "- one", "$5 is", "total"],
        [
            "n = 2",
            "to do",
            "if not x:",
            "\treturn 1",
            "}",
            "- two",
            "next",
            "u = v",
            "e. g. this",
            "north",
            "tan = 3",
            "\tfor x in y:",
            "\ttop",
            "beta",
            "frac",
            "rest",
            "\ttrue",
        ],
    )
]
RESTORED = [
    "re.findall(r'\\bword\\b', s)",
    "re.sub(r'\\d+\\b', '', s)",
    "C:\\temp\\new\\file.txt",
    "C:\\Users\\bob\\notes.txt",
    "\\d{3}-\\d{4}",
    "\\item one\n\\item two",
]  # of CODE with backslashes; what else a lost one was before, nobody can tell
ALL = LATEX + CODE


def wrongly(text: str) -> str:
    """JSON by a model that escapes quotes, line ends and tabs, and leaves backslashes as they are."""
    body = text.replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return f'{{"instruction": "{body}"}}'


def test_there_are_enough() -> None:
    assert len(set(ALL)) >= 500


@pytest.mark.parametrize("ascii_only", [True, False])
def test_rightly_escaped_texts_stay_exactly_as_they_were(ascii_only: bool) -> None:
    for text in ALL:
        raw = json.dumps({"instruction": text}, ensure_ascii=ascii_only)
        assert repaired(raw).text == raw, text
        assert repaired(raw).unsure is None, text
        assert damaged(text) is None, text
        form, fault = parse(Reply(raw), Instruction)
        assert form is not None, (text, fault)
        assert form.model_dump()["instruction"] == text.strip()


def test_a_forgotten_backslash_is_restored_or_the_text_refused() -> None:
    restored = 0
    for text in ALL:
        form, fault = parse(Reply(wrongly(text)), Instruction)
        if form is None:
            assert fault is not None
            assert fault.startswith("escapes"), (text, fault)
            continue
        got = form.model_dump()["instruction"]
        if text in LATEX:
            assert got == text.strip(), text
            restored += 1
        elif "\\" not in text or text in RESTORED:
            assert got == text.strip(), text
    assert restored > 0.85 * len(LATEX), restored


CODE_LINE = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from("\n\t\\$(){}\"'`"), max_size=60
)


@given(st.lists(CODE_LINE | st.sampled_from(ALL), max_size=4).map("\n".join))
def test_any_rightly_escaped_text_stays_or_is_refused(text: str) -> None:
    found = repaired(json.dumps({"instruction": text}))
    assert json.loads(found.text)["instruction"] == text or found.unsure


@pytest.mark.parametrize("char", ["\b", "\f", "\x00", "\x1b", "\x07"])
def test_control_characters_never_reach_a_sample(char: str) -> None:
    for raw in (json.dumps({"instruction": f"a {char} b"}), json.dumps({"instruction": f"a {char}xyz b"})):
        form, fault = parse(Reply(raw), Instruction)
        assert form is None
        assert fault is not None
        assert fault.startswith("escapes")


def test_a_judges_comment_costs_no_verdict() -> None:
    scores = ", ".join(f'"{name}": 8' for name in DIMENSIONS)
    form, _ = parse(
        Reply(r'{"strengths": "uses $$\nu$$ and \frac", "weaknesses": "none", ' + scores + "}"), ResponseReview
    )
    assert isinstance(form, ResponseReview)
    assert "\\frac" in form.strengths
    keywords, _ = parse(Reply(r'{"keywords": ["$\rho$", "\beta decay", "a"]}'), Keywords)
    assert isinstance(keywords, Keywords)
    assert keywords.keywords == ["$\\rho$", "\\beta decay", "a"]
