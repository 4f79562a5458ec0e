"""What a synthesis will ask, before it asks: calls and tokens, by model where that can be told. For `gra plan`; an estimate.

    proposals = samples x PROPOSALS (or as in an earlier run), at least one a sample, at most synthesis.max_proposals
    calls     = seeds annotated + proposals x calls of each step + samples annotated
    tokens    = calls x tokens of the step: as in an earlier run, else the prompt's length at CHARACTERS a token and texts of usual
                length, the reply's no more than its max_tokens

What an earlier run of the step did is read from its journal: calls and tokens of each step, and proposals for each sample kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gra.errors import StoreError
from gra.fileio import read_json
from gra.models.pool import model_names
from gra.synthesis import prompts
from gra.synthesis.committee.judging import questions_of
from gra.synthesis.journal_read import connect_other
from gra.synthesis.reuse import JOURNAL, calls_in
from gra.synthesis.roles import models_needed
from gra.synthesis.settings import SynthesisSettings

PROPOSALS = 2.5  # for a sample kept, where they are reviewed; sharding.FIRST_ROUND
PROPOSALS_UNREVIEWED = 1.2  # near-duplicates are dropped all the same
CHARACTERS = 4  # of English in a token
PASSED = 0.85  # share of instructions that the reviewers let through
DISPUTED = 0.3  # share of reviewed responses that go to the adjudicator
RETRIED = 1.05  # calls for each reply that can be used
_TEXTS = {  # tokens of texts in a prompt, and of the reply: usual lengths of Alpaca's records and of short reviews
    "annotate_seed": (150, 60), "keywords": (120, 40), "instruction": (140, 80), "check": (60, 40), "respond": (60, 250),
    "review": (310, 80), "adjudicate": (600, 80), "annotate": (320, 60),
}  # fmt: skip
_WRITER = ("keywords", "instruction", "respond")
_ANNOTATOR = ("annotate_seed", "annotate")
_PANEL = ("check", "review")


@dataclass(frozen=True)
class Known:
    """What an earlier run of the step tells. `calls`: of each step for each proposal; `tokens`: in and out of a call of each step;
    `proposals`: for each sample kept. None or absent: it does not say."""

    source: str
    calls: dict[str, float]
    tokens: dict[str, tuple[float, float]]
    proposals: float | None


@dataclass(frozen=True)
class Price:
    """Calls and tokens of a whole run; `least` and `most`: calls where all proposals, or hardly any, are kept."""

    calls: float
    least: float
    most: float
    tokens_in: float
    tokens_out: float
    by_model: dict[str, float]  # calls


def known(folders: Sequence[Path]) -> Known | None:
    """What the first of these folders that tells anything tells of a run."""
    for folder in folders:
        try:
            connection = connect_other(folder / JOURNAL) if (folder / JOURNAL).is_file() else None
            if connection is None:
                continue
            with closing(connection):
                rows = connection.execute(
                    "SELECT step, count(*), avg(tokens_in), avg(tokens_out), count(DISTINCT sample) FROM calls GROUP BY step"
                ).fetchall()
        except (StoreError, sqlite3.Error):
            continue
        samples = {step: distinct for step, _, _, _, distinct in rows}
        proposed = samples.get("keywords", 0)
        if proposed < 20:  # too few to tell a rate from
            continue
        calls = {step: count / proposed for step, count, *_ in rows if step not in _ANNOTATOR}
        tokens = {step: (taken, given) for step, _, taken, given, _ in rows if taken is not None and given is not None}
        return Known(folder.name, calls, tokens, _proposals_a_sample(folder))
    return None


def price(settings: SynthesisSettings, models: Sequence[str], seeds: int, earlier: Known | None = None) -> Price:
    """The estimate. `models`: the pool's names; `seeds`: how many are annotated. Pure."""
    samples = settings.rounds * settings.samples_per_round
    usual = PROPOSALS if settings.review else PROPOSALS_UNREVIEWED
    if earlier is not None and earlier.proposals is not None:
        usual = earlier.proposals
    most = settings.rounds * settings.proposal_limit
    expected = min(max(usual * samples, samples), most)
    steps = _calls_a_proposal(settings, earlier)
    counts = {step: expected * each for step, each in steps.items()}
    counts |= {"annotate_seed": seeds * RETRIED, "annotate": samples * RETRIED}
    fixed = counts["annotate_seed"] + counts["annotate"]
    each = sum(steps.values())
    tokens = {step: _tokens(settings, step, earlier) for step in counts}
    return Price(
        calls=sum(counts.values()), least=(fixed + samples * each) / RETRIED, most=fixed + most * each,
        tokens_in=sum(count * tokens[step][0] for step, count in counts.items()),
        tokens_out=sum(count * tokens[step][1] for step, count in counts.items()),
        by_model=_by_model(settings, models, counts),
    )  # fmt: skip


def lines(config: dict[str, Any], seeds: int | None, earlier: Sequence[Path], own: Path | None = None) -> list[str]:
    """The estimate in words, for a checked config. `seeds`: how many there are, None: not known, so synthesis.seeds.limit counts;
    `own`: the working folder of this run, if it was begun."""
    settings = SynthesisSettings.model_validate(config["synthesis"])
    limit = config["seeds"].get("limit", 1000)
    used = min(n for n in (limit, seeds, 10**9) if n is not None)
    unknown = limit is None and seeds is None
    before = known(earlier)
    found = price(settings, model_names(config["pool"]), 0 if unknown else used, before)
    names = ", ".join(f"{name} {_about(count)}" for name, count in found.by_model.items())
    result = [
        f"price: about {_about(found.calls)} calls ({_about(found.least)} if all proposals are kept, at most {_about(found.most)})"
        f", {_about(found.tokens_in)} tokens in, {_about(found.tokens_out)} out",
        f"calls by model: {names}" + ("" if settings.roles != "random" else " (roles are drawn at random)"),
        "assumed: " + _assumptions(settings, None if unknown else used, before),
    ]
    there = calls_in(own)[0] if own is not None else 0
    if there:
        result.append(f"of these calls {there:,} are answered already; about {_about(max(found.calls - there, 0))} are left to buy")
    return result


def _assumptions(settings: SynthesisSettings, seeds: int | None, earlier: Known | None) -> str:
    what = ["seeds not counted, as their number is not known" if seeds is None else f"{seeds:,} seeds"]
    if earlier is not None and earlier.proposals is not None:
        what.append(f"{earlier.proposals:.1f} proposals for a sample kept, as in {earlier.source}")
    else:
        what.append(f"{PROPOSALS if settings.review else PROPOSALS_UNREVIEWED} proposals for a sample kept")
    if earlier is not None:
        what.append(f"calls and tokens of each step as in {earlier.source}")
    else:
        what.append(f"{CHARACTERS} characters a token, texts as long as Alpaca's" + (
            f", {PASSED:.0%} of the instructions pass, {DISPUTED:.0%} of the responses are disputed" if settings.review else ""
        ))
    return "; ".join(what)


def _proposals_a_sample(folder: Path) -> float | None:
    """Of a finished run; one that was broken off would tell too many."""
    try:
        stats = read_json(folder / "stats.json")
        return float(stats["proposals"]) / float(stats["kept"])
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return None


def _calls_a_proposal(settings: SynthesisSettings, earlier: Known | None) -> dict[str, float]:
    reviewers = settings.reviewers if settings.review else 0
    passed = PASSED if settings.review else 1.0
    steps = {"keywords": 1.0, "instruction": 1.0, "check": float(reviewers), "respond": passed, "review": passed * reviewers}
    if settings.scoring == "probability":
        steps["review"] *= len(questions_of(settings.questions))
    steps["adjudicate"] = passed * DISPUTED if settings.review and settings.adjudicate else 0.0
    seen = {} if earlier is None else earlier.calls
    return {step: seen.get(step, each * RETRIED) for step, each in steps.items() if each}


def _tokens(settings: SynthesisSettings, step: str, earlier: Known | None) -> tuple[float, float]:
    if earlier is not None and step in earlier.tokens:
        return earlier.tokens[step]
    text = prompts.source_path(step, settings.prompts).read_text(encoding="utf-8", errors="replace")
    texts, reply = _TEXTS.get(step, (200, 80))
    if settings.scoring == "probability" and step in (*_PANEL, "adjudicate"):  # six short examples, and one token
        return 7 * _TEXTS["check" if step == "check" else "review"][0] / 2, 1
    return len(text) / CHARACTERS + texts, min(reply, getattr(settings.decoding, step).max_tokens)


def _by_model(settings: SynthesisSettings, models: Sequence[str], counts: dict[str, float]) -> dict[str, float]:
    total = sum(counts.values())
    if settings.roles == "single":
        return {settings.single_model or models[0]: total}
    if settings.roles == "random":
        return {name: total / len(models) for name in models}
    panel = sum(counts.get(step, 0.0) for step in _PANEL) / settings.reviewers
    found = {models[0]: sum(counts.get(step, 0.0) for step in (*_WRITER, *_ANNOTATOR))}
    found |= dict.fromkeys(models[1 : 1 + settings.reviewers], panel) if settings.review else {}
    found |= {models[models_needed(settings) - 1]: counts["adjudicate"]} if "adjudicate" in counts else {}
    return found


def _about(number: float) -> str:
    """Two digits that count: 1,234,567 -> 1.2 million; 9,812 -> 9,800."""
    if number >= 1e6:
        return f"{number / 1e6:,.1f} million" if number < 1e9 else f"{number / 1e9:,.1f} billion"
    digits = max(len(str(int(number))) - 2, 0)
    return f"{round(number, -digits):,.0f}"
