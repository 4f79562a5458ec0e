"""Defines the steps that refine one record, as a Python generator: it does no I/O, yields the calls that are due and
receives the replies (see committee/protocol.py).

annotation (if the record has no domain) -> check of the instruction
-> response, reviews, gate and adjudicator (once per answer) -> choice
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gra.synthesis.committee.calls import Caller, Exchange, Rules
from gra.synthesis.committee.decisions import Drop, of_classifier
from gra.synthesis.committee.protocol import annotate_seed, check_instruction, judge_response
from gra.synthesis.committee.randomness import stream
from gra.synthesis.committee.records import CHECKABLE, CallRecord, Outcome, Roles, Seed
from gra.synthesis.committee.roles import assign
from gra.synthesis.refining.settings import RefineSettings, needs_domain
from gra.synthesis.refining.votes import vote
from gra.synthesis.scoring.examples import Shelf

NUMBER = 1  # number of the only round


@dataclass(frozen=True)
class Task:
    """A record of the data set, its number in the data set, and the models that play its roles."""

    seed: Seed
    index: int
    roles: Roles


def draw_task(seed: Seed, index: int, models: Sequence[str], rules: Rules) -> Task:
    """Return the task of refining one record. The models that work on the record are drawn at random, with a random
    stream that depends only on the record's id and the random seed of the run. So the drawn models do not depend on the
    other records of the data set."""
    return Task(seed, index, assign(models, rules.settings, stream(rules.seed, "refine", seed.id)))


def refine(task: Task, settings: RefineSettings, rules: Rules, shelf: Shelf) -> Exchange[tuple[Outcome, ...]]:
    """Refine one record and return its outcomes. There is one outcome for each response that was written, or a single
    one if the record was dropped before any response was written. At most one outcome is accepted. If a reply is
    unusable, the outcome is rejected with a reason, and no exception is raised."""
    seed = task.seed
    caller = Caller(seed.id, rules)
    draft = Outcome(
        id=seed.id,
        round=NUMBER,
        index=task.index * settings.answers,
        domain=seed.domain or "",
        roles=task.roles,
        parents=(),
        status="rejected",
        keywords=seed.keywords,
        instruction=seed.instruction,
        summary=seed.summary or None,
    )
    if (drop := of_classifier(draft, rules.tasks)) is not None:
        return (_ended(draft, drop, ()),)
    annotation: tuple[CallRecord, ...] = ()
    if not seed.domain and needs_domain(settings, rules.settings):
        record, fault, annotation = yield from annotate_seed(seed, task.roles.annotator, rules)
        if record is None:
            return (replace(draft, reason="annotation_missing", detail=fault or "", calls=annotation),)
        draft = replace(draft, domain=record.domain, keywords=record.keywords, summary=record.summary)
    examples = shelf.examples(NUMBER, draft.domain)
    if rules.settings.checks_instructions and settings.check:
        draft, drop = yield from check_instruction(caller, draft, examples)
        if drop is not None:
            return (_ended(draft, drop, (*annotation, *caller.calls)),)
    before = (*annotation, *caller.calls)  # calls before the answers; they are counted with those of the first answer
    found: list[Outcome] = []
    for number in range(_answers(draft.domain, settings)):
        name = seed.id if settings.answers == 1 else f"{seed.id}.{number + 1}"
        mine = Caller(name, rules)
        own = replace(draft, id=name, index=draft.index + number)
        own, drop = yield from _written(mine, own, seed, settings, shelf)
        found.append(_ended(own, drop, (*before, *mine.calls)))
        before = ()
        if drop is None and settings.choose == "first":
            break
    return choose(found, settings)


def choose(found: Sequence[Outcome], settings: RefineSettings) -> tuple[Outcome, ...]:
    """Choose one of the accepted outcomes by the rule that the setting `refine.choose` names. Return all outcomes, with
    all except the chosen one rejected. With choose=vote, all are rejected if too few answers agree. This function is
    pure."""
    accepted = [i for i, outcome in enumerate(found) if outcome.status == "accepted"]
    if not accepted:
        return tuple(found)
    drop: Drop = ("not_chosen", "")
    if settings.choose == "vote" and found[0].domain in CHECKABLE:
        place, share = vote([found[i].response for i in accepted])
        best: int | None = accepted[place]
        if share is not None and share < settings.agreement:
            best, drop = None, ("too_little_agreement", f"{share:.0%} of the final answers agree")
    else:
        best = max(accepted, key=lambda i: (-1.0 if (mean := found[i].mean) is None else mean, -i))
    return tuple(
        replace(outcome, status="rejected", reason=drop[0], detail=drop[1] or f"{found[best or 0].id} was chosen")
        if i in accepted and i != best
        else outcome
        for i, outcome in enumerate(found)
    )


def _answers(domain: str, settings: RefineSettings) -> int:
    return settings.answers if settings.choose != "vote" or domain in CHECKABLE else 1


def _written(
    caller: Caller, draft: Outcome, seed: Seed, settings: RefineSettings, shelf: Shelf
) -> Exchange[tuple[Outcome, Drop | None]]:
    """Write one response and have it judged. Return the draft with its response and verdicts; and the reason and detail
    if it is dropped, else None."""
    writer = draft.roles.generator
    values = {"instruction": draft.instruction, "slots": caller.rules.settings.slots}
    text: str | None = seed.response or None
    fault: str | None = f"{seed.place}: the record has no response"
    if settings.write == "rewrite" and text is not None:
        text, fault = yield from caller.ask_one("rewrite", "generator", writer, response=text, **values)
    elif settings.write != "keep":  # a record without a response is answered
        text, fault = yield from caller.ask_one("respond", "generator", writer, **values)
    if text is None:
        return draft, ("response_missing", fault or "")
    draft = replace(draft, response=text)
    if not caller.rules.settings.review:
        return draft, None
    return (yield from judge_response(caller, draft, shelf.examples(NUMBER, draft.domain)))


def _ended(draft: Outcome, drop: Drop | None, calls: tuple[CallRecord, ...]) -> Outcome:
    if drop is None:
        return replace(draft, status="accepted", calls=calls)
    return replace(draft, reason=drop[0], detail=drop[1], calls=calls)
