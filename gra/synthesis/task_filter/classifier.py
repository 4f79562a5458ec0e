"""PURE: a classifier that gives the probability that an instruction is a task, learned from labelled instructions.

It is a logistic regression over TF-IDF weights of words (one to three in sequence) and of pieces of words (two to five
characters), from scikit-learn. It learns from a few hundred labels in a few seconds and needs neither a GPU nor a download.
The same labels give the same probabilities on one kind of CPU. On another, sums are rounded otherwise, so probabilities
are rounded to four digits before they are compared with the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from gra.synthesis.task_filter.label_files import LONGEST, Labelled

DIGITS = 4  # of a probability
PARTS = 8  # of the cross-validation
STRENGTH = 5.0  # scikit-learn's C; 1 and 20 did no better by cross-validation


class TaskFilter:
    """Rejects instructions that are probably no tasks. `threshold`: the lowest probability of being a task at which an
    instruction passes."""

    def __init__(self, labelled: Labelled, threshold: float):
        self._labelled, self._threshold = labelled, threshold
        self._fitted = _new().fit(*_items(labelled))

    def fault(self, instruction: str) -> str | None:
        """Return why the instruction is rejected, or None if it passes."""
        found = self.probability(instruction)
        if found >= self._threshold:
            return None
        return f"probability {found:g} of being a task, below {self._threshold:g}"

    @cached_property
    def account(self) -> dict[str, Any]:
        """The number of labels that the filter was trained on, and how well it tells tasks from other texts in a
        cross-validation.

        `auc`: the probability that a task scores higher than another text. `tasks_pass`: the share of the tasks that
        pass the filter. `others_pass`: the share of the other texts that pass. These three keys are missing if the
        labels are too alike for a cross-validation.
        """
        from gra.synthesis.probe.auc import auc  # here, since it loads numpy: a run without labels starts without it

        _, tasks = _items(self._labelled)
        account: dict[str, Any] = {
            "tasks": len(self._labelled.tasks),
            "others": len(self._labelled.others),
            "skipped": self._labelled.skipped,
            "threshold": self._threshold,
        }
        found = cross_validated(self._labelled)
        if found is None or (area := auc(list(found.values()), tasks)) is None:
            return account
        passed = [one >= self._threshold for one in found.values()]
        of_tasks = [one for one, task in zip(passed, tasks, strict=True) if task]
        of_others = [one for one, task in zip(passed, tasks, strict=True) if not task]
        return account | {
            "auc": round(area.value, 2),
            "tasks_pass": round(sum(of_tasks) / len(of_tasks), 2),
            "others_pass": round(sum(of_others) / len(of_others), 2),
        }

    def probability(self, instruction: str) -> float:
        """Return the probability that the instruction is a task, between 0 and 1."""
        return round(float(self._fitted.predict_proba([instruction.strip()[:LONGEST]])[0, 1]), DIGITS)


def cross_validated(labelled: Labelled) -> dict[str, float] | None:
    """Return {text: probability of being a task}. The texts labelled as tasks come first. Each probability comes from a
    classifier that was not trained on this text. Return None if the texts have fewer than `PARTS` different beginnings
    (first three words), or if such a classifier would be trained on tasks alone or on other texts alone.

    Texts with the same first three words are in the same fold of the cross-validation. A text is therefore never judged
    by a classifier that was trained on a text with the same beginning.
    """
    from sklearn.model_selection import GroupKFold, cross_val_predict

    texts, tasks = _items(labelled)
    kinds = [" ".join(text.lower().split()[:3]) for text in texts]
    if len(set(kinds)) < PARTS:
        return None
    parts = list(GroupKFold(PARTS).split(texts, tasks, kinds))
    if any(len({tasks[place] for place in learned}) < 2 for learned, _ in parts):
        return None
    found = cross_val_predict(_new(), texts, tasks, cv=parts, method="predict_proba")[:, 1]
    return {text: round(float(one), DIGITS) for text, one in zip(texts, found, strict=True)}


def sentence(account: Mapping[str, Any]) -> str:
    """Return the `account` of a filter as a sentence for logs and data cards."""
    learned = f"{account['tasks']} instructions labelled as tasks and {account['others']} labelled as none"
    rejects = f"rejects instructions below a probability of {account['threshold']:g} of being a task"
    begin = f"A classifier learned from {learned} {rejects}"
    if "auc" not in account:
        return f"{begin} (too few kinds to test it)."
    passing = f"{account['tasks_pass']:.0%} of tasks and {account['others_pass']:.0%} of other texts pass"
    return f"{begin}. By cross-validation {passing} (AUC {account['auc']:.2f})."


def _items(labelled: Labelled) -> tuple[list[str], list[bool]]:
    texts = [*labelled.tasks, *labelled.others]
    return texts, [True] * len(labelled.tasks) + [False] * len(labelled.others)


def _new() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    words = TfidfVectorizer(ngram_range=(1, 3), token_pattern=r"\w+|[^\w\s]")
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    return make_pipeline(make_union(words, pieces), LogisticRegression(C=STRENGTH, max_iter=3000))
