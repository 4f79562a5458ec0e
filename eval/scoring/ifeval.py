"""Runs lm-eval's checks for IFEval without a download and guards them against hostile replies.

lm-eval's checks count sentences and words with NLTK's model `punkt_tab` and download it on import. An installed `punkt_tab` is
used; otherwise `eval/scoring/punkt` replaces it: the same algorithm with lists of abbreviations and common words written for this
project (see eval/MAPPING.md). Counts can differ by a sentence in texts with rarer abbreviations. Every logged item states which
of the two was used (`sentence_splitter`), so that runs can be compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

OWN = Path(__file__).parent / "punkt"
_LONG = 50_000  # characters of a reply that are judged; 4096 tokens of English have about 20,000
# Models can repeat a text endlessly ("[[[[..."), and some checks take quadratic time on such a reply.
_LOOP = re.compile(r"(.{1,20}?)\1{1000,}", re.DOTALL)


def prepare() -> str:
    """Prepare lm-eval's checks for IFEval's instructions, and return the name of the sentence splitter that they use.

    Afterwards the checks can be imported without a download, and their verdicts are repeatable.
    """
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
    """Make IFEval's check of letter frequency accept characters that are not letters.

    Two items ask for the frequency of "#" and "!". For these items, lm-eval (like Google's code) counts a random letter
    instead, so the same reply can get different verdicts.
    """
    from lm_eval.tasks.ifeval import instructions, instructions_registry

    class Frequency(instructions.LetterFrequencyChecker):  # type: ignore[misc]
        def build_description(self, *, letter: str | None = None, **given: Any) -> str:
            said = str(super().build_description(letter=letter, **given))
            if letter and len(letter.strip()) == 1:
                self._letter = letter.strip().lower()
            return said

    instructions_registry.INSTRUCTION_DICT["keywords:letter_frequency"] = Frequency


def documents(dataset: Any) -> Any:
    """Return IFEval's records with the additional column `sentence_splitter`.

    lm-eval calls this function as `process_docs` with the records of google/IFEval. Their columns are key, prompt,
    instruction_id_list and kwargs.
    """
    return dataset.add_column("sentence_splitter", [prepare()] * len(dataset))


def judge(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Return an item's metrics: whether the reply follows all instructions, and which ones it follows.

    lm-eval calls this function as `process_results`.

    The strict metrics check the reply as it is. For the loose metrics, an instruction also counts as followed if the
    reply follows it after its first line, its last line or its asterisks are removed. A text repeated more than 1,000
    times in a row is cut to 1,000 repeats. If the reply makes a check crash (JSON nested too deep for Python), it
    counts as following no instruction.
    """
    prepare()
    from lm_eval.tasks.ifeval import utils

    reply = _LOOP.sub(lambda run: run[1] * 1000, results[0][:_LONG])
    try:
        return dict(utils.process_results(doc, [reply]))
    except RecursionError:
        none = [False] * len(doc["instruction_id_list"])
        return {
            f"{level}_{way}_acc": none if level == "inst_level" else False
            for level in ("prompt_level", "inst_level")
            for way in ("strict", "loose")
        }


def share_of_instructions(items: Sequence[Sequence[bool]]) -> float:
    """Return the share of followed instructions among all instructions of all items.

    lm-eval calls this function to compute the metric of a whole task.
    """
    every = [followed for item in items for followed in item]
    return sum(every) / len(every)
