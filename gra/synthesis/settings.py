"""The `synthesis` config group: every choice of the method, those that no source states included, as a named option.

Defaults follow the paper where it speaks; each other default says so. Source: arXiv 2504.12322, sections on roles,
generator, reviewers, adjudicator, post-processing and iterations.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from gra.settings import Settings
from gra.synthesis.decontaminate_settings import DecontaminateSettings
from gra.synthesis.dedup import DedupSettings

MOST_PROPOSALS = 20  # for each sample wanted, where `max_proposals` says nothing


class Decoding(Settings):
    """How one step is sampled. `max_tokens` bounds the reply, not the prompt."""

    temperature: float = Field(0.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(1024, ge=1)


class DecodingBySteps(Settings):
    """Decoding parameters of each step (not stated in the paper): writers sample, judges are greedy."""

    annotate_seed: Decoding = Decoding(max_tokens=256)
    keywords: Decoding = Decoding(temperature=0.9, top_p=0.95, max_tokens=256)
    instruction: Decoding = Decoding(temperature=0.9, top_p=0.95, max_tokens=1024)
    respond: Decoding = Decoding(temperature=0.7, top_p=0.95, max_tokens=2048)
    check: Decoding = Decoding(max_tokens=512)
    review: Decoding = Decoding(max_tokens=1024)
    adjudicate: Decoding = Decoding(max_tokens=1024)
    annotate: Decoding = Decoding(max_tokens=256)


class SynthesisSettings(Settings):
    """Settings of the committee. "NS" marks a default that no source states."""

    rounds: int = Field(5, ge=1, description="Rounds; each enlarges the pool that the next one draws from.")
    samples_per_round: int = Field(10_000, ge=1, description="Samples to keep in a round, counted after dedup (NS).")
    max_proposals: int | None = Field(None, ge=1, description="Proposals in a round at most; null: see `proposal_limit` (NS).")
    reviewers: int = Field(3, ge=1, description="Reviewers of a sample; three are drawn in the paper's figures (NS).")
    min_reviews: int = Field(2, ge=1, description="Verdicts needed; below, the adjudicator decides (NS).")
    tau: float = Field(8.0, ge=0, le=10, description="Mean score needed.")
    delta: float = Field(1.5, ge=0, description="Standard deviation above which reviewers disagree.")
    std: Literal["population", "sample"] = Field("population", description="Form of the standard deviation (NS).")
    roles: Literal["random", "fixed", "single"] = Field("random", description="Random per sample; the pool's order; one model.")
    single_model: str | None = Field(None, description="The model of roles=single; null: the pool's first.")
    scoring: Literal["text", "probability"] = Field("text", description="Written reviews; or P(Yes) from one token each.")
    questions: Literal["overall", "dimensions"] = Field("overall", description="scoring=probability: one question, or six.")
    check_tau: float = Field(5.0, ge=0, le=10, description="scoring=probability: an instruction's score needed (NS).")
    calibrate: Literal["none", "probe"] = Field("none", description="probe: each reviewer's scale is mapped by its probe (NS).")
    review: bool = Field(True, description="false: no instruction check, no reviews: every well-formed proposal is accepted.")
    adjudicate: bool = Field(True, description="false: disputed samples go as `disputed` says.")
    disputed: Literal["drop", "keep"] = Field("drop", description="Disputed samples where there is no adjudicator (NS).")
    parse_retries: int = Field(2, ge=0, description="Times an unusable reply is asked for again (NS).")
    shots: int = Field(2, ge=1, description="Pool records shown to the generator; two in the paper's figures (NS).")
    show: Literal["metadata", "full"] = Field("metadata", description="What the generator sees of a record (NS).")
    domains: Literal["uniform", "pool"] = Field("uniform", description="Domain shares of proposals: equal, or the pool's (NS).")
    stop_when_blind: int | None = Field(
        None, ge=20, description="Reviewed samples after which a run of blind reviewers ends; null: it is told (NS)."
    )
    probe: Literal["warn", "refuse", "off"] | None = Field(
        None, description="What a probe's bad result does (chains with a step `probe`); null: warn, of simulated pools off."
    )
    prompts: str = Field("classic", min_length=1, description="turns | classic | a folder with your own (gra/synthesis/prompts).")
    demonstrations: int = Field(3, ge=0, description="Pool records of the domain given as turns (prompts=turns; NS).")
    taken: int = Field(0, ge=0, description="Newest records of the domain whose keywords are shown as taken (prompts=turns; NS).")
    thin_domain: int = Field(16, ge=0, description="Records of a domain below which it borrows from domains near it (NS).")
    long_answers: int = Field(4, ge=1, description="Room of a response that was cut, in times of its max_tokens at most (NS).")
    solve: Literal["always", "checkable", "never"] = Field(
        "checkable", description="Domains in which reviewers write their own answer first (prompts=turns; NS)."
    )
    check: Literal["unanimous", "majority"] = Field(
        "unanimous", description="Whose no drops an instruction: one reviewer's, or that of most of them."
    )
    dedup: DedupSettings = DedupSettings()
    decontaminate: DecontaminateSettings = DecontaminateSettings()
    decoding: DecodingBySteps = DecodingBySteps()

    @field_validator("prompts", mode="before")
    @classmethod
    def _null_is_the_default(cls, value: Any) -> Any:
        return "classic" if value is None else value  # as configs of earlier versions have it

    @property
    def proposal_limit(self) -> int:
        """Proposals in a round at most; without `max_proposals` a round whose pace would not fill it ends before (pace.py)."""
        return self.max_proposals if self.max_proposals is not None else MOST_PROPOSALS * self.samples_per_round


def decoding_of(settings: SynthesisSettings, step: str, attempt: int, cuts: int = 0) -> dict[str, Any]:
    """Decoding of the `attempt`-th try: a greedy step is sampled when asked again, else it could only repeat itself. A response
    gets twice the room for each of the `cuts` that tries before ended with, up to `long_answers` times its own."""
    decoding: Decoding = getattr(settings.decoding, step)
    temperature = decoding.temperature if attempt == 0 else max(decoding.temperature, 0.5)
    room = min(2**cuts, settings.long_answers) if step == "respond" else 1
    return {"temperature": temperature, "top_p": decoding.top_p, "max_tokens": decoding.max_tokens * room}
