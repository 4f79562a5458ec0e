"""HumanEval and MBPP: the code in a reply, the program that runs, and the whole stage on items that a model knows by heart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from problems import FUNCTIONS, WITH_ASSERTS
from teaching import teach

from gra.errors import ConfigError
from gra.eval import stage
from gra.eval.sandbox import SandboxError, isolation
from gra.eval.scoring import answers, code, programs
from gra.fileio import read_json

GOOD = "def add(a, b):\n    return a + b"


def possible() -> bool:
    try:
        isolation()
    except SandboxError:
        return False
    return True


needs_sandbox = pytest.mark.skipif(not possible(), reason="no sandbox is possible here")


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (f"```python\n{GOOD}\n```", GOOD),
        (f"Sure:\n\n```py\n{GOOD}\n```\nIt adds.", GOOD),
        (f"```\n{GOOD}\n```", GOOD),
        (f"First\n```python\nimport os\n```\nthen\n```python\n{GOOD}\n```", GOOD),
        (f"```bash\npip install x\n```\n```python\n{GOOD}\n```", GOOD),
        (f"```python\n{GOOD}", GOOD),
        (GOOD, GOOD),
        ("```python\nx = 1\n```", "x = 1"),
        ("```bash\nls\n```", None),
        ("I cannot do that.", None),
        ("", None),
        ("The keyword def defines a function.", None),
    ],
)
def test_the_code_in_a_reply(reply: str, found: str | None) -> None:
    assert code.code_of(reply, "add") == found


@needs_sandbox
def test_gold_answers_pass_in_whatever_form_they_come() -> None:
    """Right solutions as a chat model writes them: whole functions, fenced or not, with talk around."""
    docs = FUNCTIONS
    forms = ["```python\n{}\n```", "Here it is.\n\n```\n{}\n```\nDone.", "{}", "I would rather not."]
    replies = [[forms[i % 4].format(doc["prompt"] + doc["canonical_solution"])] for i, doc in enumerate(docs)]
    scores = [code.judge(doc, found) for doc, found in zip(docs, code.codes_of(replies, docs), strict=True)]
    assert [s["pass_at_1"] for s in scores] == [float(i % 4 != 3) for i in range(len(docs))]
    assert [s["no_answer"] for s in scores] == [float(i % 4 == 3) for i in range(len(docs))]

    bodies = [doc["canonical_solution"] + "\nThat is all." for doc in docs]
    found = answers.tolerant_all("code", [(doc, body, "") for doc, body in zip(docs, bodies, strict=True)])
    assert [doc["task_id"] for doc, (_, score) in zip(docs, found, strict=True) if not score] == []

    docs = WITH_ASSERTS
    replies = [[forms[i % 3].format(doc["code"])] for i, doc in enumerate(docs)]
    scores = [code.judge(doc, found) for doc, found in zip(docs, code.codes_of(replies, docs), strict=True)]
    assert [doc["task_id"] for doc, s in zip(docs, scores, strict=True) if not s["pass_at_1"]] == []


HEAD = 'def add(a, b):\n    """Adds."""\n'
UNDER = HEAD + "    return a + b\n"


@pytest.mark.parametrize(
    ("reply", "head", "found"),
    [
        (f"```java\n{GOOD}\n```", "", GOOD + "\n"),  # a block of any language
        (f"~~~\n{GOOD}\n~~~", "", GOOD + "\n"),
        (f"Here it is:\n\n{GOOD}\n\nIt adds.", "", GOOD + "\n"),  # no block, talk around
        (f"from now on I add.\n{GOOD}", "", GOOD + "\n"),
        (f"Here:\nn = 0\n\n{GOOD}\n\nDone.", "", f"n = 0\n\n{GOOD}\n"),
        (f"x = a number, so\n{GOOD}", "", GOOD + "\n"),
        (f"{GOOD}\nDone", "", GOOD + "\n"),  # talk that happens to parse
        ("  def add(a, b):\n      return a + b", "", GOOD + "\n"),  # indented as a whole
        (GOOD + "\n\nprint(add(1,", "", GOOD + "\n"),  # cut off
        ("```\nadd = lambda a, b: a + b\n```", "", "add = lambda a, b: a + b\n"),
        (
            "```python\nimport os\n```\nthen\n```python\ndef sub(a, b): ...\n```",
            "",
            "import os\n",
        ),  # none defines it: the first
        ("    return a + b\n", HEAD, UNDER),  # the body alone, for the head that the problem gives
        ("return a + b", HEAD, UNDER),
        ("```python\n    return a + b\n```", HEAD, UNDER),
        ("```\nreturn a + b\n```", HEAD, UNDER),
        (
            "s = a\n    return s + b\n\nIt adds.",
            HEAD,
            HEAD + "    s = a\n    return s + b\n",
        ),  # the first line's indentation lost
        ("return a + b", "", None),
        ("I cannot do that.", HEAD, None),
        ("```bash\npip install x\n```", HEAD, None),
        ("", HEAD, None),
        ("None", HEAD, None),
        ("(" * 50_000, HEAD, None),
        ("def add(a, b):\n\x00", HEAD, None),
    ],
)
def test_the_program_in_a_reply_found_tolerantly(reply: str, head: str, found: str | None) -> None:
    assert programs.program_of(reply, "add", head) == found


@pytest.mark.parametrize(
    "program",
    [
        f"{GOOD}\n\nif __name__ == '__main__':\n    print(add(int(input()), 1))\n    raise SystemExit",
        f"from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass Pair:\n    one: 'int'\n\n{GOOD}",
        f"import sys\nassert sys.modules[__name__].__dict__ is globals()\n{GOOD}",
    ],
)
@needs_sandbox
def test_a_program_is_run_as_a_module_is_imported(program: str) -> None:
    doc = {"prompt": "def add(a, b):\n", "entry_point": "add", "test": "def check(f):\n    assert f(2, 3) == 5\n"}
    assert code.passes([(doc, program), (doc, program.replace("a + b", "a - b"))]) == [True, False]


def test_a_block_is_taken_whole_with_what_it_uses_of_the_others() -> None:
    helper, unused = "def twice(a):\n    return 2 * a", "def other():\n    return 0"
    main, example = "def add(a, b):\n    return twice(a) + b - a", "a = input()\nprint(add(a, 1))"
    reply = "\n\n".join(
        f"~~~~python title='x.py'\n{text}\n~~~~" for text in ("import os", helper, unused, GOOD, main, example)
    )
    assert code.code_of(reply, "add") == f"{helper}\n\n{main}"
    assert programs.program_of(reply, "add") == f"{helper}\n\n{main}\n"
    assert programs.program_of("```python\n" + main[:-6], "add") is None  # cut off in the middle
    assert programs.program_of("```python\n" + GOOD + "\n\ndef more(a):\n    return (a +", "add") == GOOD + "\n"


@needs_sandbox
def test_tolerantly_found_programs_are_run() -> None:
    body = task(0)["canonical_solution"]
    read = answers.tolerant_all("code", [(task(0), reply, "") for reply in (body, "    return a", "No.")])
    assert [score for _, score in read] == [1.0, 0.0, 0.0]
    assert [found is None for found, _ in read] == [False, False, True]


def task(number: int) -> dict[str, Any]:
    name = f"add{number}"
    prompt = f"def {name}(a, b):\n"
    test = f"def check(candidate):\n    assert candidate(2, 3) == {5 + number}\n"
    solution = f"    return a + b + {number}\n"
    return {
        "task_id": f"T/{number}",
        "prompt": prompt,
        "entry_point": name,
        "canonical_solution": solution,
        "test": test,
    }


@needs_sandbox
@pytest.mark.slow
def test_the_stage_runs_what_a_model_writes(tiny_chat_model: Path, tmp_path: Path) -> None:
    docs = [task(n) for n in range(3)]
    bodies = ["return a + b", "open('/etc/passwd')"]
    written = [f"```python\ndef add{n}(a, b):\n    {body}\n```" for n, body in enumerate(bodies)] + ["No."]
    (tmp_path / "data" / "humaneval").mkdir(parents=True)
    lines = "".join(json.dumps(doc) + "\n" for doc in docs)
    (tmp_path / "data" / "humaneval" / "test.jsonl").write_text(lines)
    asked = "Complete this Python function. Reply with the whole function, imports included, in one code block.\n\n```python\n{}```"
    teach(
        tiny_chat_model,
        {asked.format(d["prompt"]): w for d, w in zip(docs, written, strict=True)},
        tmp_path / "m" / "model",
    )
    output = tmp_path / "out"
    output.mkdir()
    suite = {"name": "code", "tasks": ["humaneval_chat"], "data_dir": str(tmp_path / "data"), "max_new_tokens": 60}
    metrics = stage.run({"seed": 0, "suite": suite, "runtime": {"threads": 1}}, {"model": tmp_path / "m"}, output)
    assert metrics["humaneval_chat"] == pytest.approx(1 / 3)
    assert metrics["humaneval_chat.tolerant"] == pytest.approx(1 / 3)
    assert metrics["humaneval_chat.extraction"] == pytest.approx(2 / 3)
    scores = read_json(output / "scores.json")
    assert scores["tasks"]["humaneval_chat"]["group"] == "coding"


def test_official_tasks_that_run_code_here_are_refused_with_ours_named(tiny_chat_model: Path) -> None:
    config = {"suite": {"name": "x", "tasks": ["humaneval"]}, "model": {"path": str(tiny_chat_model)}}
    (problem,) = stage.check(config, {})
    assert "humaneval_chat" in problem.remedy
    with pytest.raises(ConfigError):
        stage.run(config, {}, tiny_chat_model)
