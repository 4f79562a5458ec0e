"""The tolerant cascades, by tables of cases; what must never count as an answer; all kinds without the form that was asked for."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gra.errors import EvalError
from gra.eval.scoring import answers, bbh, multiple_choice, number, phrases

SHARED = Path(__file__).parents[4] / "shared" / "data" / "benchmarks"
OPTIONS = ["a red fox", "Paris", "the man", "photosynthesis"]

LETTERS = [  # reply, strict, tolerant
    ("B", "B", "B"),
    ("B.", "B", "B"),
    ("(B)", "B", "B"),
    ("**B**", "B", "B"),
    ("B) Paris", "B", "B"),
    ("B: Paris, since A and C are no towns.", "B", "B"),
    ("C\n\nA. is wrong, for it is an animal.", "C", "C"),
    ("Let me think.\nANSWER: B", "B", "B"),
    ("I thought of A.\n\n**Answer: B**\n", "B", "B"),
    ("answer: **(B)**", "B", "B"),
    ("ANSWER: B. Paris", "B", "B"),
    ("ANSWER: B\nNo, wait.\nANSWER: C", "C", "C"),
    ("ANSWER: A\nThe answer is B.\nI said so.", "A", "B"),  # the last statement wins
    ("<think>B</think>The answer: C", "C", "C"),
    ("The answer is B.", None, "B"),
    ("The correct answer is (b).", None, "B"),
    ("So the answer is:\n\nB", None, "B"),
    ("### Answer\n\nB", None, "B"),
    ("The answer to your question is most likely option B: Paris", None, "B"),
    ("The answer is not A. It is D.", None, "D"),
    ("The answer is B. No: the answer is C.", None, "C"),
    ("The answer is A because foxes are red.", None, "A"),
    ("The answer is clear.\nB it is", None, "B"),
    ("\\boxed{B}", None, "B"),
    ("$\\boxed{\\text{(C)}}$", None, "C"),
    ("The answer is A, so \\boxed{B}", None, "B"),
    ("\\boxed{\\text{Paris}}", None, "B"),
    ("I go with B", None, "B"),
    ("B is correct because C fails.", None, "B"),
    ("Of all these **B. Paris** fits, not A or C.", None, "B"),
    ("Weighing all of it I end with (B)", None, "B"),
    ("It must be Paris.", None, "B"),
    ("A, B, C and D seen, Paris it is", None, "B"),
    ("paris", None, "B"),
    ("The answer is Paris, the capital.", None, "B"),
    ("A man walks. I think it's C", None, "C"),
    ("Options:\nA) 1\nB) 2\nC) 3\nD) 4\n\nSo: C", None, "C"),
    # none of these is an answer
    ("", None, None),
    ("A. a red fox\nB. Paris\nC. the man\nD. photosynthesis", None, None),
    ("A. B. C. D.", None, None),
    ("A\nB\nC\nD", None, None),
    ("**A.** x\n**B.** y\n**C.** z", None, None),
    ("A, B, C and D are all right.", None, None),
    ("The answer is A or B.", None, None),
    ("ANSWER: A, B", None, None),
    ("Answer: A/C", None, None),
    ("Both A and C are possible", None, None),
    ("Paris or the man.", None, None),
    ("It could be a red fox, Paris, the man, or photosynthesis.", None, None),
    ("I cannot answer that.", None, None),
    ("Sorry, I can't choose between them. A", None, None),
    ("I don't know whether it is B", None, None),
    ("A man walks. I like him.", None, None),
    ("ANSWER: $LETTER", None, None),
    ("ANSWER: E", None, None),
    ("<think>The answer is B", None, None),
]


@pytest.mark.parametrize(("reply", "strict", "tolerant"), LETTERS)
def test_the_letter_in_a_reply(reply: str, strict: str | None, tolerant: str | None) -> None:
    assert multiple_choice.answer_of(reply, 4) == strict
    assert multiple_choice.stated(reply, OPTIONS) == tolerant


def test_an_options_own_words_are_neither_a_refusal_nor_a_letter() -> None:
    assert [multiple_choice.answer_of(reply, 2, ["x", "A and C"]) for reply in ("B. A and C", "B. A and B")] == [
        "B",
        None,
    ]
    options = ["You can't tell.", "O(D)", "I won't", "O(N)"]
    assert multiple_choice.stated("It must be: You can't tell.", options) == "A"
    assert multiple_choice.stated("So the time is O(D)", options) == "B"
    assert multiple_choice.stated("I can't tell.", options) is None


@pytest.mark.parametrize(
    ("doc", "letter", "options"),
    [
        ({"answer": 2, "choices": ["w", "x", "y", "z"]}, "C", ["w", "x", "y", "z"]),
        ({"answer": "(B)", "choices": ["w", "x"]}, "B", ["w", "x"]),
        (
            {"answerKey": "D", "choices": {"text": ["w", "x", "y", "z"], "label": list("ABCD")}},
            "D",
            ["w", "x", "y", "z"],
        ),
        ({"answerKey": "2", "choices": {"text": ["w", "x"], "label": ["1", "2"]}}, "B", ["w", "x"]),
        ({"label": "0", "endings": ["w", "x"]}, "A", ["w", "x"]),
    ],
)
def test_the_right_option_of_each_schema(doc: dict[str, Any], letter: str, options: list[str]) -> None:
    assert (multiple_choice.gold_letter(doc), multiple_choice.options_of(doc)) == (letter, options)
    assert multiple_choice.judge(doc, [letter]) == {"exact_match": 1.0, "no_answer": 0.0}
    assert multiple_choice.judge(doc, [None]) == {"exact_match": 0.0, "no_answer": 1.0}
    with pytest.raises(EvalError, match="without a right option"):
        multiple_choice.gold_letter({"question": "?"})


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("So #### 1,234", "1234"),
        ("#### 5\nThe answer is 6.", "5"),
        ("#### $18 for 1 day", "18"),
        ("#### 9 eggs at $2 = $18", "18"),
        ("#### Step 1: Eggs\n...\n#### Step 2: Money\n9*2=18\nThe answer is 18.", "18"),
        ("#### 2. Money\n9 * 2 = 18\n\n**Answer: 18**", "18"),
        ("#### 2 eggs a day\n9 * 2 = 18\nThe answer is 18.", "18"),
        ("#### 1st, the eggs\nThey bring her 18 dollars.", "18"),
        ("Answer: She had 16 eggs and ate 3.\nShe sells 9 at $2, so she makes 18 dollars.", "18"),
        ("**Answer:** The 9 eggs bring her 18 dollars.", "18"),
        ("Final answer: For 9 eggs she gets $18.", "18"),
        ("Answer: She makes $18.\n\nI used 2 steps.", "18"),
        ("Answer: x = 15\n\nI used 2 steps.", "15"),
        ("Answer: either 3 or 4", None),
        ("so \\boxed{18}", "18"),
        ("The answer is $1,234.50.", "1234.50"),
        ("The answer is 20 - 5 = 15.", "15"),
        ("The answer is 7 apples, and 3 pears are left", "7"),
        ("The answer is not 5. It is 6.", "6"),
        ("the answer is 5. No, the answer is 6.", "6"),
        ("**Final Answer**\n\n$\\boxed{-\\frac{3}{4}}$", "-3/4"),
        ("**Answer:** 42\n\nI used 2 steps.", "42"),
        ("That is **18** in 3 days.", "18"),
        ("It costs 5 + 3 = 8 dollars.", "8"),
        ("\\$32,\\!348", "32348"),
        ("50%", "50"),
        ("-5", "-5"),
        ("−7", "-7"),
        ("$-12", "-12"),
        ("3-5", None),
        ("2 / 3", "2/3"),
        ("total: .5", "0.5"),
        ("18.", "18"),
        ("The answer is 3 or 4.", None),
        ("It is either 1,301 or 1,300.", None),
        ("With 2 or 3 in hand he gets 12", "12"),
        ("For 5 or more: 7", "7"),
        ("I cannot say anything about 42 apples.", None),
        ("There is not enough information about the 42 apples.", None),
        ("seven", "7"),
        ("1" * 100, None),
        ("", None),
    ],
)
def test_the_number_in_a_reply(reply: str, found: str | None) -> None:
    assert number.stated(reply) == found


def test_numbers_are_compared_by_value() -> None:
    assert number.same("18.00", "He has 3 and 15.\n#### 18")
    assert number.same("1234", "#### 1,234")
    assert number.same("1/2", "0.5")
    assert not number.same("50", "0.5")
    assert not number.same("-10", "#### 10")


CHOICE = "Which?\nOptions:\n(A) red fox\n(B) blue"


@pytest.mark.parametrize(
    ("question", "reply", "gold", "found"),
    [
        (CHOICE, "So the answer is (B)", "(B)", "B"),
        (CHOICE, "It is blue.", "(B)", "B"),
        (CHOICE, "(A) red fox\n(B) blue", "(B)", None),
        ("", "No, he cannot.", "No", "no"),
        ("", "It is not so. Answer: Yes", "Yes", "yes"),
        ("", "I think it is no.", "no", "no"),
        ("", "There is no way to tell; nobody says yes to it", "no", None),
        ("", "The answer is yes or no", "yes", None),
        ("", "I cannot say.", "No", None),
        ("", "So not False = True", "True", "true"),
        ("", "The expression evaluates to False.", "False", "false"),
        ("", "True and False", "True", None),
        ("", "The argument is not deductively valid.", "invalid", "invalid"),
        ("", "**Invalid**", "invalid", "invalid"),
        ("", "valid or invalid", "valid", None),
        ("Input: [ { [", "So the answer is ] } ].", "] } ]", "] } ]"),
        ("Input: [ { [", "In full: `[ { [ ] } ]`", "] } ]", "] } ]"),
        ("Input: [ { [", "**Answer:** ], }, ]", "] } ]", "] } ]"),
        ("Input: [ { [", "It is ] } ].", "] } ]", "] } ]"),
        ("Input: [ {", "We need to close it (see above).", "] }", None),
        ("Sort the words", "The answer is: apple, Bear, cloud. I moved apple.", "apple bear cloud", "apple bear cloud"),
        ("Sort the words", "1. apple\n2. bear\n3. cloud", "apple bear cloud", "apple bear cloud"),
        ("Sort the words", "Sorted: apple cloud bear", "apple bear cloud", "apple cloud bear"),
        ("Sort the words", "apple", "apple bear cloud", None),
        ("", "There are 7 of them.", "7", "7"),
        ("", "the answer is -15.", "-15", "-15"),
        ("Find", "the answer is Monsters, Inc.", "Monsters, Inc", "monsters, inc"),
    ],
)
def test_an_answer_to_big_bench_hard(question: str, reply: str, gold: str, found: str | None) -> None:
    read, right = bbh.read(question, reply, gold)
    assert read == found
    assert right == (found is not None and found in (gold.lower(), gold.strip("()")))


def test_the_last_box_whose_braces_close() -> None:
    assert phrases.boxed("\\boxed{1} and \\boxed{\\frac{2}{3}}") == "\\frac{2}{3}"
    assert phrases.boxed("\\boxed{\\{1, 2\\}}") == "\\{1, 2\\}"
    assert phrases.boxed("} \\boxed{4} {") == "4"
    assert phrases.boxed("\\boxed{1} then \\boxed{2") == "1"
    assert phrases.boxed("\\boxed{}") is None
    assert phrases.boxed("\\boxed 5") is None


Strict = Callable[[list[str], list[dict[str, Any]]], list[str | None]]


FORMS = (
    "So the answer is {}.",
    "The final answer is: **{}**",
    "\\boxed{{{}}}",
    "Well.\n\n**Answer:** {}\n\nI hope this helps!",
    "It is {}.",
    "{}",
)


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="the benchmarks' files are not beside this repository (../shared/data/benchmarks)"
)
def test_the_gold_answers_of_real_benchmarks_are_found_in_any_wording() -> None:
    for kind, name, places in (
        ("number", "gsm8k/test", 400),
        ("letter", "arc_challenge/test", 400),
        ("letter", "mmlu/test", 800),
    ):
        docs = read(name)[:: max(1, len(read(name)) // places)]
        golds = [doc["answer"] if kind == "number" else multiple_choice.gold_letter(doc) for doc in docs]
        for form in FORMS:
            said = [form.format(gold.rpartition("#### ")[2]) for gold in golds]
            found = answers.tolerant_all(kind, list(zip(docs, said, golds, strict=True)))
            wrong = [(reply, *answer) for reply, answer in zip(said, found, strict=True) if answer[1] != 1]
            assert len(wrong) <= len(docs) // 200, (name, form, wrong[:5])  # "It is A.", where "a." is an option
    for path in sorted((SHARED / "bbh").glob("*.jsonl.gz")):
        docs = [doc for doc in read(f"bbh/{path.name.split('.')[0]}")[::8] if doc["target"] not in FAULTY]
        for form in FORMS[:1] + FORMS[3:]:
            found = answers.tolerant_all("bbh", [(doc, form.format(doc["target"]), doc["target"]) for doc in docs])
            assert {score for _, score in found} == {1.0}, (path.name, form)


FAULTY = ("Monsters, Inc", "dearth, wind, & fire", "rita, sue and bob poo")  # targets that are not an option


def read(name: str) -> list[dict[str, Any]]:
    with gzip.open(SHARED / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
