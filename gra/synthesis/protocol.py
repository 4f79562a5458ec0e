"""One sample's life, as a function that does no I/O: it yields the calls due next and is sent their replies.

    protocol = propose(proposal, rules)
    asks = next(protocol)                       # calls that may all be in flight at once
    asks = protocol.send([reply, ...])          # in the order of asks, until StopIteration carries the Outcome

Any scheduler may drive it and the journal may replay it: the outcome depends on the proposal, the rules and the replies.
Method: paper sections on the generator, the reviewer committee, the decision rule and the adjudicator.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

from gra.models.base import Reply, Request
from gra.synthesis import prompts
from gra.synthesis.committee import judging, showing, yes_no
from gra.synthesis.committee.examples import NONE, Examples
from gra.synthesis.committee.scales import Scales, as_given, calibrated
from gra.synthesis.decision import adjudicated_verdict, gate, instruction_passes
from gra.synthesis.parsing import CUT_OFF
from gra.synthesis.prompts.schemas import json_schema
from gra.synthesis.randomness import number, stream
from gra.synthesis.reading import Reading, read
from gra.synthesis.records import CRITERIA, DIMENSIONS, DOMAINS, CallRecord, Check, Outcome, Record, Review, Roles, Seed
from gra.synthesis.settings import SynthesisSettings, decoding_of

# Why a proposal is dropped. `contaminated` is given by the screen, `duplicate` and `surplus` after the round (rounds.py); the
# rest here.
REASONS = {
    "keywords_missing": "the generator gave no usable keywords",
    "instruction_missing": "the generator gave no usable instruction",
    "response_missing": "the generator gave no complete response",
    "instruction_rejected": "a reviewer failed the instruction",
    "too_few_checks": "too few usable verdicts on the instruction",
    "below_tau": "mean score below tau",
    "disputed": "reviewers disagree and there is no adjudicator",
    "too_few_reviews": "too few usable reviews and no adjudicator",
    "adjudication_missing": "the adjudicator gave no usable verdict",
    "adjudicated_out": "the adjudicator's score is below tau",
    "contaminated": "holds a piece of a benchmark item",
    "duplicate": "too close to a sample that was kept",
    "surplus": "the round had its samples already",
}


@dataclass(frozen=True)
class Rules:
    """What all proposals of a run share. `seed` is the run's seed; `served`: see `gra.models.pool.served_as`; `thoughts`: whether
    reasoning is cut off replies (`pool.strip_think`); `scales`: maps of reviewers' scores (synthesis.calibrate)."""

    seed: int
    settings: SynthesisSettings
    served: Mapping[str, str] = field(default_factory=dict)
    thoughts: bool = True
    scales: Scales = field(default_factory=dict)

    @cached_property
    def styles(self) -> dict[str, prompts.Style]:
        """How the replies to each step's prompt are read."""
        return {step: prompts.style(step, self.settings.prompts) for step in prompts.STEPS}


@dataclass(frozen=True)
class Proposal:
    """One attempt at a new sample: what it starts from and who takes part. `demonstrations`: records shown as turns; `taken`:
    keywords that others had already."""

    id: str
    round: int
    index: int
    domain: str
    records: tuple[Record, ...]
    roles: Roles
    examples: Examples = NONE  # shown to those that judge by one token (synthesis.scoring=probability)
    demonstrations: tuple[Record, ...] = ()
    taken: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Ask:
    """A call due: the `request`, and which step of which sample it is, in which role, at which attempt."""

    sample: str
    step: str
    role: str
    attempt: int
    request: Request


Protocol: TypeAlias = Generator[list[Ask], list[Reply], Outcome]
T = TypeVar("T")
Talk: TypeAlias = Generator[list[Ask], list[Reply], T]


@dataclass
class _Scribe:
    """Asks on behalf of one sample and keeps the account of its calls."""

    sample: str
    rules: Rules
    calls: list[CallRecord] = field(default_factory=list)

    def put(self, step: str, turns: Sequence[tuple[str, str]], **values: Any) -> Talk[list[tuple[Any, str | None]]]:
        """Ask `step` of every (role, model) in `turns` at once; unusable replies are asked for again, alone.

        Returns, per turn, (form or text, None) or (None, the last fault).
        """
        settings = self.rules.settings
        if not prompts.has_examples(step, settings.prompts):
            values.pop("demonstrations", None)  # not shown: nothing of them can be a copy
        messages = prompts.render(step, settings.prompts, **values)
        style = self.rules.styles[step]
        schema = json_schema(step, style, bool(values.get("solve")))
        results: list[tuple[Any, str | None]] = [(None, "not asked")] * len(turns)
        due, cuts = list(range(len(turns))), [0] * len(turns)
        for attempt in range(settings.parse_retries + 1):
            asks = [self._ask(step, *turns[i], (attempt, cuts[i]), messages, schema) for i in due]
            replies = yield asks
            again = []
            for i, ask, reply in zip(due, asks, replies, strict=True):
                found = read(step, reply, thoughts=self.rules.thoughts, prompt=messages, values=values, style=style)
                results[i] = (found.value, found.fault)
                self.calls.append(_account(ask, reply, found))
                cuts[i] += found.fault == CUT_OFF
                if found.fault is not None and reply.error is None:  # a refusal is for good
                    again.append(i)
            due = again
            if not due:
                break
        return results

    def choose(self, step: str, questions: Sequence[yes_no.Question]) -> Talk[list[yes_no.Scored]]:
        """Ask every (role, model, messages) at once for one token of Yes or No. Returns, per question, (score, None) or (None, the
        fault); a greedy token is not asked for again."""
        asks = []
        for role, model, messages in questions:
            seed = number(self.rules.seed, self.sample, step, role, 0, bits=31)
            asked = judging.request(model, messages, seed, self.rules.served.get(model, ""))
            asks.append(Ask(self.sample, step, role, 0, asked))
        replies = yield asks
        results = [judging.read_score(reply) for reply in replies]
        for ask, reply, (_, fault) in zip(asks, replies, results, strict=True):
            self.calls.append(_account(ask, reply, Reading(None, fault)))
        return results

    def put_one(self, step: str, role: str, model: str, **values: Any) -> Talk[tuple[Any, str | None]]:
        results = yield from self.put(step, [(role, model)], **values)
        return results[0]

    def _ask(
        self, step: str, role: str, model: str, tries: tuple[int, int], messages: tuple[dict[str, str], ...],
        schema: dict[str, Any] | None,
    ) -> Ask:  # fmt: skip
        """`tries`: the attempt, and how many of those before were cut off."""
        attempt, cuts = tries
        request = Request(
            model=model, messages=messages, schema_name=step, schema=schema,
            served=self.rules.served.get(model, ""),
            seed=number(self.rules.seed, self.sample, step, role, attempt, bits=31),
            **decoding_of(self.rules.settings, step, attempt, cuts),
        )  # fmt: skip
        return Ask(self.sample, step, role, attempt, request)


def propose(proposal: Proposal, rules: Rules) -> Protocol:
    """The life of one proposal, from keywords to the committee's decision. Raises nothing on account of a reply."""
    settings, roles = rules.settings, proposal.roles
    scribe = _Scribe(proposal.id, rules)
    draft = Outcome(
        id=proposal.id, round=proposal.round, index=proposal.index, domain=proposal.domain, roles=roles,
        parents=showing.parents(proposal.records, proposal.demonstrations, settings), status="rejected",
    )  # fmt: skip

    def dropped(reason: str, detail: str | None = "") -> Outcome:
        return replace(draft, reason=reason, detail=detail or "", calls=tuple(scribe.calls))

    given = {
        "domain": proposal.domain, "records": proposal.records, "show": settings.show, "demonstrations": proposal.demonstrations,
    }  # fmt: skip
    start = {"topics": showing.topics(rules.seed, proposal.id, proposal.records), "taken": proposal.taken}
    form, fault = yield from scribe.put_one("keywords", "generator", roles.generator, **start, **given)
    if form is None:
        return dropped("keywords_missing", fault)
    draft = replace(draft, keywords=tuple(form.keywords))
    form, fault = yield from scribe.put_one("instruction", "generator", roles.generator, keywords=draft.keywords, **given)
    if form is None:
        return dropped("instruction_missing", fault)
    draft = replace(draft, instruction=form.instruction)

    if settings.review:
        draft = replace(draft, checks=(yield from _check(scribe, draft, proposal.examples)))
        if not instruction_passes(draft.checks, settings):
            return dropped("instruction_rejected", _failed(draft.checks))
        if sum(check.passed is not None for check in draft.checks) < settings.min_reviews:
            return dropped("too_few_checks", _missing(draft.checks))

    text, fault = yield from _respond(scribe, draft)
    if text is None:
        return dropped("response_missing", fault)
    draft = replace(draft, response=text)
    if not settings.review:
        return replace(draft, status="accepted", calls=tuple(scribe.calls))

    draft = replace(draft, reviews=(yield from _review(scribe, draft, proposal.examples)))
    draft = replace(draft, reviews=tuple(calibrated(found, rules.scales) for found in draft.reviews))
    verdict = gate([r.scores for r in draft.reviews if r.scores is not None], settings)
    draft = replace(draft, mean=verdict.mean, std=verdict.std)
    if verdict.verdict == "reject":
        return dropped(verdict.reason, _missing(draft.reviews))
    if verdict.verdict == "adjudicate":
        word = calibrated((yield from _adjudicate(scribe, draft, proposal.examples)), rules.scales)
        draft = replace(draft, adjudicated=True, adjudication=word)
        if word.scores is None:
            return dropped("adjudication_missing", word.missing)
        if not adjudicated_verdict(word.scores, settings):
            return dropped("adjudicated_out", verdict.reason)
    return replace(draft, status="accepted", calls=tuple(scribe.calls))


def annotate(outcome: Outcome, rules: Rules) -> Protocol:
    """Write the summary of a kept sample and complete its keywords (paper: metadata writer). Where that fails the sample
    stays as it is, without a summary, and the pool does without it."""
    scribe = _Scribe(outcome.id, rules)
    turns = showing.built_in(rules.seed, "annotate", outcome.id, rules.settings)
    values = {"domain": outcome.domain, "keywords": outcome.keywords, "demonstrations": turns}
    form, _ = yield from scribe.put_one(
        "annotate", "annotator", outcome.roles.annotator, instruction=outcome.instruction, response=outcome.response, **values
    )
    calls = outcome.calls + tuple(scribe.calls)
    if form is None:
        return replace(outcome, calls=calls)
    return replace(outcome, keywords=tuple(form.keywords), summary=form.summary, calls=calls)


def annotate_seed(seed: Seed, model: str, rules: Rules) -> Talk[tuple[Record | None, str | None, tuple[CallRecord, ...]]]:
    """Give a seed its domain, three keywords and summary. The source's own domain, where there is one, has precedence.

    Returns the record, or None and the fault, and the calls made.
    """
    scribe = _Scribe(seed.id, rules)
    domains = list(DOMAINS)
    if rules.styles["annotate_seed"] != "classic":  # a weak model takes the first
        stream(rules.seed, "domains", seed.id).shuffle(domains)
    form, fault = yield from scribe.put_one(
        "annotate_seed", "annotator", model, domains=domains, instruction=seed.instruction, response=seed.response,
        demonstrations=showing.built_in(rules.seed, "annotate_seed", seed.id, rules.settings),
    )  # fmt: skip
    if form is None:
        return None, fault, tuple(scribe.calls)
    domain = seed.domain or form.domain
    record = Record(seed.id, seed.instruction, seed.response, domain, tuple(form.keywords), form.summary)
    return record, None, tuple(scribe.calls)


def respond(draft: Outcome, rules: Rules) -> Talk[tuple[str | None, tuple[CallRecord, ...]]]:
    """The response that the draft's generator writes in a sample's life, by itself: the text, or None, and the calls made."""
    scribe = _Scribe(draft.id, rules)
    text, _ = yield from _respond(scribe, draft)
    return text, tuple(scribe.calls)


def review(draft: Outcome, rules: Rules, examples: Examples = NONE) -> Talk[tuple[tuple[Review, ...], tuple[CallRecord, ...]]]:
    """What the draft's reviewers say of its response in a sample's life, by itself, and the calls made."""
    scribe = _Scribe(draft.id, rules)
    reviews = yield from _review(scribe, draft, examples)
    return reviews, tuple(scribe.calls)


def gives_probabilities(model: str, rules: Rules) -> Talk[tuple[CallRecord, ...]]:
    """A first question to a model that will judge by probabilities: whoever serves it without them ends the run here, with an error
    that names it, before anything is paid for."""
    scribe = _Scribe(f"probabilities/{model}", rules)
    yield from scribe.choose("probabilities", [("reviewer", model, judging.FIRST)])
    return tuple(scribe.calls)


def _respond(scribe: _Scribe, draft: Outcome) -> Talk[tuple[Any, str | None]]:
    return (yield from scribe.put_one("respond", "generator", draft.roles.generator, instruction=draft.instruction))


def _check(scribe: _Scribe, draft: Outcome, examples: Examples) -> Talk[tuple[Check, ...]]:
    if scribe.rules.settings.scoring == "probability":
        scored = yield from scribe.choose("check", yes_no.check_questions(draft, examples))
        return yes_no.checks(draft, scored, scribe.rules.settings.check_tau)
    results = yield from scribe.put("check", _reviewers(draft.roles), instruction=draft.instruction, domain=draft.domain)
    checks = []
    for model, (form, fault) in zip(draft.roles.reviewers, results, strict=True):
        verdicts = None if form is None else {name: getattr(form, name) for name in CRITERIA}
        checks.append(Check(model, verdicts, "" if form is None else form.comment, fault))
    return tuple(checks)


def _review(scribe: _Scribe, draft: Outcome, examples: Examples) -> Talk[tuple[Review, ...]]:
    if scribe.rules.settings.scoring == "probability":
        return (yield from _scored(scribe, "review", draft, examples, _reviewers(draft.roles)))
    turns = _reviewers(draft.roles)
    results = yield from scribe.put("review", turns, **showing.judged(draft, scribe.rules.settings))
    return tuple(_as_review(m, *result) for m, result in zip(draft.roles.reviewers, results, strict=True))


def _adjudicate(scribe: _Scribe, draft: Outcome, examples: Examples) -> Talk[Review]:
    model = draft.roles.adjudicator
    assert model is not None  # the gate asks for an adjudicator only where the settings give one
    if scribe.rules.settings.scoring == "probability":
        return (yield from _scored(scribe, "adjudicate", draft, examples, [("adjudicator", model)]))[0]
    result = yield from scribe.put_one(
        "adjudicate", "adjudicator", model, **showing.judged(draft, scribe.rules.settings),
        reviews=[as_given(r) for r in draft.reviews if r.scores is not None],
    )  # fmt: skip
    return _as_review(model, *result)


def _scored(
    scribe: _Scribe, step: str, draft: Outcome, examples: Examples, turns: Sequence[tuple[str, str]]
) -> Talk[tuple[Review, ...]]:
    """Reviews by the probabilities of Yes and No, each on its model's scale as the rules have it."""
    kind = scribe.rules.settings.questions
    scored = yield from scribe.choose(step, yes_no.review_questions(draft, examples, turns, kind))
    return yes_no.reviews([model for _, model in turns], scored, kind)


def _reviewers(roles: Roles) -> list[tuple[str, str]]:
    return [(f"reviewer-{i}", model) for i, model in enumerate(roles.reviewers, 1)]


def _as_review(model: str, form: Any, fault: str | None) -> Review:
    if form is None:
        return Review(model, None, missing=fault)
    return Review(model, {name: getattr(form, name) for name in DIMENSIONS}, form.strengths, form.weaknesses)


def _account(ask: Ask, reply: Reply, found: Reading) -> CallRecord:
    request, tokens = ask.request, (reply.tokens_in, reply.tokens_out)
    usable = found.fault is None
    return CallRecord(request.key, ask.step, ask.role, request.model, ask.attempt, *tokens, usable, found.fault, found.notes)


def _failed(checks: Sequence[Check]) -> str:
    failed = [(c.model, [name for name, ok in c.verdicts.items() if not ok]) for c in checks if c.verdicts is not None]
    return "; ".join(f"{model}: {', '.join(names)}" for model, names in failed if names)


def _missing(verdicts: Sequence[Check] | Sequence[Review]) -> str:
    return "; ".join(f"{v.model}: {v.missing}" for v in verdicts if v.missing)
