"""Estimates the calls and tokens of a synthesis before it starts, by model, for `gra plan`.

    proposals = samples x PROPOSALS, at least one per sample, at most synthesis.max_proposals in each round
    calls     = seeds annotated + proposals x calls of each step + samples annotated
    tokens    = calls x tokens of a call of the step: the prompt's length at CHARACTERS per token, plus texts of usual
                length; a reply has at most the max_tokens of its step

If there is an earlier run, its figures are used in place of these assumptions: the calls and tokens of each step from
its journal, and the proposals per kept sample from its stats.json.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gra import work
from gra.errors import StoreError
from gra.fileio import read_json
from gra.outlook import Cost, Outlook
from gra.synthesis import prompts
from gra.synthesis.committee.roles import candidates, checkers
from gra.synthesis.config import SynthesisConfig
from gra.synthesis.engine.journal_read import connect_other
from gra.synthesis.engine.reuse import JOURNAL, calls_in
from gra.synthesis.scoring.probability import LONGEST, questions_of
from gra.synthesis.settings import SynthesisSettings
from gra.work import about

PROPOSALS = 2.5  # per kept sample, with reviews; the same as sharding.FIRST_ROUND
PROPOSALS_UNREVIEWED = 1.2  # near-duplicates are still dropped
CHARACTERS = 4  # per token of English
PASSED = 0.85  # share of instructions that pass the reviewers
DISPUTED = 0.3  # share of reviewed responses that go to the adjudicator
CALL_BYTES = 1800  # of the journal for each call, besides its reply; measured on 10,719 calls
RETRIED = 1.05  # calls per usable reply
_TEXTS = {  # tokens of the texts in a prompt and of the reply: usual lengths of Alpaca's records and of short reviews
    "annotate_seed": (150, 60),
    "keywords": (120, 40),
    "instruction": (140, 80),
    "check": (60, 40),
    "respond": (60, 250),
    "rewrite": (310, 250),
    "review": (310, 80),
    "adjudicate": (600, 80),
    "annotate": (320, 60),
}
_WRITER = ("keywords", "instruction", "respond", "rewrite")
_ANNOTATOR = ("annotate_seed", "annotate")
_REVIEWER = ("check", "review")


@dataclass(frozen=True)
class Known:
    """Numbers measured in an earlier run, from which the cost of a new run is estimated. `source`: the name of the
    earlier run's folder. `calls`: for each step, its calls per proposal. `tokens`: for each step, its input and output
    tokens per call. A step for which the number is unknown is left out. `proposals`: the proposals per kept sample, or
    None if this is unknown."""

    source: str
    calls: dict[str, float]
    tokens: dict[str, tuple[float, float]]
    proposals: float | None


@dataclass(frozen=True)
class Price:
    """The expected calls and tokens of a whole run. `least`: the number of calls if every proposal is kept and no call
    is retried. `most`: the number of calls if every round makes as many proposals as are allowed."""

    calls: float
    least: float
    most: float
    tokens_in: float
    tokens_out: float
    by_model: dict[str, float]  # calls
    tokens_by_model: dict[str, float]  # in and out


def known(folders: Sequence[Path], models: Sequence[str]) -> Known | None:
    """Return numbers measured in an earlier run, such as tokens per call, from which the cost of a new run is
    estimated. They are taken from the first of the `folders` that qualifies. A folder qualifies if its journal
    (database of model calls) has at least 20 proposed samples, and no calls to models outside `models`. Other models,
    such as simulated ones, write texts of other lengths. Return None if no folder qualifies."""
    for folder in folders:
        try:
            connection = connect_other(folder / JOURNAL) if (folder / JOURNAL).is_file() else None
            if connection is None:
                continue
            with closing(connection):
                called = {model for (model,) in connection.execute("SELECT DISTINCT model FROM calls")}
                rows = connection.execute(
                    "SELECT step, count(*), avg(tokens_in), avg(tokens_out), count(DISTINCT sample) FROM calls GROUP BY step"
                ).fetchall()
        except (StoreError, sqlite3.Error):
            continue
        if not called <= set(models):
            continue
        samples = {step: distinct for step, _, _, _, distinct in rows}
        proposed = samples.get("keywords", 0)
        if proposed < 20:  # too few for a rate
            continue
        calls = {step: count / proposed for step, count, *_ in rows if step not in _ANNOTATOR}
        tokens = {step: (taken, given) for step, _, taken, given, _ in rows if taken is not None and given is not None}
        return Known(folder.name, calls, tokens, _proposals_per_sample(folder))
    return None


def price(settings: SynthesisSettings, models: Sequence[str], seeds: int, earlier: Known | None = None) -> Price:
    """Return the expected calls and tokens of a synthesis. `models`: the names of the models that can take part.
    `seeds`: the number of seeds to annotate. `earlier`: the numbers measured in an earlier run. They replace general
    assumptions. This function is pure."""
    samples = settings.rounds * settings.samples_per_round
    usual = PROPOSALS if settings.review else PROPOSALS_UNREVIEWED
    if earlier is not None and earlier.proposals is not None:
        usual = earlier.proposals
    most = settings.rounds * settings.proposal_limit
    expected = min(max(usual * samples, samples), most)
    steps = _calls_per_proposal(settings, earlier)
    counts = {step: expected * each for step, each in steps.items()}
    counts |= {"annotate_seed": seeds * RETRIED, "annotate": samples * RETRIED}
    fixed = counts["annotate_seed"] + counts["annotate"]
    each = sum(steps.values())
    tokens = {step: tokens_of(settings, step, earlier) for step in counts}
    return Price(
        calls=sum(counts.values()),
        least=(fixed + samples * each) / RETRIED,
        most=fixed + most * each,
        tokens_in=sum(count * tokens[step][0] for step, count in counts.items()),
        tokens_out=sum(count * tokens[step][1] for step, count in counts.items()),
        by_model=by_model(settings, models, counts),
        tokens_by_model=by_model(settings, models, {step: count * sum(tokens[step]) for step, count in counts.items()}),
    )


def outlook(config: SynthesisConfig, seeds: int | None, earlier: Sequence[Path], own: Path | None = None) -> Outlook:
    """Return the estimated cost of a synthesis, both as text and as numbers. `seeds`: the number of seeds. If it is
    None, the number is unknown, and seeds.limit is used instead. `earlier`: the folders of earlier runs. `own`: the
    working folder of this run, if it exists. Calls that are recorded there need not be made again."""
    settings, limit, columns = config.synthesis, config.seeds.limit, config.seeds.columns
    used = min(n for n in (limit, seeds, 10**9) if n is not None)
    unknown = limit is None and seeds is None
    annotated = all((columns.domain, columns.keywords, columns.summary))
    models = config.pool.names
    before = known(earlier, models)
    drawn = len(candidates(models, settings).generator) > 1
    found = price(settings, models, 0 if unknown or annotated else used, before)
    names = ", ".join(f"{name} {about(count)}" for name, count in found.by_model.items())
    assumed = [
        _assumptions(settings, None if unknown else used, before),
        *["the seeds are already annotated"] * annotated,
    ]
    result = [
        f"price: about {about(found.calls)} calls ({about(found.least)} if all proposals are kept, at most {about(found.most)})"
        f", {about(found.tokens_in)} tokens in, {about(found.tokens_out)} out",
        f"calls by model: {names}" + (" (roles are drawn at random)" if drawn else ""),
        "assumed: " + "; ".join(assumed),
        work_in_words(found.tokens_by_model, config.pool.parameters, found.calls, found.tokens_out),
    ]
    cost = cost_of(found.tokens_by_model, config.pool.parameters, found.calls, found.tokens_out)
    there = calls_in(own)[0] if own is not None else 0
    if there:
        result.append(
            f"{there:,} of these calls are already answered; about {about(max(found.calls - there, 0))} remain"
        )
    return Outlook(result, cost, rows=settings.rounds * settings.samples_per_round)


def of_probe(config: SynthesisConfig, calls: float, own: Path | None) -> Outlook:
    """Return the estimated cost of a probe (a test of the pool's models as reviewers), both as text and as numbers.
    Every call is assumed to have as many tokens as a review. `calls`: the number of calls per model. `own`: the probe's
    working folder, if it exists."""
    models = config.pool.names
    into, out = tokens_of(config.synthesis, "review")
    total = calls * len(models)
    tokens = dict.fromkeys(models, calls * (into + out))
    result = [
        f"price: about {about(total)} calls, {about(total * into)} tokens in, {about(total * out)} out",
        work_in_words(tokens, config.pool.parameters, total, total * out),
    ]
    there = calls_in(own)[0] if own is not None else 0
    result += [f"{there:,} of these calls are already answered"] if there else []
    return Outlook(result, cost_of(tokens, config.pool.parameters, total, total * out))


def cost_of(
    tokens: Mapping[str, float], parameters: Mapping[str, float | None], calls: float, tokens_out: float
) -> Cost:
    """Return the cost of a stage, computed from its expected calls and tokens.

    `tokens`: for each model, the sum of its input and output tokens. `parameters`: the size of each model in billions
    of parameters. If any size is None, the returned cost has FLOPs of 0, and its field `unsized` is true. `calls`,
    `tokens_out`: the total numbers of calls and of output tokens. The size of the journal (the database of model calls)
    is estimated from these totals.
    """
    sizes = {model: parameters.get(model) for model in tokens}
    unsized = None in sizes.values()
    flops = 0.0 if unsized else sum(2e9 * (sizes[model] or 0) * count for model, count in tokens.items())
    hours = work.gpu_hours(flops, work.GENERATING)
    return Cost(calls, sum(tokens.values()), flops, hours, _journal(calls, tokens_out), unsized)


def _journal(calls: float, tokens_out: float) -> float:
    """Return the expected size of the journal in bytes."""
    return calls * CALL_BYTES + tokens_out * CHARACTERS


def work_in_words(
    tokens: Mapping[str, float], parameters: Mapping[str, float | None], calls: float, tokens_out: float
) -> str:
    """Return the FLOPs, the GPU-hours and the journal's size as text. The arguments are those of `cost_of`."""
    size = f"disk: about {work.disk(_journal(calls, tokens_out))}"
    cost = cost_of(tokens, parameters, calls, tokens_out)
    if cost.unsized:
        unknown = [model for model in tokens if parameters.get(model) is None]
        return f"FLOPs: unknown, since the pool does not state the `parameters` of {', '.join(unknown)}; {size}"
    return f"models: {work.in_words(cost.flops, work.GENERATING)}; {size}"


def _assumptions(settings: SynthesisSettings, seeds: int | None, earlier: Known | None) -> str:
    what = ["unknown number of seeds, not counted" if seeds is None else f"{seeds:,} seeds"]
    if earlier is not None and earlier.proposals is not None:
        what.append(f"{earlier.proposals:.1f} proposals per kept sample, as in {earlier.source}")
    else:
        what.append(f"{PROPOSALS if settings.review else PROPOSALS_UNREVIEWED} proposals per kept sample")
    if earlier is not None:
        what.append(f"calls and tokens of each step as in {earlier.source}")
    else:
        what.append(
            f"{CHARACTERS} characters per token, texts as long as Alpaca's"
            + (
                f", {PASSED:.0%} of the instructions pass, {DISPUTED:.0%} of the responses are disputed"
                if settings.review
                else ""
            )
        )
    return "; ".join(what)


def _proposals_per_sample(folder: Path) -> float | None:
    """Return the proposals per kept sample of a finished run. None if the run is not finished, because the number would
    be too high."""
    try:
        stats = read_json(folder / "stats.json")
        return float(stats["proposals"]) / float(stats["kept"])
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return None


def _calls_per_proposal(settings: SynthesisSettings, earlier: Known | None) -> dict[str, float]:
    reviewers = settings.reviewers if settings.review else 0
    passed = PASSED if settings.checks_instructions else 1.0
    steps = {
        "keywords": 1.0,
        "instruction": 1.0,
        "check": float(len(checkers(settings)) or reviewers),
        "respond": passed,
        "review": passed * reviewers,
    }
    if settings.scoring == "probability":
        steps["review"] *= len(questions_of(settings.questions))
    steps["adjudicate"] = passed * DISPUTED if settings.review and settings.adjudicate else 0.0
    seen = {} if earlier is None else earlier.calls
    return {step: seen.get(step, each * RETRIED) for step, each in steps.items() if each}


def tokens_of(settings: SynthesisSettings, step: str, earlier: Known | None = None) -> tuple[float, float]:
    """Return the expected tokens (in, out) of one call of the step."""
    if earlier is not None and step in earlier.tokens:
        return earlier.tokens[step]
    text = prompts.source_path(step, settings.prompts).read_text(encoding="utf-8", errors="replace")
    texts, reply = _TEXTS.get(step, (200, 80))
    by_token = settings.checks_by_probability if step == "check" else settings.scoring == "probability"
    if by_token and step in (*_REVIEWER, "adjudicate"):
        if settings.questions == "likelihood" and step != "check":  # the instruction, then the forced response
            return _TEXTS["respond"][0], min(_TEXTS["respond"][1], LONGEST)
        # six short examples, and one token of reply
        return 7 * _TEXTS["check" if step == "check" else "review"][0] / 2, 1
    most = getattr(settings.decoding, "respond" if step == "rewrite" else step).max_tokens
    return len(text) / CHARACTERS + texts, min(reply, most)


def by_model(settings: SynthesisSettings, models: Sequence[str], counts: dict[str, float]) -> dict[str, float]:
    """Return the number of calls of each model. The calls of a step are divided equally among the models that can take
    part in it. `counts`: the number of calls of each step. If it holds numbers of tokens instead, the result is the
    tokens of each model."""
    found = candidates(models, settings)
    steps = {
        _WRITER: found.generator,
        ("check",): found.checkers,
        ("review",): found.reviewers,
        ("adjudicate",): found.adjudicator,
        _ANNOTATOR: found.annotator,
    }
    calls = dict.fromkeys(models, 0.0)
    for names, able in steps.items():
        for model in able:
            calls[model] += sum(counts.get(step, 0.0) for step in names) / len(able)
    return {model: count for model, count in calls.items() if count}
