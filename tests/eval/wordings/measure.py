"""How many of the wordings are misread: `python tests/eval/wordings/measure.py FOLDER [--show]`, a line per file and kind.

FOLDER holds files such as `dev/`; README.md beside this file says what stands in them. Asked of the readings is only what `python
-m eval` asks of them (answers.tolerant_all, letters.answers_of, and the patterns of lm-eval's own tasks), so that the same command
measures older trees, too. Programs run in the sandbox.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from gra.eval.scoring import answers, multiple_choice, number  # noqa: E402
from gra.eval.suite import catalogue  # noqa: E402

Line = dict[str, Any]
OPTIONS = {
    "geometric_shapes": 11,
    "hyperbaton": 2,
    "snarks": 2,
    "logical_deduction_three_objects": 3,
    "disambiguation_qa": 3,
}
GOLDS = {  # what a right answer of the task looks like, where the wording has none
    "boolean_expressions": "True",
    "causal_judgement": "Yes",
    "navigate": "Yes",
    "web_of_lies": "Yes",
    "sports_understanding": "yes",
    "formal_fallacies": "valid",
    "object_counting": "7",
    "multistep_arithmetic_two": "7",
    "dyck_languages": "]",
    "word_sorting": "neither nor",
}
QUESTIONS = {  # what the readings look at of the questions that list no options
    "word_sorting": "Sort the words",
    "sports_understanding": "Is the following sentence plausible?",
    "navigate": "If you follow these instructions, do you return to the starting point?",
    "web_of_lies": "Does Jamey tell the truth?",
}


def kind_of(name: str, line: Line) -> str:
    """The file whose reading applies."""
    return str(line.get("answers", name))


def lines(folder: Path) -> Iterator[tuple[str, Line]]:
    """Every wording with the name of its file."""
    for path in sorted(folder.glob("*.jsonl")):
        for text in path.read_text(encoding="utf-8").splitlines():
            if text.strip():
                yield path.stem, json.loads(text)


def misread(folder: Path) -> list[tuple[str, Line, str, str | None]]:
    """Of each wording that is read otherwise: its file, itself, which reading, and what was found."""
    every = list(lines(folder))
    faults: list[tuple[str, Line, str, str | None]] = []
    for kind, reader in (("letters", _letters), ("numbers", _numbers), ("bbh", _bbh), ("math", _math), ("code", _code)):
        mine = [(name, line) for name, line in every if kind_of(name, line) == kind]
        found = reader([line for _, line in mine]) if mine else []
        faults += [
            (name, line, "tolerant", said) for (name, line), (said, right) in zip(mine, found, strict=True) if not right
        ]
    for name, line in every:
        if line.get("strict") is not None:
            said = _strict(kind_of(name, line), line)
            if not _same(kind_of(name, line), said, line["strict"]):
                faults.append((name, line, "strict", said))
    return faults


def _options(line: Line) -> list[str]:
    return [str((line.get("choice_texts") or {}).get(letter, letter)) for letter in line["choices"]]


def _letters(mine: Sequence[Line]) -> list[tuple[str | None, bool]]:
    docs = [{"choices": _options(line), "answer": line["tolerant"] or "A"} for line in mine]
    return _read("letter", mine, docs, [str(doc["answer"]) for doc in docs])


def _numbers(mine: Sequence[Line]) -> list[tuple[str | None, bool]]:
    return _read("number", mine, [{}] * len(mine), [line["tolerant"] or "0" for line in mine])


def _math(mine: Sequence[Line]) -> list[tuple[str | None, bool]]:
    return _read("math", mine, [{"answer": line["tolerant"] or "0"} for line in mine], [""] * len(mine))


def _bbh(mine: Sequence[Line]) -> list[tuple[str | None, bool]]:
    docs, golds = [], []
    for line in mine:
        task = line["task"]
        listed = "\n".join(f"({letter}) {letter}" for letter in multiple_choice.LETTERS[: OPTIONS.get(task, 6)])
        question = QUESTIONS.get(task, "") if task in GOLDS else f"Which?\nOptions:\n{listed}"
        docs.append({"input": question})
        golds.append(line["tolerant"] or GOLDS.get(task, "(A)"))
    return _read("bbh", mine, docs, golds)


def _read(kind: str, mine: Sequence[Line], docs: Sequence[Line], golds: Sequence[str]) -> list[tuple[str | None, bool]]:
    """Right: nothing where nothing is expected, else the right answer."""
    found = answers.tolerant_all(
        kind, [(doc, line["reply"], gold) for line, doc, gold in zip(mine, docs, golds, strict=True)]
    )
    return [
        (said, said is None if line["tolerant"] is None else score == 1.0)
        for line, (said, score) in zip(mine, found, strict=True)
    ]


def _code(mine: Sequence[Line]) -> list[tuple[str | None, bool]]:
    """Right: a program that passes, or none where none is expected. MBPP's form, whose first test names the function."""
    docs = [{"test_list": [f"assert True or {line['entry_point']}()", line.get("test", "")]} for line in mine]
    found = answers.tolerant_all("code", [(doc, line["reply"], "") for line, doc in zip(mine, docs, strict=True)])
    return [
        (said, said is None if line.get("expect") == "none" else score == 1.0)
        for line, (said, score) in zip(mine, found, strict=True)
    ]


def _strict(kind: str, line: Line) -> str | None:
    if kind == "letters":
        return multiple_choice.answers_of([[line["reply"]]], [{"choices": _options(line)}])[0][0]
    if kind == "math":
        from gra.eval.scoring import mathematics

        return mathematics.answer_of(line["reply"])
    path = catalogue.find("gsm8k" if kind == "numbers" else f"bbh_cot_fewshot_{line['task']}")
    assert path is not None, line
    pattern = catalogue.read(path)["filter_list"][0]["filter"][0]["regex_pattern"]
    return next(iter(re.findall(pattern, line["reply"])), None)


def _same(kind: str, said: str | None, expected: str) -> bool:
    if kind == "numbers":
        return said is not None and number.same(said, expected)
    return said == expected


def main(argv: Sequence[str]) -> int:
    """Print the shares; returns 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--show", action="store_true", help="every wording that is misread, too")
    options = parser.parse_args(argv)
    every = list(lines(options.folder))
    faults = misread(options.folder)
    wrong = Counter((name, line["kind"]) for name, line, reading, _ in faults if reading == "tolerant")
    count = Counter((name, line["kind"]) for name, line in every)
    for name in sorted({name for name, _ in count}):
        kinds = [key for key in count if key[0] == name]
        _say(name, sum(wrong[key] for key in kinds), sum(count[key] for key in kinds))
        for key in kinds:
            _say(f"    {key[1]}", wrong[key], count[key])
    _say("tolerant, all", sum(wrong.values()), len(every))
    _say(
        "strict, where a value is given",
        sum(f[2] == "strict" for f in faults),
        sum(x.get("strict") is not None for _, x in every),
    )
    for name, line, reading, said in faults if options.show else ():
        print(
            f"\n{name} {line['id']} ({line['kind']}), {reading}: {said!r}, expected {line.get(reading, line.get('expect'))!r}"
        )
        print(line["reply"])
    return 0


def _say(what: str, wrong: int, count: int) -> None:
    print(f"{what:<34} {wrong:>4} of {count:>4} misread  {100 * wrong / max(count, 1):5.1f} %")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
