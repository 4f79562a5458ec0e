"""The protocol of one sample: which calls are made, in which order, and what follows from the replies. It is written as
generators that do no I/O: they yield the calls that must be made next, and the caller sends them the replies.

    protocol = propose(proposal, rules)
    calls = next(protocol)                      # may all be in flight at once
    calls = protocol.send([reply, ...])         # in the order of calls, until StopIteration carries the Outcome

The caller can make the calls in any way, or take the replies from a journal: the outcome depends only on the proposal,
the rules and the replies. Method: paper sections on the generator, the reviewer committee, the decision rule and the
adjudicator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gra.errors import ServerError
from gra.synthesis.committee import decisions, prompt_values
from gra.synthesis.committee.calls import Caller, Exchange, Protocol, Rules
from gra.synthesis.committee.decisions import Drop
from gra.synthesis.committee.randomness import stream
from gra.synthesis.committee.records import (
    CRITERIA,
    DIMENSIONS,
    DOMAINS,
    CallRecord,
    Check,
    Outcome,
    Record,
    Review,
    Roles,
    Seed,
)
from gra.synthesis.scoring import probability, yes_no
from gra.synthesis.scoring.examples import NONE, Examples
from gra.synthesis.scoring.scales import as_given, calibrated


@dataclass(frozen=True)
class Proposal:
    """One attempt at a new sample. It names the records that the prompts show and the models that take part.

    `demonstrations`: records that prompts show as turns of a chat. `taken`: keywords that the new sample must not
    repeat. Each tuple holds the keywords of one record.
    """

    id: str
    round: int
    index: int
    domain: str
    records: tuple[Record, ...]
    roles: Roles
    examples: Examples = NONE  # shown to judges that answer with one token
    demonstrations: tuple[Record, ...] = ()
    taken: tuple[tuple[str, ...], ...] = ()


def propose(proposal: Proposal, rules: Rules) -> Protocol:
    """Run one proposal from its keywords to the committee's decision, and return the Outcome. If the generator gives no
    usable reply, the proposal ends and no exception is raised. The Outcome then has the reason."""
    settings, roles = rules.settings, proposal.roles
    caller = Caller(proposal.id, rules)
    draft = Outcome(
        id=proposal.id,
        round=proposal.round,
        index=proposal.index,
        domain=proposal.domain,
        roles=roles,
        parents=prompt_values.parents(proposal.records, proposal.demonstrations, settings),
        status="rejected",
    )

    def dropped(reason: str, detail: str | None = "") -> Outcome:
        return replace(draft, reason=reason, detail=detail or "", calls=tuple(caller.calls))

    given = {
        "domain": proposal.domain,
        "records": proposal.records,
        "show": settings.show,
        "demonstrations": proposal.demonstrations,
    }
    start = {"topics": prompt_values.topics(rules.seed, proposal.id, proposal.records), "taken": proposal.taken}
    form, fault = yield from caller.ask_one("keywords", "generator", roles.generator, **start, **given)
    if form is None:
        return dropped("keywords_missing", fault)
    draft = replace(draft, keywords=tuple(form.keywords))
    form, fault = yield from caller.ask_one(
        "instruction", "generator", roles.generator, keywords=draft.keywords, **given
    )
    if form is None:
        return dropped("instruction_missing", fault)
    draft = replace(draft, instruction=form.instruction)
    if (drop := decisions.of_classifier(draft, rules.tasks)) is not None:
        return dropped(*drop)

    if settings.checks_instructions:
        draft, drop = yield from check_instruction(caller, draft, proposal.examples)
        if drop is not None:
            return dropped(*drop)

    text, fault = yield from _respond(caller, draft)
    if text is None:
        return dropped("response_missing", fault)
    draft = replace(draft, response=text)
    if not settings.review:
        return replace(draft, status="accepted", calls=tuple(caller.calls))

    draft, drop = yield from judge_response(caller, draft, proposal.examples)
    if drop is not None:
        return dropped(*drop)
    return replace(draft, status="accepted", calls=tuple(caller.calls))


def check_instruction(caller: Caller, draft: Outcome, examples: Examples) -> Exchange[tuple[Outcome, Drop | None]]:
    """Let models check the draft's instruction. These are the models of `synthesis.checkers` or, if this key is null,
    the reviewers. Return the draft with their verdicts, and None. If the draft is dropped, the second value is (the
    reason, details)."""
    draft = replace(draft, checks=(yield from _check(caller, draft, examples)))
    return draft, decisions.of_checks(draft, caller.rules.settings)


def judge_response(caller: Caller, draft: Outcome, examples: Examples) -> Exchange[tuple[Outcome, Drop | None]]:
    """Let the reviewers judge the draft's response. If the gate then leaves the decision to the adjudicator, let the
    adjudicator judge it too. Return the draft with these verdicts, and None. If the draft is dropped, the second value
    is (the reason, details)."""
    rules, settings = caller.rules, caller.rules.settings
    draft = replace(draft, reviews=(yield from _review(caller, draft, examples)))
    draft = replace(draft, reviews=tuple(calibrated(found, rules.scales) for found in draft.reviews))
    draft, verdict, drop = decisions.of_reviews(draft, settings)
    if drop is None and verdict.verdict == "adjudicate":
        word = calibrated((yield from _adjudicate(caller, draft, examples)), rules.scales)
        draft = replace(draft, adjudicated=True, adjudication=word)
        drop = decisions.of_adjudication(word, verdict, settings)
    return draft, drop


def annotate(outcome: Outcome, rules: Rules) -> Protocol:
    """Let the annotator write the summary and the final keywords of a kept sample (paper: metadata writer). If no reply
    is usable, the sample is kept without a summary, and later prompts do not show it."""
    caller = Caller(outcome.id, rules)
    turns = prompt_values.built_in(rules.seed, "annotate", outcome.id, rules.settings)
    values = {"domain": outcome.domain, "keywords": outcome.keywords, "demonstrations": turns}
    form, _ = yield from caller.ask_one(
        "annotate",
        "annotator",
        outcome.roles.annotator,
        instruction=outcome.instruction,
        response=outcome.response,
        **values,
    )
    calls = outcome.calls + tuple(caller.calls)
    if form is None:
        return replace(outcome, calls=calls)
    return replace(outcome, keywords=tuple(form.keywords), summary=form.summary, calls=calls)


def annotate_seed(
    seed: Seed, model: str, rules: Rules
) -> Exchange[tuple[Record | None, str | None, tuple[CallRecord, ...]]]:
    """Let a model write the domain, three keywords and the summary of a seed. Values that the seed already has are
    kept. If it has all of them, no model is called.

    Return (the annotated seed as a record, None, the calls). If no reply was usable, return (None, the last fault, the
    calls).
    """
    if seed.domain and seed.keywords and seed.summary:
        return Record(seed.id, seed.instruction, seed.response, seed.domain, seed.keywords, seed.summary), None, ()
    caller = Caller(seed.id, rules)
    domains = list(DOMAINS)
    if rules.styles["annotate_seed"] != "classic":  # weak models favour the domain that is listed first
        stream(rules.seed, "domains", seed.id).shuffle(domains)
    form, fault = yield from caller.ask_one(
        "annotate_seed",
        "annotator",
        model,
        domains=domains,
        instruction=seed.instruction,
        response=seed.response,
        demonstrations=prompt_values.built_in(rules.seed, "annotate_seed", seed.id, rules.settings),
    )
    if form is None:
        return None, fault, tuple(caller.calls)
    domain = seed.domain or form.domain
    keywords, summary = seed.keywords or tuple(form.keywords), seed.summary or form.summary
    record = Record(seed.id, seed.instruction, seed.response, domain, keywords, summary)
    return record, None, tuple(caller.calls)


def respond(draft: Outcome, rules: Rules) -> Exchange[tuple[str | None, tuple[CallRecord, ...]]]:
    """Let the generator write the response of a draft, without any other step. Return the response and the calls. The
    response is None if no reply was usable."""
    caller = Caller(draft.id, rules)
    text, _ = yield from _respond(caller, draft)
    return text, tuple(caller.calls)


def review(
    draft: Outcome, rules: Rules, examples: Examples = NONE
) -> Exchange[tuple[tuple[Review, ...], tuple[CallRecord, ...]]]:
    """Let the reviewers judge the response of a draft, without any other step. Return their reviews and the calls."""
    caller = Caller(draft.id, rules)
    reviews = yield from _review(caller, draft, examples)
    return reviews, tuple(caller.calls)


def gives_probabilities(model: str, rules: Rules, *, likelihood: bool = False) -> Exchange[tuple[CallRecord, ...]]:
    """Test whether the server of `model` returns token probabilities, by asking one question. If `likelihood`
    is true, also test whether it tells the likelihood of a given text. Return the calls.

    These calls come before all other calls of the run. So if a test fails, the run ends before it has paid for other
    calls. If the server returns no probabilities, the backend raises an error that names the server. If the server does
    not tell the likelihood of a given text, this function raises ServerError.
    """
    caller = Caller(f"probabilities/{model}", rules)
    yield from caller.ask_yes_no("probabilities", [probability.Question("reviewer", model, probability.FIRST)])
    if likelihood:
        text = probability.Question("reviewer", model, probability.FIRST, probability.UNLIKELY)
        ((score, fault),) = yield from caller.ask_yes_no("likelihood", [text])
        if score is None or score > probability.CERTAIN:
            why = fault or "it finds an absurd answer certain"
            what = f"its server does not tell how likely a given text is ({why})"
            raise ServerError(f"model `{model}`: {what}\n    -> {probability.SERVE_LIKELIHOOD}")
    return tuple(caller.calls)


def _respond(caller: Caller, draft: Outcome) -> Exchange[tuple[Any, str | None]]:
    values = {"instruction": draft.instruction, "slots": caller.rules.settings.slots}
    return (yield from caller.ask_one("respond", "generator", draft.roles.generator, **values))


def _check(caller: Caller, draft: Outcome, examples: Examples) -> Exchange[tuple[Check, ...]]:
    settings = caller.rules.settings
    turns = _reviewers(draft.roles)
    if settings.checkers is not None:
        turns = [(f"checker-{i}", model) for i, model in enumerate(settings.checkers, 1)]
    models = [model for _, model in turns]
    if settings.checks_by_probability:
        scored = yield from caller.ask_yes_no("check", yes_no.check_questions(draft, examples, turns))
        return yes_no.checks(models, scored, settings.check_tau)
    results = yield from caller.ask_all("check", turns, instruction=draft.instruction, domain=draft.domain)
    checks = []
    for model, (form, fault) in zip(models, results, strict=True):
        verdicts = None if form is None else {name: getattr(form, name) for name in CRITERIA}
        checks.append(Check(model, verdicts, "" if form is None else form.comment, fault))
    return tuple(checks)


def _review(caller: Caller, draft: Outcome, examples: Examples) -> Exchange[tuple[Review, ...]]:
    if caller.rules.settings.scoring == "probability":
        return (yield from _scored(caller, "review", draft, examples, _reviewers(draft.roles)))
    turns = _reviewers(draft.roles)
    results = yield from caller.ask_all("review", turns, **prompt_values.judged(draft, caller.rules.settings))
    return tuple(_as_review(m, *result) for m, result in zip(draft.roles.reviewers, results, strict=True))


def _adjudicate(caller: Caller, draft: Outcome, examples: Examples) -> Exchange[Review]:
    model = draft.roles.adjudicator
    assert model is not None  # the gate calls for an adjudicator only if the settings have one
    if caller.rules.settings.scoring == "probability":
        return (yield from _scored(caller, "adjudicate", draft, examples, [("adjudicator", model)]))[0]
    result = yield from caller.ask_one(
        "adjudicate",
        "adjudicator",
        model,
        **prompt_values.judged(draft, caller.rules.settings),
        reviews=[as_given(r) for r in draft.reviews if r.scores is not None],
    )
    return _as_review(model, *result)


def _scored(
    caller: Caller, step: str, draft: Outcome, examples: Examples, turns: Sequence[tuple[str, str]]
) -> Exchange[tuple[Review, ...]]:
    """Return one review for each (role, model) of `turns`, scored by the probabilities of Yes and No and not yet calibrated."""
    kind = caller.rules.settings.questions
    scored = yield from caller.ask_yes_no(step, yes_no.review_questions(draft, examples, turns, kind))
    return yes_no.reviews([model for _, model in turns], scored, kind)


def _reviewers(roles: Roles) -> list[tuple[str, str]]:
    return [(f"reviewer-{i}", model) for i, model in enumerate(roles.reviewers, 1)]


def _as_review(model: str, form: Any, fault: str | None) -> Review:
    if form is None:
        return Review(model, None, missing=fault)
    return Review(model, {name: getattr(form, name) for name in DIMENSIONS}, form.strengths, form.weaknesses)
