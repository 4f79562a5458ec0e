"""Converts four-choice items to the columns for the YAMLs in `eval/tasks/choice/`: `choices` and `answer` (a letter).

`hellaswag` and `gpqa` are `process_docs` functions of lm-eval: they convert a datasets.Dataset in the hub's schema.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

LETTERS = "ABCD"
_MARKER = re.compile(r"\[[^\]]*\]")  # WikiHow's [header], [step], [substeps]


def hellaswag(dataset: Any) -> Any:
    """Return HellaSwag's records with the additional columns `context`, `choices` and `answer`.

    `dataset`: records with the columns ctx_a, ctx_b, endings and label ("0".."3").
    """
    from datasets import Dataset

    return Dataset.from_list([dict(doc) | _continued(doc) for doc in dataset])


def gpqa(dataset: Any) -> Any:
    """Return GPQA's records with only the columns `id`, `question`, `choices` and `answer`.

    `dataset`: records with the columns Question, Correct Answer and Incorrect Answer 1..3. Its other columns are
    dropped.
    """
    from datasets import Dataset

    return Dataset.from_list([_shuffled(doc) for doc in dataset])


def order(question: str, answers: Sequence[str]) -> list[int]:
    """Return the order in which an item's options are shown, as a list of positions in `answers`.

    The options are sorted by a hash of question and option. The order therefore depends neither on the right answer's
    position in the file nor on a random state. Equal answers keep their order.
    """
    return sorted(
        range(len(answers)), key=lambda place: hashlib.sha256(f"{question}\0{answers[place]}".encode()).digest()
    )


def _continued(doc: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "context": _plain(f"{doc['ctx_a']} {doc['ctx_b'].capitalize()}"),
        "choices": [_plain(ending) for ending in doc["endings"]],
        "answer": LETTERS[int(doc["label"])],
    }


def _shuffled(doc: Mapping[str, Any]) -> dict[str, Any]:
    question = doc["Question"].strip()
    answers = [
        doc[key].strip() for key in ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
    ]
    shown = order(question, answers)
    name = doc.get("Record ID") or hashlib.sha256(question.encode()).hexdigest()[:16]
    return {
        "id": name,
        "question": question,
        "choices": [answers[place] for place in shown],
        "answer": LETTERS[shown.index(0)],
    }


def _plain(text: str) -> str:
    """Return `text` without WikiHow's markers, as lm-eval and OpenCompass do.

    [title] becomes the end of a sentence; other markers are removed.
    """
    return _MARKER.sub("", text.strip().replace(" [title]", ". ")).replace("  ", " ").strip()
