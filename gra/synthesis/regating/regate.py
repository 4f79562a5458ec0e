"""PURE: decides a recorded proposal again with other settings, from the recorded verdicts.

    regate(recorded outcome, settings) -> the outcome that a run with these settings would have had; or an outcome
                                          rejected as `undecided`, if the decision needs a call that was never made

A call is missing in three cases. With a looser check, an instruction passes that failed in the recorded run, so no
response was written for it. With a smaller delta, the reviewers disagree on a sample that no adjudicator saw. With
fewer reviewers, the adjudicator would have been shown fewer reviews. These proposals count as undecided; nothing is
guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from gra.errors import Problem
from gra.settings import parse
from gra.synthesis.committee import decisions
from gra.synthesis.committee.records import CallRecord, Outcome, Roles
from gra.synthesis.committee.roles import checkers
from gra.synthesis.settings import SynthesisSettings

UNDECIDED = "undecided"  # a reason of gra/reasons.py
# The settings that can be changed, because they change no request before the request to the adjudicator.
DECIDES = (
    *("tau", "delta", "std", "composite", "check", "min_reviews", "disputed"),
    *("reviewers", "review", "adjudicate", "rounds", "samples_per_round", "max_proposals"),
)
_WRITING = ("keywords_missing", "instruction_missing", "unlikely_task")
_ONLY_FEWER = ("reviewers", "rounds")
_ONLY_OFF = ("review", "adjudicate")


def settings_of(
    recorded: Mapping[str, Any], changes: Mapping[str, Any]
) -> tuple[SynthesisSettings | None, list[Problem]]:
    """Return the `recorded` settings with the `changes` applied, and all faults of the changes. If there are faults,
    None is returned in place of the settings."""
    wrong = [
        Problem(
            f"regate.{key}",
            "cannot be changed in a recorded run: it would have made other calls",
            f"change one of: {', '.join(DECIDES)}; for another value of {key}, run the synthesis again",
        )
        for key in changes
        if key not in DECIDES
    ]
    known = {key: value for key, value in changes.items() if key in DECIDES}
    settings, faults = parse(SynthesisSettings, {**recorded, **known}, "regate")
    had, _ = parse(SynthesisSettings, recorded)
    if settings is not None and had is not None:
        wrong += _beyond(settings, had)
    return (settings if not wrong else None), wrong + faults


def _beyond(settings: SynthesisSettings, had: SynthesisSettings) -> list[Problem]:
    """Return the faults of settings that need verdicts that the recorded run did not request. `had`: the settings of
    the recorded run."""
    found = []
    for key in _ONLY_FEWER:
        if getattr(settings, key) > (most := getattr(had, key)) and (key == "rounds" or settings.review):
            message = f"the recorded run has {most}, not {getattr(settings, key)}"
            found.append(Problem(f"regate.{key}", message, f"set it to {most} or less"))
    for key in _ONLY_OFF:
        if getattr(settings, key) and not getattr(had, key):
            found.append(Problem(f"regate.{key}", f"the recorded run has {key}=false", f"leave regate.{key} out"))
    if settings.review and settings.min_reviews > settings.reviewers:
        message = f"{settings.reviewers} reviewers cannot give {settings.min_reviews} reviews"
        found.append(Problem("regate.min_reviews", message, f"set it to {settings.reviewers} or less"))
    if settings.composite == "correctness" and not (settings.calibrate == "none" and settings.scores_each_dimension):
        message = "the recorded reviews have one score, not one for each dimension"
        found.append(Problem("regate.composite", message, "choose another composite"))
    return found


def regate(recorded: Outcome, settings: SynthesisSettings) -> Outcome:
    """Return the outcome that a recorded proposal has with other `settings`, which come from `settings_of`. If
    `settings` ask for n reviewers, and the recorded run had more, only the first n recorded reviewers count, because a
    run with n reviewers would draw exactly these."""
    roles = roles_of(recorded.roles, settings)
    count = len(roles.reviewers)
    draft = replace(
        recorded,
        roles=roles,
        status="rejected",
        reason="",
        detail="",
        response="",
        checks=recorded.checks if checkers(settings) else recorded.checks[:count],
        reviews=(),
        adjudication=None,
        adjudicated=False,
        mean=None,
        std=None,
        summary=None,
    )
    asked = ["keywords", "instruction"]

    def ended(found: Outcome, reason: str, detail: str = "") -> Outcome:
        return replace(found, reason=reason, detail=detail, calls=calls_of(recorded.calls, asked, roles))

    if recorded.reason in _WRITING:
        return ended(draft, recorded.reason, recorded.detail)
    if settings.checks_instructions:
        asked.append("check")
        if (drop := decisions.of_checks(draft, settings)) is not None:
            return ended(draft, *drop)
    if not recorded.response and recorded.reason != "response_missing":
        return ended(draft, UNDECIDED, "the recorded run made no call for the response")
    asked.append("respond")
    if recorded.reason == "response_missing":
        return ended(draft, recorded.reason, recorded.detail)
    draft = replace(draft, response=recorded.response)
    if not settings.review:
        return ended(replace(draft, status="accepted"), "")
    asked.append("review")
    draft = replace(draft, reviews=recorded.reviews[:count])
    draft, verdict, drop = decisions.of_reviews(draft, settings)
    if drop is not None:
        return ended(draft, *drop)
    if verdict.verdict == "adjudicate":
        if recorded.adjudication is None:
            return ended(draft, UNDECIDED, "the recorded run made no call to the adjudicator")
        if len(recorded.reviews) != count:
            return ended(draft, UNDECIDED, "the adjudicator saw the reviews of more reviewers")
        asked.append("adjudicate")
        draft = replace(draft, adjudicated=True, adjudication=recorded.adjudication)
        if (drop := decisions.of_adjudication(recorded.adjudication, verdict, settings)) is not None:
            return ended(draft, *drop)
    return ended(replace(draft, status="accepted"), "")


def roles_of(recorded: Roles, settings: SynthesisSettings) -> Roles:
    """Return the roles that a run with these `settings` would have. They are the recorded roles, minus the reviewers
    beyond the number that `settings` ask for, and minus the adjudicator if `settings` switch adjudication off. If
    `settings` switch the review off, no reviewer and no adjudicator remain."""
    count = settings.reviewers if settings.review else 0
    return replace(
        recorded,
        reviewers=recorded.reviewers[:count],
        adjudicator=recorded.adjudicator if settings.review and settings.adjudicate else None,
    )


def calls_of(calls: Collection[CallRecord], steps: Collection[str], roles: Roles) -> tuple[CallRecord, ...]:
    """Return the recorded `calls` of the given `steps` that a run with these `roles` would also have made."""
    present = {"generator", "adjudicator", *(f"reviewer-{n}" for n in range(1, len(roles.reviewers) + 1))}
    made = (call for call in calls if call.role in present or call.role.startswith("checker-"))
    return tuple(call for call in made if call.step in steps)
