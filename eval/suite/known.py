"""Provides questions with known answers for `gra probe` (gra/known.py): training splits of benchmarks, scored by our own rules.

Config: `probe.sources: [{_target_: gra.eval.suite.known.source, data_dir: DIR, benchmarks: [gsm8k, mbpp]}]`. DIR is a
folder as for `suite.data_dir`, with files such as DIR/gsm8k/train.jsonl.gz. Splits that are used to score benchmarks
are never read.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from gra.errors import ConfigError, EvalError, Problem
from gra.eval.sandbox.run import SandboxError
from gra.eval.scoring import code, multiple_choice, number
from gra.eval.suite.local_data import records
from gra.known import AnySeed, Known
from gra.paths import expanded
from gra.settings import Settings, parse

# The files of each benchmark; the first that exists is used. No task scores these splits (eval/tasks/, lm-eval's tasks).
FILES: dict[str, tuple[str, ...]] = {
    "gsm8k": ("gsm8k/train", "gsm8k/main/train"),
    "arc_easy": ("arc_easy/train", "arc_easy/validation"),
    "arc_challenge": ("arc_challenge/train", "arc_challenge/validation"),
    "mbpp": ("mbpp/full/train", "mbpp/train", "mbpp/sanitized/train"),
}
_CALCULATION = re.compile(r"<<[^<>\n]*>>")


class KnownSettings(Settings):
    """Keys of the source `gra.eval.suite.known.source`: benchmark items with their known answers."""

    data_dir: str = Field(description="Folder of benchmark files, as suite.data_dir.")
    benchmarks: list[str] = Field(
        ["gsm8k", "arc_challenge", "mbpp"], min_length=1, description=f"Any of: {', '.join(FILES)}."
    )
    limit: int = Field(200, ge=1, description="Maximum number of items of each benchmark, drawn by `draw`.")
    draw: int = Field(0, description="Seed that draws the items.")
    sandbox: str = Field(
        "auto", pattern="^(auto|none)$", description="How programs in the answers are run, as suite.sandbox."
    )


def source(settings: dict[str, object], seeds: Sequence[AnySeed]) -> list[Known]:  # noqa: ARG001 - the run's seeds are not used
    """Return questions of benchmarks with their known answers, as `settings` (KnownSettings) select them.

    The argument `seeds` is not used. Raises ConfigError for wrong keys, unknown benchmarks, and missing or unreadable
    files.
    """
    given, problems = parse(KnownSettings, settings, "probe.sources")
    if given is None:
        raise ConfigError(problems)
    folder = expanded(given.data_dir)
    found: list[Known] = []
    for name in given.benchmarks:
        if name not in FILES:
            remedy = f"one of: {', '.join(FILES)}"
            problems.append(Problem("probe.sources.benchmarks", f"no training items are known for `{name}`", remedy))
            continue
        candidates = [folder / f"{stem}{end}" for stem in FILES[name] for end in (".jsonl", ".jsonl.gz")]
        path = next((file for file in candidates if file.is_file()), None)
        if path is None:
            looked = ", ".join(f"{stem}.jsonl" for stem in FILES[name])
            problems.append(
                Problem("probe.sources.data_dir", f"no {looked} (or .gz) in {folder}", f"put {name}'s items there")
            )
            continue
        try:
            found += _items(name, path, given)
        except (EvalError, OSError, SandboxError) as error:
            problems.append(
                Problem("probe.sources.data_dir", str(error), "correct the file, or leave the benchmark out")
            )
    if problems:
        raise ConfigError(problems)
    return found


def _items(name: str, path: Path, settings: KnownSettings) -> list[Known]:
    kind: Callable[[str, Mapping[str, Any]], Known | None] = {"gsm8k": _gsm8k, "mbpp": _mbpp}.get(name, _choice)
    if name == "mbpp":
        code.protect(settings.sandbox)
    docs = [(f"{name}-{place}", doc) for place, doc in enumerate(records(path))]
    random.Random(f"{settings.draw}/{name}").shuffle(docs)
    found = (kind(identity, doc) for identity, doc in docs)
    return [
        known for known, _ in zip((known for known in found if known is not None), range(settings.limit), strict=False)
    ]


def _gsm8k(identity: str, doc: Mapping[str, Any]) -> Known | None:
    question, solution = doc.get("question"), doc.get("answer")
    if not isinstance(question, str) or not isinstance(solution, str) or "####" not in solution:
        return None
    working, _, gold = _CALCULATION.sub("", solution).rpartition("####")
    gold = gold.strip()
    return Known(
        identity, question, f"{working.strip()}\nThe answer is {gold}.", "mathematics", partial(_same_number, gold)
    )


def _same_number(gold: str, reply: str) -> bool:
    stated = number.stated(reply)
    return stated is not None and number.same(stated, gold)


def _choice(identity: str, doc: Mapping[str, Any]) -> Known | None:
    question = doc.get("question")
    try:
        options, gold = multiple_choice.options_of(doc), multiple_choice.gold_letter(doc)
    except EvalError:
        return None
    place = multiple_choice.LETTERS.index(gold)
    if not isinstance(question, str) or not 1 < len(options) <= len(multiple_choice.LETTERS) or place >= len(options):
        return None
    listed = "\n".join(f"{letter}. {option}" for letter, option in zip(multiple_choice.LETTERS, options, strict=False))
    wrong = tuple(
        f"The answer is {letter}. {option}"
        for letter, option in zip(multiple_choice.LETTERS, options, strict=False)
        if letter != gold
    )
    instruction = f"{question}\n{listed}\nWhich option is right?"
    right = partial(_same_letter, gold, tuple(options))
    return Known(identity, instruction, f"The answer is {gold}. {options[place]}", "question answering", right, wrong)


def _same_letter(gold: str, options: tuple[str, ...], reply: str) -> bool:
    return multiple_choice.stated(reply, options) == gold


def _mbpp(identity: str, doc: Mapping[str, Any]) -> Known | None:
    text, tests, solution = doc.get("text") or doc.get("prompt"), doc.get("test_list"), doc.get("code")
    if not isinstance(text, str) or not isinstance(solution, str) or not isinstance(tests, list) or not tests:
        return None
    plain = solution.replace("\r\n", "\n").strip()
    shown = "\n".join(str(test).replace("\r\n", "\n") for test in tests)
    instruction = (
        f"{text}\nReply with Python code in one code block. It has to pass these tests:\n```python\n{shown}\n```"
    )
    return Known(identity, instruction, f"```python\n{plain}\n```", "coding", partial(_passes, dict(doc)))


def _passes(doc: Mapping[str, Any], reply: str) -> bool:
    return code.tolerant_all([(doc, reply)])[0][1] == 1.0
