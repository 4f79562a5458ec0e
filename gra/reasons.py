"""Lists in one table, `REASONS`, why proposals are dropped. The table's keys appear in rejected.parquet and stats.json.

A new reason needs an entry in this table, and code that drops proposals for this reason.
"""

from __future__ import annotations

from dataclasses import dataclass

STAGES = {  # stages of a proposal, in order -> the report's name for the proposals that passed
    "instruction": "Instruction written",
    "check": "Passed the instruction check",
    "response": "Response written",
    "gate": "Passed the gate",
    "distinct": "Distinct",
    "kept": "Kept",
}


@dataclass(frozen=True)
class Reason:
    """A reason why proposals are dropped. A proposal is one attempt of the committee of models to make a new sample.

    `stage`: the stage at which the proposals are dropped, a key of `STAGES`. `text`: the reason in words. `accepted`:
    whether the committee had already accepted the proposals when they were dropped.
    """

    stage: str
    text: str
    accepted: bool = False


REASONS = {
    "annotation_missing": Reason("instruction", "the annotator gave no usable domain"),
    "keywords_missing": Reason("instruction", "the generator gave no usable keywords"),
    "instruction_missing": Reason("instruction", "the generator gave no usable instruction"),
    "unlikely_task": Reason("check", "the classifier of tasks rejected the instruction"),
    "instruction_rejected": Reason("check", "the instruction check rejected it"),
    "too_few_checks": Reason("check", "too few usable checks of the instruction"),
    "response_missing": Reason("response", "the generator gave no complete response"),
    "below_tau": Reason("gate", "mean score below tau"),
    "disputed": Reason("gate", "reviewers disagree and there is no adjudicator"),
    "too_few_reviews": Reason("gate", "too few usable reviews and no adjudicator"),
    "adjudication_missing": Reason("gate", "the adjudicator gave no usable verdict"),
    "adjudicated_out": Reason("gate", "the adjudicator's score is below tau"),
    "too_little_agreement": Reason("gate", "too small a share of the answers agree"),
    "undecided": Reason("gate", "re-gated: the recorded run did not make the call that decides it"),
    "duplicate": Reason("distinct", "too close to a sample that was kept", accepted=True),
    "not_chosen": Reason("kept", "another answer to the instruction, or another sample, was chosen", accepted=True),
    "surplus": Reason("kept", "the round already had enough samples", accepted=True),
    "contaminated": Reason("kept", "contains part of a benchmark item", accepted=True),
}


def text_of(reason: str) -> str:
    """Return the reason in words. If `reason` is not in the table, return a hint that tells the user where to look."""
    return REASONS[reason].text if reason in REASONS else "see `detail` of the sample"


def at(stage: str) -> dict[str, str]:
    """Return the reasons for which proposals are dropped at `stage`: name -> text."""
    return {name: reason.text for name, reason in REASONS.items() if reason.stage == stage}
