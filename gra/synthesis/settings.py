"""The `synthesis` config group: every choice of the method as a named option, including those that no source states.

Defaults follow the paper where it states them; "NS" marks the others. Source: arXiv 2504.12322, sections on roles,
generator, reviewers, adjudicator, post-processing and iterations.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from gra.settings import Settings
from gra.synthesis.decontamination.settings import DecontaminateSettings
from gra.synthesis.dedup.near_duplicates import DedupSettings

MOST_PROPOSALS = 20  # maximum of proposals per sample wanted, if `max_proposals` is null


class Decoding(Settings):
    """How one step is sampled. `max_tokens` bounds the reply, not the prompt."""

    temperature: float = Field(0.0, ge=0, le=2, description="Sampling temperature; 0: greedy (NS).")
    top_p: float = Field(
        1.0, gt=0, le=1, description="Nucleus sampling: probability mass of the tokens drawn from (NS)."
    )
    max_tokens: int = Field(1024, ge=1, description="Longest reply, in tokens (NS).")


class DecodingBySteps(Settings):
    """Decoding parameters by step (not stated in the paper): writers sample, judges are greedy."""

    annotate_seed: Decoding = Field(Decoding(max_tokens=256), description="Domain, keywords and summary of a seed.")
    keywords: Decoding = Field(
        Decoding(temperature=0.9, top_p=0.95, max_tokens=256), description="The generator's keywords for a new sample."
    )
    instruction: Decoding = Field(
        Decoding(temperature=0.9, top_p=0.95, max_tokens=1024), description="The generator's instruction."
    )
    respond: Decoding = Field(
        Decoding(temperature=0.7, top_p=0.95, max_tokens=2048), description="The generator's response."
    )
    check: Decoding = Field(Decoding(max_tokens=512), description="A reviewer's check of the instruction.")
    review: Decoding = Field(Decoding(max_tokens=1024), description="A reviewer's scores of the response.")
    adjudicate: Decoding = Field(Decoding(max_tokens=1024), description="The adjudicator's decision.")
    annotate: Decoding = Field(Decoding(max_tokens=256), description="Keywords and summary of a kept sample.")


class SynthesisSettings(Settings):
    """Settings of the committee. "NS" marks a default that no source states."""

    rounds: int = Field(5, ge=1, description="Rounds; each enlarges the pool for the next one.")
    samples_per_round: int = Field(10_000, ge=1, description="Samples to keep per round, after dedup (NS).")
    max_proposals: int | None = Field(
        None, ge=1, description="Maximum of proposals per round; null: 20 per sample (NS)."
    )
    reviewers: int = Field(3, ge=1, description="Reviewers per sample; the paper's figures show three (NS).")
    min_reviews: int = Field(2, ge=1, description="Verdicts needed; with fewer, the adjudicator decides (NS).")
    tau: float = Field(8.0, ge=0, le=10, description="Mean score needed for acceptance.")
    delta: float = Field(1.5, ge=0, description="Standard deviation above which reviewers disagree.")
    composite: Literal["mean", "median", "min", "correctness"] = Field(
        "mean", description="A reviewer's composite: of its six scores, or its score for correctness alone."
    )
    std: Literal["population", "sample"] = Field("population", description="Form of the standard deviation (NS).")
    roles: Literal["random", "fixed", "single"] = Field(
        "random", description="random: drawn per sample; fixed: the pool's order; single: one model has all roles."
    )
    single_model: str | None = Field(None, description="The model for roles=single; null: the pool's first.")
    scoring: Literal["text", "probability"] = Field(
        "text", description="text: written reviews; probability: a Yes/No question, scored by P(Yes) of one token."
    )
    questions: Literal["overall", "dimensions"] = Field(
        "overall", description="scoring=probability. overall: one question; dimensions: one for each of the six (NS)."
    )
    check_tau: float = Field(5.0, ge=0, le=10, description="scoring=probability: score that an instruction needs (NS).")
    calibrate: Literal["none", "probe"] = Field(
        "none", description="probe: map each reviewer's scale by the probe (inputs.probe); none: as given (NS)."
    )
    review: bool = Field(
        True, description="Checks and reviews by reviewers; false: all well-formed proposals are accepted."
    )
    adjudicate: bool = Field(True, description="An adjudicator decides on disputed samples; false: `disputed` does.")
    disputed: Literal["drop", "keep", "majority"] = Field(
        "drop", description="Disputed samples without an adjudicator; majority: most composites reach tau (NS)."
    )
    parse_retries: int = Field(2, ge=0, description="Retries of an unusable reply (NS).")
    shots: int = Field(2, ge=1, description="Pool records shown to the generator; the paper's figures show two (NS).")
    show: Literal["metadata", "full"] = Field(
        "metadata",
        description="What the generator sees of a record. metadata: keywords and summary; full: all of it (prompts=classic; NS).",
    )
    domains: Literal["uniform", "pool"] = Field(
        "uniform", description="Domain shares of proposals. uniform: equal; pool: as in the pool (NS)."
    )
    stop_when_blind: int | None = Field(
        None,
        ge=20,
        description="Reviewed samples after which a run with uninformative reviews ends; null: only warn (NS).",
    )
    probe: Literal["warn", "refuse", "off"] | None = Field(
        None, description="Effect of a failed probe (chains with a step `probe`); null: warn, for simulated pools off."
    )
    prompts: str = Field(
        "classic",
        min_length=1,
        description="classic: one message, replies in JSON; turns: examples as turns of the conversation, one-line replies, which "
        "suits small models; or a folder of your own (gra/synthesis/prompts); null: classic.",
    )
    demonstrations: int = Field(3, ge=0, description="Pool records of the domain shown as turns (prompts=turns; NS).")
    example_sets: int | None = Field(
        None,
        ge=1,
        description="Sets of demonstrations shared by the calls of a round and domain; null: one per call (NS).",
    )
    taken: int = Field(
        0, ge=0, description="Newest records of the domain whose keywords are listed as taken (prompts=turns; NS)."
    )
    thin_domain: int = Field(16, ge=0, description="A domain with fewer records borrows from similar domains (NS).")
    long_answers: int = Field(
        4, ge=1, description="A truncated response is retried with up to this multiple of max_tokens (NS)."
    )
    solve: Literal["always", "checkable", "never"] = Field(
        "checkable",
        description="When reviewers write their own answer first: always, never, or in checkable domains (prompts=turns; NS).",
    )
    check: Literal["unanimous", "majority"] = Field(
        "unanimous",
        description="An instruction is dropped if one reviewer fails it (unanimous), or more than half of them do (majority).",
    )
    dedup: DedupSettings = Field(DedupSettings(), description="Removal of near-duplicates.")
    decontaminate: DecontaminateSettings = Field(
        DecontaminateSettings(), description="Removal of samples that contain part of a benchmark item."
    )
    decoding: DecodingBySteps = Field(DecodingBySteps(), description="Decoding parameters of each step.")

    @field_validator("prompts", mode="before", json_schema_input_type=str | None)
    @classmethod
    def _null_is_the_default(cls, value: Any) -> Any:
        return "classic" if value is None else value  # configs of earlier versions have null

    @property
    def proposal_limit(self) -> int:
        """Maximum of proposals per round. Without `max_proposals`, a round whose pace cannot fill it ends before (stopping.py)."""
        return self.max_proposals if self.max_proposals is not None else MOST_PROPOSALS * self.samples_per_round


def decoding_of(settings: SynthesisSettings, step: str, attempt: int, cuts: int = 0) -> dict[str, Any]:
    """Return the decoding parameters of attempt `attempt` (from 0) of a step. Retries of a greedy step are sampled, since greedy
    decoding would repeat itself. A response gets twice the max_tokens for each of the `cuts` (earlier attempts that were
    truncated), up to `long_answers` times its own. The step `rewrite` (stage `refine`) is decoded like `respond`."""
    step = "respond" if step == "rewrite" else step
    decoding: Decoding = getattr(settings.decoding, step)
    temperature = decoding.temperature if attempt == 0 else max(decoding.temperature, 0.5)
    factor = min(2**cuts, settings.long_answers) if step == "respond" else 1
    return {"temperature": temperature, "top_p": decoding.top_p, "max_tokens": decoding.max_tokens * factor}
