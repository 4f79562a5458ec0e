"""Scores replies whose answer is a program: extracts the code and runs it with the item's tests in the sandbox.

The task YAMLs in `eval/tasks/code/` refer to `codes_of` and `judge`. lm-eval first calls `codes_of` with all replies of
a task. `codes_of` runs their programs together and keeps the verdicts in this module. Then lm-eval calls `judge` for
each item, and `judge` takes the verdict from there. The strict rules are those of `code_of`; the tolerant rules are in
programs.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gra.eval import sandbox
from gra.eval.sandbox import Isolation, Limits, SandboxError, Verdict
from gra.eval.scoring import blocks, programs
from gra.eval.scoring.thoughts import spoken

UNPROTECTED = Isolation("none", lambda command, _: command, own_user=False)
_FUTURE = re.compile(r"^from __future__ import [^\n;]+", re.MULTILINE)
_way: list[Isolation] = []  # set by `protect`; empty: the best available
_verdicts: dict[str, Verdict] = {}  # by program


def protect(choice: str) -> None:
    """Set how this process runs the programs in replies from now on: in a sandbox, or without one.

    `choice`: the setting `suite.sandbox`. The value `auto` means the best sandbox that works here. The value `none`
    means no sandbox, with limits only on time and memory.

    Raises SandboxError if no sandbox works, or if a harmless program fails without a sandbox.
    """
    way = UNPROTECTED if choice == "none" else sandbox.isolation()
    if way is UNPROTECTED and (refused := sandbox.refusal(way)) is not None:
        raise SandboxError(
            f"a harmless test program failed to run without a sandbox: {refused}\n"
            "    -> check that this Python starts with -I -S and that /tmp exists"
        )
    _way[:] = [way]


def code_of(reply: str, name: str | None) -> str | None:
    """Return the Python code that the strict extraction rules find in a reply; None if there is none.

    Reasoning is removed first. From the code blocks, the rules take the last one that defines the function `name`, or
    else the first one. If that block uses parts of other blocks, these parts are put before it. A block without a
    closing fence counts as a block.

    A reply without any block is returned whole if all of it is Python and it has a top-level definition or import.
    """
    reply = spoken(reply)
    found = blocks.fenced(reply)
    if found:
        return programs.chosen([block.text for block in found if block.python], name)
    return reply if re.search(r"^(def|class|import|from)\s", reply, re.MULTILINE) and programs.parses(reply) else None


def program_of(doc: Mapping[str, Any], code: str) -> str:
    """Return the program that tests `code`, the code of a reply to the item `doc`.

    For HumanEval, it consists of the prompt (with its imports and helpers), the code and the tests. For MBPP, it
    consists of the code, the item's setup code and the tests.
    """
    future = "".join(f"{line}\n" for line in dict.fromkeys(_FUTURE.findall(code)))  # Python requires them first
    if "entry_point" in doc:
        return f"{future}{doc['prompt']}\n    pass\n\n{_FUTURE.sub('', code)}\n\n{doc['test']}\n\ncheck({doc['entry_point']})\n"
    tests = [*doc["test_list"], *(doc.get("challenge_test_list") or ())]
    setup = doc.get("test_setup_code") or "\n".join(doc.get("test_imports") or ())
    return "\n".join([code, setup, *tests, ""])


def codes_of(replies: Iterable[Sequence[str]], docs: Sequence[Mapping[str, Any]]) -> list[list[str | None]]:
    """Return the code of every reply of every item; None for a reply without code.

    lm-eval calls this function as a `custom` filter. The function also runs all programs together, so that `judge`
    knows their verdicts.
    """
    found = [[code_of(reply, _name(doc)) for reply in several] for several, doc in zip(replies, docs, strict=True)]
    _run(
        {
            program_of(doc, code)
            for several, doc in zip(found, docs, strict=True)
            for code in several
            if code is not None
        }
    )
    return found


def judge(doc: Mapping[str, Any], results: Sequence[str | None]) -> dict[str, float]:
    """Return an item's metrics. lm-eval calls this function as `process_results`.

    `pass_at_1`: whether the code passes the tests.
    `no_answer`: whether the reply has no code.
    """
    code = results[0]
    if code is None:
        return {"pass_at_1": 0.0, "no_answer": 1.0}
    return {"pass_at_1": float(_verdicts[program_of(doc, code)].passed), "no_answer": 0.0}


def tolerant_all(items: Sequence[tuple[Mapping[str, Any], str]]) -> list[tuple[str | None, float]]:
    """Return, for each (item, reply), the program found by lenient extraction (None without one) and its score.

    The score is 1.0 if the program passes the tests, else 0.0.
    """
    found = [
        programs.program_of(reply, _name(doc), str(doc["prompt"]) if "entry_point" in doc else "")
        for doc, reply in items
    ]
    right = passes([(doc, code) for (doc, _), code in zip(items, found, strict=True)])
    return [(code, float(verdict)) for code, verdict in zip(found, right, strict=True)]


def passes(items: Sequence[tuple[Mapping[str, Any], str | None]]) -> list[bool]:
    """Return, for each (item, code or None), whether the code passes the item's tests."""
    whole = [program_of(doc, code) if code is not None else None for doc, code in items]
    _run({program for program in whole if program is not None})
    return [text is not None and _verdicts[text].passed for text in whole]


def _run(due: set[str]) -> None:
    """Run the programs that this process has not run yet."""
    new = sorted(due - _verdicts.keys())
    if new:
        _verdicts.update(zip(new, sandbox.run_all(new, Limits(), way=_way[0] if _way else None), strict=True))


def _name(doc: Mapping[str, Any]) -> str | None:
    """Return the name of the function that the tests call.

    It is HumanEval's entry point, or the first function called in MBPP's first test.
    """
    if "entry_point" in doc:
        return str(doc["entry_point"])
    around = r"\b(assert|set|sorted|list|not|math\.\w+|abs|tuple|len)\b"
    called = re.search(r"([A-Za-z_]\w*)\s*\(", re.sub(around, " ", doc["test_list"][0]))
    return called[1] if called else None
