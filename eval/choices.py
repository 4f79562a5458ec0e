"""Items of four choices as the task YAMLs in `eval/tasks/choice/` want them: `choices`, and `answer`, the right one's letter.

The functions are lm-eval's `process_docs`: a datasets.Dataset in the hub's schema in, one with these columns out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

LETTERS = "ABCD"
_MARKER = re.compile(r"\[[^\]]*\]")  # WikiHow's [header], [step], [substeps]


def hellaswag(dataset: Any) -> Any:
    """HellaSwag's records {ctx_a, ctx_b, endings, label: "0".."3"} with `context`, `choices`, `answer`."""
    from datasets import Dataset

    return Dataset.from_list([dict(doc) | _continued(doc) for doc in dataset])


def gpqa(dataset: Any) -> Any:
    """GPQA's records {Question, Correct Answer, Incorrect Answer 1..3} as {id, question, choices, answer}, and no more of them."""
    from datasets import Dataset

    return Dataset.from_list([_shuffled(doc) for doc in dataset])


def order(question: str, answers: Sequence[str]) -> list[int]:
    """The places of `answers` in the order in which they are shown: by a hash of question and answer, so that it depends on the
    item alone, neither on where the right one stands in the file nor on a random generator's state; equal answers as they came."""
    return sorted(range(len(answers)), key=lambda place: hashlib.sha256(f"{question}\0{answers[place]}".encode()).digest())


def _continued(doc: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "context": _plain(f"{doc['ctx_a']} {doc['ctx_b'].capitalize()}"),
        "choices": [_plain(ending) for ending in doc["endings"]],
        "answer": LETTERS[int(doc["label"])],
    }


def _shuffled(doc: Mapping[str, Any]) -> dict[str, Any]:
    question = doc["Question"].strip()
    answers = [doc[key].strip() for key in ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")]
    shown = order(question, answers)
    name = doc.get("Record ID") or hashlib.sha256(question.encode()).hexdigest()[:16]
    return {
        "id": name,
        "question": question,
        "choices": [answers[place] for place in shown],
        "answer": LETTERS[shown.index(0)],
    }


def _plain(text: str) -> str:
    """Without WikiHow's markers, as lm-eval and OpenCompass have it: a title ends a sentence, the others vanish."""
    return _MARKER.sub("", text.strip().replace(" [title]", ". ")).replace("  ", " ").strip()
