"""IFEval without a download: lm-eval's checks, with the sentence splitter that they need, and guarded against hostile replies.

lm-eval's checks count sentences and words with NLTK's model `punkt_tab`, and download it when they are imported. Where it is
installed it is used. Where it is not, `eval/punkt` serves: the same algorithm with a list of abbreviations and of common words
written for this project (docs in eval/MAPPING.md); counts can differ by a sentence where a text has rarer abbreviations. Which of
the two it was stands in every logged item (`sentence_splitter`), so that two runs can be told apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

OWN = Path(__file__).parent / "punkt"
_LONG = 50_000  # characters of a reply that are judged; 4096 tokens of English have some 20,000
_LOOP = re.compile(r"(.{1,20}?)\1{1000,}", re.DOTALL)  # some of the checks take quadratic time on "[[[[...", and models get stuck


def prepare() -> str:
    """Make lm-eval's checks importable with no download, and their verdicts repeatable; returns the splitter's name."""
    import langdetect
    import nltk

    langdetect.DetectorFactory.seed = 0
    try:
        found = str(nltk.data.find("tokenizers/punkt_tab/english/"))
    except LookupError:
        nltk.data.path.append(str(OWN))
        found = str(nltk.data.find("tokenizers/punkt_tab/english/"))
    _count_any_character()
    return "gra's abbreviations" if str(OWN) in found else "nltk punkt_tab"


@cache
def _count_any_character() -> None:
    """Let the check of how often a letter comes count the character that the item names. Two items name "#" and "!", for which
    lm-eval, as Google's code, counts a letter drawn at random, so that the same reply is judged differently each time."""
    from lm_eval.tasks.ifeval import instructions, instructions_registry

    class Frequency(instructions.LetterFrequencyChecker):  # type: ignore[misc]
        def build_description(self, *, letter: str | None = None, **given: Any) -> str:
            said = str(super().build_description(letter=letter, **given))
            if letter and len(letter.strip()) == 1:
                self._letter = letter.strip().lower()
            return said

    instructions_registry.INSTRUCTION_DICT["keywords:letter_frequency"] = Frequency


def documents(dataset: Any) -> Any:
    """lm-eval's `process_docs`: google/IFEval's records {key, prompt, instruction_id_list, kwargs}, with `sentence_splitter`."""
    return dataset.add_column("sentence_splitter", [prepare()] * len(dataset))


def judge(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """lm-eval's `process_results` for one item: all instructions followed, and which; strict, and loose (first or last line, or
    asterisks, left out). Of a text repeated more than 1,000 times in a row, 1,000 are judged. A reply on which a check itself
    breaks (JSON nested too deep for Python) follows none of the instructions."""
    prepare()
    from lm_eval.tasks.ifeval import utils

    reply = _LOOP.sub(lambda run: run[1] * 1000, results[0][:_LONG])
    try:
        return dict(utils.process_results(doc, [reply]))
    except RecursionError:
        none = [False] * len(doc["instruction_id_list"])
        return {f"{level}_{way}_acc": none if level == "inst_level" else False
                for level in ("prompt_level", "inst_level") for way in ("strict", "loose")}  # fmt: skip


def share_of_instructions(items: Sequence[Sequence[bool]]) -> float:
    """lm-eval's aggregation over all instructions of all items: the share that was followed."""
    every = [followed for item in items for followed in item]
    return sum(every) / len(every)
