"""PURE: decides whether a draft of a sample is dropped, from the models' verdicts on it: the checks of its instruction,
its reviews and its adjudication.

The protocol asks the models for these verdicts and then calls these functions. Re-gating calls the functions with the recorded
verdicts and other settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from gra.synthesis.committee.gate import Gate, adjudicated_verdict, gate, instruction_passes
from gra.synthesis.committee.records import Check, Outcome, Review
from gra.synthesis.settings import SynthesisSettings

Drop = tuple[str, str]  # reason and detail


class InstructionFilter(Protocol):
    """Rejects instructions without a model (gra/synthesis/task_filter)."""

    @property
    def account(self) -> dict[str, Any]:
        """How the filter decides and how good it is, for stats.json."""

    def fault(self, instruction: str) -> str | None:
        """Return why the instruction is rejected, or None if it passes."""


def of_classifier(draft: Outcome, tasks: InstructionFilter | None) -> Drop | None:
    """Return (the reason, details) if the classifier `tasks` finds that the instruction is probably no task. Return
    None if the instruction passes, or if there is no classifier."""
    fault = None if tasks is None else tasks.fault(draft.instruction)
    return None if fault is None else ("unlikely_task", fault)


def of_checks(draft: Outcome, settings: SynthesisSettings) -> Drop | None:
    """Return (the reason, details) if the checks of the instruction drop the draft. None if the instruction passes its
    checks."""
    if not instruction_passes(draft.checks, settings):
        return "instruction_rejected", _failed(draft.checks)
    if sum(check.passed is not None for check in draft.checks) < min(settings.min_reviews, len(draft.checks)):
        return "too_few_checks", _missing(draft.checks)
    return None


def of_reviews(draft: Outcome, settings: SynthesisSettings) -> tuple[Outcome, Gate, Drop | None]:
    """Apply the gate, which is the rule that decides by the reviewers' scores. Return three values: the draft with the
    mean and standard deviation of its reviews, the gate's verdict, and why the gate rejects the draft. The third value
    is (the reason, details), or None if the gate does not reject the draft."""
    verdict = gate([review.scores for review in draft.reviews if review.scores is not None], settings)
    scored = replace(draft, mean=verdict.mean, std=verdict.std)
    return scored, verdict, (verdict.reason, _missing(draft.reviews)) if verdict.verdict == "reject" else None


def of_adjudication(word: Review, verdict: Gate, settings: SynthesisSettings) -> Drop | None:
    """Return (the reason, details) if the sample is dropped after its adjudication. Return None if the adjudicator
    keeps it. `word`: the adjudicator's review of the sample. `verdict`: the verdict of the gate (the rule that decides
    by the reviewers' scores), which left the decision to the adjudicator."""
    if word.scores is None:
        return "adjudication_missing", word.missing or ""
    return None if adjudicated_verdict(word.scores, settings) else ("adjudicated_out", verdict.reason)


def _failed(checks: Sequence[Check]) -> str:
    failed = [(c.model, [name for name, ok in c.verdicts.items() if not ok]) for c in checks if c.verdicts is not None]
    return "; ".join(f"{model}: {', '.join(names)}" for model, names in failed if names)


def _missing(verdicts: Sequence[Check] | Sequence[Review]) -> str:
    return "; ".join(f"{v.model}: {v.missing}" for v in verdicts if v.missing)
