"""The paper's suite on local files: every benchmark loads with no network, whole, and asks what it is meant to ask."""

from __future__ import annotations

import gzip
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gra.eval.settings import Suite
from gra.eval.suite import catalogue, loading, plan
from gra.paths import conf_dir

SHARED = Path(__file__).parents[4] / "shared" / "data" / "benchmarks"
here = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the benchmarks' files are not beside this repository (../shared/data/benchmarks)"
)

COUNTS = {
    "gsm8k": 1319,
    "humaneval_chat": 164,
    "mbpp_chat": 500,
    "hellaswag_chat": 10042,
    "arc_challenge_chat": 1172,
    "mmlu_chat": 14042,
    "ifeval_chat": 541,
}
FIRST = {  # what the first item asks, its gold answer, and how many worked examples stand before it
    "gsm8k": (
        "Question: Janet’s ducks lay 16 eggs per day. She eats three for breakfast every morning and bakes muffins for her "
        "friends every day with four. She sells the remainder at the farmers' market daily for $2 per fresh duck egg. How much in "
        "dollars does she make every day at the farmers' market?\nAnswer:",
        "#### 18",
        5,
    ),
    "humaneval_chat": (
        "Complete this Python function. Reply with the whole function, imports included, in one code block.\n\n```python\n"
        "from typing import List\n\n\ndef has_close_elements(numbers: List[float], threshold: float) -> bool:\n"
        '    """ Check if in given list of numbers, are any two numbers closer to each other than\n    given threshold.\n'
        "    >>> has_close_elements([1.0, 2.0, 3.0], 0.5)\n    False\n"
        '    >>> has_close_elements([1.0, 2.8, 3.0, 4.0, 5.0, 2.0], 0.3)\n    True\n    """\n```',
        "    return False\n",
        0,
    ),
    "mbpp_chat": (
        "Write a python function to remove first and last occurrence of a given character from the string.\n\n"
        "Reply with Python code in one code block. It has to pass these tests:\n\n```python\n"
        'assert remove_Occ("hello","l") == "heo"\nassert remove_Occ("abcda","a") == "bcd"\n'
        'assert remove_Occ("PHP","P") == "H"\n```',
        "    return s ",
        0,
    ),
    "hellaswag_chat": (
        "A man is sitting on a roof. He\nQuestion: Which ending makes the most sense?\nA. is using wrap to wrap a pair of skis.\n"
        "B. is ripping level tiles off.\nC. is holding a rubik's cube.\nD. starts pulling up roofing on a roof.\n"
        "You may choose from 'A', 'B', 'C', 'D'.\nAnswer:",
        "D",
        0,
    ),
    "arc_challenge_chat": (  # lm-eval's own YAML holds a backslash and an n where a line should end
        r"Given the following question and four candidate answers (A, B, C and D), choose the best answer.\nQuestion: An "
        r"astronomer observes that a planet rotates faster after a meteorite impact. Which is the most likely effect of this "
        r"increase in rotation?\nA. Planetary density will decrease.\nB. Planetary years will become longer.\n"
        r"C. Planetary days will become shorter.\n"
        r'D. Planetary gravity will become stronger.\nYour response should end with "The best answer is [the_answer_letter]" '
        r"where the [the_answer_letter] is one of A, B, C or D.",
        "C",
        0,
    ),
    "bbh_chat_boolean_expressions": ("Q: not ( True ) and ( True ) is\nA: Let's think step by step.\n", "False", 3),
    "mmlu_chat": (
        "There is a single choice question about abstract algebra. Answer the question by replying A, B, C or D.\n"
        "Q: Find the degree for the given field extension Q(sqrt(2), sqrt(3), sqrt(18)) over Q.\nA. 0\nB. 4\nC. 2\nD. 6\n"
        "Let's think step by step. The last line of your response should be of the following format: 'ANSWER: $LETTER' "
        "(without quotes) where LETTER is one of ABCD.",
        "B",
        0,
    ),
    "ifeval_chat": (
        'Write a 300+ word summary of the wikipedia page "https://en.wikipedia.org/wiki/Raymond_III,_Count_of_Tripoli". Do '
        "not use any commas and highlight at least 3 sections that has titles in markdown format, for example *highlighted section "
        "part 1*, *highlighted section part 2*, *highlighted section part 3*.",
        "0",
        0,
    ),
}
MATH = [
    {"problem": f"What is ${n}+{n}$?", "level": "Level 1", "type": kind, "solution": f"It is $\\boxed{{{2 * n}}}$."}
    for n, kind in enumerate(["Algebra", "Geometry", "Prealgebra"])
]
GPQA = [
    {
        "Record ID": f"rec{n}",
        "Subdomain": "made up",
        "Question": f"Which colour has item {n}?\n",
        "Correct Answer": f"green {n}",
        "Incorrect Answer 1": "red",
        "Incorrect Answer 2": " blue",
        "Incorrect Answer 3": "white\n",
    }
    for n in range(24)
]


def put(path: Path, items: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(item) + "\n" for item in items).encode()))


def suite(*tasks: str, folder: Path, **more: Any) -> Suite:
    return Suite(name="s", tasks=tasks, data_dir=str(folder), **more)


def loaded(wanted: Suite, scratch: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """lm-eval's tasks and groups of a suite, by name."""
    local = plan.local(wanted, {})
    assert local.problems == []
    manager = loading.manager(wanted, local, scratch)
    objects, skipped = loading.tried(manager, wanted, 0)
    assert skipped == {}
    found = manager.load(objects)
    return found["tasks"], found["groups"]


def asked(task: Any) -> list[dict[str, str]]:
    """The messages of the first item, as a chat model is shown them."""
    shots = task.config.num_fewshot or 0
    task.set_fewshot_seed(1234)
    context = task.fewshot_context(
        task.eval_docs[0],
        num_fewshot=shots,
        apply_chat_template=True,
        fewshot_as_multiturn=True,
        gen_prefix=task.config.gen_prefix,
        chat_template=lambda messages, **_: json.dumps(messages),
    )
    return list(json.loads(context))


@pytest.fixture(scope="module")
def no_network() -> Iterator[list[Any]]:
    """Whom anything tried to reach."""
    tried: list[Any] = []

    def refused(*arguments: Any, **_: Any) -> Any:
        tried.append(arguments)
        raise OSError("no network in this test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refused)
        patch.setattr(socket.socket, "connect_ex", refused)
        patch.setattr(socket, "getaddrinfo", refused)
        yield tried


@here
@pytest.mark.slow
def test_the_eight_benchmarks_load_with_no_network(no_network: list[Any], tmp_path: Path) -> None:
    raw = yaml.safe_load((conf_dir() / "suite" / "paper.yaml").read_text(encoding="utf-8"))
    whole = Suite(**raw | {"data_dir": str(SHARED), "skip_missing": True})
    skipped = plan.local(whole, {}).skipped
    assert set(skipped) == {"math_chat", "gpqa_diamond_chat"}
    tasks, groups = loaded(plan.without(whole, skipped), tmp_path)
    assert no_network == []
    assert list(groups) == ["bbh_chat"]
    assert "sentence_splitter" in tasks["ifeval_chat"].config.metadata
    assert {name: len(tasks[name].eval_docs) for name in COUNTS} == COUNTS
    bbh = [task for name, task in tasks.items() if name.startswith("bbh_")]
    assert (len(bbh), sum(len(task.eval_docs) for task in bbh)) == (27, 6511)
    assert len({task.eval_docs[0]["input"] for task in bbh}) == 27
    assert all(task.config.generation_kwargs["until"] == [] for task in bbh)
    theirs = catalogue.official().tasks["bbh_cot_fewshot_snarks"]  # all but the ends of a reply is theirs
    mine, spec = tasks["bbh_chat_snarks"].config, catalogue.read(theirs)
    assert (mine.description, mine.doc_to_text, mine.num_fewshot) == (spec["description"], spec["doc_to_text"], 3)
    assert mine.filter_list == spec["filter_list"]
    assert [m["content"].removesuffix("\n") for m in asked(tasks["bbh_chat_snarks"]) if m["role"] == "assistant"] == [
        example["target"].removesuffix("\n") for example in spec["fewshot_config"]["samples"]
    ]
    for name, (prompt, gold, shots) in FIRST.items():
        messages = asked(tasks[name])
        turns = [message for message in messages if message["role"] == "user"]
        assert turns[-1]["content"].removeprefix("Evaluate the result of a random Boolean expression.\n\n") == prompt, (
            name
        )
        assert str(tasks[name].doc_to_target(tasks[name].eval_docs[0])).endswith(gold), name
        assert len(turns) == shots + 1, name
        ours = name in catalogue.own()
        assert (
            messages[-1]["role"] == "user"
            if name != "arc_challenge_chat"
            else messages[-1]["content"] == "The best answer is"
        )
        assert not ours or tasks[name].config.metadata["group"] in {"coding", "reasoning", "general"}


def test_a_group_made_of_lm_evals_is_found_by_its_names_and_loads_from_the_hub_too(tmp_path: Path) -> None:
    ours, theirs = catalogue.members("bbh_chat"), catalogue.members("bbh_cot_fewshot")
    assert ours is not None
    assert theirs is not None
    assert [name.replace("bbh_chat", "bbh_cot_fewshot") for name in ours.tasks] == list(theirs.tasks)
    assert [catalogue.known(name) for name in ("bbh_chat", "bbh_chat_navigate", "bbh_chat_none")] == [True, True, False]
    wanted = Suite(name="s", tasks=("bbh_chat",))
    assert plan.groups_of(wanted) == {"bbh_chat": "reasoning"}
    manager = loading.manager(wanted, plan.local(wanted, {}), tmp_path)  # reads nothing but YAMLs
    assert (manager.all_groups, manager.all_subtasks) == (["bbh_chat"], sorted(ours.tasks))
    for name, path in ours.tasks.items():
        found, spec = manager.task_index[name].cfg, catalogue.read(path)
        assert found["generation_kwargs"]["until"] == spec["generation_kwargs"]["until"] == []
        assert "custom_dataset" not in found
        assert {
            **catalogue.read(theirs.tasks[name.replace("chat", "cot_fewshot")]),
            "task": name,
        }.keys() <= found.keys()
        assert found["dataset_path"] == "SaylorTwift/bbh"


STATED = [  # what lm-eval's filter takes from a whole reply
    ("We look at each.\n\n(A) has none.\n\nSo the answer is (B).", "(B)"),
    ("Sum: 2 + 3 = 5.\n\nSo the answer is 5.\n\nQ: shall I go on?", "5"),
    ('We need "]".\n\nSo the answer is ] } ].', "] } ]"),
    ("So the answer is (B)", "(B"),  # the form has a full stop: whatever stands last in the line is taken for it
    ("So the answer is (B). I am sure.", "(B). I am sure"),
    ("So the answer is **(B)**.", "**(B)**"),
    ("Perhaps the answer is (A).\n\nNo: the answer is (B).", "(A)"),  # the first
    ("The answer is (B).", None),  # a capital letter
]


@pytest.mark.parametrize(("reply", "taken"), STATED)
def test_what_bbhs_strict_filter_takes_of_a_whole_reply(reply: str, taken: str | None) -> None:
    path = catalogue.find("bbh_chat_snarks")
    assert path is not None
    pattern = catalogue.read(path)["filter_list"][0]["filter"][0]["regex_pattern"]
    assert next(iter(re.findall(pattern, reply)), None) == taken


def test_math_in_one_file_or_by_subject(tmp_path: Path) -> None:
    put(tmp_path / "one" / "math" / "test.jsonl.gz", MATH)
    parts = catalogue.read(catalogue.own()["math_chat"])["dataset_kwargs"]["parts"]
    for place, part in enumerate(parts):
        put(tmp_path / "many" / "hendrycks_math" / part / "test.jsonl.gz", [MATH[place % 3]])
    (tmp_path / "scratch").mkdir()
    for folder, count in (("one", 3), ("many", 7)):
        tasks, _ = loaded(suite("math_chat", folder=tmp_path / folder), tmp_path / "scratch")
        docs = tasks["math_chat"].eval_docs
        assert len(docs) == count
        assert docs[0] == MATH[0]
        (message,) = asked(tasks["math_chat"])
        assert (
            message["content"]
            == "What is $0+0$?\nPlease reason step by step, and put your final answer within \\boxed{}."
        )
    (tmp_path / "many" / "hendrycks_math" / parts[3] / "test.jsonl.gz").unlink()
    (problem,) = plan.local(suite("math_chat", folder=tmp_path / "many"), {}).problems
    assert "hendrycks_math/test.jsonl" in problem.message


def test_official_groups_read_local_files(tmp_path: Path) -> None:
    """hendrycks_math, a group of tasks, and mmlu, a group of groups of tags, from one file of all subjects."""
    subjects = [
        path.parent.name + name for name, path in catalogue.official().tasks.items() if name.startswith("mmlu_anatomy")
    ]
    assert subjects
    for part in (
        "algebra",
        "counting_and_probability",
        "geometry",
        "intermediate_algebra",
        "number_theory",
        "prealgebra",
        "precalculus",
    ):
        put(tmp_path / "hendrycks_math" / part / "test.jsonl.gz", [MATH[0] | {"problem": part}])
    members = catalogue.members("mmlu")
    assert members is not None
    names = [catalogue.read(path)["dataset_name"] for path in members.tasks.values()]
    put(
        tmp_path / "mmlu" / "test.jsonl.gz",
        [{"question": f"{name}?", "subject": name, "choices": ["1", "2", "3", "4"], "answer": 2} for name in names],
    )
    (tmp_path / "scratch").mkdir()
    tasks, groups = loaded(suite("hendrycks_math", "mmlu", folder=tmp_path), tmp_path / "scratch")
    assert (len(tasks), len(names)) == (7 + 57, 57)
    assert set(groups) == {
        "hendrycks_math",
        "mmlu",
        "mmlu_stem",
        "mmlu_other",
        "mmlu_social_sciences",
        "mmlu_humanities",
    }
    assert tasks["hendrycks_math_precalc"].eval_docs[0]["problem"] == "precalculus"
    assert [doc["question"] for doc in tasks["mmlu_anatomy"].eval_docs] == ["anatomy?"]
    assert groups["mmlu"].aggregate_metric_list


def test_gpqa_is_shuffled_by_the_item_and_judged_by_the_order_it_was_asked_in(tmp_path: Path) -> None:
    put(tmp_path / "gpqa" / "diamond.jsonl.gz", GPQA)
    (tmp_path / "scratch").mkdir()
    wanted = suite("gpqa_diamond_chat", "gpqa_diamond_zeroshot", folder=tmp_path)
    tasks, _ = loaded(wanted, tmp_path / "scratch")
    docs = list(tasks["gpqa_diamond_chat"].eval_docs)
    assert [doc["id"] for doc in docs] == [item["Record ID"] for item in GPQA]
    assert {doc["answer"] for doc in docs} == set("ABCD")
    for n, doc in enumerate(docs):
        assert sorted(doc["choices"]) == sorted([f"green {n}", "red", "blue", "white"])
        assert doc["choices"]["ABCD".index(doc["answer"])] == f"green {n}"
    (message,) = asked(tasks["gpqa_diamond_chat"])
    shown = "\n".join(f"{letter}) {text}" for letter, text in zip("ABCD", docs[0]["choices"], strict=True))
    assert message["content"].startswith(
        "Answer the following multiple choice question. The last line of your response should be "
    )
    assert message["content"].endswith(f"before answering.\n\nWhich colour has item 0?\n\n{shown}")
    theirs = tasks["gpqa_diamond_zeroshot"]  # lm-eval's shuffles whenever it is read
    assert list(theirs.eval_docs) == list(theirs.eval_docs)
    put(tmp_path / "gpqa" / "diamond.jsonl.gz", GPQA[::-1])
    again, _ = loaded(suite("gpqa_diamond_chat", folder=tmp_path), tmp_path / "scratch")
    assert list(again["gpqa_diamond_chat"].eval_docs)[::-1] == docs
