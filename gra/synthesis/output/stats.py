"""PURE: computes stats.json from the outcomes: where the proposals went, what they cost, and how far reviewers agreed.

    proposals = instruction_rejected + rejected + accepted          accepted = kept + contaminated + duplicates + surplus

`accepted`: samples that passed the gate (the decision by the reviews and, in a dispute, by the adjudicator).
`adjudicated`: samples that went to the adjudicator. `adjudicated_kept`: how many of these the adjudicator accepted.
`instruction_rejected`: proposals whose instruction failed the check. `rejected`: all other proposals that did not pass
the gate, including proposals lost to unusable replies. `reasons` counts the dropped proposals by reason.
`contaminated`: accepted samples that contain a piece of a benchmark item.

`replies`: {model: {step: {"calls", "unusable": {fault: n}, "noted": {note: n}}}}; replies/reading.py and
replies/usable.py name the faults. `health`: the agreement of the reviewers, and figures of each reviewer; see
committee/health.py. `refused`: {model: {"calls", "refused", "words"}} for models whose server refused a call; "words"
is the beginning of the first refusal. Calls of unneeded proposals depend on timing, so they are counted in run.json
(`in_vain`), not here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from gra.synthesis.committee.gate import passed_gate
from gra.synthesis.committee.health import Health
from gra.synthesis.committee.records import CallRecord, Outcome
from gra.synthesis.replies.reading import kind_of
from gra.synthesis.settings import SynthesisSettings

MOST_NAMES = 30  # notes per model and step that are counted by name


def statistics(
    kept: Iterable[Outcome],
    rejected: Iterable[Outcome],
    *,
    settings: SynthesisSettings | None = None,
    seed_calls: Iterable[CallRecord] = (),
    simulated: bool = False,
) -> dict[str, Any]:
    """Return the content of stats.json: totals and, under `rounds`, the same numbers for each round. A proportion is
    None if its denominator is 0.

    `settings`: the settings of the run, or None if nothing was reviewed. `seed_calls`: the calls that annotated the
    seeds before round 1. They count in the totals only. `kept` and `rejected` are iterated over once, and the memory
    needed does not grow with their length.
    """
    delta = None if settings is None else settings.delta
    total = _Tally(delta)
    rounds: dict[int, _Tally] = {}
    total.calls(seed_calls)
    for outcomes, is_kept in ((kept, True), (rejected, False)):
        for outcome in outcomes:
            for tally in (total, rounds.setdefault(outcome.round, _Tally(delta))):
                tally.add(outcome, is_kept)
    parts = [{"round": number, **rounds[number].account()} for number in sorted(rounds)]
    return {**total.account(), "rounds": parts, "simulated": simulated}


class _Tally:
    """Running counts over a set of outcomes."""

    def __init__(self, delta: float | None):
        self._delta = delta
        self._counts: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._tokens: dict[str, dict[str, dict[str, int | None]]] = {}
        self._health = Health()
        self._replies: dict[str, dict[str, dict[str, Any]]] = {}
        self._refused: dict[str, str] = {}  # by model: the first refusal's words

    def add(self, outcome: Outcome, kept: bool) -> None:
        passed = passed_gate(outcome)
        counts = self._counts
        counts["proposals"] += 1
        counts["kept"] += kept
        counts["accepted"] += passed
        counts["adjudicated"] += outcome.adjudicated
        counts["adjudicated_kept"] += outcome.adjudicated and passed
        counts["missing_verdicts"] += _missing_verdicts(outcome)
        if not kept:
            self._reasons[outcome.reason] += 1
        if outcome.std is not None and _fully_reviewed(outcome):
            counts["fully_reviewed"] += 1
            counts["low_std"] += self._delta is not None and outcome.std <= self._delta
        self._health.add(outcome)
        self.calls(outcome.calls)

    def calls(self, calls: Iterable[CallRecord]) -> None:
        for call in calls:
            self._counts["calls"] += 1
            self._counts["unusable_replies"] += not call.usable
            _count_tokens(self._tokens, call)
            _count_reply(self._replies, call)
            if not call.usable and call.fault and call.fault.startswith("refused"):
                self._refused.setdefault(call.model, call.fault.partition(": ")[2][:200])

    def account(self) -> dict[str, Any]:
        counts, reasons = self._counts, self._reasons
        defined = counts["fully_reviewed"] and self._delta is not None
        return {
            "proposals": counts["proposals"],
            "instruction_rejected": reasons["instruction_rejected"],
            "rejected": counts["proposals"] - counts["accepted"] - reasons["instruction_rejected"],
            "accepted": counts["accepted"],
            "adjudicated": counts["adjudicated"],
            "adjudicated_kept": counts["adjudicated_kept"],
            "contaminated": reasons["contaminated"],
            "duplicates": reasons["duplicate"],
            "surplus": reasons["surplus"],
            "kept": counts["kept"],
            "missing_verdicts": counts["missing_verdicts"],
            "calls": counts["calls"],
            "unusable_replies": counts["unusable_replies"],
            "tokens": {model: dict(sorted(roles.items())) for model, roles in sorted(self._tokens.items())},
            "reasons": dict(sorted(reasons.items())),
            "replies": _sorted(self._replies),
            "refused": {model: self._refusals(model) for model in sorted(self._refused)},
            "low_std_share": counts["low_std"] / counts["fully_reviewed"] if defined else None,
            "krippendorff_alpha": (health := self._health.account())["alpha"],
            "health": health,
        }

    def _refusals(self, model: str) -> dict[str, Any]:
        steps = self._replies[model].values()
        refused = sum(step["unusable"].get("refused", 0) for step in steps)
        return {"calls": sum(step["calls"] for step in steps), "refused": refused, "words": self._refused[model]}


def _count_reply(found: dict[str, dict[str, dict[str, Any]]], call: CallRecord) -> None:
    """Add a call to the counts `found`: {model: {step: {calls, unusable: {fault: n}, noted: {note: n}}}}. A note can
    contain a name that a server or model chose (a finish reason, a field). So there can be any number of different
    notes. The first MOST_NAMES different notes are counted each under its own text; the others are counted together by
    kind."""
    step = found.setdefault(call.model, {}).setdefault(call.step, {"calls": 0, "unusable": {}, "noted": {}})
    step["calls"] += 1
    if not call.usable:
        kind = kind_of(call.fault or "")
        step["unusable"][kind] = step["unusable"].get(kind, 0) + 1
    for note in call.notes:
        name = (
            note if note in step["noted"] or len(step["noted"]) < MOST_NAMES else f"{note.partition(' `')[0]} (others)"
        )
        step["noted"][name] = step["noted"].get(name, 0) + 1


def _sorted(value: Any) -> Any:
    return {key: _sorted(entry) for key, entry in sorted(value.items())} if isinstance(value, dict) else value


def _count_tokens(found: dict[str, dict[str, dict[str, int | None]]], call: CallRecord) -> None:
    """Add a call to the sums `found`: {model: {role: {in, out, calls, unknown}}}. `in` and `out` sum the tokens of the
    calls for which the server reported both numbers; `unknown` counts the other calls. If there is no call for which
    the server reported both numbers, `in` and `out` are None, because tokens are never estimated."""
    entry = found.setdefault(call.model, {}).setdefault(call.role, {"in": None, "out": None, "calls": 0, "unknown": 0})
    entry["calls"] = (entry["calls"] or 0) + 1
    if call.tokens_in is None or call.tokens_out is None:
        entry["unknown"] = (entry["unknown"] or 0) + 1
    else:
        entry["in"] = (entry["in"] or 0) + call.tokens_in
        entry["out"] = (entry["out"] or 0) + call.tokens_out


def _fully_reviewed(outcome: Outcome) -> bool:
    return len(outcome.reviews) >= max(2, len(outcome.roles.reviewers)) and all(
        r.scores is not None for r in outcome.reviews
    )


def _missing_verdicts(outcome: Outcome) -> int:
    judged = [*outcome.reviews, *([outcome.adjudication] if outcome.adjudication is not None else [])]
    return sum(check.verdicts is None for check in outcome.checks) + sum(review.scores is None for review in judged)
