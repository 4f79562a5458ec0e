"""The tolerant cascades, by tables of cases; what must never count as an answer; all kinds without the form that was asked for."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval import answers, bbh, catalogue, code, letters, mathematics, number, phrases
from eval.extract import answers_of as world_answers
from eval.sandbox import SandboxError, isolation
from gra.errors import EvalError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "benchmarks"
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
    assert letters.answer_of(reply, 4) == strict
    assert letters.stated(reply, OPTIONS) == tolerant


def test_an_options_own_words_are_neither_a_refusal_nor_a_letter() -> None:
    assert [letters.answer_of(reply, 2, ["x", "A and C"]) for reply in ("B. A and C", "B. A and B")] == ["B", None]
    options = ["You can't tell.", "O(D)", "I won't", "O(N)"]
    assert letters.stated("It must be: You can't tell.", options) == "A"
    assert letters.stated("So the time is O(D)", options) == "B"
    assert letters.stated("I can't tell.", options) is None


@pytest.mark.parametrize(
    ("doc", "letter", "options"),
    [
        ({"answer": 2, "choices": ["w", "x", "y", "z"]}, "C", ["w", "x", "y", "z"]),
        ({"answer": "(B)", "choices": ["w", "x"]}, "B", ["w", "x"]),
        ({"answerKey": "D", "choices": {"text": ["w", "x", "y", "z"], "label": list("ABCD")}}, "D", ["w", "x", "y", "z"]),
        ({"answerKey": "2", "choices": {"text": ["w", "x"], "label": ["1", "2"]}}, "B", ["w", "x"]),
        ({"label": "0", "endings": ["w", "x"]}, "A", ["w", "x"]),
    ],
)
def test_the_right_option_of_each_schema(doc: dict[str, Any], letter: str, options: list[str]) -> None:
    assert (letters.gold_letter(doc), letters.options_of(doc)) == (letter, options)
    assert letters.judge(doc, [letter]) == {"exact_match": 1.0, "no_answer": 0.0}
    assert letters.judge(doc, [None]) == {"exact_match": 0.0, "no_answer": 1.0}
    with pytest.raises(EvalError, match="without a right option"):
        letters.gold_letter({"question": "?"})


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


def official(task: str) -> Strict:
    """The extraction of lm-eval's own task: the pattern of its first filter."""

    def extract(replies: list[str], docs: list[dict[str, Any]]) -> list[str | None]:  # noqa: ARG001
        path = catalogue.find(task)
        assert path is not None
        pattern = catalogue.read(path)["filter_list"][0]["filter"][0]["regex_pattern"]
        return [next(iter(re.findall(pattern, reply)), None) for reply in replies]

    return extract


def batch(ours: Callable[..., list[list[str | None]]]) -> Strict:
    """The extraction of a task of ours, which its YAML names."""
    return lambda replies, docs: [found for [found] in ours([[reply] for reply in replies], docs)]


def sandbox_possible() -> bool:
    try:
        isolation()
    except SandboxError:
        return False
    return True


MC = {"choices": OPTIONS, "answer": "B"}
SUM = {"prompt": "def add(a, b):\n", "entry_point": "add", "test": "def check(f):\n    assert f(2, 3) == 5"}
UNASKED: list[Any] = [
    ("number", {}, "3 and 4.\n#### 1,207", official("gsm8k"), [
        "The answer is 1207.", "It is **$1,207.00**.", "\\boxed{1207}", "in all 1,207 apples",
    ]),
    ("bbh", {"input": CHOICE}, "(B)", official("bbh_cot_fewshot_snarks"), [
        "Answer: (B)", "**(B)**", "It is blue.", "\\boxed{B}",
    ]),
    ("letter", MC, "B", batch(letters.answers_of), [
        "The answer is B.", "\\boxed{B}", "I choose Paris.", "It must be option B",
    ]),
    ("math", {"answer": "\\frac{1}{2}"}, "", batch(mathematics.answers_of), [
        "The answer is $0.5$.", "**1/2**", "So $x = \\frac{2}{4}$", "Answer: \\(\\frac12\\)",
    ]),
    ("world", {}, "red fox", batch(world_answers), [
        "It is a red fox.", "**Red fox**", "Answer: red fox", "red fox",
    ]),
    pytest.param("code", SUM, "", batch(code.codes_of), [
        "    return a + b", "return a + b", "```java\ndef add(a, b):\n    return a + b\n```", "  def add(a, b):\n   return a + b",
        "Here:\ndef add(a, b):\n    return a + b\nIt adds.",
    ], marks=pytest.mark.skipif(not sandbox_possible(), reason="no sandbox is possible here")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "doc", "gold", "strict", "replies"), UNASKED)
def test_without_the_form_nothing_is_extracted_strictly_and_all_is_right_tolerantly(
    kind: str, doc: dict[str, Any], gold: str, strict: Strict, replies: list[str]
) -> None:
    assert strict(replies, [doc] * len(replies)) == [None] * len(replies)
    read = answers.tolerant_all(kind, [(doc, reply, gold) for reply in replies])
    assert [score for _, score in read] == [1.0] * len(replies), read
    silent = answers.tolerant_all(kind, [(doc, reply, gold) for reply in ("", "I cannot answer that.", "I don't know.")])
    assert silent == [(None, 0.0)] * 3


def test_the_kind_of_a_task_is_in_its_yaml_or_known_by_name() -> None:
    for name, path in catalogue.own().items():
        spec = catalogue.read(path)
        if spec.get("output_type") == "generate_until":
            assert answers.kind_of(name, spec) in answers.KINDS, name
    generated = {"output_type": "generate_until"}
    known = {"gsm8k": "number", "bbh_cot_fewshot_snarks": "bbh", "arc_challenge_chat": "letter", "ifeval": "ifeval"}
    assert {task: answers.kind_of(task, generated) for task in known} == known
    assert answers.kind_of("mmlu_law_generative", generated) == "letter"
    assert answers.kind_of("triviaqa", generated) is None
    assert answers.kind_of("gpqa_main_zeroshot", {"output_type": "multiple_choice"}) is None
    with pytest.raises(EvalError, match=r"x: metadata\.answer is 'poem'"):
        answers.kind_of("x", {"metadata": {"answer": "poem"}})


PURE = ("number", "letter", "bbh", "world")
GOLDS = {
    "number": ("7",),
    "letter": ("B",),
    "bbh": ("(B)", "] }", "12", "no", "True", "valid", "a b", "x, y"),
    "world": ("ab", "7"),
}


@given(
    st.text(max_size=300) | st.lists(st.sampled_from([*"ABab19{}[]()<>*_$\\:.,\n -=\"'`", "answer", " is ", "boxed"])).map("".join)
)
def test_no_reply_breaks_a_cascade(reply: str) -> None:
    for kind in PURE:
        for gold in GOLDS[kind]:
            found, correct = answers.tolerant(kind, MC | {"input": "Sort [ {"}, reply, gold)
            assert correct in (0.0, 1.0)
            assert found is not None or correct == 0.0


@pytest.mark.parametrize(
    "piece",
    ["a", " ", "\n", "1", "1,", "{", "\\boxed{", "answer is ", "answer:\n", "answer" + " " * 50,
     "Answer: so ", "#### ", "#### 2. a\n", "#### 2 a\n", "**", "$", "(A) ", "A. ", "[ ",
     "yes ", "not valid ", "I choose ", "\\frac{", "```\n", "<think>", "I cannot ", "sorted: ", "- ", "'\"", "a red fox "],
)  # fmt: skip
def test_hostile_replies_take_no_time(piece: str) -> None:
    reply = piece * (400_000 // len(piece))
    before = time.process_time()
    for kind in PURE:
        for gold in GOLDS[kind]:
            answers.tolerant(kind, MC | {"input": "Sort [ {"}, reply, gold)
    letters.answer_of(reply, 4)
    mathematics.stated(reply)
    assert time.process_time() - before < 4


FORMS = (
    "So the answer is {}.",
    "The final answer is: **{}**",
    "\\boxed{{{}}}",
    "Well.\n\n**Answer:** {}\n\nI hope this helps!",
    "It is {}.",
    "{}",
)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the benchmarks' files are not beside this repository (../shared/data/benchmarks)")
def test_the_gold_answers_of_real_benchmarks_are_found_in_any_wording() -> None:
    for kind, name, places in (("number", "gsm8k/test", 400), ("letter", "arc_challenge/test", 400), ("letter", "mmlu/test", 800)):
        docs = read(name)[:: max(1, len(read(name)) // places)]
        golds = [doc["answer"] if kind == "number" else letters.gold_letter(doc) for doc in docs]
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


FAULTY = ("Monsters, Inc", "dearth, wind, & fire", "rita, sue and bob poo")  # targets that are no option


def read(name: str) -> list[dict[str, Any]]:
    with gzip.open(SHARED / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
