"""Estimates, for `gra plan`, the calls and tokens of refining a data set."""

from __future__ import annotations

from pathlib import Path

from gra.models.parsed_pool import ParsedPool
from gra.outlook import Outlook
from gra.synthesis.committee.roles import checkers
from gra.synthesis.engine.reuse import calls_in
from gra.synthesis.output.price import (
    CHARACTERS,
    DISPUTED,
    PASSED,
    RETRIED,
    by_model,
    cost_of,
    tokens_of,
    work_in_words,
)
from gra.synthesis.refining.settings import RefineSettings, needs_domain
from gra.synthesis.scoring.probability import questions_of
from gra.synthesis.settings import SynthesisSettings
from gra.work import about


def calls_of(
    refine: RefineSettings, settings: SynthesisSettings, records: int, *, annotated: bool = False
) -> dict[str, float]:
    """Return the expected number of calls of each step. It is assumed that all records are refined, and that
    `refine.answers` responses are written and judged for each record. This function is pure.

    `records`: the number of records. `annotated`: whether the records already have a domain.
    """
    reviewed, reviewers = settings.review, settings.reviewers if settings.review else 0
    checked = settings.checks_instructions and refine.check
    answers = records * refine.answers * (PASSED if checked else 1.0)
    questions = len(questions_of(settings.questions)) if settings.scoring == "probability" else 1
    counts = {
        "annotate_seed": records if needs_domain(refine, settings) and not annotated else 0.0,
        "check": records * (len(checkers(settings)) or reviewers) if checked else 0.0,
        "respond": answers if refine.write == "answer" else 0.0,
        "rewrite": answers if refine.write == "rewrite" else 0.0,
        "review": answers * reviewers * questions,
        "adjudicate": answers * DISPUTED if reviewed and settings.adjudicate else 0.0,
    }
    return {step: count * RETRIED for step, count in counts.items() if count}


def outlook(
    refine: RefineSettings,
    settings: SynthesisSettings,
    pool: ParsedPool,
    records: int | None,
    own: Path | None,
    *,
    annotated: bool,
) -> Outlook:
    """Return the estimated cost of refining a data set, both as text and as numbers. `records`: the number of records,
    or None if it is unknown. `own`: the working folder of this run, if it exists. `annotated`: whether the records
    already have a domain."""
    if records is None and refine.samples is None:
        return Outlook(["price: unknown, since an earlier step makes the records"])
    least = refine.samples if records is None else records
    assert least is not None
    counts = calls_of(refine, settings, least, annotated=annotated)
    found = {step: tokens_of(settings, step) for step in counts}
    into, out = (sum(count * found[step][side] for step, count in counts.items()) for side in (0, 1))
    models, used = pool.names, {step: count * sum(found[step]) for step, count in counts.items()}
    shared = ", ".join(f"{name} {about(count)}" for name, count in by_model(settings, models, counts).items())
    tokens = by_model(settings, models, used)
    what = f"{least:,} records" if records is not None else f"{least:,} records or more, until as many samples are kept"
    result = [
        f"price: about {about(sum(counts.values()))} calls, {about(into)} tokens in, {about(out)} out",
        f"calls by model: {shared}",
        f"assumed: {what}; {CHARACTERS} characters per token, texts as long as Alpaca's"
        + (f", {DISPUTED:.0%} of the responses are disputed" if settings.review else ""),
        work_in_words(tokens, pool.parameters, sum(counts.values()), out),
    ]
    there = calls_in(own)[0] if own is not None else 0
    result += [f"{there:,} of these calls are already answered"] if there else []
    return Outlook(result, cost_of(tokens, pool.parameters, sum(counts.values()), out), rows=least)
